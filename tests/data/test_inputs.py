"""Inputs that lie elsewhere: brought once, whole, as they were promised, and left alone."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from helpers.waiting import until

from esap_wf.datalakes import Content, Did
from esap_wf.models.run import Phase
from esap_wf.transfers import cache

from .gathering import Gathering

pytestmark = pytest.mark.integration


def test_files_of_a_lake_are_brought_with_their_names_and_times_and_are_links_to_the_cache(
    place: Gathering,
) -> None:
    uris, whole = place.many(3)
    done = place.ok(*place.given(uris))
    folder = place.run(done["run"]).dir
    assert place.result(done["run"]) == whole
    brought = sorted(folder.glob("inputs/files/*/*"))
    assert [str(p.relative_to(folder)) for p in brought] == [f"inputs/files/{n}/{n:06}.dat" for n in range(3)]
    for path in brought:
        about = path.lstat()
        assert not path.is_symlink()
        assert about.st_nlink == 2, "a run and the cache"
        assert about.st_mode & 0o222 == 0
    did = Did("toy", "d/000000.dat")
    created = datetime.fromisoformat(place.lake.describe([did])[did].created)
    assert brought[0].stat().st_mtime == created.timestamp()
    place.sound()


def test_the_same_files_given_as_paths_are_the_same_run(place: Gathering, tmp_path: Path) -> None:
    uri = place.put("one.dat", b"one")
    first = place.ok(*place.given([uri]))
    (tmp_path / "mine.dat").write_bytes(b"one")
    again = place.ok(*place.given([str(tmp_path / "mine.dat")]))
    assert (again["run"], again["reused"]) == (first["run"], True)


def test_what_was_brought_once_is_not_fetched_again(place: Gathering) -> None:
    uris, whole = place.many(2)
    place.ok(*place.given(uris))
    kept = {p: p.stat().st_ino for p in place.cached()}
    # the lake's own copies are gone: only the cache can serve
    for path in (place.store / "lake/files").rglob("*.dat"):
        path.unlink()
    again = place.ok(*place.given(uris, "--seconds", "0.1"))
    assert place.result(again["run"]) == whole
    assert {p: p.stat().st_ino for p in place.cached()} == kept


def test_a_dataset_is_all_of_its_files(place: Gathering) -> None:
    _, whole = place.many(3)
    place.lake.register(Did("toy", "set"), Content.DATASET, [Did("toy", f"d/{n:06}.dat") for n in range(3)])
    done = place.ok(*place.given(["rucio://local/toy/set"]))
    assert place.result(done["run"]) == whole


def test_a_dataset_for_an_input_that_takes_one_file_is_refused_with_its_files(place: Gathering) -> None:
    place.many(2)
    place.lake.register(Did("toy", "set"), Content.DATASET, [Did("toy", f"d/{n:06}.dat") for n in range(2)])
    place.workflow("single", many=False)
    done = place.inside(*place.given(["rucio://local/toy/set"], workflow="single"))
    assert done.code == 2
    assert "it holds 2 files, and Files takes one" in done.err
    assert "rucio://local/toy/d/000000.dat" in done.err


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("rucio://local/toy/on.dat", "has no toy:on.dat that you may read"),
        ("rucio://lokal/toy/one.dat", "did you mean local?"),
        ("rucio://local/toy/../one.dat", "is no name of data"),
        ("rucio://local/-toy/one.dat", "is no scope"),
        ("rucio://local/toy/a\nb.dat", "control characters"),
        ("rucio://local/toy/$(touch x).dat", "is no name of data"),
        (f"rucio://local/toy/{'a' * 300}.dat", "is no name of data"),
        ("rucio://local/toy", "rucio://LAKE/scope/name"),
        ("ftp://host/one.dat", "can't be fetched by this version"),
        ("run:0000000000000000/all", "no run"),
        ("basket:rucio:toy:*", "no basket was given"),
    ],
)
def test_what_is_not_there_or_is_no_name_is_refused_before_the_start(
    place: Gathering, reference: str, words: str
) -> None:
    place.ok(*place.given([place.put("one.dat", b"one")]))
    done = place.inside(*place.given([reference]))
    assert done.code == 2, done
    assert words in done.err, done.err
    assert len(place.listed()) == 1


def test_data_of_somebody_else_is_not_there_for_who_may_not_read_it(place: Gathering) -> None:
    uri = place.put("one.dat", b"one")
    place.ok(*place.given([uri]))
    # the bytes are in the cache now; whether somebody may have them is the lake's to say
    place.lake.allow("toy", ["somebody"], ["somebody"])  # type: ignore[attr-defined]
    config = '[datalakes.local]\nkind = "directory"\nfolder = "%s"\naccount = "other"\n'
    (place.root / "config.toml").write_text(config % (place.store / "lake"))
    done = place.inside(*place.given([uri], "--seconds", "0.1"))
    assert done.code == 2
    assert "that you may read" in done.err


def test_permission_that_was_taken_after_the_plan_ends_the_run(place: Gathering) -> None:
    uri = place.put("one.dat", b"one")
    place.ok(*place.given([uri]))
    plan = place.root / "plan.json"
    words = place.given([uri], "--seconds", "0.1")
    assert place.inside("plan", *words[1:], "-o", plan).code == 0
    place.lake.allow("toy", ["somebody"], ["somebody"])  # type: ignore[attr-defined]
    config = '[datalakes.local]\nkind = "directory"\nfolder = "%s"\naccount = "other"\n'
    (place.root / "config.toml").write_text(config % (place.store / "lake"))
    done = place("run", "--plan", plan, "--json")
    assert done.code != 0
    runs = [r for r in place.look("list")["runs"] if r["phase"] != "COMPLETED"]
    for run in runs:
        (failure,) = place.status(run["run"])["failures"]
        assert (failure["step"], failure["reason"]) == ("input", "STAGE_IN")


def test_a_file_that_is_not_what_its_catalogue_says_is_no_input(place: Gathering) -> None:
    uri = place.put("one.dat", b"right")
    (copy,) = (place.store / "lake/files").rglob("one.dat")
    copy.chmod(0o644)
    copy.write_bytes(b"wrong")
    copy.chmod(0o444)
    done = place(*place.given([uri]), "--json")
    assert done.code == 1, done
    (failure,) = place.status(done.json["run"])["failures"]
    assert (failure["step"], failure["reason"]) == ("input", "STAGE_IN")
    assert "sha256" in failure["detail"]
    assert "was promised" in failure["detail"]
    assert place.cached() == []
    # the right bytes come back: the same command goes on
    copy.chmod(0o644)
    copy.write_bytes(b"right")
    again = place.ok(*place.given([uri]))
    assert again["run"] == done.json["run"]
    assert place.result(again["run"]) == b"right"


def test_a_truncated_copy_is_waited_for_and_taken_when_it_is_whole(place: Gathering) -> None:
    uri = place.put("one.dat", b"right" * 1000)
    (copy,) = (place.store / "lake/files").rglob("one.dat")
    copy.chmod(0o644)
    copy.write_bytes(b"right" * 600)
    run = place.ok(*place.given([uri]), "--detach")["run"]
    until(lambda: "waiting for local since" in place.run(run).observe().reason, what="the reason")
    assert "3 kB of 5 kB" in place.run(run).observe().reason
    copy.write_bytes(b"right" * 1000)
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)
    assert place.result(run) == b"right" * 1000


def test_a_vanished_replica_is_waited_for(place: Gathering) -> None:
    uri = place.put("one.dat", b"one")
    (copy,) = (place.store / "lake/files").rglob("one.dat")
    copy.rename(place.root / "aside")
    run = place.ok(*place.given([uri]), "--detach")["run"]
    until(lambda: "waiting for local since" in place.run(run).observe().reason, what="the reason")
    (place.root / "aside").rename(copy)
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)


def test_a_run_that_waits_for_data_can_be_cancelled(place: Gathering) -> None:
    uri = place.put("one.dat", b"one")
    (copy,) = (place.store / "lake/files").rglob("one.dat")
    copy.unlink()
    run = place.ok(*place.given([uri]), "--detach")["run"]
    until(lambda: "waiting for local since" in place.run(run).observe().reason, what="the reason")
    place.ok("cancel", run)
    assert place.ended(run).phase is Phase.ABORTED


def test_a_cold_file_is_recalled_first(place: Gathering) -> None:
    table = '[datalakes.tape]\nkind = "directory"\nfolder = "tape"\n[datalakes.tape.rses]\n'
    table += 'disk = {}\nvault = {tier = "COLD", recall = "3 s"}\n'
    (place.root / "config.toml").write_text(table)
    source = place.root / "one.dat"
    source.write_bytes(b"one")
    place.ok("lake", "put", str(source), "tape:toy:one.dat", "--rse", "vault")
    words = place.given(["rucio://tape/toy/one.dat"])
    shown = place.inside("plan", *words[1:]).out
    assert "1 to be recalled from tape, about" in " ".join(shown.split()), shown
    done = place.ok(*words)
    assert place.result(done["run"]) == b"one"


def test_a_step_that_writes_into_its_inputs_is_found_out(place: Gathering) -> None:
    uri = place.put("one.dat", b"one")
    spoil = "chmod u+w inputs/files/0/one.dat && echo more >> inputs/files/0/one.dat"
    place.workflow("spoils", spoil)
    done = place(*place.given([uri], workflow="spoils"), "--json")
    assert done.code == 1
    (failure,) = place.status(done.json["run"])["failures"]
    assert (failure["step"], failure["reason"]) == ("input", "INVALID_INPUT")
    assert place.cached() == [], "it is not given to anybody else"
    good = place.ok(*place.given([uri]))
    assert place.result(good["run"]) == b"one"


def test_a_cache_on_another_file_system_serves_by_copies(
    place: Gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two file systems a link is refused; no other one is at hand here, so the refusal is made."""

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    source = place.root / "one"
    source.write_bytes(b"one")
    os.utime(source, (1, 2))
    monkeypatch.setattr(os, "link", refuse)
    cache.link(source, place.root / "other/two")
    monkeypatch.undo()
    two = place.root / "other/two"
    assert (two.read_bytes(), two.stat().st_mtime, two.stat().st_nlink) == (b"one", 2.0, 1)
    assert [p.name for p in two.parent.iterdir()] == ["two"]


