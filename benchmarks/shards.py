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
import tempfile
from pathlib import Path

import measure
from overhead import rendered

TARGET = 0.05
#: Engine → units in shards, units as jobs: Nextflow and Toil need a second and more for each job.
UNITS = {"snakemake": (1000, 1000), "nextflow": (1000, 60), "cwl": (1000, 200), "toil": (1000, 30)}
SIZE = 250


def per_unit(engine: str, units: int, size: int, rounds: int, folder: Path) -> float:
    """CPU seconds of a unit beyond those of the engine, the median of some rounds."""
    env = measure.environment(folder, ESAP_WF_CACHE=str(measure.CACHE))

    def cost(count: int) -> list[measure.Cost]:
        asked = ["noop", "--units", str(count), "--engine", engine, "--if-exists", "rerun", "--json"]
        asked += ["--shard-size", str(min(size, count))] if size else []
        made = Path(json.loads(measure.cost([measure.ESAP_WF, "run", *asked], env).text)["dir"])
        found = []
        for number in range(rounds):
            place = rendered(made, folder / f"{engine}-{count}-{size}-{number}")
            found.append(measure.cost(["bash", "command.sh"], env, place))
            shutil.rmtree(place)
        return found

    many, one = cost(units), cost(1)
    return max(0.0, measure.median([c.cpu for c in many]) - measure.median([c.cpu for c in one])) / (
        units - 1
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="One round instead of three.")
    parser.add_argument("--engine", action="append", choices=sorted(UNITS), help="Default: all.")
    given = parser.parse_args()
    rounds = 1 if given.quick else 3
    rows = []
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        for engine in given.engine or UNITS:
            many, few = UNITS[engine]
            sharded = per_unit(engine, many, SIZE, rounds, Path(name))
            single = per_unit(engine, few, 0, rounds, Path(name))
            rows.append(
                [
                    f"{engine}, {many} units in shards of {SIZE}, {few} as jobs",
                    f"{sharded:.4f}",
                    f"{TARGET} {measure.verdict(sharded, TARGET)}",
                    f"{single:.4f}",
                    f"{single / sharded:.1f}" if sharded else "-",
                ]
            )
    heads = ["", "CPU-s a unit in shards", "at most", "CPU-s a unit as a job", "times as much"]
    measure.show("What a unit costs", heads, rows)


if __name__ == "__main__":
    main()
