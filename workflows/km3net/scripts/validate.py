"""
Step `validate`: is the event table what it claims to be, and are the directions those of the truth, or of
another reconstruction?

Three verdicts: valid, invalid, and not judged, where too few good tracks can be compared with anything.
Succeeds in any case.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import table
from astropy.io import fits
from documents import read_json, write_json
from scipy.optimize import curve_fit

#: good tracks with truth (or reference) below which nothing is said about directions
FEWEST = 20
#: with what directions are compared, the best first -> column of the event table
OTHERS = {"the truth": "true_angle", "the reconstruction of the files": "reference_angle"}
#: 68 % interval of the pulls, halved; 1 for a Gaussian with right errors
PULL_WIDTH = (0.7, 1.5)
#: standard errors by which the median of the pulls may differ from 0, and what is allowed in any case
BIAS_SIGMA, BIAS = 4.0, 0.15
#: part by which the width of the residuals about the true track may differ from the jitter, and shift (ns) of
#: their peak
RESIDUAL_WIDTH, RESIDUAL_SHIFT = 0.15, 0.5
#: ns; times are recorded in whole ns
DIGITISATION = 1 / math.sqrt(12)
#: of simulated events: the median of log10(energy / true energy) must be below it
ENERGY_BIAS = 0.3


@dataclass
class Verdict:
    """Checks made, warnings, and why the directions could not be judged (empty if they were)."""

    checks: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    not_judged: str = ""

    def check(self, name: str, passed: Any, detail: str = "") -> None:
        """Note one check."""
        self.checks.append({"name": name, "passed": bool(passed), "detail": detail})

    def document(self) -> dict[str, Any]:
        """As it is written: `valid` is null if nothing failed, but too little was there to judge."""
        passed = all(c["passed"] for c in self.checks)
        warnings = [f"not judged: {self.not_judged}", *self.warnings] if self.not_judged else self.warnings
        return {
            "valid": None if passed and self.not_judged else passed,
            "checks": self.checks,
            "warnings": warnings,
        }


def core(low: Any, counts: Any, sigma: float) -> tuple[float, float, float] | None:
    """
    Peak and width (ns) of residuals: a Gaussian is fitted to the early side and the top, where scattered
    light does not reach.

    Parameters
    ----------
    low : array
        Lower edges of the bins, ns.
    counts : array
    sigma : float
        ns, expected width.

    Returns
    -------
    peak, width, error of the width : float
        None if there are too few.
    """
    centre = np.asarray(low) + 0.25
    background = counts[centre < -8 * sigma].mean() if (centre < -8 * sigma).any() else 0.0
    chosen = (centre > -4 * sigma) & (centre < 1.0 * sigma)
    values = counts[chosen] - background
    if values.sum() < 200:
        return None

    def gauss(x: Any, height: float, peak: float, width: float) -> Any:
        return height * np.exp(-0.5 * ((x - peak) / width) ** 2)

    try:
        found, covariance = curve_fit(
            gauss,
            centre[chosen],
            values,
            p0=(values.max(), 0.0, sigma),
            sigma=np.sqrt(np.maximum(counts[chosen], 1)),
            absolute_sigma=True,
        )
    except RuntimeError:
        return None
    return float(found[1]), abs(float(found[2])), float(np.sqrt(covariance[2, 2]))


def check_table(v: Verdict, events: Any, summary: Mapping[str, Any]) -> None:
    """Columns, units, ranges, counts."""
    units = {c.name: c.unit or "" for c in events.columns}
    wrong = [n for n, (_, unit, _) in table.COLUMNS.items() if units.get(n) != unit]
    v.check(
        "columns and units",
        not wrong,
        f"wrong or missing: {', '.join(wrong)}" if wrong else f"{len(units)} columns",
    )
    if wrong:
        return
    rows = events.data
    length = np.sqrt(rows["dir_x"] ** 2 + rows["dir_y"] ** 2 + rows["dir_z"] ** 2)
    v.check("directions are unit vectors", np.all(np.abs(length - 1) < 1e-6), "")
    zenith, azimuth = table.angles(np.stack([rows["dir_x"], rows["dir_y"], rows["dir_z"]], axis=1))
    agree = np.abs(zenith - rows["zenith"]) + np.abs((azimuth - rows["azimuth"] + 180) % 360 - 180)
    ranges = (
        (rows["zenith"] >= 0) & (rows["zenith"] <= 180) & (rows["azimuth"] >= 0) & (rows["azimuth"] < 360)
    )
    v.check("angles are those of the directions", np.all(ranges & (agree < 1e-6)), "")
    positive = np.all((rows["direction_error"] > 0) & (rows["chi2"] >= 0) & (rows["ndf"] > 0))
    v.check("errors are positive", positive, "")
    numbers = [n for _, n in summary["flow"]]
    falling = all(
        a >= b for f in summary["files"] for (_, a), (_, b) in zip(f["flow"], f["flow"][1:], strict=False)
    )
    ends = dict(map(tuple, summary["flow"]))
    right = ends.get("fit") == len(rows) and ends.get("good") == int(rows["good"].sum())
    v.check("cut flow", falling and right, " > ".join(map(str, numbers)))
    v.check("tracks were fitted", len(rows) > 0, f"{len(rows)} of {numbers[0]} events")


def check_directions(v: Verdict, good: Any, largest: float) -> None:
    """
    Good tracks beside the truth, or, where there is none, beside the reconstruction that their files came
    with.

    Parameters
    ----------
    v : Verdict
    good : array
        Good rows of the event table.
    largest : float
        deg, median angle beyond which the results are invalid.
    """
    others = {name: good[column][np.isfinite(good[column])] for name, column in OTHERS.items()}
    for name, angles in others.items():
        if len(angles) >= FEWEST:
            median = float(np.median(angles))
            v.check(
                f"median angle to {name}",
                median <= largest,
                f"{median:.3f} deg of {len(angles)} tracks, at most {largest} deg",
            )
            return
    v.not_judged = f"{len(good)} good track{'s' * (len(good) != 1)}"
    if compared := {name: angles for name, angles in others.items() if len(angles)}:
        told = [
            f"{len(angles)} with {name}, {np.median(angles):.1f} deg (median) from it"
            for name, angles in compared.items()
        ]
        v.not_judged += f", {'; '.join(told)}"
    elif len(good):
        v.not_judged += ", with neither a truth nor another reconstruction"
    v.not_judged += f". Directions are judged from {FEWEST} on"


def check_simulation(v: Verdict, own: Any, residuals: Any, parameters: Mapping[str, Any]) -> None:
    """What must hold for events of our simulation: pulls, residuals about the true track, energy."""
    own = own[np.isfinite(own["true_angle"])]
    if len(own) < FEWEST:
        v.warnings.append(f"{len(own)} good simulated tracks are too few for a check of pulls and residuals")
        return
    for name in ("zenith", "azimuth"):
        low, middle, high = np.quantile(own[f"{name}_pull"], [0.1587, 0.5, 0.8413])
        width, allowed = (high - low) / 2, BIAS + BIAS_SIGMA * 1.2533 * (high - low) / 2 / math.sqrt(len(own))
        v.check(
            f"{name} is unbiased",
            abs(middle) <= allowed,
            (f"median pull {middle:+.2f}, allowed {allowed:.2f}"),
        )
        v.check(f"{name} error", PULL_WIDTH[0] <= width <= PULL_WIDTH[1], f"width of the pulls {width:.2f}")
    expected = math.hypot(parameters["time_jitter"], DIGITISATION)
    found = core(residuals["low"], residuals["truth"].astype(float), expected)
    if found is None:
        v.warnings.append("too few hits for a check of the residuals")
    else:
        peak, width, error = found
        allowed = RESIDUAL_WIDTH * expected + 3 * error
        v.check(
            "residuals: width",
            abs(width - expected) <= allowed,
            f"{width:.2f} ± {error:.2f} ns about the true tracks, expected {expected:.2f} ns",
        )
        v.check("residuals: peak", abs(peak) <= RESIDUAL_SHIFT, f"{peak:+.2f} ns")
    ratio = np.log10(own["energy"] / own["true_energy"])
    middle = float(np.median(ratio[np.isfinite(ratio)])) if np.isfinite(ratio).any() else math.nan
    v.check(
        "energy is unbiased",
        abs(middle) <= ENERGY_BIAS,
        f"median of log10(energy / true energy) {middle:+.2f}",
    )


def validate(path: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """
    Verdict on an event table.

    Parameters
    ----------
    path : Path
        FITS file of the step `summary`.
    summary : mapping
        Its document.
    """
    v = Verdict()
    with fits.open(path, memmap=False) as hdus:
        check_table(v, hdus["EVENTS"], summary)
        if not all(c["passed"] for c in v.checks):
            return v.document()
        rows = hdus["EVENTS"].data
        good = rows[rows["good"]]
        check_directions(v, good, summary["parameters"]["max_median_angle"])
        simulated = [f["file"] for f in summary["files"] if f["simulated"]]
        if simulated:
            # residuals about true tracks exist for events of our simulation only: other truths have no time
            check_simulation(
                v, good[np.isin(good["file"], simulated)], hdus["RESIDUALS"].data, summary["parameters"]
            )
    if len(kinds := sorted({f["kind"] for f in summary["files"]})) > 1:
        v.warnings.append(f"one table of files of several kinds: {', '.join(kinds)}")
    unlike = [f["name"] for f in summary["files"] if f.get("hits_of_unknown_photomultipliers")]
    if unlike:
        v.warnings.append(
            "hits of photomultipliers that the detector file does not have, or that are off, "
            "were dropped "
            f"in {len(unlike)} files"
        )
    return v.document()


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--table", type=Path, required=True)
    cli.add_argument("--summary", type=Path, required=True)
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    document = validate(args.table, read_json(args.summary))
    for check in document["checks"]:
        print(
            "ok  " if check["passed"] else "FAIL",
            check["name"],
            f"({check['detail']})" if check["detail"] else "",
        )
    print({True: "valid", False: "invalid", None: "not judged"}[document["valid"]])
    for warning in document["warnings"]:
        print("warning:", warning)
    write_json(args.out, document)


if __name__ == "__main__":
    main()
