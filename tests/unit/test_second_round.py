"""The second round of `make test`: what a few failures cost, and what no second round forgives."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

PASSES = "def test_passes(): pass\n"
FAILS = "def test_fails(): assert False\n"
#: Passes when it is called for the second time.
FAILS_ONCE = """
import pathlib, pytest
@pytest.mark.parametrize("name", ["a b", "c@d"])
@pytest.mark.xdist_group("one")
def test_fails_once(name):
    seen = pathlib.Path(f"seen-{name}")
    assert seen.exists() or seen.touch()
"""
SIX_FAIL_ONCE = FAILS_ONCE.replace('["a b", "c@d"]', "range(6)")
SKIPPED = "import pytest\ndef test_skipped(): pytest.skip('no engine here')\n"
SETUP_FAILS_ONCE = """
import pathlib, pytest
@pytest.fixture
def engine():
    assert pathlib.Path("seen").exists() or pathlib.Path("seen").touch()
def test_uses_it(engine): pass
"""
BLAMED = """
import pytest, session_outcome
@pytest.fixture(autouse=True)
def table(pytestconfig): session_outcome.blame(pytestconfig, "the table is wrong")
"""
CRASHES_ONCE = """
import os, pathlib
def test_crashes_once():
    if not pathlib.Path("seen").exists():
        pathlib.Path("seen").touch()
        os._exit(3)
"""


def rounds(folder: Path, *texts: str, options: str = "", ci: bool = True) -> tuple[bool, str]:
    """The line of `make test` on a project with one file for each text: whether it succeeds, and what it prints."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text('pytest_plugins = ["session_outcome"]\n')
    for number, text in enumerate(texts):
        (folder / f"test_{number}.py").write_text(text)
    line = re.search(r"^\t(\$\(TESTS\) .*second_round.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line
    python = shlex.quote(sys.executable)
    values = {
        "$(TESTS)": f"{python} -m pytest -m 'not soak'",
        "$(PYTEST_ARGS)": options,
        "$(OUTCOME)": "build/tests.json",
        "$(BIN)/python tests/": f"{python} {shlex.quote(str(ROOT / 'tests'))}/",
        "$$": "$",
    }
    command = line[1]
    for name, value in values.items():
        command = command.replace(name, value)
    assert "$(" not in command
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "CI")) and k != "CI"}
    environment |= {"PYTHONPATH": str(ROOT / "tests"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment | ({"CI": "true"} if ci else {}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode == 0, done.stdout + done.stderr


def unsteady(output: str) -> list[str]:
    """The tests that are named in the last section."""
    _, heading, names = output.partition(" unsteady, need mending ")
    return names.splitlines()[1:] if heading else []


def test_what_passes_has_no_second_round(tmp_path: Path) -> None:
    passed, output = rounds(tmp_path, PASSES)
    assert passed and "round" not in output


@pytest.mark.parametrize("options", ["", "-p xdist.plugin -n 1 --dist loadgroup"])
def test_what_fails_once_passes_and_is_named(tmp_path: Path, options: str) -> None:
    passed, output = rounds(tmp_path, PASSES, FAILS_ONCE, options=options)
    assert passed, output
    assert unsteady(output) == ["test_1.py::test_fails_once[a b]", "test_1.py::test_fails_once[c@d]"]
    assert "2 passed" in output  # only what failed


def test_a_fixture_that_fails_once_passes_and_is_named(tmp_path: Path) -> None:
    passed, output = rounds(tmp_path, SETUP_FAILS_ONCE)
    assert passed and unsteady(output) == ["test_0.py::test_uses_it"]


@pytest.mark.parametrize("texts", [[FAILS], [FAILS, FAILS_ONCE]])
def test_what_fails_twice_fails(tmp_path: Path, texts: list[str]) -> None:
    passed, output = rounds(tmp_path, *texts)
    assert not passed and "second round, one test at a time" in output and unsteady(output) == []


@pytest.mark.parametrize(
    "texts, options, why",
    [
        ([SIX_FAIL_ONCE], "", "6 tests failed"),
        ([SKIPPED], "", "skipped in CI"),
        ([SKIPPED, FAILS_ONCE], "", "skipped in CI"),
        ([BLAMED + PASSES], "", "the table is wrong"),
        ([BLAMED + FAILS_ONCE], "", "the table is wrong"),
        ([CRASHES_ONCE], "-p xdist.plugin -n 1", "worker gw0 crashed"),
        ([FAILS_ONCE, "import nowhere\n"], "", "exit code 2"),
        (
            [FAILS_ONCE, "import nowhere\n"],
            "--continue-on-collection-errors",
            "can't be collected: test_1.py",
        ),
        ([FAILS_ONCE], "--exitfirst", "stopped before all tests were called"),
        (["def test_stopped(): raise KeyboardInterrupt\n"], "", "exit code 2"),
        (["import os\ndef test_killed(): os.kill(os.getpid(), 9)\n"], "", "exit code 137"),
        ([""], "", "exit code 5"),
        ([PASSES], "--no-such-option", "exit code 4"),
    ],
)
def test_this_is_not_forgiven(tmp_path: Path, texts: list[str], options: str, why: str) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/tests.json").write_text('{"exit": 1, "failed": ["of an earlier session"]}')
    passed, output = rounds(tmp_path, *texts, options=options)
    assert not passed and unsteady(output) == []
    assert re.search(f"no second round: .*{why}", output), output


def test_outside_ci_a_skip_is_no_failure(tmp_path: Path) -> None:
    passed, output = rounds(tmp_path, SKIPPED, FAILS_ONCE, ci=False)
    assert passed and "1 x no engine here" in output and len(unsteady(output)) == 2


def test_what_is_skipped_in_the_second_round_fails_in_ci(tmp_path: Path) -> None:
    skips_then = FAILS_ONCE.replace(
        "    assert", "    if seen.exists(): pytest.skip('no engine here')\n    assert"
    )
    passed, output = rounds(tmp_path, skips_then)
    assert not passed and unsteady(output) == []
