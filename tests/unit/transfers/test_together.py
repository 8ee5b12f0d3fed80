"""One question for many files: asked by whoever needs the first of them, given to each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from esap_wf.datalakes import Did, LakeOutageError
from esap_wf.transfers import together
from esap_wf.transfers.together import Together

DIDS = [Did("toy", f"{n}.dat") for n in range(10)]


class Asked:
    """A lake's answers, and what it was asked."""

    def __init__(self) -> None:
        self.questions: list[list[Did]] = []
        self.there = {did: n for n, did in enumerate(DIDS) if n != 3}
        self.outage = False

    def __call__(self, lake: Any, dids: list[Did]) -> Mapping[Did, int]:
        self.questions.append(dids)
        if self.outage:
            raise LakeOutageError("nobody answers")
        return {did: self.there[did] for did in dids if did in self.there}


@pytest.fixture
def asked() -> Asked:
    return Asked()


def _of(question: Together[int], did: Did) -> int | None:
    lake: Any = None
    return question.of(lake, did)


def test_files_are_asked_for_in_pieces_of_a_batch(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "BATCH", 4)
    question = Together(asked, DIDS)
    assert [_of(question, did) for did in DIDS] == [0, 1, 2, None, 4, 5, 6, 7, 8, 9]
    assert asked.questions == [DIDS[:4], DIDS[4:8], DIDS[8:]]


def test_who_asks_again_is_told_anew_and_alone(asked: Asked) -> None:
    question = Together(asked, DIDS)
    assert _of(question, DIDS[0]) == 0
    del asked.there[DIDS[0]]
    assert _of(question, DIDS[0]) is None
    assert asked.questions[1:] == [[DIDS[0]]]


def test_an_old_answer_is_no_permission(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    question = Together(asked, DIDS)
    assert _of(question, DIDS[0]) == 0
    asked.there.clear()
    monkeypatch.setattr(together, "FRESH", -1.0)
    assert _of(question, DIDS[1]) is None


def test_an_outage_is_none_of_the_others_answer(asked: Asked) -> None:
    question = Together(asked, DIDS)
    asked.outage = True
    for did in DIDS[:2]:
        with pytest.raises(LakeOutageError):
            _of(question, did)
    asked.outage = False
    assert [_of(question, did) for did in DIDS] == [0, 1, 2, None, 4, 5, 6, 7, 8, 9]


def test_what_is_asked_for_out_of_order_is_asked_for_once(asked: Asked) -> None:
    question = Together(asked, DIDS)
    for did in reversed(DIDS):
        _of(question, did)
    told = [did for some in asked.questions for did in some]
    assert sorted(told) == DIDS
