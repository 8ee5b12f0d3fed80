"""
Closure of the workflow `irf`: is a source of known spectrum found again, and are the errors of the fit right?

For each seed a power law is thrown by the toy simulator itself, with its background, observed twice for ten
minutes near the axis and far from it, and fitted with gammapy. Then counts are compared at seven offsets.

    python benchmarks/closure.py irf             # three IRFs of different seeds: about two minutes, two cores
    python benchmarks/closure.py irf --irf outputs/irf.fits --seeds 100
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pulls

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "irf"
sys.path.insert(0, str(WORKFLOW / "scripts"))


#: thrown over predicted counts of all energies
LARGEST_RATIO = 0.01


def step(name: str, folder: Path, *arguments: str, text: str = "") -> None:
    """One step of the workflow, as its engine file calls it."""
    command = [sys.executable, "-B", str(WORKFLOW / "scripts" / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stdout}{done.stderr}")


def make_irf(folder: Path, parameters: dict[str, Any]) -> Path:
    """Produce one IRF in ``folder`` and return its path."""
    database = str(WORKFLOW / "data" / "productions.json")
    schema = json.loads((WORKFLOW / "params.schema.json").read_text())["properties"]
    blocks = parameters.get("blocks", schema["blocks"]["default"])
    known, simulation = ("--parameters", "parameters.json"), ("--simulation", "simulation.json")
    folder.mkdir(parents=True)
    step(
        "check",
        folder,
        "--schema",
        str(WORKFLOW / "params.schema.json"),
        "--database",
        database,
        "--out",
        "parameters.json",
        text=json.dumps(parameters),
    )
    step("identify", folder, *known, "--database", database, "--out", "simulation.json")
    for block in range(1, blocks + 1):
        step(
            "simulate",
            folder,
            *known,
            *simulation,
            "--block",
            str(block),
            "--out",
            f"events/block-{block:05d}.fits",
        )
    step("merge", folder, "--folder", "events", "--blocks", str(blocks), "--out", "events.fits")
    step("cuts", folder, *known, "--events", "events.fits", "--out", "cuts.fits")
    step(
        "irf",
        folder,
        *known,
        *simulation,
        "--events",
        "events.fits",
        "--cuts",
        "cuts.fits",
        "--out",
        "irf.fits",
        "--benchmarks",
        "benchmarks.fits",
    )
    return folder / "irf.fits"


def one(task: tuple[int, str, float, float]) -> dict[str, Any]:
    """Closure of one seed at both offsets, in a process of its own."""
    import injection

    seed, irf, amplitude, index = task
    test = injection.UnderTest.read(irf)
    near, far = (
        injection.closure(test, seed, amplitude, index, ring=test.ring(seed, o))
        for o in (injection.NEAR, test.far)
    )
    return {**near, "far": far}


def counts(irf: str) -> dict[str, Any]:
    """Thrown over predicted counts of one response, with twenty times the showers of its own validation."""
    import injection
    import prediction

    prediction.SHOWERS *= 20
    return prediction.compare(injection.UnderTest.read(irf), 1)


def report(rows: list[dict[str, Any]]) -> bool:
    """Print the table of one offset and its verdict."""
    good = [
        r for r in rows if r["converged"] and all(r[k]["pull"] is not None for k in ("amplitude", "index"))
    ]
    excess = sum(r["excess"] for r in rows) / len(rows)
    low, high = rows[0]["fit_range_tev"]
    fits = f"{len(rows)} seeds, {len(good)} fits converged, {excess:.0f} excess counts"
    print(f"at {rows[0]['offset_deg']:g} deg, {low:.3g} to {high:.3g} TeV: {fits}")
    print(pulls.HEADING)
    accepted = len(good) == len(rows)
    for name in ("amplitude", "index"):
        relative = sum(r[name]["error"] / abs(r[name]["value"]) for r in good) / len(good)
        text, fine = pulls.line(name, [r[name]["pull"] for r in good], relative)
        accepted &= fine
        print(text)
    return accepted


def report_counts(tables: list[dict[str, Any]]) -> bool:
    """
    Print thrown over predicted counts of all energies, mean of the responses; off by a per cent and two
    errors is not accepted.
    """
    print(f"thrown over predicted counts, E^-2.5, mean of {len(tables)} responses")
    accepted = True
    for k, offset in enumerate(tables[0]["offsets_deg"]):
        ratio = sum(t["ratio"][k][-1] for t in tables) / len(tables)
        error = sum(t["error"][k][-1] ** 2 for t in tables) ** 0.5 / len(tables)
        fine = abs(ratio - 1) <= LARGEST_RATIO + 2 * error
        accepted &= fine
        print(f"{offset:5.2f} deg {ratio:9.4f} +- {error:.4f}  {'ok' if fine else 'FAIL'}")
    return accepted


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument(
        "--irf",
        nargs="+",
        type=Path,
        default=[],
        help="files of the workflow, which the seeds take in turn; made if not given",
    )
    cli.add_argument("--irfs", type=int, default=3, help="how many to make")
    cli.add_argument("--params", type=Path, help="JSON with parameters of those made")
    cli.add_argument("--seeds", type=int, default=60)
    cli.add_argument("--quick", action="store_true", help="one IRF and the fewest seeds: for a look")
    cli.add_argument("--first-seed", type=int, default=101)
    cli.add_argument("--amplitude", type=float, default=3e-11, help="1 / (cm2 s TeV) at 1 TeV")
    cli.add_argument("--index", type=float, default=2.5)
    cli.add_argument("--cores", type=int, default=2)
    cli.add_argument("--out", type=Path, help="JSON lines, one a seed")
    args = cli.parse_args()
    if args.quick:
        args.irfs, args.seeds = 1, pulls.FEWEST_SEEDS
    if args.seeds < 2:
        cli.error("a width needs two seeds or more")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(args.cores) as pool:
        files = [path.resolve() for path in args.irf]
        if not files:
            given = json.loads(args.params.read_text()) if args.params else {}
            sets = [{**given, "seed": 7001 + k} for k in range(args.irfs)]
            files = list(pool.map(make_irf, [Path(scratch) / str(k) for k in range(args.irfs)], sets))
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        rows = list(
            pool.map(
                one,
                [(s, str(files[k % len(files)]), args.amplitude, args.index) for k, s in enumerate(seeds)],
            )
        )
        tables = list(pool.map(counts, map(str, files)))
    if args.out:
        args.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    # all of them are printed, whatever the first says
    accepted = all([report(rows), report([row["far"] for row in rows]), report_counts(tables)])
    rule = f"{pulls.RULE}, all converged; counts within {LARGEST_RATIO:.0%} and twice the error"
    print(f"closure: {'accepted' if accepted else 'NOT accepted'} ({rule})")
    sys.exit(not accepted)


if __name__ == "__main__":
    main()
