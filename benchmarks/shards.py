"""
What a unit costs in a shard: ``python benchmarks/shards.py [--quick] [--engine NAME …]``.

Units of `noop` that do nothing (each starts bash, which makes a file), with the bare engine: `bash
command.sh` in a fresh copy of what esap-wf rendered, in shards, beside a job for each. What the engine costs
with one unit is taken off both. CPU time is of all processes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import measure
from overhead import rendered

TARGET = 0.05
#: Engine → units in shards, units as jobs: Nextflow and Toil need a second and more for each job.
UNITS = {"snakemake": (1000, 200), "nextflow": (1000, 20), "cwl": (1000, 60), "toil": (1000, 10)}
QUICK = {"snakemake": (200, 40), "nextflow": (200, 6), "cwl": (200, 20), "toil": (200, 4)}
#: Shards of a run.
SHARDS = 4


@dataclass(frozen=True)
class PerUnit:
    """CPU seconds of a unit beyond those of a run of one: of the bare engine, and with esap-wf."""

    bare: float
    ours: float


def per_unit(engine: str, units: int, sharded: bool, rounds: int, folder: Path) -> PerUnit:
    """The median of some rounds."""
    env = measure.environment(folder, ESAP_WF_CACHE=str(measure.CACHE))

    def cost(count: int) -> tuple[list[float], list[float]]:
        asked = ["noop", "--units", str(count), "--engine", engine, "--if-exists", "rerun", "--json"]
        asked += ["--shard-size", str(max(1, count // SHARDS))] if sharded else []
        bare, ours = [], []
        for number in range(rounds):
            used = measure.cost([measure.ESAP_WF, "run", *asked, "--detach"], env)
            ours.append(used.cpu)
            made = Path(json.loads(used.text)["dir"])
            place = rendered(made, folder / f"{engine}-{count}-{sharded}-{number}")
            bare.append(measure.cost(["bash", "command.sh"], env, place).cpu)
            shutil.rmtree(place)
        return bare, ours

    many, one = cost(units), cost(1)
    found = [max(0.0, measure.median(a) - measure.median(b)) for a, b in zip(many, one, strict=True)]
    return PerUnit(*(seconds / (units - 1) for seconds in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="Few units, and one round instead of three.")
    parser.add_argument("--engine", action="append", choices=sorted(UNITS), help="Default: all.")
    given = parser.parse_args()
    rounds = 1 if given.quick else 3
    rows = []
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        for engine in given.engine or UNITS:
            many, few = (QUICK if given.quick else UNITS)[engine]
            shards = per_unit(engine, many, True, rounds, Path(name))
            jobs = per_unit(engine, few, False, rounds, Path(name))
            rows.append(
                [
                    f"{engine}, {many} units in {SHARDS} shards, {few} as jobs",
                    f"{shards.bare:.4f}",
                    f"{shards.ours:.4f}",
                    f"{shards.ours / shards.bare:.2f}" if shards.bare else "-",
                    f"{TARGET} {measure.verdict(shards.ours, TARGET)}",
                    f"{jobs.bare:.4f}",
                    f"{jobs.bare / shards.bare:.1f}" if shards.bare else "-",
                ]
            )
            print(rows[-1][0], "is measured", file=sys.stderr, flush=True)
    heads = [
        "CPU s a unit",
        "bare engine",
        "with esap-wf",
        "ratio",
        "at most",
        "a job a unit, bare",
        "times as much",
    ]
    measure.show("What a unit costs", heads, rows)


if __name__ == "__main__":
    main()
