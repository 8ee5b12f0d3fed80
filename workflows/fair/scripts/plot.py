"""Draw the spectrum with its fit, and what the candidates look like. Equal data give equal bytes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import documents
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import particles
import systematics
import uproot
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

#: colour-blind safe (Okabe, Ito 2008)
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
STYLE = {
    "figure.dpi": 110,
    "font.size": 10.5,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "svg.hashsalt": "fair",
}


def measured(value: float, error: float) -> str:
    """A value with as many digits as two of its error."""
    digits = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def mass(p: dict[str, float]) -> list[str]:
    """The mass (GeV) with both errors, and what its distance from the world average is in them."""
    sigma = (p["value"] - particles.LAMBDA) / np.hypot(p["error"], systematics.MASS)
    return [
        f"m = {measured(1e3 * p['value'], 1e3 * p['error'])} (stat)",
        f"± {1e3 * systematics.MASS:.3f} (syst) MeV",
        f"PDG {1e3 * particles.LAMBDA:.3f} MeV: {sigma:+.1f} σ away",
    ]


def spectrum(file: Any, result: dict[str, Any]) -> Figure:
    """Spectrum, fit, and pulls of the bins below."""
    values, edges = file["mass"].to_numpy()
    edges, centres = edges * 1e3, 5e2 * (edges[1:] + edges[:-1])
    figure, (top, bottom) = plt.subplots(
        2, 1, sharex=True, figsize=(7, 5.6), height_ratios=[3.4, 1], layout="constrained"
    )
    top.errorbar(centres, values, np.sqrt(values), fmt=".", ms=3.5, lw=0.8, color="0.2", label="candidates")
    fitted = result["fit"]
    if fitted:
        expected, background = file["fit"].values(), file["fit_background"].values()
        region = 1e3 * np.array([fitted["signal_region"][end] for end in ("low", "high")])
        top.stairs(expected, edges, color=BLUE, lw=1.6, label="fit")
        top.stairs(
            background,
            edges,
            color=ORANGE,
            lw=1.4,
            ls="--",
            label=f"background ({result['model']['background']})",
        )
        for axis in (top, bottom):
            axis.axvspan(*region, color=GREEN, alpha=0.10, lw=0)
        p, r, g = fitted["parameters"], fitted["signal_region"], fitted["goodness"]
        text = [
            *mass(p["mass"]),
            f"σ = {measured(1e3 * p['sigma']['value'], 1e3 * p['sigma']['error'])} MeV",
            f"N(Λ) = {measured(p['signal']['value'], p['signal']['error'])}",
            f"S/√(S+B) = {r['significance']:.1f}, S/B = {r['signal_to_background']:.2g}",
            f"χ²/ndf = {g['chi2']:.1f}/{g['ndf']}",
        ]
        top.text(0.98, 0.72, "\n".join(text), transform=top.transAxes, ha="right", va="top", linespacing=1.45)
        pulls = np.divide(
            values - expected, np.sqrt(expected), out=np.zeros_like(expected), where=expected > 0
        )
        bottom.bar(centres, pulls, np.diff(edges), color=BLUE, alpha=0.6, lw=0)
        bottom.set_ylim(-max(4, np.abs(pulls).max() * 1.1), max(4, np.abs(pulls).max() * 1.1))
    else:
        bottom.text(0.5, 0.5, result["reason"], transform=bottom.transAxes, ha="center", va="center")
    bottom.axhline(0, color="0.4", lw=0.8)
    top.legend(loc="upper right")
    top.set(
        ylabel=f"candidates / {edges[1] - edges[0]:.2g} MeV",
        title="Λ → p π⁻",
        xlim=(edges[0], edges[-1]),
        ylim=(0, None),
    )
    bottom.set(xlabel="invariant mass of p π⁻ [MeV]", ylabel="pull")
    return figure


def candidates(file: Any, result: dict[str, Any]) -> Figure:
    """
    Where the candidates of the signal region are: transverse momentum and rapidity; proper decay length
    against the sidebands.
    """
    c = file["candidates"].arrays(library="np")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    fitted = result["fit"]
    region = (
        [fitted["signal_region"][end] for end in ("low", "high")]
        if fitted
        else [particles.LAMBDA - 0.003, particles.LAMBDA + 0.003]
    )
    window = result["model"]["window_gev"]
    peak = (c["mass"] >= region[0]) & (c["mass"] <= region[1])
    beside = (
        (c["mass"] >= window[0])
        & (c["mass"] < window[1])
        & ~((c["mass"] > region[0] - 0.003) & (c["mass"] < region[1] + 0.003))
    )
    left.set(xlabel="rapidity", ylabel="$p_T$ [GeV]", title="Signal region, pairs of p and π⁻")
    if peak.any():
        image = left.hist2d(
            c["rapidity"][peak], c["pt"][peak], bins=(30, 24), cmin=1, cmap="viridis", norm=LogNorm(vmin=1)
        )[3]
        bar = figure.colorbar(image, ax=left, label="candidates", format=FuncFormatter(lambda n, _: f"{n:g}"))
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        bar.ax.yaxis.set_minor_locator(NullLocator())
    bins = np.linspace(0, 30, 31)
    width = window[1] - window[0] - (region[1] - region[0]) - 0.006
    right.hist(c["proper_length"][peak], bins, color=BLUE, alpha=0.35, label="signal region")
    # only the shape of the sidebands: the background is not flat in mass
    scale = (
        fitted["signal_region"]["background"] / max(beside.sum(), 1)
        if fitted
        else (region[1] - region[0]) / width
    )
    right.hist(
        c["proper_length"][beside],
        bins,
        weights=np.full(int(beside.sum()), scale),
        histtype="step",
        color=ORANGE,
        lw=1.6,
        label="background from sidebands",
    )
    right.set(
        yscale="log",
        ylim=(0.5, 20 * max(np.histogram(c["proper_length"][peak], bins)[0].max(), 1)),
        xlabel="proper decay length [cm]",
        ylabel="candidates / cm",
        title="Not corrected for acceptance",
    )
    right.legend()
    return figure


def main() -> None:
    """Two PNG files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectrum", type=Path, required=True, help="ROOT file of the fit")
    parser.add_argument("--result", type=Path, required=True)
    args = parser.parse_args()
    result = documents.read_json(args.result)
    with uproot.open(args.spectrum) as file, plt.rc_context(STYLE):
        for name, draw in (("spectrum", spectrum), ("candidates", candidates)):
            figure = draw(file, result)
            figure.savefig(f"{name}.png", metadata={"Software": None})
            plt.close(figure)


if __name__ == "__main__":
    main()
