"""
Background of an observation, thrown by the simulator: never drawn from the response under test. Used by
`injection` and `prediction`.

A few thousand showers that pass the cuts, each with its rate, stand for all: background is alike around the
optical axis, so an event may be put at any azimuth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from response import SPECIES, Response
from sample import SPECTRA
from selection import ScoreCut
from showers import throw_weighted

Array = NDArray[np.float64]

#: deg from the middle of an on or off region to where nothing of the analysis reaches
REACH = 0.4
#: deg that a shower may come from further away
SCATTER = 0.6
SHOWERS = {"proton": 500_000, "electron": 100_000}
#: they are thrown with; steeper than they are seen, softer than they fall
INDEX = -1.6


@dataclass(frozen=True)
class Ring:
    """
    Background that passes the cut, within `REACH` of an offset.

    Attributes
    ----------
    offset : float
        Of the ring's middle, deg.
    energy, distance, rate : ndarray, shape (k,)
        Reconstructed energy (TeV) and offset (deg); events a second in the whole ring that this one stands
        for.
    """

    offset: float
    energy: Array
    distance: Array
    rate: Array

    @property
    def limits(self) -> tuple[float, float]:
        """Inner and outer edge, deg."""
        return max(0.0, self.offset - REACH), self.offset + REACH

    def draw(self, rng: np.random.Generator, seconds: float, middles: Array) -> tuple[Array, Array, Array]:
        """
        Events of an observation around some directions.

        Parameters
        ----------
        rng : numpy.random.Generator
        seconds : float
        middles : ndarray, shape (m,)
            Azimuths of the regions around the axis, radians, a quarter turn apart at least.

        Returns
        -------
        energy, distance, azimuth : ndarray, shape (k,)
            TeV, deg from the axis, radians.
        """
        half = min(np.pi / 4, float(np.arcsin(min(1.0, REACH / self.offset))))
        n = int(rng.poisson(self.rate.sum() * seconds * len(middles) * half / np.pi))
        which = rng.choice(self.rate.size, n, p=self.rate / self.rate.sum()) if n else np.empty(0, dtype=int)
        azimuth = rng.choice(middles, n) + rng.uniform(-half, half, n)
        return self.energy[which], self.distance[which], azimuth


def throw_ring(
    rng: np.random.Generator, document: Mapping[str, Any], cut: ScoreCut, offset: float, lowest: float
) -> Ring:
    """
    Protons and electrons around an offset.

    Parameters
    ----------
    rng : numpy.random.Generator
    document : mapping
        ``parameters`` and ``selected`` of the production.
    cut : ScoreCut
    offset : float
        Deg.
    lowest : float
        Reconstructed energy (TeV) below which nothing is asked for.
    """
    parameters = document["parameters"]
    response = Response.of(parameters, document["selected"])
    found: list[tuple[Array, Array, Array]] = []
    for particle, showers in SHOWERS.items():
        factor = SPECIES[particle].range_factor
        energies = (max(parameters["energy_min"] * factor, lowest / 2), parameters["energy_max"] * factor)
        true = (max(0.0, offset - REACH - SCATTER), offset + REACH + SCATTER)
        seen = throw_weighted(rng, response, particle, showers, energies, true, INDEX)
        distance = np.hypot(seen.offset + seen.dx, seen.dy)
        rate = 1e4 * seen.measure * SPECTRA[particle](seen.true_energy * u.TeV).to_value("1 / (cm2 s sr TeV)")
        kept = (
            cut.passes(seen.reco_energy, seen.score)
            & (np.abs(distance - offset) < REACH)
            & (seen.reco_energy >= lowest)
        )
        found.append((seen.reco_energy[kept], distance[kept], rate[kept]))
    return Ring(offset, *(np.concatenate(columns) for columns in zip(*found, strict=True)))
