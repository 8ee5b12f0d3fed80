"""
Closure: a source of known spectrum, thrown by the simulator itself, is observed and fitted with the response under test.

The gammas never come from the response, so that its production is tested too; only the background is drawn from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from gammapy.data import GTI, EventList, FixedPointingInfo, Observation, ObservationMetaData
from gammapy.datasets import Datasets, SpectrumDataset
from gammapy.irf import load_irf_dict_from_file
from gammapy.makers import (
    ReflectedRegionsBackgroundMaker,
    ReflectedRegionsFinder,
    SpectrumDatasetMaker,
    WobbleRegionsFinder,
)
from gammapy.maps import MapAxis, RegionGeom
from gammapy.modeling import Fit
from gammapy.modeling.models import LogParabolaSpectralModel, PowerLawSpectralModel, SkyModel
from gammapy.stats import WStatCountsStatistic
from regions import CircleSkyRegion, PointSkyRegion
from response import Response
from selection import ScoreCut
from showers import throw_source

SOURCE = SkyCoord(83.6331, 22.0145, unit="deg")
WOBBLE = 0.5 * u.deg
ON_RADIUS = 0.2 * u.deg
RUNS = 4
SECONDS = 300.0
#: reconstructed and true energy bins a decade of the fit
RECO_BINS, TRUE_BINS = 8, 24
#: background further out reaches no region of the analysis
BACKGROUND_CONE = 1.0 * u.deg


@dataclass(frozen=True)
class UnderTest:
    """A response file that knows how it was made: what its table PRODUCTION holds, its cut, its components in gammapy."""

    document: Mapping[str, Any]
    cut: ScoreCut
    components: Mapping[str, Any]
    background: Any

    @classmethod
    def read(cls, path: str | Path) -> UnderTest:
        """
        Read a file of this workflow.

        Raises
        ------
        LookupError
            The file does not say which simulator, with which parameters, it belongs to.
        """
        with fits.open(path, memmap=False) as hdus:
            names = {h.name for h in hdus}
            missing = {"PRODUCTION", "GH_CUTS", "BACKGROUND"} - names
            if missing:
                raise LookupError(f"no table {', '.join(sorted(missing))}: the simulator that this response belongs to is not known")
            document = {row["name"]: json.loads(row["value"]) for row in hdus["PRODUCTION"].data}
            cut, background = ScoreCut.of(hdus["GH_CUTS"]), hdus["BACKGROUND"].data[0]
            background = {k: np.asarray(background[k], dtype=float) for k in ("ENERG_LO", "ENERG_HI", "THETA_LO", "THETA_HI", "BKG")}
        return cls(document, cut, load_irf_dict_from_file(path), background)

    @property
    def point_like(self) -> bool:
        """Whether a direction cut was applied."""
        return self.document["parameters"]["kind"] == "point-like"

    @property
    def fit_range(self) -> tuple[float, float]:
        """Reconstructed energies (TeV) of the fit: a third of a decade inside the safe range, 30 TeV at most where that leaves a decade."""
        low, high = self.document["safe_range_tev"]
        low, high = 2 * low, high / 2
        return low, max(min(high, 30.0), min(10 * low, high))

    def expected_excess(self, amplitude: float, index: float) -> float:
        """Counts of a power law in the fit range, about; from the effective area, for choosing a flux only."""
        energy = np.geomspace(*self.fit_range, 60) * u.TeV
        area = self.components["aeff"].evaluate(energy_true=energy, offset=WOBBLE).to_value("cm2").ravel()
        rate = amplitude * energy.value**-index * area
        return float(np.sum(0.5 * (rate[1:] + rate[:-1]) * np.diff(energy.value)) * RUNS * SECONDS)


def throw_background(rng: np.random.Generator, table: Mapping[str, Any], seconds: float, pointing: SkyCoord) -> tuple[Any, SkyCoord]:
    """
    Background events of BKG_2D, uniform in log energy and solid angle inside each bin.

    Returns
    -------
    energy : ndarray, shape (n,)
        TeV.
    position : SkyCoord, shape (n,)
    """
    low, high = table["ENERG_LO"], table["ENERG_HI"]
    cos_in, cos_out = np.cos(np.radians(table["THETA_LO"])), np.cos(np.radians(table["THETA_HI"]))
    inside = table["THETA_HI"] <= BACKGROUND_CONE.to_value("deg")
    rate = table["BKG"] * 1e6 * (high - low)[None] * 2 * np.pi * (cos_in - cos_out)[:, None]  # GADF counts in MeV
    n = rng.poisson(rate * inside[:, None] * seconds)
    i, j = np.repeat(np.indices(n.shape).reshape(2, -1), n.ravel(), axis=1)
    energy = low[j] * (high[j] / low[j]) ** rng.random(j.size)
    theta = np.arccos(cos_in[i] - rng.random(i.size) * (cos_in[i] - cos_out[i]))
    return energy, pointing.directional_offset_by(rng.uniform(0, 2 * np.pi, i.size) * u.rad, theta * u.rad)


def observe(test: UnderTest, spectrum: Mapping[str, float], seed: int, run: int, seconds: float = SECONDS) -> Observation:
    """
    One wobble observation of a source, as an observation in gammapy's memory.

    Parameters
    ----------
    test : UnderTest
    spectrum : mapping
        See `showers.throw_source`.
    seed, run : int
        Together they seed the generator; ``run % 4`` chooses the side.
    seconds : float
    """
    rng, parameters = np.random.default_rng([seed, run]), test.document["parameters"]
    pointing = SOURCE.directional_offset_by((run % 4) * 90 * u.deg, WOBBLE)
    response = Response.of(parameters, test.document["selected"])
    energies = (parameters["energy_min"], parameters["energy_max"])
    reco, dx, dy, score = throw_source(rng, response, spectrum, energies, seconds, WOBBLE.to_value("deg"))
    ok = test.cut.passes(reco, score)
    signal = SOURCE.directional_offset_by(np.arctan2(dx[ok], dy[ok]) * u.rad, np.hypot(dx[ok], dy[ok]) * u.deg)
    energy, diffuse = throw_background(rng, test.background, seconds, pointing)
    start = Time("2026-01-01T00:00:00", scale="tt") + (run - 1) * 2 * seconds * u.s
    columns = {
        "RA": np.concatenate([signal.ra.deg, diffuse.ra.deg]) * u.deg,
        "DEC": np.concatenate([signal.dec.deg, diffuse.dec.deg]) * u.deg,
        "ENERGY": np.concatenate([reco[ok], energy]) * u.TeV,
        "TIME": start + rng.uniform(0, seconds, ok.sum() + energy.size) * u.s,
    }
    # gammapy takes the offset for RAD_MAX from these
    table = Table(columns, meta={"RA_PNT": pointing.ra.deg, "DEC_PNT": pointing.dec.deg})
    return Observation(
        obs_id=run, gti=GTI.create(0 * u.s, seconds * u.s, reference_time=start), events=EventList(table),
        pointing=FixedPointingInfo(fixed_icrs=pointing.icrs), meta=ObservationMetaData(deadtime_fraction=0.0), **test.components,
    )  # fmt: skip


def reco_axis(test: UnderTest, low: float, high: float) -> MapAxis:
    """Reconstructed energies of the fit. A point-like response has a direction cut a bin: bins across its edges would mix two cuts."""
    edges = test.cut.edges[(test.cut.edges > 0.999 * low) & (test.cut.edges < 1.001 * high)]
    if not test.point_like or edges.size < 3:
        return MapAxis.from_energy_bounds(low, high, nbin=RECO_BINS, per_decade=True, unit="TeV")
    halves = np.sqrt(edges[1:] * edges[:-1])
    return MapAxis.from_energy_edges(np.sort(np.concatenate([edges, halves])) * u.TeV)


def reduce_run(test: UnderTest, run: Observation, fit_range: tuple[float, float]) -> Any:
    """On-off spectrum of one run with reflected regions; the flux outside a circular on region is corrected for with the PSF."""
    low, high = fit_range
    thrown = test.document["parameters"]
    reco = reco_axis(test, low, high)
    wide = max(low / 4, thrown["energy_min"]), min(high * 4, thrown["energy_max"])
    true = MapAxis.from_energy_bounds(*wide, nbin=TRUE_BINS, per_decade=True, unit="TeV", name="energy_true")
    region = PointSkyRegion(SOURCE) if test.point_like else CircleSkyRegion(SOURCE, ON_RADIUS)
    empty = SpectrumDataset.create(RegionGeom.create(region, axes=[reco]), energy_axis_true=true, name=str(run.obs_id))
    maker = SpectrumDatasetMaker(
        containment_correction=not test.point_like, use_region_center=True, selection=["counts", "exposure", "edisp"]
    )  # fmt: skip
    # tails of the source reach into the nearest regions, so these stay empty
    finder = WobbleRegionsFinder(n_off_regions=3) if test.point_like else ReflectedRegionsFinder(min_distance_input=0.9 * u.rad)
    return ReflectedRegionsBackgroundMaker(region_finder=finder).run(maker.run(empty, run), run)


def fit(datasets: Datasets, curved: bool = False) -> tuple[Any, Any]:
    """Fit a power law, or a log-parabola, to all runs; returns the sky model and gammapy's fit result."""
    if curved:
        spectral = LogParabolaSpectralModel(amplitude="3e-11 cm-2 s-1 TeV-1", reference="1 TeV", alpha=2.4, beta=0.1)
    else:
        spectral = PowerLawSpectralModel(amplitude="3e-11 cm-2 s-1 TeV-1", index=2.4, reference="1 TeV")
    sky = SkyModel(spectral_model=spectral, name="source")
    datasets.models = [sky]
    return sky, Fit().run(datasets)


