"""
Closure of the workflow `fair`: are the number of decays and the mass of the Λ found again, and are their
errors right?

Each seed is an experiment: toy events of a known rate, fitted, and an independent simulation from which the
efficiency comes. Pulls are (found - true) / error: of the yield corrected for efficiency against the rate
that was asked for, and of the fitted yield against the true decays among the candidates, whose own
fluctuation is then no error. The mass is high by its systematic error (README.md of the workflow), so its
pulls are about their mean. Last, the efficiency of a detector that sees less than that of the data: that must
be seen.

    python benchmarks/closure.py fair            # two rates, 100 seeds each: about four minutes, two cores
    python benchmarks/closure.py fair --quick    # 40 seeds of smaller experiments
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "fair"
sys.path[:0] = [str(WORKFLOW / "scripts"), str(Path(__file__).parent)]

import pulls  # noqa: E402

#: rate of the Λ -> events of an experiment, in full and in short
RATES = {0.2: (10_000, 3000), 1.0: (4000, 1200)}
#: events of the simulation, one decay each on average, in full and in short
SIMULATED = (8000, 2000)
WINDOW, BINS = (1.085, 1.165), 160
#: polar angles (degrees) of the detector that is not that of the data
WRONG_ANGLES = (2.5, 18.0)
#: standard errors of the mean by which a wrong acceptance must stand out
SEEN = 5.0


@contextmanager
def acceptance(angles: tuple[float, float] | None) -> Iterator[None]:
    """The toy detector with other polar angles (degrees)."""
    import detector
    import numpy as np

    right = detector.ANGLES
    try:
        detector.ANGLES = right if angles is None else np.radians(angles)
        yield
    finally:
        detector.ANGLES = right


def candidates(events: int, seed: int, block: int, rate: float) -> tuple[Any, int, int]:
    """Masses (GeV) of the candidates in the window, true ones among them, and decays in all events."""
    import awkward as ak
    import generate
    import selection

    made = generate.simulate(events, seed, block, 10.0, rate, 0.01)
    chunk = ak.zip({"tracks": made["trk"], "decays": made["mc_decays"]}, depth_limit=1)
    cuts = selection.Cuts(identification=3, resolution=0.01, distance=0.2, decay_length=3, pointing=0.05)
    columns, true, _ = selection.candidates(chunk, cuts)
    inside = (columns["mass"] >= WINDOW[0]) & (columns["mass"] < WINDOW[1])
    return columns["mass"][inside], int(true[inside].sum()), int(made["mc_decays"].sum())


def experiment(task: tuple[int, float, int, int, tuple[float, float] | None]) -> dict[str, float]:
    """
    One seed.

    Parameters
    ----------
    task : tuple
        Seed, rate of the Λ in an event, events, events of the simulation, polar angles (degrees) of the
        detector that is simulated (None: that of the data).

    Returns
    -------
    dict
        `rate`, `yield`: pulls. `mass`: (fitted - PDG) / error of the fit. `shift`: fitted - PDG (GeV).
        `relative`: error of the corrected yield over its value. `found`: true decays among the candidates.
    """
    import efficiency
    import numpy as np
    import particles
    import shapes
    import spectrum

    seed, rate, events, simulated, angles = task
    masses, true, _ = candidates(events, seed, 1, rate)
    with acceptance(angles):
        _, found, decays = candidates(simulated, seed, 0, 1.0)
    edges = np.linspace(*WINDOW, BINS + 1)
    fit = spectrum.fit(
        np.histogram(masses, edges)[0].astype(float), edges, shapes.model("threshold", 3, WINDOW)
    )["parameters"]
    part = efficiency.of({"decays": decays, "found": found, "files": []})
    if part is None:
        raise SystemExit(f"seed {seed}: nothing was found in the simulation")
    total, signal, mass = efficiency.corrected(fit["signal"], part), fit["signal"], fit["mass"]
    return {
        "rate": (total["value"] - rate * events) / total["error"],
        "yield": (signal["value"] - true) / max(signal["error"] ** 2 - signal["value"], 1.0) ** 0.5,
        "mass": (mass["value"] - particles.LAMBDA) / mass["error"],
        "shift": mass["value"] - particles.LAMBDA,
        "relative": total["error"] / total["value"],
        "found": float(true),
    }


def tasks(
    rate: float, seeds: Sequence[int], short: bool, angles: tuple[float, float] | None = None
) -> list[tuple[Any, ...]]:
    """Of `experiment`, for each seed."""
    return [(seed, rate, RATES[rate][short], SIMULATED[short], angles) for seed in seeds]


def report(rate: float, rows: list[dict[str, float]]) -> bool:
    """Print the table of one rate and its verdict."""
    import systematics

    print(
        f"\n{rate:g} Λ an event: {len(rows)} seeds, {fmean(r['found'] for r in rows):.0f} Λ "
        "among the "
        f"candidates of each\n{pulls.HEADING}"
    )
    relative, shift = fmean(r["relative"] for r in rows), fmean(r["shift"] for r in rows)
    middle = fmean(r["mass"] for r in rows)
    accepted = True
    for name, values, error in (
        ("corrected yield", [r["rate"] for r in rows], relative),
        ("yield", [r["yield"] for r in rows], relative),
        ("mass, about its mean", [r["mass"] - middle for r in rows], 0.0),
    ):
        text, fine = pulls.line(name, values, error)
        accepted &= fine
        print(text)
    within = abs(shift) <= systematics.MASS
    told = "ok" if within else "FAIL"
    print(
        f"mass - PDG: {1e6 * shift:+.0f} keV on average, systematic error "
        f"{1e6 * systematics.MASS:.0f} keV "
        f" {told}"
    )
    return accepted and within


def wrong(rows: list[dict[str, float]]) -> bool:
    """Print whether a wrong acceptance is seen."""
    mean, error, *_ = pulls.summary([r["rate"] for r in rows])
    seen = mean > SEEN * error and mean > pulls.LARGEST_MEAN + error
    print(
        f"\nefficiency of a detector from {WRONG_ANGLES[0]} to {WRONG_ANGLES[1]} deg, where that "
        "of the "
        "data ends at 25 deg:"
    )
    print(f"pull of the corrected yield {mean:+.2f} +- {error:.2f}: {'seen' if seen else 'NOT seen'}")
    return seen


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--seeds", type=int, default=100)
    cli.add_argument("--first-seed", type=int, default=1001)
    cli.add_argument(
        "--quick", action="store_true", help="the fewest seeds, and smaller experiments: for a look"
    )
    cli.add_argument("--cores", type=int, default=2)
    cli.add_argument("--out", type=Path, help="JSON with all seeds")
    args = cli.parse_args()
    seeds = range(args.first_seed, args.first_seed + (pulls.FEWEST_SEEDS if args.quick else args.seeds))
    with ProcessPoolExecutor(args.cores) as pool:
        made = {
            rate: list(pool.map(experiment, tasks(rate, seeds, args.quick), chunksize=5)) for rate in RATES
        }
        other = list(pool.map(experiment, tasks(1.0, seeds[:10], args.quick, WRONG_ANGLES)))
    accepted = [report(rate, rows) for rate, rows in made.items()]
    accepted.append(wrong(other))
    if args.out:
        args.out.write_text(
            json.dumps({"rates": {str(rate): rows for rate, rows in made.items()}, "wrong": other})
        )
    print(f"\nclosure: {'accepted' if all(accepted) else 'NOT accepted'} ({pulls.RULE})")
    sys.exit(not all(accepted))


if __name__ == "__main__":
    main()
