"""What a Slurm has, and what it can't give a job: told with the partition that would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esap_wf.backends.capacities import reasons_against
from esap_wf.backends.launcher import OutageError
from esap_wf.backends.slurm import limits, options, partitions, starting
from esap_wf.backends.slurm.commands import Ended
from esap_wf.errors import RefusedError
from esap_wf.models.place import Profile, Survey
from esap_wf.models.plan import Allocation

SINFO = """\
n1|1|main*|up|1-00:00:00|mixed|1/3/0/4|4000|1000|(null)|plain,first
n2|1|main*|up|1-00:00:00|idle|0/4/0/4|4000|1000|(null)|plain
n3|1|main*|up|1-00:00:00|idle|0/16/0/16|2000+|1000|(null)|many
n4|1|main*|up|1-00:00:00|down*|0/0/64/64|999000|1000|(null)|gone
n1|1|short|up|5:00|mixed|1/3/0/4|4000|1000|(null)|plain
b1|1|big|up|infinite|idle|0/8/0/8|64000|0|(null)|fat
g1|1|gpu|up|2-00:00:00|idle|0/8/0/8|8000|0|gpu:a100:2(S:0-1),tmp:5|cuda
n1|1|closed|inact|1-00:00:00|mixed|1/3/0/4|4000|1000|(null)|plain
"""
KNOWN = [
    {"PartitionName": "main", "AllowAccounts": "ALL", "AllowQos": "ALL", "State": "UP"},
    {"PartitionName": "big", "AllowAccounts": "physics,theory", "AllowQos": "long", "State": "UP"},
    {"PartitionName": "gpu", "State": "UP", "MaxMemPerNode": "4000"},
]


def survey(**changes: Any) -> Survey:
    found = partitions.of(partitions.lines(SINFO), KNOWN)
    return Survey(
        **{
            "asked": "",
            "cores": 24,
            "memory_bytes": 4000 * 2**20,
            "disk_bytes": 10**12,
            "partitions": found,
            "accounts": ["physics", "chemistry"],
            "qos": ["normal", "long"],
            **changes,
        }
    )


def profile(**settings: Any) -> Profile:
    return Profile(name="site", kind="slurm", settings={"way": "native", **settings})


def job(**amounts: Any) -> Allocation:
    return Allocation(**{"cores": 1, "memory_bytes": 10**9, "disk_bytes": 0, "wall_seconds": 3600, **amounts})


def test_partitions_are_what_their_usable_nodes_are() -> None:
    by = {p.name: p for p in survey().partitions}
    main = by["main"]
    assert (main.default, main.up, main.nodes, main.all_cores, main.free_cores) == (True, True, 3, 24, 23)
    assert (main.cores, main.memory_bytes, main.wall_seconds) == (16, 4000 * 2**20, 86400)
    assert "gone" not in main.features
    assert sorted((m.count, m.cores) for m in main.makes) == [(1, 4), (1, 4), (1, 16)]
    assert by["big"].wall_seconds is None
    assert by["big"].accounts == ["physics", "theory"]
    assert (by["gpu"].gpus, by["gpu"].makes[0].gpu_types) == (2, ["a100"])
    assert by["gpu"].memory_bytes == 4000 * 2**20
    assert not by["closed"].up
    assert by["short"].wall_seconds == 300


@pytest.mark.parametrize("line", ["x", "a|b", "n1|1|main|up|1|idle|x|4|4|(null)|", SINFO[:40]])
def test_nonsense_of_sinfo_is_an_outage(line: str) -> None:
    with pytest.raises(OutageError, match="sinfo talks nonsense"):
        partitions.lines(line)


def test_gpus_of_all_kinds() -> None:
    assert partitions.gpus("gpu:2") == {"": 2}
    assert partitions.gpus("gpu:a100:4(S:0,2),gpu:v100:1,craynetwork:4") == {"a100": 4, "v100": 1}
    assert partitions.gpus("(null)") == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"partition": "mian"}, "no partition 'mian': did you mean main?"),
        ({"partition": "main,gup"}, "no partition 'gup': did you mean gpu?"),
        ({"partition": "closed"}, "partition closed is down"),
        ({"account": "physic"}, "no account 'physic': did you mean physics?"),
        ({"qos": "lnog"}, "QOS 'lnog': did you mean long?"),
        ({"partition": "big", "account": "chemistry"}, "not for account chemistry, but for physics, theory"),
        ({"partition": "big", "qos": "normal"}, "not for QOS normal, but for long"),
        ({"constraint": "plian"}, "feature 'plian' (constraint): did you mean plain?"),
        ({"constraint": "plain&fat"}, "feature 'fat'"),
        ({"partition": "gpu", "gpus_as": "gpu:v100"}, "no GPUs of the type 'v100'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(settings: dict[str, Any], words: str) -> None:
    (reason,) = limits.reasons(profile(**settings), job(), survey())
    assert words in reason


@pytest.mark.parametrize(
    ("amounts", "words"),
    [
        ({"memory_bytes": 50 * 10**9}, 'partition = "big"'),
        ({"gpus": 1}, 'partition = "gpu"'),
        ({"wall_seconds": 90_000}, 'partition = "gpu"'),
        ({"cores": 17}, "no other partition gives more"),
        # no node has both
        ({"cores": 8, "memory_bytes": 4 * 10**9}, "on one node, and partition main"),
    ],
)
def test_what_no_node_has_is_refused_with_the_partition_that_would_do(
    amounts: dict[str, int], words: str
) -> None:
    (reason,) = limits.reasons(profile(), job(**amounts), survey())
    assert words in reason


def test_memory_that_nothing_has_is_told_by_what_the_place_has_at_most() -> None:
    much = job(memory_bytes=10**12)
    assert limits.reasons(profile(), much, survey()) == []
    assert reasons_against(limits.capacity(profile(), Path("/"), survey()), much)
    # but not if it is the profile's own word for a job whose step asks for nothing
    (reason,) = limits.reasons(profile(job_memory="1 TB", way="native"), much, survey())
    assert "one job needs 1 TB of memory" in reason
    assert limits.reasons(profile(job_memory="1 TB", way="there", folder="/x"), much, survey()) == []


def test_what_fits_is_not_refused() -> None:
    assert limits.reasons(profile(), job(cores=16), survey()) == []
    assert limits.reasons(profile(partition="main,big"), job(memory_bytes=50 * 10**9), survey()) == []
    assert limits.reasons(profile(constraint="plain|fat"), job(), survey()) == []
    # nobody has said anything
    assert limits.reasons(profile(partition="x"), job(), None) == []
    assert limits.reasons(profile(account="x", qos="y"), job(), survey(accounts=[], qos=[])) == []


def test_an_engine_that_is_a_job_must_fit_too() -> None:
    (reason,) = limits.reasons(profile(head="job", head_wall="3 d"), job(), survey())
    assert "head_wall" in reason
    assert limits.reasons(profile(head="job", head_wall="1 h"), job(), survey()) == []


def test_capacity_is_that_of_all_nodes_or_of_one(tmp_path: Path) -> None:
    native = limits.capacity(profile(), tmp_path, survey())
    assert (native.cores, native.wall_seconds) == (24, None)
    there = limits.capacity(profile(way="there", folder="/x"), tmp_path, survey(wall_seconds=86400))
    assert (there.cores, there.wall_seconds, there.nodes) == (16, 86400, 1)


def test_sbatch_says_when_a_job_would_begin_or_why_not() -> None:
    told = "sbatch: Job 8 to start at 1795785708 using 1 processors on nodes n1 in partition main\n"
    assert starting.read(Ended(0, "", told), "site") == "2026-11-27T13:21:48Z"
    assert starting.read(Ended(0, "", "sbatch: something else"), "site") == ""
    assert starting.read(Ended(1, "", "Killed"), "site") == ""
    with pytest.raises(RefusedError) as refused:
        starting.read(Ended(1, "", "allocation failure: Invalid account specified\n"), "site")
    assert "Invalid account specified" in refused.value.problems[0].what


def test_options_hold_what_a_profile_says() -> None:
    own = profile(partition="a,b", account="x", qos="q", constraint="f", reservation="r", gpus_as="gpu:a100")
    assert options.where(own) == [
        "--partition=a,b",
        "--account=x",
        "--qos=q",
        "--constraint=f",
        "--reservation=r",
    ]
    assert options.size(own, job(gpus=2, wall_seconds=61)) == [
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=1",
        "--mem=954M",
        "--time=2",
        "--gres=gpu:a100:2",
    ]
