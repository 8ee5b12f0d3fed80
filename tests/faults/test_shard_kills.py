"""The runner of a shard, killed at random moments: nothing is lost, nothing accepted twice, second executions are told."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from helpers.shards import Shard
from helpers.waiting import until

pytestmark = pytest.mark.faults

NAMES = [f"u{i:03d}" for i in range(90)]
#: The witness is outside of what the runner knows: each unit says when it begins and when it has ended.
#: No argument names it: a file that one names is something on which results depend.
UNIT = 'echo "begin $1" >> {0}; sleep 0.0$((RANDOM % 4)); echo "unit $1" > "$2"; echo "end $1" >> {0}'


def said(witness: Path, word: str) -> Counter[str]:
    lines = witness.read_text().splitlines() if witness.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(f"{word} "))


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_a_runner_that_is_killed_loses_nothing_and_tells_what_it_does_again(
    tmp_path: Path, kills: int
) -> None:
    shard, witness = Shard(tmp_path, NAMES), tmp_path / "witness"
    command = ["bash", "-c", UNIT.format(witness), "-", "{unit}", "{result}"]
    chance = random.Random(kills)
    killed = 0
    for _ in range(kills):
        runner = shard.start("--slots", "2", command=command)
        goal = sum(said(witness, "begin").values()) + chance.randrange(0, max(2, 120 // kills))
        until(lambda: sum(said(witness, "begin").values()) >= goal or runner.poll() is not None)  # noqa: B023
        runner.kill()
        killed += runner.wait(60) != 0
    assert killed >= kills * 2 // 3
    last = shard.run("--slots", "2", command=command)
    assert last.returncode == 0, last.stderr
    begun = said(witness, "begin")
    assert set(begun) == set(NAMES), "none is lost"
    assert set(shard.manifest) == set(NAMES)
    # told by the journals: each execution, and which of them were further ones
    starts, again = Counter(line["unit"] for line in shard.lines("start")), shard.lines("start")
    assert all(starts[name] >= begun[name] for name in NAMES)
    told = Counter(line["unit"] for line in again if line.get("again"))
    assert all(told[name] == starts[name] - 1 for name in NAMES), "second executions are counted as they were"
    assert all(unit["executions"] == starts[name] for name, unit in shard.manifest.items())
    # accepted once: after its line nobody begins it again
    accepted: set[str] = set()
    for journal in sorted(shard.journals(), key=lambda path: int(path.stem.rpartition(".")[2])):
        for raw in journal.read_bytes().splitlines(keepends=True):
            if not raw.endswith(b"\n"):
                continue
            line = json.loads(raw)
            if line["kind"] in ("start", "done"):
                assert line["unit"] not in accepted, line
            if line["kind"] == "done":
                accepted.add(line["unit"])
    assert accepted == set(NAMES)
    print(f"{killed} kills: {sum(told.values())} units were begun again, and told")
