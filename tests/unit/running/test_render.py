"""The rendered run directory: quoting, configuration, snapshot."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.code import contents
from esap_wf.config import Config
from esap_wf.models.plan import Plan, SoftwareChoice
from esap_wf.models.request import Request
from esap_wf.planning import making
from esap_wf.request.validation import validate
from esap_wf.running import render
from esap_wf.runs.folders import delete_tree

HOSTILE = [
    "a b",
    "it's",
    '"',
    "$(touch pwned)",
    "`touch pwned`",
    "a\nb",
    "; touch pwned",
    "\\",
    "!x",
    "*",
    "~",
    "{x}",
    "%s",
    "",
    "-rf",
    "&&",
    "é漢",
]
PROPERTIES = {
    "name": {"type": "string", "title": "Name", "default": "world"},
    "x": {"type": "number", "title": "X", "unit": "deg", "default": 20},
}


@pytest.fixture
def made(toy: Any, config: Config, tmp_path: Path) -> Any:
    (tmp_path / "in put's.txt").write_text("x")

    def make(title: str = "Toy", **more: Any) -> tuple[Plan, Any]:
        workflow = toy(
            PROPERTIES,
            {"title": title, "inputs": {"data": {"title": "D"}}},
            files={"scripts/run.sh": "#!/bin/sh\n"},
        )
        (workflow.folder / "scripts/run.sh").chmod(0o755)
        request = Request(
            workflow=str(workflow.folder), inputs={"data": [str(tmp_path / "in put's.txt")]}, **more
        )
        valid, problems = validate(request, config)
        assert not problems
        return making.make(request, config, valid), workflow

    return make


@pytest.fixture
def target(tmp_path: Path) -> Any:
    folder = tmp_path / "run dir's $(x)"
    folder.mkdir()
    yield folder
    delete_tree(folder)


def words(plan: Plan, folder: Path, *more: str) -> list[str]:
    """What the engine would get, told by a stand-in for it."""
    fake = folder / "fake engine"
    fake.write_text('#!/bin/sh\npwd\nfor a in "$@"; do printf "%s\\0" "$a"; done\n')
    fake.chmod(0o755)
    script = folder / "command.sh"
    script.write_text(
        render.command_script(msgspec.structs.replace(plan, command=[str(fake), *plan.command[1:]]))
    )
    done = subprocess.run(["bash", str(script), *more], capture_output=True, text=True, cwd="/", check=True)
    place, _, rest = done.stdout.partition("\n")
    assert place == str(folder), "it runs in its own folder, wherever it is called from"
    return rest.split("\0")[:-1]


def test_options_reach_the_engine_as_they_are(made: Any, target: Path) -> None:
    plan, _ = made(engine_options=HOSTILE)
    assert words(plan, target)[-len(HOSTILE) :] == HOSTILE
    assert words(plan, target, "more words", "$x")[-2:] == ["more words", "$x"]
    assert not (target / "pwned").exists()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=4))
def test_any_words_are_quoted(options: list[str]) -> None:
    plan = msgspec.structs.replace(_PLAN, command=["printf", r"%s\0", *options, "end"])
    done = subprocess.run(
        ["bash"], input=render.command_script(plan).encode(), capture_output=True, check=True, cwd="/"
    )
    assert done.stdout.decode().split("\0")[:-1] == [*options, "end"]


@pytest.mark.parametrize(
    "title",
    ["{", "{0}", "%s", "a\ntouch pwned", "a\r\n$(touch pwned)", "\u202e", "\u2028x", "\\", "'", "}" * 5],
)
def test_any_title_stays_a_comment(made: Any, target: Path, title: str) -> None:
    plan, _ = made(title=title)
    assert words(plan, target)[0] == "--snakefile"
    assert not (target / "pwned").exists()


def test_software_directories_come_first_on_path(made: Any) -> None:
    plan, _ = made()
    choice = SoftwareChoice(route="python", detail="", bin_dirs=["/opt/a b/bin", "/opt/$(x)/bin"])
    script = render.command_script(
        msgspec.structs.replace(plan, software=choice, command=["printenv", "PATH"])
    )
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("/opt/a b/bin:/opt/$(x)/bin:")


def test_the_run_directory_holds_what_the_plan_lists(made: Any, target: Path) -> None:
    plan, workflow = made()
    render.render(plan, workflow, target)
    there = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert there == set(plan.files)
    assert {p.name for p in target.iterdir() if p.is_dir()} == {"code", "outputs", "logs", "engine"}


def test_the_configuration_is_exactly_what_docs_promise(made: Any, target: Path, tmp_path: Path) -> None:
    plan, workflow = made(parameters={"name": "$(x) {y} é\u2028", "x": "0.5 rad"})
    render.render(plan, workflow, target)
    assert json.loads((target / "config.json").read_text("utf-8")) == {
        "name": "$(x) {y} é\u2028",
        "x": 28.6478897565412,
        "inputs": {"data": [str(tmp_path / "in put's.txt")]},
        "selected": {},
        "workflow": "toy",
    }


def test_the_snapshot_is_the_code_and_read_only(made: Any, target: Path) -> None:
    plan, workflow = made()
    render.render(plan, workflow, target)
    root = target / render.snapshot_place(plan.code)
    assert contents.of_folders({"workflows/toy": root / "workflows/toy"}) == plan.code
    for path in root.rglob("*"):
        assert not path.stat().st_mode & 0o222, path
    assert os.access(root / "workflows/toy/scripts/run.sh", os.X_OK)
    assert not (root / "workflows/toy/README.md").exists()
    assert (target / render.MANIFEST).is_file()


def test_nothing_of_the_adapter_is_in_the_command(made: Any) -> None:
    plan, _ = made()
    assert "esap" not in " ".join(plan.command[1:]).replace(str(Path(plan.command[0]).parents[2]), "")
    assert plan.command[1:5] == ["--snakefile", plan.entry, "--configfile", "config.json"]
    assert not Path(plan.entry).is_absolute()


def _plan() -> Plan:
    from esap_wf.models.plan import Allocation, Digest, EngineChoice, Estimate

    return Plan(
        created="",
        expires="",
        workflow="toy",
        version="1",
        title="t",
        source="/w/workflow.yaml",
        code="0" * 64,
        entry="e",
        request=Request(workflow="toy"),
        parameters={},
        inputs={},
        engine=EngineChoice(name="e", path="e", version="1", found="x"),
        software=SoftwareChoice(route="installed", detail=""),
        backend="local",
        units=1,
        offers=[],
        command=[],
        files=[],
        allocation=Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1),
        estimate=Estimate(core_hours=1, memory_bytes=1, disk_bytes=1, wall_seconds=1),
        digest=Digest(identity="0", recorded={}),
    )


_PLAN = _plan()
