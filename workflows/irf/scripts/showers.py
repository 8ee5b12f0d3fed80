"""
Showers thrown at the array: diffuse ones for a production, those of a point source for its closure test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from response import BEYOND, SPECIES, Response

Array = NDArray[np.float64]

#: index of the thrown spectrum: E^-2 throws as many showers in each decade of energy as the decade below has
#: tenths
THROWN_INDEX = -2.0
#: added to the view cone of background, so that directions that are reconstructed further in are not missing
BACKGROUND_MARGIN_DEG = 2.0
#: showers thrown in one go; part of the random sequence
CHUNK = 500_000
#: of weighted showers: part that falls into the light pool and less than so many m from its edge
IN_POOL, POOL_MARGIN = 0.85, 160.0


@dataclass(frozen=True)
class Thrown:
    """
    Distribution of thrown showers: number, energy range (TeV), largest core distance (m), view cone (deg),
    index.
    """

    showers: int
    energy_min: float
    energy_max: float
    impact_max: float
    cone: float
    index: float = THROWN_INDEX

    @classmethod
    def of(cls, particle: str, showers: int, parameters: Mapping[str, Any]) -> Thrown:
        """Distribution for the parameters of a production."""
        kind = SPECIES[particle]
        cone = parameters["offset_max"] + (0.0 if particle == "gamma" else BACKGROUND_MARGIN_DEG)
        low, high = parameters["energy_min"] * kind.range_factor, parameters["energy_max"] * kind.range_factor
        return cls(showers, low, high, kind.impact_max, float(cone))


def throw_diffuse(
    rng: np.random.Generator, particle: str, thrown: Thrown, response: Response
) -> dict[str, NDArray[np.float32]]:
    """
    Diffuse showers that survive.

    Parameters
    ----------
    rng : numpy.random.Generator
    particle : str
        Key of `response.SPECIES`.
    thrown : Thrown
    response : Response

    Returns
    -------
    dict of ndarray of float32, shape (k,)
        Columns of an event list (README.md, "Event lists"): energies in TeV, angles in deg.
    """
    g = thrown.index + 1
    a, b = thrown.energy_min**g, thrown.energy_max**g
    cap = 1 - np.cos(np.radians(thrown.cone))
    kept = []
    for start in range(0, thrown.showers, CHUNK):
        n = min(CHUNK, thrown.showers - start)
        energy = (a + rng.random(n) * (b - a)) ** (1 / g)
        impact = thrown.impact_max * np.sqrt(rng.random(n))
        offset = np.degrees(np.arccos(1 - rng.random(n) * cap))
        i, reco, dx, dy, score = response.observe(rng, particle, energy, impact, offset)
        rows = [energy[i], reco, offset[i], np.hypot(offset[i] + dx, dy), np.hypot(dx, dy), score]
        kept.append(np.stack(rows).astype(np.float32))
    names = (
        "true_energy",
        "reco_energy",
        "true_source_fov_offset",
        "reco_source_fov_offset",
        "theta",
        "gh_score",
    )
    return dict(zip(names, np.concatenate(kept, axis=1), strict=True))


@dataclass(frozen=True)
class Weighted:
    """
    Reconstructed showers that stand for a flux, each for another part of it.

    Attributes
    ----------
    true_energy, reco_energy, offset, dx, dy, score : ndarray, shape (k,)
        TeV, TeV, true distance from the optical axis in deg, error of the direction in deg, score.
    measure : ndarray, shape (k,)
        TeV m2, times sr if directions were drawn: times a flux and a time it is the expected number of such
        showers.
    """

    true_energy: Array
    reco_energy: Array
    offset: Array
    dx: Array
    dy: Array
    score: Array
    measure: Array


def throw_weighted(
    rng: np.random.Generator,
    response: Response,
    particle: str,
    showers: int,
    energy_range: tuple[float, float],
    offsets: tuple[float, float],
    index: float = -1.0,
) -> Weighted:
    """
    Showers in and about the light pool: few of them give expected numbers to a per cent.

    Parameters
    ----------
    rng : numpy.random.Generator
    response : Response
    particle : str
    showers : int
    energy_range : tuple of float
        True energy, TeV.
    offsets : tuple of float
        Distance from the optical axis, deg; equal ones are a point source.
    index : float
        Of the power law that they are thrown with; -1 throws all energies alike.
    """
    # one a stratum: the spectrum itself adds no scatter
    part, g, (low, high) = (np.arange(showers) + rng.random(showers)) / showers, index + 1, energy_range
    energy = low * (high / low) ** part if g == 0 else (low**g + part * (high**g - low**g)) ** (1 / g)
    width = energy**-index * (np.log(high / low) if g == 0 else (high**g - low**g) / g) / showers
    seen = response.reach(particle, energy)
    reach = np.minimum(seen, SPECIES[particle].impact_max)
    # most in and about the light pool, some in the rest of the disc
    pool, inside = np.minimum(reach, seen - BEYOND + POOL_MARGIN), rng.random(showers) < IN_POOL
    within, ring = np.where(inside, 0, pool**2), np.where(inside, pool**2, reach**2)
    impact = np.sqrt(within + (ring - within) * rng.random(showers))
    inner, outer = np.cos(np.radians(offsets))
    offset = (
        np.degrees(np.arccos(inner - rng.random(showers) * (inner - outer)))
        if inner > outer
        else np.full(showers, offsets[0])
    )
    i, reco, dx, dy, score = response.observe(rng, particle, energy, impact, offset)
    solid = 2 * np.pi * (inner - outer) if inner > outer else 1.0
    measure = width[i] * np.pi * (ring - within)[i] / np.where(inside, IN_POOL, 1 - IN_POOL)[i] * solid
    return Weighted(energy[i], reco, offset[i], dx, dy, score, measure)


def throw_source(
    rng: np.random.Generator,
    response: Response,
    spectrum: Mapping[str, float],
    energy_range: tuple[float, float],
    seconds: float,
    offset: float,
) -> tuple[Array, Array, Array, Array]:
    """
    Reconstructed gammas of a point source, never sampled from a response function.

    Parameters
    ----------
    rng : numpy.random.Generator
    response : Response
    spectrum : mapping
        ``amplitude`` at 1 TeV (1 / (cm2 s TeV)), ``index``, and ``beta`` if it is a log-parabola (natural
        logarithm, as in gammapy): amplitude (E / TeV)^-(index + beta ln(E / TeV)).
    energy_range : tuple of float
        True energy, TeV.
    seconds : float
        Time under the source.
    offset : float
        Of the source from the optical axis, deg.

    Returns
    -------
    reco_energy, dx, dy, score : ndarray, shape (k,)
        TeV, deg, deg, score.
    """
    impact_max = SPECIES["gamma"].impact_max
    grid = np.geomspace(*energy_range, 4001)
    rate = spectrum["amplitude"] * grid ** (1 - spectrum["index"] - spectrum.get("beta", 0.0) * np.log(grid))
    area = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(np.log(grid)))])
    left = int(rng.poisson(area[-1] * np.pi * (impact_max * 100) ** 2 * seconds))
    kept = []
    while left:
        n = min(CHUNK, left)
        left -= n
        energy = np.exp(np.interp(rng.random(n) * area[-1], area, np.log(grid)))
        impact = impact_max * np.sqrt(rng.random(n))
        kept.append(np.stack(response.observe(rng, "gamma", energy, impact, np.full(n, offset))[1:]))
    reco, dx, dy, score = np.concatenate(kept, axis=1) if kept else np.empty((4, 0))
    return reco, dx, dy, score
