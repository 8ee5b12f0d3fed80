"""Help, completion, colours: what a person sees first."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from helpers.command_line import Place

from esap_wf import __version__
from esap_wf.cli import VERBS

GROUPS = {
    "backends": ["show", "check"],
    "engines": ["list", "install", "pack"],
    "software": ["build", "check"],
    "index": ["rebuild"],
    "basket": ["map", "pull"],
    "chain": ["plan", "run"],
    "cache": ["list", "gc"],
    "lake": ["find", "show", "put", "rm", "allow"],
    "store": ["init", "clean"],
}
#: Groups that do something without a command, too.
OPEN = {"backends"}
COMMANDS = [
    *([v] for v in VERBS if v not in GROUPS or v in OPEN),
    *([g, v] for g, verbs in GROUPS.items() for v in verbs),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_examples_that_name_it(inside: Any, words: list[str]) -> None:
    for option in ("--help", "-h"):
        done = inside(*words, option)
        assert done.code == 0
        assert "Examples:" in done.out
        examples = done.out.split("Examples:")[1]
        assert " ".join(words) in examples
        assert done.out.startswith("Usage: ")
        assert "--json" in done.out


def test_the_first_page_lists_every_verb_with_a_line_and_examples(inside: Any) -> None:
    done = inside("--help")
    assert "Examples:" in done.out
    listed = {line.split()[0]: line for line in done.out.split("Commands:")[1].splitlines() if line.strip()}
    assert set(VERBS) <= set(listed)
    assert all(len(listed[verb].split()) > 2 for verb in VERBS)


def test_help_of_run_shows_the_parameters_of_the_workflow(inside: Any) -> None:
    done = inside("run", "hello", "--help")
    for said in ("Parameters of hello", "--language", "--who", "english|dutch", "[default: english]"):
        assert said in done.out
    noop = inside("run", "noop", "--help")
    assert "Failure of noop" in noop.out
    assert "--seconds" in noop.out


def test_a_mistyped_verb_is_told_what_was_meant(inside: Any) -> None:
    done = inside("statsu")
    assert done.code == 2
    assert "did you mean status?" in done.err


def test_a_mistyped_flag_is_told_the_help_that_has_the_right_one(inside: Any) -> None:
    assert "\n  esap-wf run irf --help" in inside("run", "irf", "--sit", "North").err
    assert "\n  esap-wf run --help" in inside("run", "--sit", "North").err


def test_no_command_at_all_shows_the_help(inside: Any) -> None:
    done = inside()
    assert done.code == 2
    assert "Usage: esap-wf" in done.err


def test_the_version_is_told(inside: Any) -> None:
    assert inside("--version").out == f"esap-wf {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid_in_their_shell(inside: Any, shell: str) -> None:
    import shutil

    script = inside("completion", shell).out
    assert "esap-wf" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, capture_output=True).returncode == 0


def test_completion_offers_the_verbs(place: Place) -> None:
    done = place(env={"_ESAP_WF_COMPLETE": "bash_complete", "COMP_WORDS": "esap-wf re", "COMP_CWORD": "1"})
    assert {line.split(",")[1] for line in done.out.splitlines()} == {"results", "resume", "rerun"}


def test_there_are_colours_on_a_terminal_only_and_never_under_no_color(
    place: Place, terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = terminal(place, "status", "nobody").end()
    assert coloured.code == 2
    assert "\x1b[" in coloured.err
    place.extra["NO_COLOR"] = "1"
    assert "\x1b[" not in terminal(place, "status", "nobody").end().err
    place.extra.clear()
    assert "\x1b[" not in place("status", "nobody").err


def test_a_reader_that_goes_away_is_no_error(place: Place) -> None:
    from helpers.command_line import COMMAND

    done = subprocess.run(
        f"set -o pipefail; {COMMAND} show irf --json | head -c 10",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert len(done.stdout) == 10
