"""Step `plots`: pictures of the event table."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# a worker's home may not be writable
os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="matplotlib-"))

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits
from documents import read_json
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

#: colour-blind safe (Okabe, Ito 2008)
BLUE, RED, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.75"
STYLE = {
    "figure.figsize": (6.4, 4.4),
    "figure.dpi": 110,
    "font.size": 10.5,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
}
#: deg, of the picture of angles
ANGLES = np.logspace(-2.3, 2.26, 46)
#: s; times before are those of simulations that have none
MODERN = 1.0e9
MOST_BINS = 60


def decades(axis: Axis) -> None:
    """Logarithmic scale with plain numbers where they stay short."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1,) if high > 30 * low else (1, 2, 5)))
    axis.set_major_formatter(
        FuncFormatter(
            lambda v, _: f"{v:g}" if 1e-3 <= v < 1e6 else f"$10^{{{round(np.log10(v))}}}$" if v > 0 else ""
        )
    )
    axis.set_minor_formatter(NullFormatter())


def flow(ax: Axes, rows: Any, _: Any, summary: Mapping[str, Any]) -> str:
    names, numbers = zip(*summary["flow"], strict=True)
    at = np.arange(len(names))[::-1]
    ax.barh(at, numbers, color=BLUE, height=0.65)
    for y, number in zip(at, numbers, strict=True):
        ax.annotate(f" {number}", (number, y), va="center")
    ax.set(yticks=at, yticklabels=names, xlabel="events left", xlim=(0, 1.12 * max(*numbers, 1)))
    ax.grid(visible=False, axis="y")
    number = len(summary["files"])
    return f"Cut flow of {number} file{'s' * (number != 1)}"


def zenith(ax: Axes, rows: Any, _: Any, summary: Mapping[str, Any]) -> str:
    bins = np.linspace(-1, 1, 21)
    good = rows[rows["good"]]
    ax.hist(np.cos(np.radians(rows["zenith"])), bins, color=GREY, label=f"all {len(rows)} tracks")
    ax.hist(np.cos(np.radians(good["zenith"])), bins, color=BLUE, label=f"{len(good)} good ones")
    true = good[np.isfinite(good["true_zenith"])]
    if len(true):
        ax.hist(
            np.cos(np.radians(true["true_zenith"])),
            bins,
            histtype="step",
            color=RED,
            lw=1.7,
            label="their true zenith angle",
        )
    ax.set(xlabel="cos(zenith angle)    up-going ← → down-going", ylabel="tracks", xlim=(-1, 1))
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])
    ax.legend(ncols=2)
    return "Zenith angle"


def resolution(ax: Axes, rows: Any, _: Any, summary: Mapping[str, Any]) -> str:
    good, drawn = rows[rows["good"]], False
    for name, colour, label in (
        ("true_angle", BLUE, "to the truth"),
        ("reference_angle", RED, "to the reference reconstruction"),
    ):
        values = good[name][np.isfinite(good[name])]
        if len(values):
            ax.hist(
                np.clip(values, ANGLES[0], ANGLES[-1]),
                ANGLES,
                histtype="step",
                color=colour,
                lw=1.7,
                label=f"{label}: median {np.median(values):.2f}°",
            )
            ax.axvline(np.median(values), ymax=0.72, color=colour, lw=1, ls=":")
            drawn = True
    if len(good):
        # the error is along one axis; half of the events are within 1.18 of it
        ax.hist(
            np.clip(1.1774 * good["direction_error"], ANGLES[0], ANGLES[-1]),
            ANGLES,
            color=GREY,
            zorder=0,
            label="expected from the fit's error",
        )
    if drawn or len(good):
        ax.legend(loc="upper right")
    ax.set(xscale="log", xlabel="angle [deg]", ylabel="good tracks", xlim=(ANGLES[0], ANGLES[-1]))
    ax.set_ylim(0, 1.4 * ax.get_ylim()[1])
    decades(ax.xaxis)
    return "Angle between reconstructed and other direction"


def residuals(ax: Axes, rows: Any, counts: Any, summary: Mapping[str, Any]) -> str:
    edges = np.append(counts["low"], counts["high"][-1])
    for name, colour, label in (("fit", BLUE, "fitted tracks"), ("truth", RED, "true tracks")):
        if counts[name].any():
            ax.stairs(counts[name], edges, color=colour, lw=1.5, label=f"about {label}")
    if counts["fit"].any() or counts["truth"].any():
        ax.set_yscale("log")
        ax.legend()
    ax.axvline(0, color="0.5", lw=1)
    ax.set(
        xlabel="hit time - expected arrival of direct light [ns]",
        ylabel="hits of good tracks / 0.5 ns",
        xlim=(edges[0], edges[-1]),
    )
    return f"Time residuals of hits within {summary['parameters']['road_width']:g} m"