def test_results_of_a_run_are_inputs_without_a_copy(place: Gathering) -> None:
    first = place.ok(*place.given([place.put("one.dat", b"one")]))["run"]
    second = place.ok(*place.given([f"run:{first[:6]}/all"], "--seconds", "0.1"))["run"]
    assert place.result(second) == b"one"
    source = place.run(first).dir / "outputs/all.dat"
    brought = place.run(second).dir / "inputs/files/0/all.dat"
    assert brought.samefile(source)
    plan = json.loads((place.run(second).dir / "plan.json").read_text())
    (ref,) = plan["inputs"]["files"]
    assert ref["uri"] == f"run:{first}/all/outputs/all.dat"
    assert ref["checksum"].startswith("sha256:")
    # the first is removed; what the second has stays
    place.ok("rm", first, "--yes")
    assert brought.read_bytes() == b"one"
    gone = place.inside(*place.given([f"run:{first}/all"], "--seconds", "0.2"))
    assert gone.code == 2


def test_the_cache_gives_room_but_not_what_runs_have(place: Gathering) -> None:
    uris, _ = place.many(4)
    run = place.ok(*place.given(uris[:2]))["run"]
    other = place.ok(*place.given(uris[2:]))["run"]
    place.ok("rm", other, "--yes")
    shown = place.look("cache", "list")
    assert [e["used"] for e in shown["entries"]].count(True) == 2
    assert place.ok("cache", "gc")["removed"] != []
    assert len(place.cached()) == 2
    assert place.result(run)
    place.sound()


