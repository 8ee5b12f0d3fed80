"""Nothing of a slice is accepted while another attempt at it may work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from esap_wf.backends import OutageError
from esap_wf.models.run import now
from esap_wf.running.pieces.rounds import Rounds
from esap_wf.running.pieces.slices import Slice
from esap_wf.runs.pieces import Attempt, AttemptEnd, Pieces
from esap_wf.runs.store import Store

FORMER, OWN = "r.1.2.1", "r.2.2.2"


class Place:
    """Says what survives, and keeps what it is asked to stop."""

    def __init__(self, left: list[str] | None) -> None:
        self.left, self.stopped = left, list[str]()

    def survivors(self, run: str) -> list[str] | None:
        return self.left

    def stop(self, pieces: dict[str, Any], signal: Any) -> None:
        self.stopped += pieces


@pytest.fixture
def accept(tmp_path):
    """Accept the second attempt at a slice whose first was lost, at a place; the record of the run's pieces."""
    pieces = Pieces(tmp_path / "run", Store.open(tmp_path / "store", create=True))
    pieces.run.mkdir()
    first, second = (
        Attempt(key=key, slice="2", attempt=n, plan="p", started=now())
        for n, key in enumerate((FORMER, OWN), 1)
    )
    for attempt, end in ((first, AttemptEnd(lost=True)), (second, AttemptEnd(exit_code=0))):
        assert pieces.begin(attempt)
        pieces.keep_end(attempt, end)
        pieces.pulled(attempt).mkdir()

    def accepted(place: Place) -> Pieces:
        rounds: Any = object.__new__(Rounds)
        rounds.place, rounds.pieces, rounds.tidy = place, pieces, True
        lease = SimpleNamespace(require=lambda: None)
        rounds.owner = SimpleNamespace(run=SimpleNamespace(id="r"), lease=lease, renew=lambda: None)
        rounds._accept(Slice("2", attempt=second, earlier=[first]), second)
        return pieces

    return accepted


def test_while_nobody_can_say_what_survives(accept, tmp_path):
    with pytest.raises(OutageError, match="still works"):
        accept(Place(None))
    assert not (tmp_path / "run/pieces/2/end").exists()


def test_while_an_earlier_attempt_works_which_is_asked_to_end(accept):
    place = Place([FORMER, "r.2.3.1"])
    assert accept(place).accepted("2") is None
    assert place.stopped == [FORMER]


@pytest.mark.parametrize("left", [[], [OWN], ["r.2.3.1"]])
def test_when_none_does_it_is_accepted(accept, left):
    place = Place(left)
    assert accept(place).accepted("2").attempt == 2
    assert place.stopped == []
