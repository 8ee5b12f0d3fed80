from __future__ import annotations

import pytest

from esap_wf.models.run import Phase
from esap_wf.runs import states


def test_every_phase_but_the_tombstone_has_a_way_on_and_is_reached() -> None:
    for phase in Phase:
        assert bool(states.FOLLOWERS[phase]) == (phase is not Phase.ARCHIVED)
        assert phase is Phase.PENDING or any(phase in states.FOLLOWERS[p] for p in Phase)


def test_resumable_ones_can_be_queued_and_completed_ones_cannot() -> None:
    for phase in states.RESUMABLE:
        states.check(phase, Phase.QUEUED)
    with pytest.raises(states.IllegalTransitionError, match="COMPLETED to QUEUED: ARCHIVED may follow"):
        states.check(Phase.COMPLETED, Phase.QUEUED)
    with pytest.raises(states.IllegalTransitionError):
        states.check(Phase.PENDING, Phase.EXECUTING)


def test_progress_may_be_written_until_the_end() -> None:
    states.check(Phase.EXECUTING, Phase.EXECUTING)
    with pytest.raises(states.IllegalTransitionError):
        states.check(Phase.COMPLETED, Phase.COMPLETED)


def test_table_has_a_reason_for_each() -> None:
    assert all(len(why) > 5 for why in states.TRANSITIONS.values())
    assert states.as_table().count("\n") == len(states.TRANSITIONS) + 1
