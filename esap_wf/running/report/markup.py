"""
The page as a tree of elements: names, parameters and log lines of a run are untrusted, and an element's text
can't become markup.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from esap_wf.formats import printing
from esap_wf.formats.printing import one_line, printable

#: Characters of a cell, and of a block of lines.
CELL, BLOCK = 300, 8000
#: Longest address of a link; a longer name is shown, but leads nowhere.
ADDRESS = 1200

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bar: #0072b2; --bad: #d55e00; --good: #00734f; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 1.5em auto 3em; max-width: 66em; padding: 0 1em;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6em; line-height: 1.25; margin: 0 0 .2em; } h2 { font-size: 1.15em; margin: 2em 0 .4em; }
p { margin: .4em 0; } .soft { opacity: .72; }
a { color: light-dark(#005a91, #6cb8ee); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .3em 0; min-width: 22em; }
td, th { text-align: left; padding: .22em 1.1em .22em 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { overflow-wrap: normal; }
td { max-width: 44em; overflow-wrap: anywhere; } td:first-child { overflow-wrap: break-word; }
th { font-weight: 600; opacity: .72; } td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code, pre, td.m { font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { white-space: pre-wrap; margin: .4em 0; padding: .6em .8em; border: 1px solid var(--line); border-radius: 4px; }
.phase { display: inline-block; font-size: .55em; font-weight: 600; padding: .1em .8em; border-radius: 1em; color: #fff;
  background: var(--good); vertical-align: .25em; }
.ERROR, .ABORTED { background: var(--bad); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(10em, 1fr)); gap: .6em; margin: 1em 0; }
.facts div { background: var(--soft); border-radius: 4px; padding: .5em .8em; } .facts b { display: block; font-size: 1.1em; }
.bad, .warn { border-left: 4px solid var(--bad); padding: .3em .8em; margin: .8em 0; background: var(--soft); }
.warn { border-color: #e69f00; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20em, 100%), 1fr)); gap: 1em; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 4px; padding: .5em; background: #fff; color: #222; }
figure img { display: block; max-width: 100%; max-height: 30em; margin: auto; } figcaption { font-size: 13px; padding-top: .4em; }
figcaption a { color: #005a91; }
.job { display: grid; grid-template-columns: 15em 1fr 5em; gap: .6em; font-size: 12px; align-items: center; }
.job span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .job span.n { text-align: right; }
.track { position: relative; height: 9px; background: var(--soft); display: block; }
.track i { position: absolute; top: 0; bottom: 0; min-width: 2px; background: var(--bar); }
.track .failed { background: var(--bad); } .track .running { background: #888; }
@media (max-width: 40em) {
  body { margin-top: .8em; } .job { grid-template-columns: 7em 1fr 4em; }
  .many, .many tbody, .many tr, .many td { display: block; min-width: 0; } .many tr:first-child { display: none; }
  .many tr { border-bottom: 1px solid var(--line); padding: .4em 0; } .many td:empty { display: none; }
  .many td { border: 0; padding: .05em 0 .05em 7.5em; min-height: 1.5em; } .many td.n { text-align: left; white-space: normal; }
  .many td[data-of]::before { content: attr(data-of); float: left; margin-left: -7.5em; width: 7em; opacity: .72; font-weight: 400; }
  .many td:first-child { font-weight: 600; }
}
@media print {
  body { font-size: 11px; max-width: none; margin: 0; } .wide { overflow: visible; } table { min-width: 0; }
  figure, tr, .bad, .warn, .facts div { break-inside: avoid; } h2 { break-after: avoid; } a { color: inherit; }
  .phase, .track i, .track, .facts div { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
#: Nothing but pictures is ever loaded, and nothing runs, whatever else the page holds.
_POLICY = (
    "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; form-action 'none'; "
    "base-uri 'none'"
)

Cell = object


def clipped(value: object, longest: int = CELL) -> str:
    """A foreign text as part of a line; the middle of a long one is left out."""
    text = one_line("" if value is None else printing.clipped(str(value), 4 * longest))
    return printing.clipped(text, longest, longest // 3, " … ")


def add(parent: ET.Element, tag: str, text: object = "", **attributes: str) -> ET.Element:
    """A further element; its text is shown, whatever it holds."""
    child = ET.SubElement(parent, tag, {k.rstrip("_"): v for k, v in attributes.items()})
    child.text = clipped(text, BLOCK)
    return child


def lines(parent: ET.Element, text: str) -> None:
    """A block of lines, of a log or a command."""
    block = add(parent, "pre")
    block.text = printable(printing.clipped(text, BLOCK, mark=" …"))


def address(path: str) -> str:
    """Where a file or folder below the run directory is, for a link; empty if there is no way to say it."""
    quoted = quote(os.fsencode(path), safe="/")
    inside = not path.startswith("/") and ".." not in path.split("/")
    return quoted if inside and len(quoted) <= ADDRESS else ""


def link(path: str, text: object = None) -> Cell:
    """A link to what lies below the run directory, or its name alone if no link can lead there."""
    shown = clipped(path if text is None else text)
    if not (href := address(path)):
        return shown
    element = ET.Element("a", {"href": href})
    element.text = shown
    return element


def put(parent: ET.Element, cell: Cell) -> None:
    """A cell's content behind the text of an element."""
    if isinstance(cell, ET.Element):
        parent.append(cell)
    else:
        parent.text = (parent.text or "") + clipped(cell)


