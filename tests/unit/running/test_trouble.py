"""How long a place that can't be used is left alone."""

from __future__ import annotations

import pytest

from esap_wf.running.trouble import GROWTH, PATIENT, RETRY, Trouble


def test_pauses_grow_from_the_first_to_the_longest_and_start_anew_with_other_trouble() -> None:
    trouble = Trouble("farm")
    trouble.begin("it is away")
    pauses = [trouble.pause() for _ in range(30)]
    assert pauses[:3] == pytest.approx([RETRY, GROWTH * RETRY, GROWTH**2 * RETRY])
    assert pauses == sorted(pauses)
    assert pauses[-1] == PATIENT
    trouble.begin("it is still away")
    assert trouble.pause() == PATIENT
    trouble.begin("a password has expired", person=True)
    assert trouble.pause() == RETRY
