"""
`status` of a run whose event log has a million lines of units: ``python benchmarks/status_log.py [--quick]``.

From a checkpoint that is a second old only the tail is folded. Beside it the whole log folded, and the least
that any reader of it must do: the standard library's JSON decoder over the same lines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measure
from index import fill

from esap_wf.models.run import Phase, State, encode
from esap_wf.runs import event_lines, progress
from esap_wf.runs.store import Store

TARGET = 0.2
#: Lines that an engine adds between two checkpoints.
TAIL = 2000


def write_log(path: Path, units: int) -> None:
    """`units` units, of which each starts and one in a thousand fails; `2 × units` lines."""
    with path.open("w") as f:
        f.write(f'{{"t":1.0,"kind":"plan","epoch":1,"totals":{{"unit":{units}}}}}\n')
        for n in range(units):
            job = f'"epoch":1,"step":"unit","unit":"block-{n:07d}","job":"{n}","log":"logs/unit/block-{n:07d}.log","source":{n * 200}'
            kind = '"failed","reason":"EXIT_CODE","exit_code":3' if n % 1000 == 7 else '"done"'
            f.write(
                f'{{"t":{1 + n / 100:.2f},"kind":"start",{job}}}\n{{"t":{2 + n / 100:.2f},"kind":{kind},{job}}}\n'
            )


def cpu(action: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        begin = time.process_time()
        action()
        taken.append(time.process_time() - begin)
    return measure.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="10^5 lines instead of 10^6.")
    lines = 100_000 if parser.parse_args().quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        folder = Path(name)
        env = measure.environment(folder)
        store = Store.open(folder / "store", create=True)
        run = store.run(fill(store, 100)[50])
        log = run.events_path
        write_log(log, lines // 2)
        start = State(phase=Phase.COMPLETED)
        told = list(event_lines.complete_lines(log, 0))
        folding = cpu(lambda: progress.fold(start, told))
        following = cpu(lambda: progress.follow(start, log))
        reading = cpu(lambda: [json.loads(text) for text in log.open("rb")])
        checkpoint = progress.fold(start, told[:-TAIL])
        (run.dir / "state.json").write_bytes(encode(checkpoint))
        status = measure.in_turn(
            {"status": lambda: measure.cost([measure.ESAP_WF, "status", run.id, "--json"], env)}, 7
        )["status"]
        shown = json.loads(status[0].text)["progress"]
        if shown["units_done"] + shown["units_failed"] != lines // 2:
            raise SystemExit(f"status tells {shown} of {lines // 2} units")
    spent = measure.median([c.cpu for c in status])
    million = 1e6 / lines
    title = f"A log of {lines:,} lines, CPU seconds; status from a checkpoint {TAIL} lines ago"

    def row(what: str, ours: float, peer: float, *target: str) -> list[str]:
        return [what, f"{ours:.3f}", f"{peer:.3f}", f"{ours / peer:.3f}", *(target or ("-", "-"))]

    measure.show(
        title,
        ("what", "esap-wf", "json.loads of each line", "ratio", "target", "verdict"),
        [
            row("status, the whole command", spent, reading, f"{TARGET} s", measure.verdict(spent, TARGET)),
            row("fold of a million events", folding * million, reading * million),
            row("follow (read and fold) of a million", following * million, reading * million),
        ],
    )


if __name__ == "__main__":
    main()
