"""
Figures of a response and its benchmarks, from the FITS files alone: no gammapy, which takes longer to load
than they to draw.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: colour-blind safe (Okabe, Ito 2008)
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
STYLE = {
    "figure.figsize": (6.4, 4.4),
    "figure.dpi": 110,
    "font.size": 10.5,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "lines.markersize": 4,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
}
#: curves drawn of those with an offset each
MOST_CURVES = 5


@dataclass(frozen=True)
class Tables:
    """
    Rows of the response and benchmark tables by HDU name, with the safe energy range (TeV) and what limits
    it.
    """

    response: dict[str, Any]
    benchmark: dict[str, Any]
    safe: tuple[float, float]
    ranges: dict[str, tuple[float, float] | None]
    observation_time: float

    @classmethod
    def read(cls, irf: Path, benchmarks: Path) -> Tables:
        """Read both files of a production."""
        with fits.open(irf, memmap=False) as a, fits.open(benchmarks, memmap=False) as b:
            header = a["EFFECTIVE AREA"].header
            facts = {row["name"]: json.loads(row["value"]) for row in a["PRODUCTION"].data}
            ranges = {"gammas": facts["gamma_range_tev"], "background": facts["background_range_tev"]}
            return cls(
                {h.name: h.data for h in a[1:]},
                {h.name: h.data for h in b[1:]},
                (header["LO_THRES"], header["HI_THRES"]),
                ranges,
                header["OBSTIME"],
            )

    def axis(self, table: str, name: str) -> Array:
        """Edges of an axis of a response table."""
        row = self.response[table][0]
        return np.append(row[f"{name}_LO"], row[f"{name}_HI"][-1]).astype(float)


def centres(edges: Array) -> Array:
    """Geometric centres."""
    return np.sqrt(edges[1:] * edges[:-1])


def plain(value: float, _: Any = None) -> str:
    """Tick label without powers of ten where it stays short."""
    return f"{value:g}" if 1e-3 <= value < 1e4 else f"$10^{{{round(np.log10(value))}}}$" if value > 0 else ""


def energy_axis(ax: Axes, t: Tables, label: str) -> None:
    """Logarithmic energy axis; energies outside the safe range are shaded."""
    edges = t.axis("EFFECTIVE AREA", "ENERG")
    ax.set(xscale="log", xlim=(edges[0], edges[-1]), xlabel=label)
    ax.xaxis.set_major_formatter(FuncFormatter(plain))
    for low, high in ((edges[0], t.safe[0]), (t.safe[1], edges[-1])):
        if high > low:
            ax.axvspan(low, high, color="0.5", alpha=0.09, lw=0)


def by_offset(ax: Axes, energy: Array, rows: Array, offsets: Array) -> None:
    """One curve an offset bin, of many bins some from the axis to the edge; empty bins are left out."""
    for k in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_CURVES)).round().astype(int)):
        ax.plot(
            energy,
            np.where(rows[k] > 0, rows[k], np.nan),
            "o-",
            ms=2.5,
            label=f"{offsets[k]:.3g}–{offsets[k + 1]:.3g}°",
        )
    ax.legend(title="offset", ncols=1)


def effective_area(ax: Axes, t: Tables) -> None:
    """Effective area by offset."""
    rows = np.nan_to_num(t.response["EFFECTIVE AREA"][0]["EFFAREA"])
    by_offset(ax, centres(t.axis("EFFECTIVE AREA", "ENERG")), rows, t.axis("EFFECTIVE AREA", "THETA"))
    energy_axis(ax, t, "true energy [TeV]")
    lowest = rows[rows > 0].min(initial=rows.max())
    ax.set(
        yscale="log",
        ylim=(max(10, lowest / 2), rows.max() * 2),
        ylabel="effective area [m²]",
        title="Effective area after cuts",
    )


def energy_dispersion(ax: Axes, t: Tables) -> None:
    """Energy dispersion near the axis."""
    matrix = np.asarray(t.response["ENERGY DISPERSION"][0]["MATRIX"])[0]
    peak = np.nanmax(np.where(matrix > 0, matrix, np.nan), axis=0, keepdims=True)
    relative = np.divide(matrix, peak, out=np.full(matrix.shape, np.nan), where=(peak > 0) & (matrix > 0))
    energy, migra = t.axis("ENERGY DISPERSION", "ENERG"), t.axis("ENERGY DISPERSION", "MIGRA")
    mesh = ax.pcolormesh(energy, migra, relative, cmap="magma_r", vmin=0, vmax=1, rasterized=True)
    energy_axis(ax, t, "true energy [TeV]")
    ax.axhline(1, color="0.4", lw=0.7)
    ax.set(
        yscale="log",
        ylim=(0.3, 3),
        ylabel="reconstructed / true energy",
        title="Energy dispersion near the axis",
    )
    ax.set_yticks([0.3, 0.5, 1, 2, 3])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(FuncFormatter(plain))
    ax.figure.colorbar(mesh, ax=ax, label="density relative to its peak")


def energy_resolution(ax: Axes, t: Tables) -> None:
    """Energy bias and resolution near the axis."""
    table = t.benchmark["ENERGY_BIAS_RESOLUTION"]
    energy = np.asarray(table["true_energy_center"])
    ax.plot(
        energy, 100 * np.asarray(table["resolution"]), "o-", label="resolution (half of the 68 % interval)"
    )
    ax.plot(energy, 100 * np.asarray(table["bias"]), "s-", label="bias (median)")
    ax.axhline(0, color="0.4", lw=0.7)
    energy_axis(ax, t, "true energy [TeV]")
    ax.set(
        ylim=(-20, 50),
        ylabel="relative to the true energy [%]",
        title="Energy bias and resolution near the axis",
    )
    ax.legend()


def containment_radii(t: Tables, fraction: float) -> Array:
    """Radius (deg) that holds a fraction of the PSF, shape (offsets, energies); NaN in empty bins."""
    edges = t.axis("PSF", "RAD")
    solid = 2 * np.pi * -np.diff(np.cos(np.radians(edges)))
    held = np.cumsum(np.asarray(t.response["PSF"][0]["RPSF"]) * solid[:, None, None], axis=0)
    held = np.concatenate([np.zeros((1, *held.shape[1:])), held])
    out = np.full(held.shape[1:], np.nan)
    for i, j in np.ndindex(out.shape):
        if held[-1, i, j] > 0.5:
            out[i, j] = np.interp(fraction, held[:, i, j], edges)
    return out


def angular_resolution(ax: Axes, t: Tables) -> None:
    """Containment radius of the PSF by offset, or the direction cut of a point-like response."""
    if "PSF" in t.response:
        energy, offsets, rows = (
            centres(t.axis("PSF", "ENERG")),
            t.axis("PSF", "THETA"),
            containment_radii(t, 0.68),
        )
        ax.plot(
            energy,
            containment_radii(t, 0.95)[0],
            "--",
            color=COLOURS[0],
            lw=1.1,
            label=f"95 %, {offsets[0]:.3g}–{offsets[1]:.3g}°",
        )
        title, label = "Angular resolution (68 % containment)", "true energy [TeV]"
    else:
        energy, offsets = centres(t.axis("RAD_MAX", "ENERG")), t.axis("RAD_MAX", "THETA")
        rows, title, label = (
            np.asarray(t.response["RAD_MAX"][0]["RAD_MAX"]),
            "Direction cut (RAD_MAX)",
            "reconstructed energy [TeV]",
        )
    by_offset(ax, energy, rows, offsets)
    energy_axis(ax, t, label)
    ax.set(yscale="log", ylabel="radius [deg]", title=title)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(plain))
    ax.yaxis.set_minor_formatter(NullFormatter())


def background(ax: Axes, t: Tables) -> None:
    """Background rate by offset."""
    rows = np.asarray(t.response["BACKGROUND"][0]["BKG"]) * 1e6
    by_offset(ax, centres(t.axis("BACKGROUND", "ENERG")), rows, t.axis("BACKGROUND", "THETA"))
    energy_axis(ax, t, "reconstructed energy [TeV]")
    ax.set(yscale="log", ylabel="rate [1 / (s TeV sr)]", title="Background rate after the gamma-hadron cut")


def crab(energy: Array) -> Array:
    """
    Flux of the Crab nebula times energy squared, erg / (cm2 s) (HEGRA, Aharonian et al. 2004); energy in TeV.
    """
    return 2.83e-11 * energy ** (2 - 2.62) * 1.602176634


def sensitivity(ax: Axes, t: Tables) -> None:
    """Differential sensitivity to a point source."""
    table = t.benchmark["SENSITIVITY"]
    energy, flux = np.asarray(table["reco_energy_center"]), np.asarray(table["energy_flux_sensitivity"])
    low, high = np.asarray(table["reco_energy_low"]), np.asarray(table["reco_energy_high"])
    ok = np.isfinite(flux) & (flux > 0)
    ax.errorbar(
        energy[ok],
        flux[ok],
        xerr=[(energy - low)[ok], (high - energy)[ok]],
        fmt="o",
        capsize=0,
        label=f"5 σ in {t.observation_time:g} h, 5 bins a decade",
    )
    grid = np.geomspace(low[0], high[-1], 50)
    for part, style in ((1, "-"), (0.1, "--"), (0.01, ":")):
        ax.plot(grid, part * crab(grid), style, color="0.55", lw=1.1, label=f"{100 * part:g} % Crab")
    energy_axis(ax, t, "reconstructed energy [TeV]")
    ax.set(yscale="log", ylabel="E² dN/dE [erg / (cm² s)]", title="Sensitivity, point source near the axis")
    if ok.any():
        ax.set_ylim(flux[ok].min() / 3, max(crab(grid).max() * 2, flux[ok].max()))
    ax.legend()


def cuts(ax: Axes, t: Tables) -> None:
    """Gamma-hadron cut, and the part of the gammas that it keeps."""
    table = t.response["GH_CUTS"]
    energy = np.sqrt(table["low"] * table["high"])
    ax.plot(energy, table["cut"], "o-", label="least gamma-hadron score")
    ax.plot(energy, table["efficiency"], "s-", label="gammas kept")
    energy_axis(ax, t, "reconstructed energy [TeV]")
    ax.set(ylim=(0, 1), ylabel="score, part", title="Gamma-hadron cut")
    ax.legend(loc="lower right")


def statistics(ax: Axes, t: Tables) -> None:
    """Simulated gammas in the innermost offset bin, and effective background events in the field of view."""
    for name, label, colour in (
        ("GAMMA_EVENTS", "gammas near the axis", COLOURS[0]),
        ("BACKGROUND_EVENTS", "background events", COLOURS[1]),
    ):
        table = t.response[name]
        events = np.asarray(table["events"], dtype=float)
        edges = np.append(table["low"], table["high"][-1])
        ax.stairs(events if events.ndim == 1 else events[:, 0], edges, color=colour, lw=1.4, label=label)
    energy_axis(ax, t, "true (gammas) or reconstructed energy [TeV]")
    ax.set(
        yscale="log",
        ylim=(1, None),
        ylabel="events in the bin",
        title="Simulated events that the tables rest on, after the cuts",
    )
    ax.legend()


FIGURES: dict[str, Callable[[Axes, Tables], None]] = {
    "effective_area": effective_area,
    "angular_resolution": angular_resolution,
    "energy_resolution": energy_resolution,
    "energy_dispersion": energy_dispersion,
    "background": background,
    "sensitivity": sensitivity,
    "cuts": cuts,
    "statistics": statistics,
}


def draw(t: Tables, folder: Path) -> list[Path]:
    """
    Draw all figures.

    Returns
    -------
    list of Path
        PNG files without time stamps or versions in them: equal data give equal bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with plt.rc_context(STYLE):
        for name, function in FIGURES.items():
            figure: Figure = plt.figure(layout="constrained")
            try:
                function(figure.add_subplot(), t)
            except Exception as error:  # an invalid response is reported, with what can be drawn of it
                figure.clear()
                figure.text(
                    0.5, 0.5, f"{name.replace('_', ' ')}: not drawn ({type(error).__name__})", ha="center"
                )
                print(f"{name}: {type(error).__name__}: {error}")
            path = folder / f"{name}.png"
            figure.savefig(path.with_suffix(".part"), format="png", metadata={"Software": None})
            path.with_suffix(".part").replace(path)
            plt.close(figure)
            paths.append(path)
    return paths
