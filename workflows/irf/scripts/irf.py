"""Step `irf`: instrument response functions in GADF, and benchmarks, from the events that pass the cuts."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pyirf
from astropy.io import fits
from astropy.table import QTable, Table
from background import Background, make_background
from documents import read_json
from events import PARTICLES, write_hdus
from pyirf.benchmarks import angular_resolution, energy_bias_resolution
from pyirf.binning import bin_center, create_histogram_table
from pyirf.io import (
    create_aeff2d_hdu,
    create_background_2d_hdu,
    create_energy_dispersion_hdu,
    create_psf_table_hdu,
    create_rad_max_hdu,
)
from pyirf.irf import effective_area_per_energy_and_fov, energy_dispersion, psf_table
from pyirf.sensitivity import calculate_sensitivity, estimate_background
from pyirf.spectral import CRAB_HEGRA
from sample import ON_AXIS, Sample, energy_edges, offset_edges
from selection import DirectionCut, ScoreCut, columns_hdu

MIGRATION = np.geomspace(0.2, 5, 121)
#: from the source, deg: fine where the PSF is steep, out to nine widths at threshold
RADII = np.concatenate([np.arange(0, 0.5, 0.01), np.arange(0.5, 2.01, 0.05)]) * u.deg
BACKGROUND_OFFSET_STEP = 0.5
#: the safe energy range: area above this part of its largest value, …
THRESHOLD_PART = 0.02
#: … and at least so many gammas in the bin nearest to the axis
SAFE_GAMMAS = 50
#: highest over lowest safe energy; with less nobody can do anything
NARROWEST = 3.0
GADF_VERSION = "0.3"


def safe_range(area: u.Quantity, counts: Any, edges: u.Quantity) -> tuple[float, float]:
    """
    Energy range in which the response may be used.

    Parameters
    ----------
    area, counts : shape (n,)
        Effective area and selected gammas in the bin nearest to the axis.
    edges : Quantity, shape (n + 1,)

    Returns
    -------
    tuple of float
        TeV; keywords LO_THRES and HI_THRES of GADF 0.3. Nothing safe gives the whole range.
    """
    enough = counts >= SAFE_GAMMAS
    if not enough.any():
        return float(edges[0].to_value("TeV")), float(edges[-1].to_value("TeV"))
    good = enough & (area >= THRESHOLD_PART * area[enough].max())
    first = int(np.argmax(good))
    last = first + int(np.argmin(np.append(good[first:], False)))  # the first stretch without a gap
    return float(edges[first].to_value("TeV")), float(edges[last].to_value("TeV"))


def both(gammas: tuple[float, float], background: tuple[float, float] | None) -> tuple[float, float]:
    """
    Energies (TeV) that are safe for gammas and for background; of gammas alone if next to none are, which
    validation then says.
    """
    low, high = (max(gammas[0], background[0]), min(gammas[1], background[1])) if background else gammas
    return (low, high) if high >= NARROWEST * low else gammas


def background_hdu(made: Background, offsets: u.Quantity, cards: Mapping[str, Any]) -> fits.BinTableHDU:
    """BKG_2D, whose header says where it is safe, and what was done to bins with few events or none."""
    hdu = create_background_2d_hdu(made.rates, made.edges * u.TeV, offsets, extname="BACKGROUND", **cards)
    if made.safe_range:
        # LO_THRES and HI_THRES are those of the whole response
        for key, value in zip(("BKG_LO", "BKG_HI"), made.safe_range, strict=True):
            hdu.header[key] = (value, "[TeV] energies with enough events")
    parts = made.parts.values()
    hdu.header["BKGSMOOT"] = (
        any(part.smoothed.any() for part in parts),
        "offset profiles of other energies are used",
    )
    hdu.header["BKGEXTRA"] = (any(part.extended.any() for part in parts), "rates of a fitted curve are used")
    for line in made.said():
        hdu.header.add_comment(line)
    return hdu


def events_hdu(name: str, edges: u.Quantity, events: Mapping[str, Any]) -> fits.BinTableHDU:
    """What a table rests on: columns of events by energy (TeV), and by the offset bins of that table."""
    tev = edges.to_value("TeV")
    columns = {column: (np.asarray(values, dtype=float), "") for column, values in events.items()}
    return columns_hdu(name, {"low": (tev[:-1], "TeV"), "high": (tev[1:], "TeV"), **columns})


def production_hdu(content: Mapping[str, Any]) -> fits.BinTableHDU:
    """
    Table ``PRODUCTION`` of names and JSON values: what the file was made from, for whoever has nothing but
    the file.
    """
    names = sorted(content)
    values = [json.dumps(content[n], sort_keys=True, allow_nan=False) for n in names]
    cols = [
        fits.Column(name=k, format=f"{max(map(len, v))}A", array=np.array(v))
        for k, v in (("name", names), ("value", values))
    ]
    return fits.BinTableHDU.from_columns(cols, name="PRODUCTION")


def make_irf(
    sample: Sample, score: ScoreCut, direction: DirectionCut, document: Mapping[str, Any], simulation: str
) -> list[Any]:
    """
    Response functions as GADF HDUs.

    Parameters
    ----------
    sample : Sample
    score, direction : ScoreCut, DirectionCut
        The direction cut is applied to point-like responses only.
    document : mapping
        ``parameters`` and ``selected`` of the production.
    simulation : str
        Id, goes into the headers.

    Returns
    -------
    list of HDU
        EFFECTIVE AREA (m2), ENERGY DISPERSION, PSF (1 / sr) or RAD_MAX (deg), BACKGROUND (1 / (s MeV sr)),
        GH_CUTS, GAMMA_EVENTS and BACKGROUND_EVENTS (what they rest on), PRODUCTION.
    """
    p, point_like = document["parameters"], document["parameters"]["kind"] == "point-like"
    true = energy_edges(p["energy_min"], p["energy_max"], p["bins_per_decade"])
    offsets = offset_edges(p["offset_max"], p["offset_bins"])
    gamma = sample.gamma
    gamma = gamma[score.passes(gamma["reco_energy"].to_value("TeV"), gamma["gh_score"])]
    if point_like:
        gamma = gamma[
            direction.passes(
                gamma["reco_energy"].to_value("TeV"),
                gamma["true_source_fov_offset"].to_value("deg"),
                gamma["theta"].to_value("deg"),
            )
        ]
    background = sample.background[
        score.passes(sample.background["reco_energy"].to_value("TeV"), sample.background["gh_score"])
    ]
    reco, bkg_offsets = (
        score.edges * u.TeV,
        np.arange(0, p["offset_max"] + 0.01, BACKGROUND_OFFSET_STEP) * u.deg,
    )

    area = effective_area_per_energy_and_fov(gamma, sample.thrown, true, offsets)
    area = u.Quantity(np.nan_to_num(area.to_value("m2")), "m2")  # bins in which nothing was thrown
    where = gamma["true_energy"].to_value("TeV"), gamma["true_source_fov_offset"].to_value("deg")
    counts = np.histogram2d(*where, bins=[true.to_value("TeV"), offsets.to_value("deg")])[0]
    particles = {name: background[background["particle"] == PARTICLES.index(name)] for name in PARTICLES[1:]}
    made = make_background(particles, reco, bkg_offsets, p["observation_time"] * u.h)
    safe_gammas = safe_range(area[:, 0], counts[:, 0], true)
    low, high = both(safe_gammas, made.safe_range)
    near = int((gamma["true_source_fov_offset"] < ON_AXIS).sum())
    cards = {
        "TELESCOP": "TOY-CTA",
        "INSTRUME": f"{p['site']}-{p['array']}",
        "SIMULATN": simulation,
        "ZENITH": float(p["zenith"]),
        "AZIMUTH": float(p["azimuth"]),
        "NSB": float(p["nsb"]),
        "OBSTIME": float(p["observation_time"]),
    }
    safe = {"LO_THRES": low, "HI_THRES": high}
    migration = energy_dispersion(gamma, true, offsets, MIGRATION)
    hdus = [
        fits.PrimaryHDU(),
        create_aeff2d_hdu(
            area, true, offsets, extname="EFFECTIVE AREA", point_like=point_like, **cards, **safe
        ),
        create_energy_dispersion_hdu(
            migration, true, MIGRATION, offsets, extname="ENERGY DISPERSION", point_like=point_like, **cards
        ),
        create_rad_max_hdu(
            direction.values.T * u.deg, reco, direction.offsets * u.deg, extname="RAD_MAX", **cards
        )
        if point_like
        else create_psf_table_hdu(
            psf_table(gamma, true, RADII, offsets), true, RADII, offsets, extname="PSF", **cards
        ),
        background_hdu(made, bkg_offsets, cards),
    ]
    for hdu in hdus[1:]:
        hdu.header.remove("DATE", ignore_missing=True)  # pyirf's clock would make equal runs differ
        hdu.header["HDUVERS"] = GADF_VERSION
    facts = {
        **document,
        "simulation": simulation,
        "gammas_near_axis": near,
        "gammas_used": len(gamma),
        "background_used": len(background),
        "safe_range_tev": [low, high],
        "gamma_range_tev": safe_gammas,
        "background_range_tev": made.safe_range,
    }
    rests = {"events": made.events, **{name: part.events for name, part in made.parts.items()}}
    events = [
        events_hdu("GAMMA_EVENTS", true, {"events": counts}),
        events_hdu("BACKGROUND_EVENTS", reco, rests),
    ]
    return [
        *hdus,
        score.hdu(),
        *events,
        production_hdu({k: v for k, v in facts.items() if k != "seed_drawn"}),
    ]


def benchmarks(sample: Sample, score: ScoreCut, direction: DirectionCut, true: u.Quantity) -> list[Any]:
    """
    Benchmark tables: SENSITIVITY (five sigma, ten excess counts, 5 % of the background; pyirf),
    ENERGY_BIAS_RESOLUTION, ANGULAR_RESOLUTION, BACKGROUND_RATE near the axis, each from events that pass the
    gamma-hadron cut.
    """
    reco = score.edges * u.TeV
    point = sample.point[score.passes(sample.point["reco_energy"].to_value("TeV"), sample.point["gh_score"])]
    background = sample.background[
        score.passes(sample.background["reco_energy"].to_value("TeV"), sample.background["gh_score"])
    ]
    theta = QTable(
        {"low": reco[:-1], "high": reco[1:], "center": bin_center(reco), "cut": direction.values[0] * u.deg}
    )
    on = direction.passes(
        point["reco_energy"].to_value("TeV"), 0.0 * point["gh_score"], point["theta"].to_value("deg")
    )
    sensitivity = calculate_sensitivity(
        create_histogram_table(point[on], bins=reco),
        estimate_background(
            background, reco, theta_cuts=theta, alpha=0.2, fov_offset_min=0 * u.deg, fov_offset_max=ON_AXIS
        ),
        alpha=0.2,
    )
    energy = sensitivity["reco_energy_center"]
    sensitivity["energy_flux_sensitivity"] = (
        sensitivity["relative_sensitivity"] * CRAB_HEGRA(energy) * energy**2
    ).to("erg / (cm2 s)")
    tables = {
        "SENSITIVITY": sensitivity,
        "ENERGY_BIAS_RESOLUTION": energy_bias_resolution(point, true),
        "ANGULAR_RESOLUTION": angular_resolution(point, true),
        "THETA_CUTS": theta,
    }
    hdus = [fits.PrimaryHDU()]
    for name, table in tables.items():
        table.meta.clear()
        hdus.append(fits.BinTableHDU(Table(table), name=name))
    return hdus


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    for name in ("parameters", "simulation", "events", "cuts", "out", "benchmarks"):
        cli.add_argument(f"--{name}", type=Path, required=True)
    args = cli.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # empty bins: 0 / 0 is handled
    document = read_json(args.parameters)
    p = document["parameters"]
    with fits.open(args.cuts) as hdus:
        score = ScoreCut.of(hdus["GH_CUTS"])
        direction = DirectionCut.of(hdus["THETA_CUTS"], score.edges)
    sample = Sample.read(args.events, p["observation_time"] * u.h)
    simulation = read_json(args.simulation)["simulation"]
    if sample.header["SIMULATN"] != simulation:
        raise SystemExit(f"{args.events} holds {sample.header['SIMULATN']}, not {simulation}")
    write_hdus(args.out, make_irf(sample, score, direction, document, simulation))
    true = energy_edges(p["energy_min"], p["energy_max"], p["bins_per_decade"])
    write_hdus(args.benchmarks, benchmarks(sample, score, direction, true))
    counts = f"{len(sample.gamma)} gammas, {len(sample.background)} background events"
    print(f"{p['kind']} response of {simulation}: {counts}, pyirf {pyirf.__version__}")


if __name__ == "__main__":
    main()
