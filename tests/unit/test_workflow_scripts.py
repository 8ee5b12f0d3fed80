"""Scripts of the workflows that come with esap-wf: what a step is given is what it needs, and twins are equal."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

WORKFLOWS = Path(__file__).parents[2] / "workflows"


def imported(folder: Path, script: str) -> set[str]:
    """A script and all scripts of its folder that it imports, directly or not."""
    found: set[str] = set()
    left = {script}
    while left:
        found.add(name := left.pop())
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            left |= {n for n in names if (folder / f"{n}.py").is_file()} - found
    return found


def test_each_process_of_km3net_is_given_the_scripts_that_it_needs_and_no_other() -> None:
    text = (WORKFLOWS / "km3net/main.nf").read_text("utf-8")
    given = {
        name: set(re.findall(r"'(\w+)'", row))
        for name, row in re.findall(r"^        (\w+): \[(.*?)\],$", text, re.M | re.S)
    }
    # in a shard the runner imports the script
    starts = r"python -B (?:shard (?:(?!^}).)*?--call )?scripts/(\w+)\.py"
    called = re.findall(r"^process (\w+) \{(?:(?!^}).)*?" + starts, text, re.M | re.S)
    assert len(called) == text.count("\nprocess ") and set(given) == {process for process, _ in called}
    for process, script in called:
        assert given[process] == imported(WORKFLOWS / "km3net/scripts", script), process
        assert re.search(rf"{process}\((?:runner\(\), )?scripts\('{process}'\)", text), process


@pytest.mark.parametrize(
    ("name", "workflows"), [("documents", ("irf", "fair")), ("page", ("km3net", "fair"))]
)
def test_scripts_that_two_workflows_have_are_the_same(name: str, workflows: tuple[str, str]) -> None:
    one, other = ((WORKFLOWS / w / f"scripts/{name}.py").read_text("utf-8") for w in workflows)
    assert one == other


@given(st.integers(0, 40), st.integers(1, 45))
def test_shares_of_noop_are_contiguous_complete_and_even(units: int, slices: int) -> None:
    share = runpy.run_path(str(WORKFLOWS / "noop/scripts/units.py"))["share"]
    keys = list(range(1, units + 1))
    shares = [share(keys, {"slice": number, "slices": slices}) for number in range(1, slices + 1)]
    assert [key for part in shares for key in part] == keys == share(keys, {})
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for number, part in enumerate(shares, start=1):
        assert part == [*range((number - 1) * units // slices + 1, number * units // slices + 1)]


@pytest.mark.parametrize(("number", "slices"), [(0, 2), (3, 2), (-1, 2)])
def test_a_slice_that_is_none_is_refused(number: int, slices: int) -> None:
    share = runpy.run_path(str(WORKFLOWS / "noop/scripts/units.py"))["share"]
    with pytest.raises(SystemExit, match="counted from 1"):
        share(["a"], {"slice": number, "slices": slices})
