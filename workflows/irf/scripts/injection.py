"""
Closure: a source of known spectrum, thrown by the simulator itself, is observed and fitted with the response
under test.

Neither the gammas nor the background come from the response, so that its production is tested too.
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
from field import Ring, throw_ring
from gammapy.data import GTI, EventList, FixedPointingInfo, Observation, ObservationMetaData
from gammapy.datasets import Datasets, SpectrumDataset
from gammapy.irf import load_irf_dict_from_file
from gammapy.makers import (
    ReflectedRegionsBackgroundMaker,
    SpectrumDatasetMaker,
    WobbleRegionsFinder,
)
from gammapy.maps import MapAxis, RegionGeom
from gammapy.modeling import Fit
from gammapy.modeling.models import LogParabolaSpectralModel, PowerLawSpectralModel, SkyModel
from gammapy.stats import WStatCountsStatistic
from numpy.typing import NDArray
from regions import CircleSkyRegion, PointSkyRegion
from response import Response
from selection import ScoreCut
from showers import throw_source, throw_weighted

SOURCE = SkyCoord(83.6331, 22.0145, unit="deg")
ON_RADIUS = 0.2 * u.deg
#: of the source, deg: as observations are made, and far out, where a response may be wrong without notice
NEAR = 0.5
FAR_PART = 0.75
RUNS = 2
SECONDS = 600.0
#: reconstructed and true energy bins a decade of the fit
RECO_BINS, TRUE_BINS = 8, 24


@dataclass(frozen=True)
class UnderTest:
    """
    A response file that knows how it was made: what its table PRODUCTION holds, its cut, its components in
    gammapy.
    """

    document: Mapping[str, Any]
    cut: ScoreCut
    components: Mapping[str, Any]
    events: NDArray[np.float64]
    events_edges: NDArray[np.float64]
    offset_edges: NDArray[np.float64]
    background_events: NDArray[np.float64]

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
            missing = {"PRODUCTION", "GH_CUTS", "GAMMA_EVENTS", "BACKGROUND_EVENTS"} - names
            if missing:
                raise LookupError(
                    f"no table {', '.join(sorted(missing))}: the simulator that this response belongs to "
                    "is not known"
                )
            document = {row["name"]: json.loads(row["value"]) for row in hdus["PRODUCTION"].data}
            cut, rests = ScoreCut.of(hdus["GH_CUTS"]), hdus["GAMMA_EVENTS"].data
            edges = np.append(rests["low"], rests["high"][-1]).astype(float)
            area = hdus["EFFECTIVE AREA"].data[0]
            offsets = np.append(area["THETA_LO"], area["THETA_HI"][-1]).astype(float)
            events = rests["events"].astype(float).reshape(len(rests), -1)
            background = hdus["BACKGROUND_EVENTS"].data["events"].astype(float)
        return cls(document, cut, load_irf_dict_from_file(path), events, edges, offsets, background)

    @property
    def point_like(self) -> bool:
        """Whether a direction cut was applied."""
        return self.document["parameters"]["kind"] == "point-like"

    @property
    def fit_range(self) -> tuple[float, float]:
        """
        Reconstructed energies (TeV) of the fit: a third of a decade inside the safe range, 30 TeV at most
        where that leaves a decade.
        """
        low, high = self.document["gamma_range_tev"]
        low, high = 2 * low, high / 2
        return low, max(min(high, 30.0), min(10 * low, high))

    @property
    def far(self) -> float:
        """Offset (deg) of the second closure."""
        return max(NEAR, FAR_PART * float(self.document["parameters"]["offset_max"]))

    def ring(self, seed: int, offset: float) -> Ring:
        """The simulator's own background around an offset (deg)."""
        return throw_ring(
            np.random.default_rng([seed, 0]), self.document, self.cut, offset, self.fit_range[0]
        )

    def expected_excess(self, amplitude: float, index: float) -> float:
        """
        Counts of a power law near the axis in the fit range, about: those of the simulator, whatever the
        response says.
        """
        p, (low, high) = self.document["parameters"], self.fit_range
        response, energies = Response.of(p, self.document["selected"]), (p["energy_min"], p["energy_max"])
        seen = throw_weighted(np.random.default_rng(0), response, "gamma", 20_000, energies, (NEAR, NEAR))
        kept = (
            self.cut.passes(seen.reco_energy, seen.score)
            & (seen.reco_energy >= low)
            & (seen.reco_energy < high)
        )
        return float(amplitude * RUNS * SECONDS * 1e4 * (seen.measure * seen.true_energy**-index)[kept].sum())


