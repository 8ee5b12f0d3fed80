"""docs/python.md is tried: every block runs, in the order of the page, and what it says to be shown is shown."""

from __future__ import annotations

import ast
import doctest
import re
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.paths import ROOT

PAGE = ROOT / "docs" / "python.md"


def blocks() -> list[tuple[int, str]]:
    """Line and code of each block of Python."""
    text = PAGE.read_text()
    return [(text[: m.start(1)].count("\n"), m[1]) for m in re.finditer(r"(?ms)^```python\n(.*?)^```$", text)]


def tried(first: int, code: str, names: dict[str, Any]) -> None:
    """Run a block, statement by statement; comments that begin with ``# >`` are how the value of the one before is shown."""
    lines = code.splitlines()
    for statement in ast.parse(code).body:
        place, end = f"{PAGE.name}:{first + statement.lineno}", statement.end_lineno or 0
        shown: list[str] = []
        while end + len(shown) < len(lines) and lines[end + len(shown)].startswith("# >"):
            shown.append(lines[end + len(shown)].removeprefix("# >").removeprefix(" "))
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), place, "eval"), names)
            got, want = repr(value) + "\n", "\n".join(shown) + "\n"
            same = doctest.OutputChecker().check_output(
                want, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            assert not shown or same, f"{place}: the page says\n{want}but it is\n{got}"
        else:
            assert not shown, f"{place}: nothing is shown by this"
            exec(compile(ast.Module([statement], []), place, "exec"), names)


def test_every_block_of_the_page_runs_and_shows_what_it_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(place.root))
    monkeypatch.setattr("tempfile.tempdir", str(place.root))
    names: dict[str, Any] = {}
    found = blocks()
    assert len(found) > 8
    assert sum(code.count("\n# >") for _, code in found) > 15, "what is shown is compared"
    for first, code in found:
        tried(first, code, names)
    text = PAGE.read_text()
    assert all(f"`{verb}`" in text for verb in names["esap_wf"].__all__), "each function is named"


def test_a_page_that_says_something_else_is_seen() -> None:
    tried(0, "1 + 1\n# > 2\n", {})
    with pytest.raises(AssertionError, match="but it is"):
        tried(0, "1 + 1\n# > 3\n", {})
    with pytest.raises(AssertionError, match="nothing is shown"):
        tried(0, "x = 1\n# > 1\n", {})