def is_there(path: Path) -> bool:
    """Whether something can be linked to; a name may be one that no file can have."""
    try:
        return path.exists()
    except OSError:
        return False


def number(text: object) -> ET.Element:
    """A cell that is aligned at its right."""
    cell = ET.Element("td", {"class": "n"})
    cell.text = clipped(text)
    return cell


def code(text: object) -> ET.Element:
    """A cell of what stands in a file or on a command line."""
    cell = ET.Element("td", {"class": "m"})
    cell.text = clipped(text)
    return cell


class Page:
    """
    A page that grows.

    Parameters
    ----------
    title : str
    most : int
        Entries shown of any list; how many more there are is told.
    """

    def __init__(self, title: str, most: int) -> None:
        self.most = most
        self.html = ET.Element("html", {"lang": "en"})
        head = add(self.html, "head")
        self.body = add(self.html, "body")
        add(head, "meta", charset="utf-8")
        add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
        ET.SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY})
        add(head, "title", clipped(title))
        ET.SubElement(head, "style").text = STYLE

    def table(
        self, title: str, header: Sequence[str], rows: Iterable[Sequence[Cell]], total: int, note: str = ""
    ) -> None:
        """
        A table of the first of `total` rows, without columns in which nothing stands; nothing if there is
        none.
        """
        if not total:
            return
        add(self.body, "h2", title)
        if note:
            add(self.body, "p", note, class_="soft")
        shown = [
            [c if isinstance(c, ET.Element) and c.tag == "td" else _cell(c) for c in row]
            for row in islice(rows, self.most)
        ]
        filled = [i for i, _ in enumerate(header) if any(row[i].text or len(row[i]) for row in shown)]
        shown, header = [[row[i] for i in filled] for row in shown], [header[i] for i in filled]
        many = len(header) > 2
        table = add(add(self.body, "div", class_="wide"), "table", class_="many" if many else "")
        if any(header):
            head = add(table, "tr")
            for i, name in enumerate(header):
                add(head, "th", name, class_=str(shown[0][i].get("class", "")))
        for row in shown:
            if many:  # on a telephone each row is a block, and each cell says of what it is
                for name, cell in zip(header, row, strict=True):
                    cell.set("data-of", name)
            add(table, "tr").extend(row)
        if total > self.most:
            add(self.body, "p", f"and {total - self.most} more")

    def encoded(self) -> bytes:
        """HTML in UTF-8."""
        text: bytes = ET.tostring(self.html, encoding="utf-8", method="html")
        return b"<!DOCTYPE html>\n" + text


def _cell(value: Cell) -> ET.Element:
    cell = ET.Element("td")
    put(cell, value)
    return cell