def test_a_name_that_stands_for_other_bytes_one_day_is_refused(place: Gathering) -> None:
    """No lake of ours lets that happen, so its catalogue is changed by hand."""
    uri = place.put("one.dat", b"one")
    place.ok(*place.given([uri]))
    with sqlite3.connect(place.store / "lake/catalogue.sqlite") as catalogue:
        catalogue.execute("UPDATE dids SET sha256 = ? WHERE name = 'one.dat'", ("0" * 64,))
    done = place.inside(*place.given([uri]))
    assert done.code != 0
    assert "stands for other bytes" in done.err or "its sha256 was" in done.err, done.err


def test_a_place_near_the_data_is_preferred(place: Gathering) -> None:
    place.put("one.dat", b"one" * 1000)
    profile = '[backends.%s]\nkind = "local"\nstorage = [{name = "%s"}]\n'
    (place.root / "config.toml").write_text(profile % ("far", "elsewhere") + profile % ("near", "disk"))
    planned = place.inside("plan", *place.given(["rucio://local/toy/one.dat"])[1:], "--json").json
    moves = {offer["backend"]: offer["moves"] for offer in planned["offers"]}
    assert moves == {"near": 0, "far": 3000, "local": 3000}, planned["offers"]
    assert planned["backend"] == "near"
    (place.root / "mine.dat").write_bytes(b"one")
    mine = place.inside("plan", *place.given([str(place.root / "mine.dat")])[1:], "--json").json
    assert mine["backend"] == "local"
    assert "moves" not in mine["offers"][0]


def test_of_many_references_that_are_wrong_the_first_are_told_and_the_rest_counted(place: Gathering) -> None:
    place.put("one.dat", b"one")
    done = place.inside(*place.given([f"rucio://local/toy/no{n}.dat" for n in range(60)]))
    assert done.code == 2
    assert done.err.count("that you may read") == 50
    assert "and 10 more references that can't be used" in done.err
