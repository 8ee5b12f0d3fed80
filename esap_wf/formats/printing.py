"""Foreign text as a terminal may show it. Standard library only.

A title, a name of a file or a line of a log may hold what moves the cursor, colours or renames the window, or
turns the order of letters. All that is printed for people goes through `printable`; in JSON the same
characters are written as escapes.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence

#: Columns that the last cell of a row needs to be folded.
_LEAST = 12
#: Spaces that mean no harm.
_SPACES = frozenset("\t\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000")
_COLOURS = re.compile(r"\x1b\[[0-9;:]*[mK]")
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """A text of several lines without what would move or colour the reader's terminal."""
    if text.isprintable():
        return text
    return "\n".join(line if line.isprintable() else "".join(map(_shown, line)) for line in text.split("\n"))


def one_line(text: str) -> str:
    """A text as part of a line: a file's name may hold what would break or move it."""
    return text if text.isprintable() else printable(text).replace("\n", "\\n")


def clipped(text: str, longest: int, end: int = 0, mark: str = "…") -> str:
    """
    A text that is not too long.

    Parameters
    ----------
    text : str
    longest : int
        Characters.
    end : int
        So many characters of its end are kept, and its middle is left out.
    mark : str
        What stands for what is left out.
    """
    if len(text) <= longest:
        return text
    return text[: longest - end - len(mark)] + mark + text[len(text) - end :]


def log_text(text: str) -> str:
    """Lines of a log: what programs do for terminals is left out, the rest is shown as it is."""
    if "\x1b" in text or "\r" in text:
        text = _COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return printable(text)


def in_json(text: str) -> str:
    """A JSON text whose strings hold nothing that a terminal would act upon; it means the same."""
    return text if text.isprintable() else _UNSEEN.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def table(rows: Sequence[Sequence[object]], header: Sequence[str], width: int = sys.maxsize) -> str:
    """
    Columns aligned by spaces; plain text that can be cut and grepped.

    Parameters
    ----------
    rows : sequence of sequence
    header : sequence of str
    width : int
        Columns of the terminal: the last cell of a row is folded so that it fits, if some room is left for
        it.
    """
    texts = [[one_line(str(c)) if c is not None else "" for c in row] for row in rows]
    widths = [max([len(h), *(len(r[i]) for r in texts)]) for i, h in enumerate(header)]
    room = width - sum(widths[:-1]) - 2 * (len(widths) - 1)
    lines = [list(header)]
    for row in texts:
        parts = folded(row[-1], room) if room >= _LEAST else [row[-1]]
        lines += [[*row[:-1], parts[0]], *([*[""] * (len(row) - 1), part] for part in parts[1:])]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def folded(text: str, width: int) -> list[str]:
    """A text in lines that fit, at spaces only: a path or a command stays whole."""
    return (
        textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        if len(text) > width
        else [text]
    )


def _shown(c: str) -> str:
    return c if c.isprintable() or c in _SPACES else ascii(c)[1:-1]
