"""A new plan in an old run: whole or not at all, wherever its owner dies, and the plan before is kept."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from helpers.files import write_files

from esap_wf.running import revisions
from esap_wf.running.products import Workplace
from esap_wf.runs import crashpoints
from esap_wf.runs.folders import delete_tree
from esap_wf.runs.requests import Further
from esap_wf.runs.store import Run, Store
from esap_wf.runs.trees import Tree

from .conftest import Maker

POINTS = ["revision-begun", "plan-kept", "revision-rendered", "plan-replaced"]
OLD = {
    "plan.json": "old",
    "command.sh": "old",
    "config.json": "same",
    "sub/a.txt": "old",
    "left.txt": "stays",
}
NEW = {
    "plan.json": "new",
    "command.sh": "new",
    "config.json": "same",
    "sub/a.txt": "new",
    "sub/deeper/b.txt": "new",
}


@pytest.fixture
def run(make: Maker) -> Run:
    made = make()
    write_files(made.dir, OLD)
    os.utime(made.dir / "config.json", (1, 1))
    (made.dir / "image").symlink_to("/old.sif")
    return made


def staged(store: Store, run: Run) -> Path:
    folder = store.staging(run.id)
    write_files(folder, NEW)
    (folder / "image").symlink_to("/new.sif")
    return folder


def in_child(action: Any, point: str) -> int:
    """What a process that is killed at a point does; the signal that ended it."""
    pid = os.fork()
    if not pid:
        try:
            crashpoints.arm(point)
            action()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def take_over(run: Run, folder: Path) -> None:
    revisions.finish(run)
    revisions.begin(run, folder)
    revisions.finish(run)


def is_new(run: Run) -> None:
    for name, text in {**OLD, **NEW, "plan.1.json": "old"}.items():
        assert (run.dir / name).read_text() == text, name
    assert (run.dir / "image").readlink() == Path("/new.sif")
    assert (run.dir / "config.json").stat().st_mtime == 1, (
        "what is the same stays as it is: engines look at its time"
    )
    assert sorted(p.name for p in run.dir.glob("plan*.json")) == ["plan.1.json", "plan.json"]
    assert not (run.dir / revisions.PENDING).exists()


@pytest.mark.parametrize("point", POINTS)
def test_an_owner_killed_while_it_takes_over_a_plan_is_succeeded(store: Store, run: Run, point: str) -> None:
    folder = staged(store, run)
    assert in_child(lambda: take_over(run, folder), point) == signal.SIGKILL
    assert not folder.exists(), "it is the run's"
    assert (run.dir / "plan.json").read_text() == ("new" if point == "plan-replaced" else "old")
    assert in_child(lambda: revisions.finish(run), "plan-kept") in (0, signal.SIGKILL), "and again"
    revisions.finish(run)
    is_new(run)
    assert revisions.finish(run) is None
    is_new(run)


def test_every_plan_before_is_kept_under_a_name_of_its_own(store: Store, run: Run) -> None:
    take_over(run, staged(store, run))
    is_new(run)
    third = store.staging(run.id)
    write_files(third, {"plan.json": "third"})
    revisions.begin(run, third)
    assert revisions.finish(run) == "plan.2.json"
    assert [(run.dir / f"plan{n}.json").read_text() for n in (".1", ".2", "")] == ["old", "new", "third"]


def test_what_its_command_has_given_up_is_not_taken_over(store: Store, run: Run) -> None:
    folder = staged(store, run)
    delete_tree(folder)
    revisions.begin(run, folder)
    assert revisions.finish(run) is None
    assert (run.dir / "plan.json").read_text() == "old"


def test_what_only_the_plan_before_rendered_is_gone_and_nothing_else(store: Store, run: Run) -> None:
    """A stand-in of a container runtime, say: it would be taken for a result. The snapshot, results and what is outside stay."""
    (run.dir.parent / "outside").write_text("")
    names = ["bin/docker", "config.json", "code/c/x", "project/", "../outside", "/etc/hostname", "link"]
    write_files(
        run.dir,
        {
            "plan.json": json.dumps({"files": names}),
            "bin/docker": "",
            "code/c/x": "",
            "project/y": "",
            "outputs/z": "",
        },
    )
    (run.dir / "link").symlink_to("/old.sif")
    folder = store.staging(run.id)
    write_files(folder, {"plan.json": json.dumps({"files": ["config.json"]})})
    take_over(run, folder)
    assert not (run.dir / "bin/docker").exists()
    assert not (run.dir / "link").is_symlink()
    for name in ("config.json", "code/c/x", "project/y", "outputs/z", "left.txt", "../outside"):
        assert (run.dir / name).exists(), name
    assert Path("/etc/hostname").exists()


def test_what_the_store_writes_into_a_run_is_no_result_of_it(store: Store, run: Run) -> None:
    take_over(run, staged(store, run))
    begun = store.staging(run.id)
    revisions.begin(run, begun)
    run.also_asked(Further(at="2026-11-26T00:00:00Z", name="x"))
    write_files(run.dir, {"made.txt": "1"})
    written = [*OLD, *NEW, "image"]
    assert Workplace(run.dir, run.dir / "code", written).appeared(Tree(run.dir)) == [run.dir / "made.txt"]
