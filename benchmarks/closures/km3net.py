"""
Closure of the workflow `km3net`: are toy muons found again, without bias and with right errors?

Files of toy events are simulated, filtered, calibrated and reconstructed with the defaults of the workflow,
for both layouts of the detector. Some tracks are another solution of the same few hits and far off, so pulls
are judged by their median and 68 % interval.

    python benchmarks/closure.py km3net          # 40 files for each layout: about six minutes, two cores
    python benchmarks/closure.py km3net --quick  # 6 files of each
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "km3net"
sys.path.insert(0, str(WORKFLOW / "scripts"))

#: layout -> deg, largest median angle to the truth
LAYOUTS = {"arca": 0.15, "orca": 0.25}
#: deg; a track further off than that is another solution
FAR = 1.0
#: part of the good tracks that may be one
LARGEST_PART_FAR = {"arca": 0.15, "orca": 0.04}
#: part of the good tracks that may be of background alone
LARGEST_PART_NOISE = 0.02


def parameters(layout: str, events: int) -> dict[str, Any]:
    """The defaults of the workflow with a layout and a number of events in a file."""
    schema = json.loads((WORKFLOW / "params.schema.json").read_text())["properties"]
    return {
        **{name: rule["default"] for name, rule in schema.items()},
        "layout": layout,
        "events_per_file": events,
    }


def file(task: tuple[str, int, int]) -> tuple[Any, Any]:
    """
    One file of toy events.

    Parameters
    ----------
    task : tuple
        Layout, number of the file, events.

    Returns
    -------
    rows : array
        Of the event table.
    residuals : array of int
        Hits about true tracks, in the bins of `table.RESIDUALS`.
    """
    import calibrate
    import detector
    import filter as cuts
    import reconstruct
    import simulate

    layout, number, events = task
    p = parameters(layout, events)
    pmts = detector.toy(layout, p["strings"], p["seed"])
    content = simulate.simulate(pmts, p, number)
    cuts.select(content, p)
    calibrate.calibrate(content, pmts)
    work = reconstruct.Reconstruction(content, p, pmts)
    return work.run(), work.residuals["truth"]


def report(layout: str, files: list[tuple[Any, Any]], events: int) -> bool:
    """Print the figures of one layout and the verdict."""
    import numpy as np
    import table
    import validate

    rows = np.concatenate([found for found, _ in files])
    residuals = {"low": table.RESIDUALS[:-1], "truth": sum(counts for _, counts in files)}
    good = rows[rows["good"]]
    true = good[np.isfinite(good["true_angle"])]
    noise = len(good) - len(true)
    print(
        f"\n{layout}: {len(files) * events} events, {len(rows)} tracks, {len(good)} good, "
        f"{noise} of them "
        "of background alone"
    )
    angles = true["true_angle"]
    far, wide = float((angles > FAR).mean()), np.quantile(angles, [0.5, 0.68, 0.9])
    print(
        f"angle to the truth: median {wide[0]:.3f} deg, 68 % within {wide[1]:.3f} deg, 90 % within "
        f"{wide[2]:.2f} deg"
    )
    verdict = validate.Verdict()
    verdict.check(
        "median angle", wide[0] <= LAYOUTS[layout], f"{wide[0]:.3f} deg, at most {LAYOUTS[layout]} deg"
    )
    verdict.check(
        "other solutions",
        far <= LARGEST_PART_FAR[layout],
        f"{far:.1%} beyond {FAR:g} deg, at most {LARGEST_PART_FAR[layout]:.0%}",
    )
    verdict.check(
        "background alone",
        noise <= LARGEST_PART_NOISE * len(good),
        f"{noise} of {len(good)} good tracks, at most {LARGEST_PART_NOISE:.0%}",
    )
    for name in ("zenith", "azimuth"):
        low, middle, high = np.quantile(true[f"{name}_pull"], [0.1587, 0.5, 0.8413])
        error = (high - low) / 2 / math.sqrt(len(true))
        print(
            f"pull of the {name}: median {middle:+.2f} +- {1.25 * error:.2f}, width "
            f"{(high - low) / 2:.2f} "
            f"+- {error:.2f}"
        )
    validate.check_simulation(verdict, good, residuals, parameters(layout, events))
    for check in verdict.checks:
        print(
            "ok  " if check["passed"] else "FAIL",
            check["name"],
            f"({check['detail']})" if check["detail"] else "",
        )
    return bool(verdict.document()["valid"])


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--files", type=int, default=40, help="for each layout")
    cli.add_argument("--events", type=int, default=50, help="in a file")
    cli.add_argument("--quick", action="store_true", help="six files of each layout: for a look")
    cli.add_argument("--cores", type=int, default=2)
    args = cli.parse_args()
    numbers = range(1, (6 if args.quick else args.files) + 1)
    with ProcessPoolExecutor(args.cores) as pool:
        made = {
            layout: list(pool.map(file, [(layout, n, args.events) for n in numbers])) for layout in LAYOUTS
        }
    accepted = [report(layout, files, args.events) for layout, files in made.items()]
    print(f"\nclosure: {'accepted' if all(accepted) else 'NOT accepted'} (every line ok)")
    sys.exit(not all(accepted))


if __name__ == "__main__":
    main()