def finite(value: Any) -> float | None:
    """A number for JSON, which has no NaN."""
    return round(float(value), 1) if np.isfinite(value) else None


def closure(test: UnderTest, seed: int, amplitude: float = 3e-11, index: float = 2.5, excess: float | None = None) -> dict[str, Any]:
    """
    Observe a power law four times for five minutes and fit it.

    Parameters
    ----------
    test : UnderTest
    seed : int
    amplitude, index : float
        True values, 1 / (cm2 s TeV) at 1 TeV.
    excess : float, optional
        Scale the flux so that about so many excess counts are expected, whatever the instrument sees.

    Returns
    -------
    dict
        ``seed``, ``converged``, ``excess``, ``sqrt_ts``, ``fit_range_tev``, and for ``amplitude`` and ``index`` a dict of
        ``true``, ``value``, ``error`` and ``pull``; the pull is None if the fit has no error.
    """
    if excess:
        amplitude *= excess / max(test.expected_excess(amplitude, index), 1e-9)
    truth = {"amplitude": amplitude, "index": index}
    datasets = Datasets([reduce_run(test, observe(test, truth, seed, run), test.fit_range) for run in range(1, RUNS + 1)])
    # not stacked, nor its info_table: gammapy 2.1 makes bins without off counts NaN when it adds up runs
    sky, result = fit(datasets)
    counts = sum(float(d.counts.data.sum()) for d in datasets)
    off = sum(float(d.counts_off.data.sum()) for d in datasets)
    alpha = float(np.mean([d.acceptance.data.mean() / d.acceptance_off.data.mean() for d in datasets]))
    axis = datasets[0].counts.geom.axes["energy"].edges.to_value("TeV")
    row: dict[str, Any] = {
        "seed": seed,
        "converged": bool(result.success),
        "excess": finite(counts - alpha * off),
        "sqrt_ts": finite(WStatCountsStatistic(counts, off, alpha).sqrt_ts),
        "fit_range_tev": [float(axis[0]), float(axis[-1])],
    }
    for parameter in sky.spectral_model.parameters:
        if parameter.name in truth:
            true, value, error = truth[parameter.name], float(parameter.value), float(parameter.error)
            good = bool(np.isfinite(value) and np.isfinite(error) and error > 0)
            row[parameter.name] = {"true": true, "value": value if np.isfinite(value) else None, "error": error if good else None,
                                   "pull": (value - true) / error if good else None}  # fmt: skip
    return row
