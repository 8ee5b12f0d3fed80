"""
Step `report`: one page with pictures, numbers, verdict, parameters, files and software of a campaign.
Standard library only.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from documents import read_json, write_text
from page import Page, measured, number

PACKAGES = ("numpy", "scipy", "astropy", "h5py", "km3io", "km3det", "matplotlib")
CAPTIONS = {
    "cut_flow": "Events that are left after each step, of all files.",
    "zenith": "From where the muons came.",
    "angular_resolution": "Of good tracks. Grey: what the errors of the fits lead one to expect.",
    "residuals": (
        "A hit of direct light has none; scattered light is late. About true tracks for simulated "
        "events only."
    ),
    "pulls": "Errors are right if they are one wide, and directions unbiased if they are around zero.",
    "quality": (
        "Dashed: two cuts of this campaign. Others are on χ²/ndf, the part of hits on the track, "
        "and the lead over other tracks."
    ),
    "rate": "By the clock of the events, if they carry one; statistical errors.",
    "energy": (
        "From the light near the track. The line, if there is a true energy, is where both are equal."
    ),
}
#: parameters of this group say nothing of a campaign whose events are given
SIMULATION = "Simulation"
#: name in the summary -> what it is, unit
FIGURES = {
    "true_angle_deg": ("Angle to the true direction", "deg"),
    "reference_angle_deg": ("Angle to the reconstruction that the files came with", "deg"),
    "direction_error_deg": ("Error of the direction as the fit estimates it", "deg"),
    "chi2_per_ndf": ("χ² per degree of freedom", ""),
    "hits": ("Hits on the track", ""),
    "log10_energy_ratio": ("log₁₀ (energy / true energy)", ""),
}
CITE = (
    (
        "S. Adrián-Martínez et al. (KM3NeT), Letter of Intent for KM3NeT 2.0, J. Phys. G 43, 084001 "
        "(2016), "
        "doi:10.1088/0954-3899/43/8/084001"
    ),
    "KM3NeT, The Online Data Filter for the KM3NeT Neutrino Telescopes, arXiv:2506.05881",
    "K. Melis et al., KM3NeT/ARCA Event Reconstruction Algorithms, PoS(ICRC2017)950",
    (
        "Astropy: The Astropy Collaboration, Astrophys. J. 935, 167 (2022); SciPy: P. Virtanen et "
        "al., Nature "
        "Methods 17, 261 (2020)"
    ),
)


def between(middle: float, low: float, high: float) -> str:
    """A number with the interval around it, to two digits of its smaller side."""
    sides = [side for side in (high - middle, middle - low) if side > 0]
    places = max(0, 1 - math.floor(math.log10(min(sides)))) if sides else 3
    return f"{middle:.{places}f} (+{high - middle:.{places}f}, -{middle - low:.{places}f})"


def rows_of(statistics: Mapping[str, Any]) -> list[list[object]]:
    """Medians with the interval in which the true ones lie at 68 %, and the quantiles."""
    rows: list[list[object]] = []
    for name, (title, unit) in FIGURES.items():
        if (found := statistics[name]) is None:
            continue
        cells = [
            number(
                between(found["median"], found["median_low"], found["median_high"]),
                found["median"],
                name,
                unit,
            )
        ]
        cells += [number(measured(found[q]), found[q], f"{name}-{q}", unit) for q in ("q68", "q90")]
        rows.append([title, *cells])
    return rows


def facts(summary: Mapping[str, Any], validation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What one looks for first."""
    files = len(summary["files"])
    counts, passed = summary["statistics"], sum(c["passed"] for c in validation["checks"])
    found = [
        ("Checks", f"{passed} passed, {len(validation['checks']) - passed} failed"),
        ("Warnings", str(len(validation["warnings"]) or "none")),
        ("Events", f"{summary['flow'][0][1]} in {files} file{'s' * (files != 1)}"),
        ("Tracks", f"{counts['tracks']}, of which {counts['good']} good"),
        ("Up-going", f"{counts['upgoing']} of the good ones"),
    ]
    for name, title in (
        ("true_angle_deg", "Median angle to the truth"),
        ("reference_angle_deg", "Median angle to the reference"),
    ):
        if counts[name]:
            found.append((title, f"{counts[name]['median']:.2f}°"))
    return found


def make(
    summary: Mapping[str, Any], validation: Mapping[str, Any], properties: Mapping[str, Any], plots: Path
) -> str:
    """
    The page.

    Parameters
    ----------
    summary, validation : mapping
        Documents of the steps with these names.
    properties : mapping
        Parameters of ``params.schema.json``.
    plots : Path
        Folder of PNG files.
    """
    page = Page(
        ("Muon tracks in a neutrino telescope"), f"Campaign {summary['campaign']}", validation["valid"]
    )
    page.facts(facts(summary, validation))
    page.verdict(validation)
    order = list(CAPTIONS)
    drawn = sorted(
        plots.glob("*.png"), key=lambda p: (order.index(p.stem) if p.stem in order else len(order), p.name)
    )
    page.figures("Pictures", drawn, CAPTIONS)
    page.table(
        "Good tracks", ("", "median", "68 % are below", "90 % are below"), rows_of(summary["statistics"])
    )
    page.note(
        "In brackets: the interval in which the median lies with a probability of 68 %, by the "
        "number of "
        "tracks."
    )
    first = max(1, summary["flow"][0][1])
    flow = [
        [name, number(str(left), left, f"flow-{name}"), f"{left / first:.1%}"]
        for name, left in summary["flow"]
    ]
    page.table("Cut flow", ("after", "events", "of all"), flow)
    page.checks(validation)
    files = [
        [
            f["file"],
            f["name"],
            f["detector_id"],
            "toy" if f["simulated"] else f"{f['source']}, {f['kind']}",
            f["flow"][0][1],
            f["flow"][-1][1],
        ]
        for f in summary["files"]
    ]
    page.table("Event files", ("", "name", "detector", "from", "events", "good"), files)
    toy = any(f["simulated"] for f in summary["files"])
    used = {n: rule for n, rule in properties.items() if toy or rule.get("group") != SIMULATION}
    page.parameters(summary["parameters"], used)
    note = "Toy events have the data of a real experiment, not its physics." if toy else ""
    page.sources(PACKAGES, CITE, note)
    return page.text()


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    for name in ("summary", "validation", "schema", "plots", "out"):
        cli.add_argument(f"--{name}", type=Path, required=True)
    args = cli.parse_args()
    made = make(
        read_json(args.summary), read_json(args.validation), read_json(args.schema)["properties"], args.plots
    )
    write_text(args.out, made)
    print(f"{len(made)} characters")


if __name__ == "__main__":
    main()