def observe(test: UnderTest, spectrum: Mapping[str, float], ring: Ring, seed: int, run: int) -> Observation:
    """
    One wobble observation of a source, as an observation in gammapy's memory.

    Parameters
    ----------
    test : UnderTest
    spectrum : mapping
        See `showers.throw_source`.
    ring : Ring
        Background; its offset is that of the source.
    seed, run : int
        Together they seed the generator; ``run`` chooses the side.
    """
    rng, parameters = np.random.default_rng([seed, run]), test.document["parameters"]
    pointing = SOURCE.directional_offset_by((run % 4) * 90 * u.deg, ring.offset * u.deg)
    response = Response.of(parameters, test.document["selected"])
    energies = (parameters["energy_min"], parameters["energy_max"])
    reco, dx, dy, score = throw_source(rng, response, spectrum, energies, SECONDS, ring.offset)
    ok = test.cut.passes(reco, score)
    signal = SOURCE.directional_offset_by(
        np.arctan2(dx[ok], dy[ok]) * u.rad, np.hypot(dx[ok], dy[ok]) * u.deg
    )
    # the on region and three off regions, a quarter turn apart
    middles = pointing.position_angle(SOURCE).to_value("rad") + np.arange(4) * np.pi / 2
    energy, distance, azimuth = ring.draw(rng, SECONDS, middles)
    diffuse = pointing.directional_offset_by(azimuth * u.rad, distance * u.deg)
    start = Time("2026-01-01T00:00:00", scale="tt") + (run - 1) * 2 * SECONDS * u.s
    columns = {
        "RA": np.concatenate([signal.ra.deg, diffuse.ra.deg]) * u.deg,
        "DEC": np.concatenate([signal.dec.deg, diffuse.dec.deg]) * u.deg,
        "ENERGY": np.concatenate([reco[ok], energy]) * u.TeV,
        "TIME": start + rng.uniform(0, SECONDS, ok.sum() + energy.size) * u.s,
    }
    # gammapy takes the offset for RAD_MAX from these
    table = Table(columns, meta={"RA_PNT": pointing.ra.deg, "DEC_PNT": pointing.dec.deg})
    return Observation(
        obs_id=run,
        gti=GTI.create(0 * u.s, SECONDS * u.s, reference_time=start),
        events=EventList(table),
        pointing=FixedPointingInfo(fixed_icrs=pointing.icrs),
        meta=ObservationMetaData(deadtime_fraction=0.0),
        **test.components,
    )


def reco_axis(test: UnderTest, low: float, high: float) -> MapAxis:
    """
    Reconstructed energies of the fit. A point-like response has a direction cut a bin: bins across its edges
    would mix two cuts.
    """
    edges = test.cut.edges[(test.cut.edges > 0.999 * low) & (test.cut.edges < 1.001 * high)]
    if not test.point_like or edges.size < 3:
        return MapAxis.from_energy_bounds(low, high, nbin=RECO_BINS, per_decade=True, unit="TeV")
    halves = np.sqrt(edges[1:] * edges[:-1])
    return MapAxis.from_energy_edges(np.sort(np.concatenate([edges, halves])) * u.TeV)


