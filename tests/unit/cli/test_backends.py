"""The verb backends: what places can do, what is free, and why something doesn't fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import distant
from helpers.command_line import Place


@pytest.fixture
def far(place: Place, monkeypatch: pytest.MonkeyPatch) -> distant.Setting:
    distant.known(monkeypatch)
    return distant.Setting(place.root)


def rows(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in answer["backends"]}


def test_this_machine_is_said_in_numbers_and_ways(inside: Any) -> None:
    local = rows(inside("backends", "--json").json)["local"]
    assert set(local) >= {"name", "kind", "ways", "fits", "reasons", "capacity"}
    assert local["fits"] and not local["reasons"]
    assert local["capacity"]["cores"] >= 1 and local["capacity"]["wall_seconds"] is None
    snakemake = next(w for w in local["ways"] if w["engine"] == "snakemake")
    assert (snakemake["store"], snakemake["pieces"]) == ("shared", ["whole"])
    assert snakemake["version"] and Path(snakemake["path"]).is_file()


def test_a_place_is_not_asked_to_be_listed(inside: Any, far: distant.Setting) -> None:
    found = rows(inside("backends", "--json").json)["far"]
    assert not found["fits"] and found["capacity"] is None
    assert found["reasons"] == ["has not been asked yet: esap-wf backends check far"]
    assert far.times_asked() == 0


def test_what_it_said_is_kept_and_counts_from_then_on(inside: Any, far: distant.Setting) -> None:
    asked = rows(inside("backends", "check", "far", "--json").json)["far"]
    listed = rows(inside("backends", "--json").json)["far"]
    assert far.times_asked() == 1
    assert listed["fits"] and listed["asked"] == asked["asked"] == distant.ANSWER["asked"]
    assert listed["capacity"] == {
        "cores": 64,
        "memory_bytes": 256 * 10**9,
        "disk_bytes": 10**13,
        "wall_seconds": 86400,
        "gpus": 1,
        "nodes": 4,
        "free_cores": 12,
    }
    (way,) = listed["ways"]
    assert way == {
        "engine": "snakemake",
        "version": "9.3.0",
        "path": "/opt/snakemake/bin/snakemake",
        "pieces": ["whole", "slices"],
        "containers": ["apptainer"],
        "way": "there",
        "store": "copied",
    }
    text = " ".join(inside("backends").out.split())
    assert "64 cores (12 free), 256 GB of memory, 10 TB of disk space, 1 GPU, 4 nodes, at most 24 h" in text


def test_needs_say_why_a_place_does_not_fit(inside: Any, far: distant.Setting) -> None:
    inside("backends", "check", "far")
    found = rows(inside("backends", "--needs", "gpu=2,memory=64GB,wall=2d", "--json").json)
    assert found["far"]["reasons"] == [
        "2.0 d asked for, but its limit is 24 h",
        "2 GPUs asked for, but it has 1",
    ]
    assert "2 GPUs asked for, but it has 0" in found["local"]["reasons"]
    fits = inside("backends", "--needs", "gpu=1,memory=64GB,wall=2h", "--json")
    assert fits.code == 0 and rows(fits.json)["far"]["fits"]
    assert "not local: 1 GPU asked for, but it has 0" in inside("backends", "--needs", "gpu=1").out


def test_needs_that_mean_nothing_are_a_mistake_of_the_command_line(inside: Any) -> None:
    done = inside("backends", "--needs", "gpus=many,memry=3", "--json")
    assert done.code == 2
    assert "did you mean memory?" in done.problems and "'many'" in done.problems
    assert inside("backends", "--needs", "gpu=1", "show", "local").code == 2


def test_a_place_that_is_away_is_unavailable_and_shown_from_what_it_said(
    inside: Any, far: distant.Setting
) -> None:
    inside("backends", "check", "far")
    far.file.unlink()
    done = inside("backends", "check", "far", "--json")
    assert done.code == 4 and done.json["error"]["code"] == "outage" and "no route" in done.problems
    shown = inside("backends", "show", "far", "--json")
    assert shown.code == 0 and "can't be reached" in shown.err
    assert rows(shown.json)["far"]["survey"]["cores"] == 64
    assert far.times_asked() == 3


def test_a_place_that_needs_a_person_says_what_to_do(inside: Any, far: distant.Setting) -> None:
    far.answers(person="ssh-keyscan far")
    done = inside("backends", "check", "far")
    assert done.code == 3 and "ssh-keyscan far" in done.err


def test_a_plug_in_that_raises_is_named(inside: Any, far: distant.Setting) -> None:
    far.answers(bug="colour")
    done = inside("backends", "check", "far", "--json")
    assert done.code == 4
    assert "the plug-in 'distant' failed: KeyError: 'colour'" in done.problems


def test_a_kind_without_plug_in_is_a_reason_not_an_error(inside: Any, place: Place) -> None:
    (place.root / "config.toml").write_text("[backends.moon]\nkind = 'lunar'\n")
    moon = rows(inside("backends", "--json").json)["moon"]
    assert moon["reasons"] == ["no plug-in for backends of kind 'lunar' is installed"]
    assert inside("backends", "check", "moon").code == 2


def test_a_profile_says_limits_caps_storage_and_names_of_secrets(
    inside: Any, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    distant.known(monkeypatch)
    monkeypatch.setenv("FAR_TOKEN", "swordfish")
    more = (
        "cores = 16\nsecrets = ['FAR_TOKEN']\ncaps = {heads = 3}\n"
        "storage = [{name = 'lake', access = 'slow', role = 'data', where = 'https://lake.example.org'}]\n"
        "engines = {nextflow = {path = '/opt/nextflow'}, toil = {image = 'toil@sha256:0', version = '9.2'}}"
    )
    distant.Setting(place.root, more=more)
    shown = inside("backends", "show", "far")
    assert shown.code == 0
    for said in (
        "cores 16",
        "3 pieces at a time",
        "data, slow: https://lake.example.org",
        "FAR_TOKEN",
        "16 cores",
    ):
        assert said in shown.out, said
    row = rows(inside("backends", "show", "far", "--json").json)["far"]
    assert "swordfish" not in shown.out + str(row)
    assert row["profile"]["caps"] == {"heads": 3}
    assert {w["engine"] for w in row["ways"]} == {"snakemake", "toil"}, "what is named by path must be there"


def test_a_typo_is_told_what_was_meant(inside: Any) -> None:
    assert "did you mean local?" in inside("backends", "show", "locla").err
    assert "did you mean check?" in inside("backends", "chek", "local").err
    assert "esap-wf backends show local" in inside("backends", "local").err


def test_of_many_programs_those_are_shown_that_engines_ask_for(inside: Any, far: distant.Setting) -> None:
    programs = {f"tool{n}": f"/usr/bin/tool{n}" for n in range(2000)} | {"node": "/usr/bin/node"}
    far.answers(**{**distant.ANSWER, "programs": programs})
    shown = inside("backends", "check", "far").out
    assert "2001 on its PATH, among them node" in shown and "tool7" not in shown


def test_doctor_shows_places_by_what_they_said(inside: Any, place: Place, far: distant.Setting) -> None:
    with (place.root / "config.toml").open("a") as config:
        config.write("[backends.moon]\nkind = 'lunar'\n")

    def rows() -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in inside("doctor", "--json").json["checks"]}

    before = rows()
    assert "has not been asked yet" in before["backend far"]["detail"]
    assert not before["backend far"]["needed"]
    assert "lunar" in before["backend moon"]["detail"] and not before["backend moon"]["needed"]
    inside("backends", "check", "far")
    detail = rows()["backend far"]["detail"]
    assert detail.startswith("64 cores (12 free), 256 GB of memory") and "asked" in detail
    assert far.times_asked() == 1
