"""The pieces of a run in numbers, as `status` shows them."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.command_line import Place
from helpers.runs import make_run

from esap_wf.models.run import now
from esap_wf.runs.pieces import Attempt, AttemptEnd, Counts, Pieces, SliceEnd, counted


@pytest.fixture
def pieces(place: Place) -> Pieces:
    run = make_run(place, "0123456789abcdef")
    return Pieces(run.dir, run.store)


def begun(pieces: Pieces, slice_: str, number: int = 1, where: str | None = None, **end: Any) -> Attempt:
    attempt = Attempt(key=f"r.1.{slice_}.{number}", slice=slice_, attempt=number, plan="p", started=now())
    assert pieces.begin(attempt)
    if where is not None:
        pieces.keep_begun(attempt, where)
    if end:
        pieces.keep_end(attempt, AttemptEnd(**end))
    return attempt


def test_each_slice_counts_once_whatever_its_attempts(pieces: Pieces) -> None:
    begun(pieces, "1", where="node7", exit_code=0)
    pieces.accept(
        begun(pieces, "1", 2, where="node8", exit_code=0), SliceEnd(attempt=2, files={}, accepted=now())
    )
    begun(pieces, "2", where="node7")
    begun(pieces, "3", where="node7", lost=True)
    begun(pieces, "3", 2)
    begun(pieces, "4", exit_code=2)
    found = counted(pieces, 5, at_work=True)
    assert found == Counts(
        total=6, accepted=1, running=1, waiting=3, failed=1, lost=1, second_executions=2
    ), "slices 3, 5 and the join wait; 1 and 3 may have been worked at twice"


def test_a_run_in_one_piece_has_one(pieces: Pieces) -> None:
    assert counted(pieces, 1, at_work=True) == Counts(total=1, waiting=1)
    attempt = begun(pieces, "whole", where="node7")
    assert pieces.begun(attempt) == "node7"
    assert counted(pieces, 1, at_work=True) == Counts(total=1, running=1)


def test_nothing_is_waited_for_when_the_run_has_ended(pieces: Pieces) -> None:
    begun(pieces, "1", lost=True, ran=False)
    assert counted(pieces, 2, at_work=False) == Counts(total=3, lost=1)


def test_where_it_was_seen_first_is_kept(pieces: Pieces) -> None:
    attempt = begun(pieces, "whole", where="node7")
    pieces.keep_begun(attempt, "node9")
    assert pieces.begun(attempt) == "node7"
