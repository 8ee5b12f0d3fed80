"""A workflow's `report.html`, read as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

HOSTILE = "</td></style><script>alert(1)</script>\"' onload=x <img src=x onerror=y> & \x1b[2J \u202e"


class Report(HTMLParser):
    """
    What stands on a page.

    Attributes
    ----------
    numbers : dict of str to float
        Exact values of what is shown rounded.
    rows : list of list of str
        Cells of all tables.
    pictures : list of str
        Addresses.
    text : str
    elements : list of (str, dict)
        Tags with their attributes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.numbers: dict[str, float] = {}
        self.rows: list[list[str]] = []
        self.pictures: list[str] = []
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._in_cell = False
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        if tag == "data":
            self.numbers[str(given["id"])] = float(str(given["value"]))
        elif tag == "img":
            self.pictures.append(str(given["src"]))
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data

    def elsewhere(self) -> list[str]:
        """Addresses that the page would load, or run."""
        found = [
            v or ""
            for _, given in self.elements
            for n, v in given.items()
            if n in ("src", "href", "srcset", "action")
        ]
        scripts = [
            tag
            for tag, given in self.elements
            if tag in ("script", "link", "iframe", "object") or any(n.startswith("on") for n in given)
        ]
        return [a for a in found if not a.startswith("data:image/png;base64,")] + scripts


def shown_as_it_is(hostile: Report, plain: Report) -> None:
    """Nothing that was hostile became an element, an attribute or something that moves a reader's text."""
    assert {tag for tag, _ in hostile.elements} <= {tag for tag, _ in plain.elements} | {"img"}
    assert hostile.elsewhere() == []
    assert {name for _, given in hostile.elements for name in given} <= {
        name for _, given in plain.elements for name in given
    }
    assert hostile.text.count("<script>alert(1)</script>") >= 6
    assert "\\x1b[2J \\u202e" in hostile.text and "\x1b" not in hostile.text and "\u202e" not in hostile.text
