"""A place's plug-in may answer anything, and raise anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from esap_wf.backends import (
    Condition,
    Launcher,
    NeedsPersonError,
    OutageError,
    Part,
    Piece,
    Refusal,
    Seen,
    Signal,
)
from esap_wf.errors import UsageError
from esap_wf.models.plan import Allocation
from esap_wf.running.pieces.asking import Asking, FaultError

PIECE = Piece(
    "run.1.2.1",
    Path("/nowhere"),
    ("true",),
    Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1),
)


class Says(Launcher):
    """Gives the same answer to each question, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def _said(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        return self._said()

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        return self._said()

    def survivors(self, run: str) -> Sequence[str] | None:
        return self._said()

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        self._said()

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        self._said()

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        self._said()


def asking(answer: Any) -> Asking:
    return Asking(Says(answer), "toy")


QUESTIONS = {
    "start": lambda a: a.start([PIECE]),
    "look": lambda a: a.look({PIECE.key: None}),
    "survivors": lambda a: a.survivors("run"),
    "stop": lambda a: a.stop({PIECE.key: None}, None),
    "pull": lambda a: a.pull(PIECE.key, None, Path("/nowhere"), Part.RECORD, ()),
    "forget": lambda a: a.forget(PIECE.key, None),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "raised", [ZeroDivisionError("a mistake"), OSError(28, "No space left"), UsageError("no")]
)
def test_what_a_plug_in_may_not_raise_is_its_fault(question, raised):
    with pytest.raises(FaultError) as fault:
        QUESTIONS[question](asking(raised))
    assert str(raised.args[-1]) in str(fault.value)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("raised", [OutageError("away"), NeedsPersonError("no ticket")])
def test_what_it_may_raise_is_passed_on(question, raised):
    with pytest.raises(type(raised)) as passed:
        QUESTIONS[question](asking(raised))
    assert passed.value is raised


def test_only_pulling_may_say_that_a_piece_is_not_there():
    with pytest.raises(LookupError):
        QUESTIONS["pull"](asking(KeyError("gone")))
    with pytest.raises(FaultError):
        QUESTIONS["look"](asking(KeyError("gone")))


@pytest.mark.parametrize("question", ["start", "look"])
@pytest.mark.parametrize("answer", [None, [], 7, "yes", {PIECE.key: 7}])
def test_an_answer_that_means_nothing_is_a_fault(question, answer):
    with pytest.raises(FaultError):
        QUESTIONS[question](asking(answer))


def test_a_handle_that_is_too_long_is_not_kept_and_the_piece_is_found_by_its_key():
    assert asking({PIECE.key: "x" * 1_000_000}).start([PIECE]) == {PIECE.key: ""}


def test_answers_to_what_was_not_asked_are_passed_over():
    seen = Seen(Condition.RUNNING)
    assert asking({PIECE.key: "h", "other.1.1.1": "x"}).start([PIECE]) == {PIECE.key: "h"}
    assert asking({PIECE.key: seen, "other.1.1.1": seen}).look({PIECE.key: "h"}) == {PIECE.key: seen}
    assert asking([PIECE.key, "other.1.1.1"]).survivors("run") == [PIECE.key]


def test_what_is_not_answered_is_unknown_and_never_gone():
    assert asking({}).look({PIECE.key: "h"})[PIECE.key].condition is Condition.UNKNOWN
    assert asking(None).survivors("run") is None
