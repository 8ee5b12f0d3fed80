"""Stores and plans that somebody else wrote: a broken one is told, and harms no other; names in them lead nowhere."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.command_line import Place

from esap_wf import config as configuration
from esap_wf.errors import EsapError
from esap_wf.models.plan import Plan, checksum
from esap_wf.planning import saved
from esap_wf.runs.store import Store

from .folders import OLD_RUN, RUN
from .spoiling import Spoiler
from .test_fuzz import Surroundings, bounded

OTHER = "00000000000000b2"


@pytest.fixture
def store(place: Place) -> Store:
    """Two runs of one name; the second one is to be spoilt."""
    made = Store.open(place.store, create=True)
    shutil.copytree(OLD_RUN, made.path_of(RUN))
    folder = made.path_of(OTHER)
    shutil.copytree(OLD_RUN, folder)
    for name in ("run.json", "outputs.json", "plan.json"):
        (folder / name).write_text((folder / name).read_text().replace(RUN, OTHER))
    return made


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def said(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


SPOILT = {
    "a pipe": pipe,
    "a folder": folder,
    "endless": lambda p: (p.unlink(), p.symlink_to("/dev/zero")),
    "not UTF-8": lambda p: p.write_bytes(
        p.read_bytes().replace(b'"workflow"', b'"workflo\xff"').replace(b"COMP", b"\xffOMP")
    ),
    "deep": lambda p: p.write_text('{"workflow": ' + "[" * 100_000),
    "half": lambda p: p.write_bytes(p.read_bytes()[:100]),
    "another id": lambda p: said(p, id="../../../tmp/x", phase="x"),
    "the other's id": lambda p: said(p, id=RUN, phase=1),
    "a huge number": lambda p: said(p, rev=2**70, schema_version=2**70),
    "numbers for words": lambda p: said(p, workflow=1, owner=[], phase={}),
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("name", ["run.json", "state.json"])
def test_a_broken_run_breaks_no_list(inside: Any, store: Store, how: str, name: str) -> None:
    with bounded():
        SPOILT[how](store.path_of(OTHER) / name)
        assert inside("index", "rebuild").code == 0
        assert [r["run"] for r in inside("list", "--json").json["runs"]] == [RUN]
        assert inside("status", RUN).code == 0
        told = inside("status", OTHER, "--json")
        assert told.code == 2 and OTHER in told.problems
        for verb in ("results", "logs", "rm"):
            done = inside(verb, OTHER)
            assert done.code in (0, 2, 3), done
        assert inside("status", "0000").code in (0, 2)  # several may begin so
        assert inside("results", RUN).code == 0


@pytest.mark.parametrize(
    "name", ["../../../../tmp/x", "/etc/x", "a/b", "..", "", "a\0b", "x" * 300, 1, None, "a.b"]
)
def test_the_id_of_a_store_names_no_path(inside: Any, store: Store, place: Place, name: object) -> None:
    (place.store / "store.json").write_text(json.dumps({"schema_version": 1, "id": name}))
    before = sorted(place.root.rglob("*"))
    done = inside("list", "--json")
    assert done.code == 2 and "store.json" in done.problems
    assert sorted(place.root.rglob("*")) == before


def test_a_saved_plan_that_somebody_wrote_ends_in_an_error(
    store: Store, tmp_path: Path, place: Place
) -> None:
    """Its checksum can be made to fit by anybody."""
    around, settings = Surroundings(tmp_path), configuration.load()
    whole = (store.path_of(RUN) / "plan.json").read_text()
    path = tmp_path / "plan.json"
    taken = 0
    for seed in range(150):
        path.write_text(whole)
        spoiler = Spoiler(random.Random(seed), around.canary, around.marker, around.url)
        spoiler.values(path)
        try:
            plan = msgspec.json.decode(path.read_bytes(), type=Plan)
            path.write_bytes(msgspec.json.encode(msgspec.structs.replace(plan, checksum=checksum(plan))))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        with bounded():
            try:
                saved.confirm_fresh(saved.read_plan(path), settings)
            except EsapError:
                taken += 1
    assert taken == 150, "a plan of an earlier version is fresh"
    assert around.untouched() and not around.asked()
