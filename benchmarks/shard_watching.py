"""
What units in shards cost who watches: ``python benchmarks/shard_watching.py [--quick]``.

The real runner carries out units that do nothing (``true``), on this machine, while what esap-wf's supervisor
does with their journals is done beside it, five times a second: read what is new, append it to the log of
events, fold it into the counts. Told are CPU seconds by number of units, those of the runner beside; the
memory of who watches; bytes that were read of journals; and `esap-wf status` of such a run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import measure
from index import fill

from esap_wf.engines import following
from esap_wf.models.plan import Sharding
from esap_wf.models.run import Event, Phase, State, encode
from esap_wf.running.event_log import EventLog
from esap_wf.running.shards import FOLDER, Journals, ShardedEvents
from esap_wf.runs.store import Run, Store

#: CPU seconds of a unit, with all that is around it; and how much more a unit may cost in the largest run.
TARGET, GROWTH = 0.05, 1.5
#: Units of a shard, shards at a time, and seconds between two looks.
SIZE, SLOTS, LOOK = 1000, 2, 0.2


class Silent:
    """An engine that tells nothing."""

    def read(self) -> list[Event]:
        return []


@dataclass
class Told:
    """CPU seconds of a number of units."""

    units: int
    runner: float
    watch: float
    status: float
    memory: int
    read: int
    written: int


def watched(store: Store, run: Run, units: int, env: dict[str, str]) -> Told:
    """Run and watch so many units."""
    (run.dir / "state.json").write_bytes(encode(State(phase=Phase.EXECUTING)))
    run.events_path.unlink(missing_ok=True)
    size = min(SIZE, units)
    sharding = Sharding(step="unit", job="unit_shard", size=size, shards=-(-units // size))
    log = EventLog(run, State(phase=Phase.EXECUTING), ["unit"])
    source = ShardedEvents(Silent(), Journals(run.dir, sharding, 1, {}), units, units, announced=False)
    read = [0]
    real = following.lines_after

    def counting(path: Path, offset: int) -> list[bytes]:
        lines = real(path, offset)
        read[0] += sum(map(len, lines))
        return lines

    following.lines_after = counting
    parts = [f"{first}-{min(first + size - 1, units)}" for first in range(1, units + 1, size)][::-1]
    working: list[subprocess.Popen[bytes]] = []
    before, spent = resource.getrusage(resource.RUSAGE_CHILDREN), 0.0
    while parts or working:
        working = [p for p in working if p.poll() is None]
        while parts and len(working) < SLOTS:
            working.append(started(run.dir, parts.pop(), units))
        time.sleep(LOOK)
        begin = time.process_time()
        while events := source.read():
            log.append(events)
        spent += time.process_time() - begin
    begin = time.process_time()
    while events := source.read():
        log.append(events)
    spent += time.process_time() - begin
    following.lines_after = real
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    runner = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if log.state.progress.units_done != units:
        raise SystemExit(f"{log.state.progress.units_done} of {units} units were counted")
    (run.dir / "state.json").write_bytes(encode(log.state))
    status = measure.in_turn(
        {"status": lambda: measure.cost([measure.ESAP_WF, "status", run.id, "--json"], env)}, 3
    )["status"]
    told = json.loads(status[0].text)["progress"]["units_done"]
    if told != units:
        raise SystemExit(f"status tells {told} of {units} units")
    written = sum(p.stat().st_size for p in (run.dir / FOLDER / "unit").glob("*.jsonl"))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Told(units, runner, spent, measure.median([s.cpu for s in status]), memory, read[0], written)


def started(run: Path, part: str, units: int) -> subprocess.Popen[bytes]:
    """A shard of them."""
    own = ["--step", "unit", "--numbers", f"1-{units}", "--part", part, "--journal", FOLDER]
    manifest = ["--manifest", f"{FOLDER}/unit/{part}.json"]
    return subprocess.Popen(
        [sys.executable, "-SB", str(measure.ROOT / "rules/shard"), *own, *manifest, "--", "true"],
        cwd=run,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="10^4 units at most instead of 10^5.")
    counts = [10, 1000, 10_000] if parser.parse_args().quick else [10, 1000, 10_000, 100_000]
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        folder = Path(name)
        env = measure.environment(folder)
        store = Store.open(folder / "store", create=True)
        runs = fill(store, 100)[: len(counts)]
        told = [watched(store, store.run(run), n, env) for run, n in zip(runs, counts, strict=True)]
    rows = [
        [
            f"{t.units} units",
            f"{1000 * t.runner / t.units:.2f}",
            f"{1000 * t.watch / t.units:.3f}",
            f"{(t.runner + t.watch) / t.runner:.3f}",
            f"{t.status:.2f}",
            f"{t.memory / 1e6:.0f}",
            f"{t.read / t.written:.2f}",
        ]
        for t in told
    ]
    heads = ["", "runner, CPU ms a unit", "watching, CPU ms a unit", "both by the runner", "status, CPU s"]
    measure.show("Watching units in shards", [*heads, "memory, MB", "bytes read of a byte"], rows)
    last, middle = told[-1], told[1]
    cost = (last.runner + last.watch) / last.units
    growth = (last.watch / last.units) / (middle.watch / middle.units)
    print(f"\na unit: {cost:.4f} CPU s, at most {TARGET}: {measure.verdict(cost, TARGET)}")
    print(
        f"of {last.units} and of {middle.units} units one costs who watches {growth:.2f} times as much, ",
        end="",
    )
    print(f"at most {GROWTH}: {measure.verdict(growth, GROWTH)}")


if __name__ == "__main__":
    main()
