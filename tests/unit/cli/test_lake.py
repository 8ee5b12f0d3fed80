"""The verb lake: what it takes for a lake, a scope and a name, and what it answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "home").mkdir()
    (tmp_path / "events.fits").write_bytes(b"events")
    (tmp_path / "config.toml").write_text('[datalakes.group]\nkind = "directory"\nfolder = "group"\n')
    return Place(tmp_path)


def test_what_is_put_is_found_shown_and_given_up(place: Place) -> None:
    words = ["lake", "put", "events.fits", "cta:a/events.fits", "--set", "obs_id=7", "--dataset", "obs-7"]
    done = place.inside(*words, "--json")
    assert done.json["uri"] == "rucio://local/cta/a/events.fits"
    found = place.inside("lake", "find", "cta:*.fits", "--where", "obs_id=7", "--json").json["found"]
    assert [(row["did"], row["bytes"], row["metadata"]) for row in found] == [
        ("cta:a/events.fits", 6, {"obs_id": 7})
    ]
    shown = place.inside("lake", "show", "local:cta:obs-7", "--json").json
    assert [f["did"] for f in shown["files"]] == ["cta:a/events.fits"]
    assert shown["files"][0]["replicas"][0]["ready"] is True
    assert place.inside("lake", "rm", "cta:a/events.fits", "--json").json["deleted"] == [
        "local:cta:a/events.fits"
    ]
    again = place.inside(*words, "--json")
    assert (again.code, "never given out again" in again.problems) == (3, True)


def test_a_configured_lake_is_named_before_the_scope(place: Place) -> None:
    assert place.inside("lake", "put", "events.fits", "group:cta:e.fits").code == 0
    assert (place.root / "group" / "catalogue.sqlite").exists()
    assert not (place.store / "lake").exists()
    assert place.inside("lake", "find", "group:cta", "--json").json["found"]
    same = place.inside("lake", "show", "rucio://group/cta/e.fits", "--json").json
    assert same["kind"] == "file"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "cta"], "SCOPE:NAME"),
        (["show", "cta:../x"], "no name of data"),
        (["show", "rucio://nowhere/cta/x"], "no data lake"),
        (["put", "events.fits", "cta:x", "--lifetime", "soon"], "--lifetime"),
        (["put", "events.fits", "cta:x", "--set", "novalue"], "KEY=VALUE"),
        (["put", "events.fits", "cta:x", "--rse", "dsk"], "known: disk, tape"),
        (["put", "missing", "cta:x"], "no such file"),
        (["allow", "cta:x"], "a scope is meant"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(place: Place, words: list[str], said: str) -> None:
    done = place.inside("lake", *words, "--json")
    assert done.code == 2
    assert said in done.problems


def test_a_private_scope_is_not_there_for_others(place: Place) -> None:
    assert place.inside("lake", "allow", "group:cta", "--private", "--reader", "bob").code == 0
    assert place.inside("lake", "put", "events.fits", "group:cta:e.fits").code == 0
    config = place.root / "config.toml"
    for account, there in (("bob", True), ("eve", False)):
        config.write_text(f'[datalakes.group]\nkind = "directory"\nfolder = "group"\naccount = "{account}"\n')
        assert bool(place.inside("lake", "find", "group:cta", "--json").json["found"]) is there