def pulls(ax: Axes, rows: Any, _: Any, summary: Mapping[str, Any]) -> str:
    good, bins = rows[rows["good"]], np.linspace(-5, 5, 41)
    number = 0
    for name, colour in (("zenith_pull", BLUE), ("azimuth_pull", RED)):
        values = good[name][np.isfinite(good[name])]
        number = max(number, len(values))
        if len(values):
            low, high = np.quantile(values, [0.1587, 0.8413])
            label = f"{name.split('_')[0]}: median {np.median(values):+.2f}, width {(high - low) / 2:.2f}"
            ax.hist(np.clip(values, -5, 5), bins, histtype="step", color=colour, lw=1.7, label=label)
    x = np.linspace(-5, 5, 200)
    ax.plot(
        x, number * 0.25 * np.exp(-x * x / 2) / np.sqrt(2 * np.pi), color="0.5", lw=1, label="unit Gaussian"
    )
    ax.legend(loc="upper right")
    ax.set(xlabel="(reconstructed - true) / error", ylabel="good tracks", xlim=(-5, 5))
    ax.set_ylim(0, 1.35 * ax.get_ylim()[1])
    return "Pulls of the direction" if number else "Pulls of the direction: no truth"


def quality(ax: Axes, rows: Any, _: Any, summary: Mapping[str, Any]) -> str:
    cuts = summary["parameters"]
    for chosen, colour, label in ((~rows["good"], "0.55", "others"), (rows["good"], BLUE, "good tracks")):
        some = rows[chosen & (rows["direction_error"] > 0)]
        ax.plot(
            some["n_modules"], some["direction_error"], ".", ms=5, color=colour, label=f"{len(some)} {label}"
        )
    ax.axhline(cuts["max_direction_error"], color=RED, lw=1.1, ls="--")
    ax.axvline(cuts["good_modules"] - 0.5, color=RED, lw=1.1, ls="--", label="cuts")
    ax.set(yscale="log", xlabel="modules on the track", ylabel="estimated error of the direction [deg]")
    decades(ax.yaxis)
    ax.legend()
    return "Quality of the tracks"


def rate(ax: Axes, rows: Any, _: Any, summary: Mapping[str, Any]) -> str:
    timed = rows[rows["time"] > MODERN]
    if len(timed) < 2 or np.ptp(timed["time"]) <= 0:
        ax.text(0.5, 0.5, "the events carry no time", transform=ax.transAxes, ha="center")
        ax.set_axis_off()
        return "Rate"
    begin = timed["time"].min()
    hours = (timed["time"] - begin) / 3600
    bins = np.linspace(0, hours.max() * (1 + 1e-9), min(MOST_BINS, max(4, len(timed) // 10)) + 1)
    seconds = (bins[1] - bins[0]) * 3600
    for chosen, colour, label in (
        (np.ones(len(timed), dtype=bool), GREY, "all tracks"),
        (timed["good"], BLUE, "good tracks"),
    ):
        counts = np.histogram(hours[chosen], bins)[0]
        ax.stairs(counts / seconds, bins, color=colour, lw=1.7, label=label)
        middle = (bins[:-1] + bins[1:]) / 2
        ax.errorbar(middle, counts / seconds, np.sqrt(counts) / seconds, fmt="none", color=colour, lw=1)
    start = np.datetime64(int(begin), "s")
    ax.set(xlabel=f"hours since {start} UTC", ylabel="rate [Hz]", ylim=(0, None))
    ax.legend()
    return "Rate of tracks"


def energy(ax: Axes, rows: Any, _: Any, summary: Mapping[str, Any]) -> str:
    good = rows[rows["good"]]
    both = good[np.isfinite(good["energy"]) & np.isfinite(good["true_energy"])]
    if len(both):
        ax.plot(both["true_energy"], both["energy"], ".", color=BLUE, ms=4)
        ends = np.array([both["true_energy"].min(), both["true_energy"].max()])
        ax.plot(ends, ends, color="0.5", lw=1)
        ax.set(xscale="log", yscale="log", xlabel="true energy [GeV]", ylabel="energy from the light [GeV]")
        decades(ax.xaxis)
        decades(ax.yaxis)
        return f"Energy of {len(both)} good simulated tracks"
    light = good["light"][np.isfinite(good["light"])]
    ax.hist(np.clip(light, 0.1, 1e5), np.logspace(-1, 5, 37), color=BLUE)
    ax.set(xscale="log", xlabel="light relative to a muon that only ionises", ylabel="good tracks")
    decades(ax.xaxis)
    return "Light of good tracks"


FIGURES: dict[str, Callable[[Axes, Any, Any, Mapping[str, Any]], str]] = {
    "cut_flow": flow,
    "zenith": zenith,
    "angular_resolution": resolution,
    "residuals": residuals,
    "pulls": pulls,
    "quality": quality,
    "rate": rate,
    "energy": energy,
}


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--table", type=Path, required=True)
    cli.add_argument("--summary", type=Path, required=True)
    cli.add_argument("--out", type=Path, required=True, help="folder")
    args = cli.parse_args()
    summary = read_json(args.summary)
    args.out.mkdir(parents=True, exist_ok=True)
    with fits.open(args.table, memmap=False) as hdus, plt.rc_context(STYLE):
        rows, counts = hdus["EVENTS"].data, hdus["RESIDUALS"].data
        for name, draw in FIGURES.items():
            figure, ax = plt.subplots(layout="constrained")
            ax.set_title(draw(ax, rows, counts, summary))
            # no software version and date in the file: equal events give equal bytes
            figure.savefig(args.out / f"{name}.png", metadata={"Software": None})
            plt.close(figure)
    print(", ".join(FIGURES))


if __name__ == "__main__":
    main()
