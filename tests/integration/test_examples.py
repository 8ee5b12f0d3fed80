"""Examples: each of every help is a command that is understood; those that cost little are run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from helpers.command_line import Place, understood
from helpers.paths import ROOT
from helpers.workflows import write_workflow

from esap_wf.cli import VERBS, cli
from esap_wf.cli.backends import OpenGroup
from esap_wf.cli.output import Verb

#: What examples of a real run would cost too much for, or change what other tests look at: they are only understood.
ONLY_UNDERSTOOD = {
    "cancel",
    "resume",
    "rerun",
    "rm",
    "engines install",
    "engines pack",
    "software build",
    "run",
    # a gateway; a production that takes a minute (tests/data/test_examples.py)
    "basket pull",
    "chain run",
    "chain plan",
}


def examples() -> Iterator[tuple[str, str]]:
    """Verb and example."""
    top = click.Context(cli)
    for name in VERBS:
        command = cli.get_command(top, name)
        below = (
            [(f"{name} {n}", c) for n, c in command.commands.items()]
            if isinstance(command, click.Group)
            else [(name, command)]
        )
        if isinstance(command, OpenGroup):
            below.append((name, command))
        for verb, one in below:
            assert isinstance(one, Verb | OpenGroup) and one.examples, verb
            yield from ((verb, example) for example in one.examples)


def runs_here(example: str) -> bool:
    """Whether nothing of it is another place's, and all of it is ours."""
    return "https://" not in example and not example.startswith("cd ")


EXAMPLES = [pytest.param(verb, example, id=example) for verb, example in examples()]


def commands(example: str) -> list[list[str]]:
    """The words of each command of ours in a line of the shell."""
    inner = re.sub(r'^eval "\$\((.*)\)"$', r"\1", example)
    return [
        words[1:]
        for part in re.split(r"&&|\|", inner)
        if (words := shlex.split(part)) and words[0] == "esap-wf"
    ]


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what examples name."""
    write_workflow(tmp_path / "my-workflow")
    (tmp_path / "params.yaml").write_text("zenith: 40 deg\n")
    (tmp_path / "events.fits").write_text("events")
    (tmp_path / "basket.json").write_text("[]")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "Snakefile").write_text(
        'rule all:\n    output: "results/a.txt"\n    shell: "echo > {output}"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("verb", "example"), EXAMPLES)
def test_every_example_of_a_help_is_understood(place: Any, somewhere: Path, verb: str, example: str) -> None:
    found = commands(example)
    assert found, f"no command of esap-wf in {example!r}"
    for words in found:
        understood(["run", str(somewhere / "my-workflow")] if words == ["run", "."] else words, somewhere)


def test_an_example_with_a_wrong_flag_would_be_found(place: Any, somewhere: Path) -> None:
    with pytest.raises(click.NoSuchOption):
        understood(["validate", "irf", "--zenit", "20 deg"], somewhere)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str]:
    """One completed run for all that look at one."""
    place = Place(tmp_path_factory.mktemp("examples"))
    done = place.inside("run", "hello", "--name", "my-irf", "--json")
    assert done.code == 0, done.err
    (place.root / "events.fits").write_text("events")
    assert place.inside("lake", "put", "events.fits", "cta:events.fits").code == 0
    return place, str(done.json["run"])


@pytest.mark.parametrize(
    ("verb", "example"),
    [p for p in EXAMPLES if p.values[0] not in ONLY_UNDERSTOOD and runs_here(str(p.values[1]))],
)
def test_examples_that_cost_little_do_what_they_say(
    made: tuple[Place, str], somewhere: Path, verb: str, example: str
) -> None:
    place, run = made
    step = next(log["step"] for log in place.inside("logs", run, "--json").json["logs"])
    stand_ins = {
        "3f2a": run,
        "9c01": run,
        "/data/irf-runs": str(somewhere / "shared"),
        "simulate": step,
        "workflows/*/": str(ROOT / "workflows/hello"),
    }
    for words in commands(example):
        if words[:2] == ["run", "--plan"]:  # the plan before it is what is tried
            continue
        changed = [stand_ins.get(word, word) for word in words]
        if changed[0] == "logs" and "--unit" in changed:  # hello has none
            del changed[changed.index("--unit") :]
        done = place.inside(*changed, cwd=somewhere)
        assert done.code == 0, f"{shlex.join(changed)}\n{done.out}{done.err}"


def test_the_page_of_commands_has_every_verb_with_every_option_and_says_so_when_it_is_stale() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for verb, example in examples():
        part = page.split(f"\n### {verb}\n")[1].split("\n### ")[0]
        assert f"\n{example}\n" in part
        assert "\nExit codes: 0, " in part
    assert "| `--if-exists [reuse\\|ask\\|rerun]` |" in page
