"""A page that needs no other file, built of elements: no name and no value of others becomes markup. Standard
library only.

`km3net` and `fair` have the same module each, because a workflow is used without its neighbours.
"""

from __future__ import annotations

import base64
import math
import platform
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: rows of a table; how many more there are is said
MOST = 200
#: characters of a cell
LONGEST = 300
STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #dde2e8; --tint: #f5f7f9; --good: #19733f; --bad: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 48px; overflow-wrap: anywhere; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 2px; }
h2 { font-size: 18px; margin: 34px 0 10px; padding-bottom: 4px; border-bottom: 1px solid var(--line); }
p { margin: 6px 0; } .soft { color: var(--soft); }
.badge { display: inline-block; padding: 2px 12px; border-radius: 12px; color: #fff; font-size: 14px; vertical-align: middle; }
.badge.good { background: var(--good); } .badge.bad { background: var(--bad); } .badge.open { background: var(--soft); }
td.good { color: var(--good); font-weight: 600; } td.bad { color: var(--bad); font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 10px; margin: 18px 0 0; }
.facts div { background: var(--tint); border-radius: 6px; padding: 10px 14px; } .facts b { display: block; font-size: 17px; }
.warning { border-left: 4px solid #e0a100; background: #fff8e5; padding: 8px 14px; margin: 8px 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 20px; align-items: start; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: 10px; }
figure img { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: 13px; padding: 6px 4px 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 14px; min-width: 50%; }
td, th { text-align: left; padding: 4px 22px 4px 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { font-weight: 600; color: var(--soft); overflow-wrap: normal; } td.n { white-space: nowrap; font-variant-numeric: tabular-nums; }
@media print { main { padding: 0; max-width: none; } figure, tr, .facts div { break-inside: avoid; } h2 { break-after: avoid; }
  .badge, .facts div { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def plain(value: object) -> str:
    """A text of others in one line: what can't be printed is written as its code."""
    text = "".join(
        c if c.isprintable() or c == "\N{NO-BREAK SPACE}" else ascii(c)[1:-1]
        for c in str(value)[: 4 * LONGEST]
    )
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def value(number: object) -> str:
    """A parameter's value: 7 and 7.0 are the same number, and look the same."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return "none" if number is None else str(number)


def measured(number: float, error: float | None = None, digits: int = 3) -> str:
    """A number with as many digits as two of its error, or with some digits."""
    if error is not None and error > 0 and math.isfinite(error):
        places = max(0, 1 - math.floor(math.log10(error)))
        return f"{number:.{places}f} ± {error:.{places}f}"
    return f"{number:.{digits}g}" if error is None else f"{number:g} ± {error:g}"


def add(parent: ET.Element, tag: str, text: object = "", **attributes: str) -> ET.Element:
    """A further element with a text."""
    child = ET.SubElement(parent, tag, {k.rstrip("_"): v for k, v in attributes.items()})
    child.text = plain(text)
    return child


def number(text: str, exact: float, name: str, unit: str = "") -> ET.Element:
    """A cell that shows a rounded number; the exact one is its value, for programs."""
    cell = ET.Element("td", {"class": "n"})
    add(cell, "data", text, value=repr(float(exact)), id=name)
    if unit:
        add(cell, "span", f" {unit}", class_="soft")
    return cell


class Page:
    """
    A page that grows.

    Parameters
    ----------
    title, below : str
    valid : bool or None
        The verdict; None: too little was there to judge.
    """

    def __init__(self, title: str, below: str, valid: bool | None) -> None:
        self.html = ET.Element("html", {"lang": "en"})
        head = add(self.html, "head")
        self.main = add(add(self.html, "body"), "main")
        add(head, "meta", charset="utf-8")
        add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        ET.SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": policy})
        add(head, "title", title)
        ET.SubElement(head, "style").text = STYLE
        said, kind = {True: ("valid", "good"), False: ("invalid", "bad"), None: ("not judged", "open")}[valid]
        add(add(self.main, "h1", f"{title} "), "span", said, class_=f"badge {kind}")
        add(self.main, "p", below, class_="soft")

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """What one looks for first."""
        grid = add(self.main, "div", class_="facts")
        for name, text in facts:
            box = add(grid, "div")
            add(box, "span", name, class_="soft")
            add(box, "b", text)

    def note(self, text: str, kind: str = "soft") -> None:
        """A paragraph."""
        add(self.main, "p", text, class_=kind)

    def figures(self, title: str, pictures: Sequence[Path], captions: Mapping[str, str]) -> None:
        """PNG files, held by the page."""
        add(self.main, "h2", title)
        grid = add(self.main, "div", class_="plots")
        for path in pictures:
            figure = add(grid, "figure")
            image = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
            ET.SubElement(figure, "img", {"alt": path.stem.replace("_", " "), "src": image})
            add(figure, "figcaption", captions.get(path.stem, path.stem.replace("_", " ")))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table of texts and cells."""
        add(self.main, "h2", title)
        table = add(add(self.main, "div", class_="wide"), "table")
        if any(header):
            line = add(table, "tr")
            for name in header:
                add(line, "th", name)
        for row in rows[:MOST]:
            line = add(table, "tr")
            for cell in row:
                if isinstance(cell, ET.Element):
                    line.append(cell)
                else:
                    add(line, "td", "" if cell is None else cell)
        if len(rows) > MOST:
            self.note(f"and {len(rows) - MOST} more")

    def verdict(self, validation: Mapping[str, Any]) -> None:
        """Warnings and failed checks, before anything else."""
        for warning in validation["warnings"]:
            self.note(warning, "warning")
        for check in validation["checks"]:
            if not check["passed"]:
                self.note(f"Failed: {check['name']}. {check['detail']}", "warning")

    def checks(self, validation: Mapping[str, Any]) -> None:
        """All checks with their verdicts."""
        rows: list[list[object]] = []
        for check in validation["checks"]:
            cell = ET.Element("td", {"class": "good" if check["passed"] else "bad"})
            cell.text = "passed" if check["passed"] else "FAILED"
            rows.append([cell, check["name"], check["detail"]])
        self.table("Checks", ("verdict", "check", "found"), rows)

    def parameters(self, values: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """Parameters with their titles and units; those that differ from the defaults first."""
        rows = []
        for name, rule in properties.items():
            if name in values:
                changed = values[name] != rule.get("default")
                unit = f" {rule['unit']}" if rule.get("unit") else ""
                default = value(rule.get("default")) + unit
                rows.append(
                    [
                        rule.get("title", name),
                        name,
                        value(values[name]) + unit,
                        default,
                        "changed" if changed else "",
                    ]
                )
        rows.sort(key=lambda row: not row[-1])
        self.table("Parameters", ("", "name", "value", "default", ""), rows)

    def sources(self, packages: Sequence[str], cite: Sequence[str], note: str) -> None:
        """Software with versions, and what to cite."""
        add(self.main, "h2", "Software and citation")
        found = [f"Python {platform.python_version()}"]
        for name in packages:
            try:
                found.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                found.append(f"{name} (not installed here)")
        self.note(", ".join(found) + ".")
        self.note(note)
        listed = add(self.main, "ul")
        for text in cite:
            add(listed, "li", text)

    def text(self) -> str:
        """HTML."""
        return "<!DOCTYPE html>\n" + ET.tostring(self.html, encoding="unicode", method="html") + "\n"
