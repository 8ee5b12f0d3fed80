"""Runs whose inputs come from a shopping basket."""

from __future__ import annotations

import json

import pytest

from .gathering import Gathering

pytestmark = pytest.mark.integration


def item(name: str, **more: object) -> dict[str, object]:
    return {"archive": "rucio", "record": {"scope": "toy", "name": name, **more}}


def test_items_go_to_the_input_whose_rule_they_meet(place: Gathering) -> None:
    _, whole = place.many(3)
    other = {"archive": "astron_vo", "record": {"obs_id": "L1", "access_url": "https://data.example/a.fits"}}
    basket = place.basket(*(item(f"d/{n:06}.dat") for n in range(3)), other)
    done = place("run", place.workflow(), "--basket", basket, "--json")
    assert done.code == 0, done
    assert place.result(done.json["run"]) == whole
    assert "1 item of the basket is not used: astron_vo:L1" in done.err
    stored = json.loads((place.run(done.json["run"]).dir / "request.json").read_text())
    assert stored["inputs"] == {"files": [f"rucio://local/toy/d/{n:06}.dat" for n in range(3)]}
    again = place.ok("rerun", done.json["run"])
    assert place.result(again["run"]) == whole


def test_an_item_that_was_collected_twice_is_taken_once(place: Gathering) -> None:
    _, whole = place.many(1)
    done = place("run", place.workflow(), "--basket", place.basket(*[item("d/000000.dat")] * 3), "--json")
    assert done.code == 0, done
    assert place.result(done.json["run"]) == whole
    assert "2 items of the basket left out of files: the same is there already" in done.err


def test_a_basket_may_come_from_standard_input(place: Gathering) -> None:
    place.many(1)
    basket = place.basket(item("d/000000.dat"))
    command = [str(place.workflow()), "--basket", "-", "--json"]
    with basket.open() as given:
        process = place.popen("run", *command, stdin=given)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["phase"] == "COMPLETED"


def test_items_can_be_picked_by_hand(place: Gathering) -> None:
    place.many(3)
    basket = place.basket(*(item(f"d/{n:06}.dat") for n in range(3)))
    words = [
        "run",
        str(place.workflow()),
        "--basket",
        str(basket),
        "--input",
        "files=basket:rucio:toy:*1.dat",
    ]
    done = place.ok(*words)
    plan = json.loads((place.run(done["run"]).dir / "plan.json").read_text())
    assert [ref["uri"] for ref in plan["inputs"]["files"]] == ["rucio://local/toy/d/000001.dat"]


def test_each_bad_item_is_refused_and_the_rest_goes_on_if_that_is_allowed(place: Gathering) -> None:
    place.many(1)
    bad = [item(name) for name in ("../up.dat", "-x.dat", "a\nb.dat", "$(touch x).dat", "a" * 300 + ".dat")]
    basket = place.basket(item("d/000000.dat"), *bad)
    words = ["run", place.workflow(), "--basket", basket]
    refused = place.inside(*words)
    assert refused.code == 2
    for index in range(2, 7):
        assert f"basket, item {index}: " in refused.err
    assert "--skip-bad-items" in refused.err
    done = place(*words, "--skip-bad-items", "--json")
    assert done.code == 0, done
    assert "5 items of the basket left out" in done.err


def test_a_basket_that_says_something_else_than_the_catalogue_is_refused(place: Gathering) -> None:
    place.many(1)
    for more, words in (({"bytes": 1}, "1 bytes by the basket"), ({"adler32": "00000001"}, "its adler32 is")):
        done = place.inside("run", place.workflow(), "--basket", place.basket(item("d/000000.dat", **more)))
        assert done.code == 2
        assert words in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [("[]", "is needed"), ("{", "basket.json"), ("[1, 2]", "basket, item 1"), ('{"a": 1}', "basket")],
)
def test_an_empty_or_broken_basket_is_told(place: Gathering, text: str, words: str) -> None:
    path = place.root / "basket.json"
    path.write_text(text)
    done = place.inside("run", place.workflow(), "--basket", path)
    assert done.code == 2
    assert words in done.err, done.err


def test_in_python_a_basket_is_a_file_or_what_it_holds(
    place: Gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    import esap_wf

    _, whole = place.many(2)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    things = [item(f"d/{n:06}.dat") for n in range(2)]
    done = esap_wf.run(place.workflow(), basket=things, store=place.store)
    assert place.result(done.id) == whole
    again = esap_wf.run(place.workflow(), basket=place.basket(*things), store=place.store)
    assert (again.id, again.reused) == (done.id, True)
