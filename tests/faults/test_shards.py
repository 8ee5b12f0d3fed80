"""Shards of a run whose supervisor, engine, runner or machine fails."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from helpers.processes import kill, of_run
from helpers.shards import Shard
from helpers.waiting import until

from esap_wf.models.run import Phase
from esap_wf.runs import states

from .place import WatchedPlace

pytestmark = pytest.mark.faults

NAMES = [f"u{i}" for i in range(1, 61)]
MAKE = 'echo "$1" > "$2"'


def test_a_full_disk_is_told_and_what_was_done_stays_done(tmpfs):
    shard = Shard(tmpfs, NAMES)
    command = [
        "bash",
        "-c",
        '[ "$1" != u4 ] || head -c 200M /dev/zero > filler; echo "$1" > "$2"',
        "-",
        "{unit}",
        "{result}",
    ]
    full = shard.run(command=command)
    assert (full.returncode, "no space is left" in full.stderr) == (74, True)
    done = {line["unit"] for line in shard.lines("done")}
    assert {"u1", "u2", "u3"} <= done
    (tmpfs / "filler").unlink()
    assert shard.run(command=["bash", "-c", MAKE, "-", "{unit}", "{result}"]).returncode == 0
    assert set(shard.manifest) == set(NAMES)


UNITS = 24


def executions(run: Path) -> dict[str, Counter[str]]:
    """The units' own account, which no engine and no runner keeps: how often each was begun and ended."""
    return {
        path.stem: Counter(line.split()[0] for line in path.read_text("utf-8").splitlines())
        for path in (run / "work/executions").glob("*.log")
    }


@pytest.mark.parametrize(
    "victims",
    [
        ["supervisor", "runner", "supervisor"],
        ["engine", "everything", "runner"],
        pytest.param(["runner", "unit", "supervisor", "everything", "engine"], marks=pytest.mark.soak),
    ],
)
def test_whoever_is_killed_no_unit_is_lost_and_none_is_counted_twice(
    tmp_path: Path, victims: list[str]
) -> None:
    place = WatchedPlace(tmp_path)
    chance = random.Random(len(victims))
    run = place.start("--units", str(UNITS), "--seconds", "0.2", "--shard-size", "6")
    folder = place.run(run).dir
    accepted: dict[str, Counter[str]] = {}
    for victim in victims:
        goal = len(accepted) + chance.randrange(2, 5)

        def moment(goal: int = goal) -> bool:
            over = place.run(run).observe().phase not in states.ACTIVE
            return over or place.run(run).observe().progress.units_done >= goal

        until(moment, what="units that are done")
        told = {e["unit"] for e in place.look("logs", run)["logs"] if e["step"] == "unit"}
        before = place.run(run).observe()
        engine, supervisor = place.engine(run), place.supervisor(run)
        runners = [
            pid
            for pid, line in of_run(run).items()
            if "rules/shard" in line and "--step" in line and "bash -c" not in line
        ]
        units = [pid for pid, line in of_run(run).items() if "unit.sh" in line and "rules/shard" not in line]
        chosen: dict[str, list[int | None]] = {
            "supervisor": [supervisor],
            "engine": [engine.engine.pid if engine else None],
            "runner": [*runners],
            "unit": [*units[:1]],
            "everything": [*of_run(run)],
        }
        kill([pid for pid in chosen[victim] if pid])
        assert before.progress.units_done <= UNITS and len(told) <= UNITS
        if victim == "runner" or victim == "unit":  # the engine reports it; the others go on
            until(lambda: place.run(run).observe().phase not in states.ACTIVE, what="the end")
        else:
            until(
                lambda: place.run(run).observe().phase not in states.ACTIVE or place.supervisor(run),
                what="it",
            )
        accepted = {name: count for name, count in executions(folder).items() if count["end"]}
        if place.run(run).observe().phase is not Phase.COMPLETED:
            place("resume", run, "--detach")
    until(lambda: place.run(run).observe().phase not in states.ACTIVE, what="the end")
    if place.run(run).observe().phase is not Phase.COMPLETED:
        place.ok("resume", run)
    status = place.status(run)
    assert status["phase"] == "COMPLETED", status
    progress = status["progress"]
    assert (progress["units_total"], progress["units_done"], progress["units_failed"]) == (UNITS, UNITS, 0)
    counted = executions(folder)
    assert len(counted) == UNITS and all(count["end"] >= 1 for count in counted.values()), "none is lost"
    again = sum(count["start"] - 1 for count in counted.values())
    assert progress["second_executions"] <= again
    assert all(counted[name]["end"] <= 2 for name in accepted)
    results = [o["path"] for o in place.ok("results", run)["outputs"] if o["name"] == "units"]
    assert len(results) == len(set(results)) == UNITS
