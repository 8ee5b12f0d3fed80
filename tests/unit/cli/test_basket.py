"""The verb basket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

RULES = {
    "events": {"title": "Events", "many": True, "basket": [{"archive": ["rucio"], "name": "*.fits"}]},
    "table": {"title": "Table", "required": False},
}


def entry(name: str) -> dict[str, Any]:
    return {"archive": "rucio", "record": {"scope": "cta", "name": name, "bytes": 5}}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "home").mkdir()
    write_workflow(tmp_path / "flow", {}, {"inputs": RULES})
    (tmp_path / "basket.json").write_text(json.dumps([entry("a.fits"), entry("notes.txt")]))
    return Place(tmp_path)


def test_what_goes_where_by_which_rule(place: Place) -> None:
    done = place.inside("basket", "map", "./flow", "--basket", "basket.json", "--json")
    assert done.code == 0, done
    (one,) = done.json["mapped"]
    assert (one["input"], one["item"]["uri"]) == ("events", "rucio://local/cta/a.fits")
    assert one["rule"] == "archive rucio, name *.fits"
    assert [i["name"] for i in done.json["left_over"]] == ["notes.txt"]
    text = place.inside("basket", "map", "./flow", "--basket", "basket.json").out
    assert "rucio:cta:a.fits" in text and "left over: item 2" in text


def test_what_is_refused_or_picked_is_told(place: Place) -> None:
    (place.root / "basket.json").write_text(json.dumps([entry("a.fits"), entry("../x")]))
    words = ["basket", "map", "./flow", "--basket", "basket.json", "--input", "table=basket:rucio:cta:a*"]
    done = place.inside(*words, "--json")
    assert done.code == 2
    assert done.json["refused"][0]["index"] == 2
    assert [i["inputs"] for i in done.json["ambiguous"]] == [["events", "table"]]
    assert done.json["missing"] == ["events"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--basket", "nothing.json"], "does not exist"),
        (["--basket", "basket.json", "--lake", "nowhere"], "no data lake"),
        (["--basket", "basket.json", "--input", "events"], "has no ="),
        (["--basket", "flow/workflow.yaml"], "no shopping basket"),
    ],
)
def test_what_cannot_be_meant_says_so(place: Place, words: list[str], said: str) -> None:
    done = place.inside("basket", "map", "./flow", *words, "--json")
    assert done.code == 2
    assert said in done.problems