def reduce_run(test: UnderTest, run: Observation, fit_range: tuple[float, float]) -> Any:
    """
    On-off spectrum of one run with three off regions; the flux outside a circular on region is corrected for
    with the PSF.
    """
    low, high = fit_range
    thrown = test.document["parameters"]
    reco = reco_axis(test, low, high)
    wide = max(low / 4, thrown["energy_min"]), min(high * 4, thrown["energy_max"])
    true = MapAxis.from_energy_bounds(*wide, nbin=TRUE_BINS, per_decade=True, unit="TeV", name="energy_true")
    region = PointSkyRegion(SOURCE) if test.point_like else CircleSkyRegion(SOURCE, ON_RADIUS)
    empty = SpectrumDataset.create(
        RegionGeom.create(region, axes=[reco]), energy_axis_true=true, name=str(run.obs_id)
    )
    maker = SpectrumDatasetMaker(
        containment_correction=not test.point_like,
        use_region_center=True,
        selection=["counts", "exposure", "edisp"],
    )
    return ReflectedRegionsBackgroundMaker(region_finder=WobbleRegionsFinder(n_off_regions=3)).run(
        maker.run(empty, run), run
    )


def fit(datasets: Datasets, curved: bool = False) -> tuple[Any, Any]:
    """Fit a power law, or a log-parabola, to all runs; returns the sky model and gammapy's fit result."""
    if curved:
        spectral = LogParabolaSpectralModel(
            amplitude="3e-11 cm-2 s-1 TeV-1", reference="1 TeV", alpha=2.4, beta=0.1
        )
    else:
        spectral = PowerLawSpectralModel(amplitude="3e-11 cm-2 s-1 TeV-1", index=2.4, reference="1 TeV")
    sky = SkyModel(spectral_model=spectral, name="source")
    datasets.models = [sky]
    return sky, Fit().run(datasets)


def finite(value: Any) -> float | None:
    """A number for JSON, which has no NaN."""
    return round(float(value), 1) if np.isfinite(value) else None


def closure(
    test: UnderTest,
    seed: int,
    amplitude: float = 3e-11,
    index: float = 2.5,
    excess: float | None = None,
    ring: Ring | None = None,
) -> dict[str, Any]:
    """
    Observe a power law twice for ten minutes and fit it.

    Parameters
    ----------
    test : UnderTest
    seed : int
    amplitude, index : float
        True values, 1 / (cm2 s TeV) at 1 TeV.
    excess : float, optional
        Scale the flux so that about so many excess counts are expected near the axis, whatever the instrument
        sees.
    ring : Ring, optional
        Background around the offset at which the source stands; `NEAR` is thrown without it.

    Returns
    -------
    dict
        ``seed``, ``offset_deg``, ``converged``, ``excess``, ``sqrt_ts``, ``fit_range_tev``, and for
        ``amplitude`` and ``index`` a dict of ``true``, ``value``, ``error`` and ``pull``; the pull is None if
        the fit has no error.
    """
    if excess:
        amplitude *= excess / test.expected_excess(amplitude, index)
    truth, ring = {"amplitude": amplitude, "index": index}, ring or test.ring(seed, NEAR)
    datasets = Datasets(
        [
            reduce_run(test, observe(test, truth, ring, seed, run), test.fit_range)
            for run in range(1, RUNS + 1)
        ]
    )
    # not stacked, nor its info_table: gammapy 2.1 makes bins without off counts NaN when it adds up runs
    sky, result = fit(datasets)
    counts = sum(float(d.counts.data.sum()) for d in datasets)
    off = sum(float(d.counts_off.data.sum()) for d in datasets)
    alpha = float(np.mean([d.acceptance.data.mean() / d.acceptance_off.data.mean() for d in datasets]))
    axis = datasets[0].counts.geom.axes["energy"].edges.to_value("TeV")
    row: dict[str, Any] = {
        "seed": seed,
        "offset_deg": ring.offset,
        "converged": bool(result.success),
        "excess": finite(counts - alpha * off),
        "sqrt_ts": finite(WStatCountsStatistic(counts, off, alpha).sqrt_ts),
        "fit_range_tev": [float(axis[0]), float(axis[-1])],
    }
    for parameter in sky.spectral_model.parameters:
        if parameter.name in truth:
            true, value, error = truth[parameter.name], float(parameter.value), float(parameter.error)
            good = bool(np.isfinite(value) and np.isfinite(error) and error > 0)
            row[parameter.name] = {
                "true": true,
                "value": value if np.isfinite(value) else None,
                "error": error if good else None,
                "pull": (value - true) / error if good else None,
            }
    return row
