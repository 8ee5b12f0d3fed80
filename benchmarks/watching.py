"""
What watching a large run costs: ``python benchmarks/watching.py [--quick] [--engine NAME]``.

A run of 10^4 units (2000 with --quick) that do nothing, as fast as the engine starts them: the worst case for
whoever watches. Told is the CPU time of esap-wf's own processes (all of the run's processes but the engine
and its jobs) beyond that of a run of one unit, as a share of one core over the run's wall time; checking and
hashing 10^4 outputs at the end is part of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import measure

SHARE = 0.01


def own(units: int, engine: str, env: dict[str, str]) -> tuple[float, float, float]:
    """CPU seconds of esap-wf's own processes and of the engine's, and wall seconds."""
    command = [
        measure.ESAP_WF,
        "run",
        "noop",
        "--units",
        str(units),
        "--seconds",
        "0",
        "--engine",
        engine,
        "--if-exists",
        "rerun",
    ]
    used = measure.cost([*command, "--detach", "--json"], env)
    run = json.loads(used.text)["dir"]
    first, last = (json.loads(Path(run, "state.json").read_text())[k] for k in ("started", "ended"))
    return (
        used.cpu - (theirs := json.loads(Path(run, "engine", "1.exit.json").read_text())["cpu_seconds"]),
        theirs,
        measure.between(first, last),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--engine", default="snakemake")
    given = parser.parse_args()
    units = 2000 if given.quick else 10_000
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        env = measure.environment(Path(name), ESAP_WF_CACHE=str(measure.CACHE))
        own(1, given.engine, env)
        fixed, _, _ = own(1, given.engine, env)
        used, theirs, wall = own(units, given.engine, env)
    share = (used - fixed) / wall
    row = [
        f"noop, units {units}, {given.engine}",
        f"{wall:.0f}",
        f"{theirs:.1f}",
        f"{used - fixed:.2f}",
        f"{100 * share:.2f} %",
        f"1 % {measure.verdict(share, SHARE)}",
    ]
    header = ("run", "wall, s", "engine and jobs, CPU s", "watching, CPU s", "of a core", "target")
    measure.show("Watching a run that is as fast as its engine", header, [row])


if __name__ == "__main__":
    main()
