"""Further requests that a run answers: names and tags that it is found by, places for its results; a name of several means the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from esap_wf.errors import UsageError
from esap_wf.runs import removal, requests
from esap_wf.runs.index import Index
from esap_wf.runs.requests import FILE, Further
from esap_wf.runs.store import Store

from .conftest import Maker


def at(second: int) -> str:
    return f"2026-11-26T00:00:{second:02d}.000Z"


@pytest.fixture
def index(store: Store, tmp_path: Path) -> Index:
    return Index.open(store, tmp_path / "index.sqlite")


def found(store: Store, index: Index, name: str) -> tuple[str, list[str]]:
    """Which run a name means, and what is said of it; by the index, by the store alone and by an index that is made anew the same."""
    index.catch_up()
    answers = []
    for named in ([r.id for r in index.by_name(name)], None):
        said: list[str] = []
        answers.append((store.find(name, named=named, newest=said.append).id, said))
    index.rebuild()
    assert [r.id for r in index.by_name(name)][:1] == [answers[0][0]]
    assert answers[0] == answers[1]
    return answers[0]


def test_a_run_is_found_by_every_name_and_tag_that_it_was_given(
    store: Store, make: Maker, index: Index
) -> None:
    run = make(name="first", tags=["a"], created=at(1))
    index.catch_up()
    run.also_asked(Further(at=at(2), by="me", name="second", tags=["b"], results="/there"))
    assert found(store, index, "first") == found(store, index, "second") == (run.id, [])
    for tag in "ab":
        assert [r.id for r in index.page(tag=tag)[0]] == [run.id]
    unnamed = make(created=at(3))
    unnamed.also_asked(Further(at=at(4), name="third"))
    index.catch_up()
    assert {r.name for r in index.page()[0]} == {"first", "third"}, "a list shows the first name"


def test_a_name_of_several_runs_means_the_one_that_was_given_it_last_and_says_so(
    store: Store, make: Maker, index: Index
) -> None:
    old, new = make(name="x", created=at(1)), make(name="x", created=at(2))
    run, said = found(store, index, "x")
    assert run == new.id
    assert said == [f"2 runs are named 'x': the newest is taken, {new.id} of {at(2)}"]
    old.also_asked(Further(at=at(3), name="x"))
    assert found(store, index, "x")[0] == old.id
    with pytest.raises(UsageError, match="2 runs match"):
        store.find("x")  # to delete one is no matter of a guess
    removal.bury(store, old.id)
    removal.delete(store, old.id)
    assert found(store, index, "x") == (new.id, [])


def test_a_name_that_is_the_beginning_of_an_id_stays_ambiguous(store: Store, make: Maker) -> None:
    make(id="beef000000000001")
    make(name="beef")
    with pytest.raises(UsageError, match="ambiguous"):
        store.find("beef", newest=lambda _: None)


def test_lines_that_nobody_can_read_are_passed_over(make: Maker) -> None:
    run = make(name="x", tags=["t"])
    requests.append(run.dir, Further(at=at(1), name="y", tags=["t", "u"]))
    with (run.dir / FILE).open("ab") as file:
        file.write(
            b'\xff{\n[]\n{"name": 3}\n{"at": "2026", "name": "z", "new": {"field": 1}}\n{"at": "2026", "na'
        )
    further = requests.read_further(run.dir)
    assert [f.name for f in further] == ["y", "z"]
    assert list(requests.names(run.record(), further)) == ["x", "y", "z"]
    assert requests.tags(run.record(), further) == ["t", "u"]
