"""
Closure of the workflow `irf`: is a source of known spectrum found again, and are the errors of the fit right?

For each seed a power law is thrown by the toy simulator itself, observed four times for five minutes, and fitted with gammapy. The pulls
(fitted - true) / error must have a mean of 0 within 0.3 and a width of 0.8 to 1.2, each within its statistical error.
Run it with the Python of the workflow's software environment (workflows/irf/requirements.txt):

    python benchmarks/closure.py                        # makes three IRFs with different seeds, about two minutes on two cores
    python benchmarks/closure.py --irf outputs/irf.fits --seeds 100
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

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

WORKFLOW = Path(__file__).resolve().parent.parent / "workflows" / "irf"
sys.path.insert(0, str(WORKFLOW / "scripts"))

LARGEST_MEAN = 0.3
WIDTHS = (0.8, 1.2)
FEWEST_SEEDS = 40


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
        step("simulate", folder, *known, *simulation, "--block", str(block), "--out", f"events/block-{block:05d}.fits")
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
    """Closure of one seed, in a process of its own."""
    import injection

    seed, irf, amplitude, index = task
    return injection.closure(injection.UnderTest.read(irf), seed, amplitude, index)


def summary(pulls: list[float]) -> tuple[float, float, float, float]:
    """Mean of the pulls, its error, their width, its error."""
    n, mean = len(pulls), sum(pulls) / len(pulls)
    width = (sum((p - mean) ** 2 for p in pulls) / (n - 1)) ** 0.5
    return mean, width / n**0.5, width, width / (2 * (n - 1)) ** 0.5


def report(rows: list[dict[str, Any]]) -> bool:
    """Print the table and the verdict."""
    good = [r for r in rows if r["converged"] and all(r[k]["pull"] is not None for k in ("amplitude", "index"))]
    excess = sum(r["excess"] for r in rows) / len(rows)
    low, high = rows[0]["fit_range_tev"]
    print(f"{len(rows)} seeds, {len(good)} fits converged, {excess:.0f} excess counts a fit, {low:.3g} to {high:.3g} TeV")
    print(f"{'parameter':<10} {'mean pull':>16} {'width':>16} {'mean error':>11}  verdict")
    accepted = len(good) == len(rows) and len(rows) >= FEWEST_SEEDS
    for name in ("amplitude", "index"):
        mean, mean_error, width, width_error = summary([r[name]["pull"] for r in good])
        relative = sum(r[name]["error"] / abs(r[name]["value"]) for r in good) / len(good)
        fine = abs(mean) <= LARGEST_MEAN + mean_error and WIDTHS[0] - width_error <= width <= WIDTHS[1] + width_error
        accepted &= fine
        print(
            f"{name:<10} {mean:+8.2f} +- {mean_error:.2f} {width:9.2f} +- {width_error:.2f} {relative:>10.1%}  {'ok' if fine else 'FAIL'}"
        )
    rule = f"|mean| <= {LARGEST_MEAN}, width {WIDTHS[0]} to {WIDTHS[1]}, {FEWEST_SEEDS} seeds or more, all converged"
    print(f"closure: {'accepted' if accepted else 'NOT accepted'} ({rule})")
    return accepted


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument(
        "--irf", nargs="+", type=Path, default=[], help="files of the workflow, which the seeds take in turn; made if not given"
    )
    cli.add_argument("--irfs", type=int, default=3, help="how many to make")
    cli.add_argument("--params", type=Path, help="JSON with parameters of those made")
    cli.add_argument("--seeds", type=int, default=60)
    cli.add_argument("--first-seed", type=int, default=101)
    cli.add_argument("--amplitude", type=float, default=3e-11, help="1 / (cm2 s TeV) at 1 TeV")
    cli.add_argument("--index", type=float, default=2.5)
    cli.add_argument("--cores", type=int, default=2)
    cli.add_argument("--out", type=Path, help="JSON lines, one a seed")
    args = cli.parse_args()
    if args.seeds < 2:
        cli.error("a width needs two seeds or more")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(args.cores) as pool:
        files = [path.resolve() for path in args.irf]
        if not files:
            given = json.loads(args.params.read_text()) if args.params else {}
            sets = [{**given, "seed": 7001 + k} for k in range(args.irfs)]
            files = list(pool.map(make_irf, [Path(scratch) / str(k) for k in range(args.irfs)], sets))
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        rows = list(pool.map(one, [(s, str(files[k % len(files)]), args.amplitude, args.index) for k, s in enumerate(seeds)]))
    if args.out:
        args.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sys.exit(not report(rows))


if __name__ == "__main__":
    main()
