"""What a place has: the smaller of what its profile allows and what it says."""

from __future__ import annotations

from esap_wf.backends import Profile, Survey
from esap_wf.backends.capacities import ENDLESS, reasons_against, within
from esap_wf.models.place import Caps
from esap_wf.models.plan import Allocation

SURVEY = Survey(asked="", cores=16, memory_bytes=64 * 10**9, disk_bytes=10**12, wall_seconds=86400, nodes=2)


def test_the_smaller_limit_counts():
    profile = Profile(cores=8, memory="128 GB", wall="2 d")
    there = within(profile, SURVEY)
    assert (there.cores, there.memory_bytes, there.wall_seconds) == (8, 64 * 10**9, 86400)
    assert within(Profile(wall="1 h"), SURVEY).wall_seconds == 3600


def test_what_nobody_limits_is_endless():
    there = within(Profile(), None)
    assert (there.cores, there.memory_bytes, there.wall_seconds) == (ENDLESS, ENDLESS, None)


def test_a_piece_gets_no_more_cores_than_a_head_may_have_jobs():
    assert within(Profile(cores=8, caps=Caps(jobs=3)), SURVEY).cores == 3
    assert within(Profile(caps=Caps(jobs=3)), None).cores == 3
    assert within(Profile(cores=2, caps=Caps(jobs=3)), SURVEY).cores == 2


def test_everything_that_does_not_fit_is_told_at_once():
    wanted = Allocation(cores=17, memory_bytes=10**12, disk_bytes=10**13, wall_seconds=10**6, gpus=1, nodes=3)
    against = reasons_against(within(Profile(), SURVEY), wanted)
    assert len(against) == 6
    assert against[0] == "17 cores asked for, but it has 16"
    assert against[-1] == "3 nodes asked for, but it has 2"
