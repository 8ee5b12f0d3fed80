"""
What esap-wf costs on top of the bare engine: ``python benchmarks/overhead.py [--quick] [--engine NAME …]``.

The bare side is `bash command.sh` in a fresh copy of what esap-wf rendered; ours is `esap-wf run …
--if-exists rerun --json` with command line, supervisor and keeper. CPU time is of all processes of each side.
The cost is told in two ways: as the difference of the two sides, which has the noise of both engine runs, and
as what esap-wf's own processes used, which is nearly free of it (the engine's part of a run stands in
``engine/1.exit.json``) but lacks what Snakemake's logger plug-in costs inside the engine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import measure

FIXED, PER_UNIT, RATIO, WALL = 0.5, 0.002, 1.05, 0.7
#: Engine → units → rounds (quick, full). The ratio is judged at the largest.
SIZES = {
    "snakemake": {1: (3, 9), 100: (2, 7), 1000: (1, 5)},
    "nextflow": {1: (2, 5), 50: (1, 3), 200: (1, 5)},
    "cwl": {1: (2, 5), 100: (1, 3), 1000: (1, 3)},
    "toil": {1: (2, 3), 50: (1, 3), 200: (1, 3)},
}


@dataclass(frozen=True)
class Case:
    """A run that is made with both."""

    title: str
    units: int
    arguments: tuple[str, ...]
    rounds: int
    largest: bool = False


def cases(engine: str, quick: bool) -> list[Case]:
    sizes = {units: rounds[0 if quick else 1] for units, rounds in SIZES[engine].items()}
    with_it = ("--engine", engine)
    found = [Case("hello", 1, ("hello", *with_it), sizes[1])]
    for n, rounds in sizes.items():
        arguments = ("noop", "--units", str(n), "--seconds", "0", *with_it)
        found.append(Case(f"noop, units {n}", n, arguments, rounds, largest=n == max(sizes)))
    return found


def rendered(run: Path, target: Path) -> Path:
    """A fresh copy of what was rendered, without anything that a run leaves."""
    for name in json.loads((run / "plan.json").read_text())["files"]:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(run / name, copy)
    for name in ("outputs", "logs", "engine"):
        (target / name).mkdir()
    return target


def pairs(case: Case, folder: Path) -> tuple[list[measure.Cost], list[measure.Cost], list[float]]:
    """Costs of both sides, and the part of esap-wf's own processes in ours."""
    # engines that are not beside esap-wf were installed there
    env = measure.environment(folder, ESAP_WF_CACHE=str(measure.CACHE))
    command = [measure.ESAP_WF, "run", *case.arguments, "--if-exists", "rerun", "--json"]
    own: list[float] = []
    last: list[Path] = []

    def ours() -> measure.Cost:
        used = measure.cost(command, env)
        last.append(Path(json.loads(used.text)["dir"]))
        engine = json.loads((last[-1] / "engine" / "1.exit.json").read_text())
        own.append(used.cpu - engine["cpu_seconds"])
        return used

    def bare() -> measure.Cost:
        place = rendered(last[-1], folder / f"bare-{len(own)}-{case.units}-{case.arguments[0]}")
        used = measure.cost(["bash", "command.sh"], env, place)
        shutil.rmtree(place)
        return used

    warm = 0 if case.largest else 1
    found = measure.in_turn({"ours": ours, "bare": bare}, case.rounds, warm)
    return found["ours"], found["bare"], own[warm:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="One to three rounds instead of three to nine.")
    parser.add_argument("--engine", action="append", choices=sorted(SIZES), help="Default: all.")
    given = parser.parse_args()
    for engine in given.engine or SIZES:
        tables(engine, cases(engine, given.quick))


def tables(engine: str, chosen: list[Case]) -> None:
    """The tables of one engine."""
    costs, walls, counts, added, used = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        pairs(Case("warm", 1, ("hello", "--engine", engine), 0), Path(name))
        for case in chosen:
            ours, bare, own = pairs(case, Path(name))
            share = measure.ratio(ours, bare)
            mine, other = (measure.median([c.cpu for c in x]) for x in (ours, bare))
            more = measure.median([a.cpu - b.cpu for a, b in zip(ours, bare, strict=True)])
            inside = measure.median([a.cpu / (a.cpu - o) for a, o in zip(ours, own, strict=True)])
            limit = FIXED + PER_UNIT * case.units
            costs.append(
                [
                    f"{case.title} (median of {case.rounds})",
                    f"{mine:.2f}",
                    f"{other:.2f}",
                    f"{share:.3f}",
                    f"{RATIO} {measure.verdict(share, RATIO)}" if case.largest else "-",
                    f"{more:+.2f}",
                    f"{limit:.2f} {measure.verdict(more, limit)}",
                    f"{measure.median(own):.2f}",
                    f"{limit:.2f} {measure.verdict(measure.median(own), limit)}",
                    f"{inside:.3f}",
                ]
            )
            later = measure.median([a.wall - b.wall for a, b in zip(ours, bare, strict=True)])
            wall, usual = (measure.median([c.wall for c in x]) for x in (ours, bare))
            aim = f"{WALL} {measure.verdict(later, WALL)}" if case.title == "hello" else "-"
            walls.append([case.title, f"{wall:.2f}", f"{usual:.2f}", f"{later:+.2f}", aim])
            if case.title != "hello":
                counts.append(case.units)
                added.append(more)
                used.append(measure.median(own))
    header = (
        "run",
        "esap-wf",
        "bare",
        "ratio",
        "target",
        "difference",
        "target",
        "own processes",
        "target",
        "÷ its engine",
    )
    measure.show(f"CPU seconds of all processes, esap-wf and bare {engine}", header, costs)
    fixed, slope = measure.line(counts, used)
    row = [
        "own processes",
        f"{fixed:.2f}",
        f"{FIXED} {measure.verdict(fixed, FIXED)}",
        f"{slope * 1000:.2f}",
        f"{PER_UNIT * 1000:.0f} {measure.verdict(slope, PER_UNIT)}",
    ]
    rows = [row]
    if all(a > 0 for a in added):
        fixed, slope = measure.line(counts, added)
        rows.append(
            [
                "difference",
                f"{fixed:.2f}",
                f"{FIXED} {measure.verdict(fixed, FIXED)}",
                f"{slope * 1000:.2f}",
                f"{PER_UNIT * 1000:.0f} {measure.verdict(slope, PER_UNIT)}",
            ]
        )
    measure.show(
        f"Fit over noop, {engine}", ("of", "fixed, CPU s", "target", "a unit, CPU ms", "target"), rows
    )
    measure.show(f"Wall seconds, {engine}", ("run", "esap-wf", "bare", "difference", "target"), walls)


if __name__ == "__main__":
    main()
