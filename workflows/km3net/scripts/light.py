"""
Cherenkov light of a muon in sea water: when it arrives, and how much of it.

A muon moves with the speed of light along ``d`` and passes the point ``p`` at the time ``t0``. Light leaves
it at the Cherenkov angle ``cos(theta) = 1 / index_phase`` and moves with ``c / index_group``, so a point at
the distance ``rho`` from the track, ``l`` beyond ``p`` along it, sees it at ``t0 + (l + kappa * rho) / c``
with ``kappa = (index_group - cos(theta)) / sin(theta)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: m / ns
C = 0.299792458
#: m, of direct light; the light is spread over a cone, so that its density falls as exp(-path / ATTENUATION)
#: / rho
ATTENUATION = 55.0
#: photo-electrons times metres that a photomultiplier facing the light counts from a muon that only ionises
YIELD = 5.0
#: m; nearer the formula would diverge
NEAREST = 1.0
#: energy loss (GeV / m) by ionisation, and (1 / m) by radiation, which gives light in proportion to the
#: energy
LOSS_IONISATION, LOSS_RADIATION = 0.274, 3.49e-4


@dataclass(frozen=True)
class Water:
    """Optical properties."""

    index_phase: float
    index_group: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Water:
        """Of the parameters of a campaign."""
        return cls(parameters["index_phase"], parameters["index_group"])

    @property
    def cos(self) -> float:
        """Cosine of the Cherenkov angle."""
        return 1 / self.index_phase

    @property
    def sin(self) -> float:
        """Sine of the Cherenkov angle."""
        return math.sqrt(1 - self.cos**2)

    @property
    def kappa(self) -> float:
        """Delay of the light by its distance from the track, times c."""
        return (self.index_group - self.cos) / self.sin


def along_and_across(point: Array, direction: Array, positions: Array) -> tuple[Array, Array, Array]:
    """
    Where positions are, seen from a track.

    Parameters
    ----------
    point, direction : array (3,)
        m; unit vector.
    positions : array (n, 3)
        m.

    Returns
    -------
    along : array (n,)
        m, along the track from ``point``.
    rho : array (n,)
        m, distance from the track.
    across : array (n, 3)
        m, vectors from the track to the positions.
    """
    relative = positions - point
    along = relative @ direction
    across = relative - along[:, None] * direction
    return along, np.sqrt((across**2).sum(axis=1)), across


def arrival(water: Water, point: Array, direction: Array, t0: float, positions: Array) -> Array:
    """Times (ns) at which the direct light of a track reaches ``positions`` (m)."""
    along, rho, _ = along_and_across(point, direction, positions)
    return t0 + (along + water.kappa * rho) / C


def photoelectrons(water: Water, point: Array, direction: Array, positions: Array, axes: Array) -> Array:
    """
    Photo-electrons that a muon which only ionises is expected to give.

    Parameters
    ----------
    point, direction : array (3,)
        m; unit vector.
    positions, axes : array (n, 3)
        Of the photomultipliers: m; where they look, unit vectors.

    Returns
    -------
    array (n,)
    """
    _, rho, across = along_and_across(point, direction, positions)
    rho = np.maximum(rho, NEAREST)
    towards = water.cos * direction + water.sin * across / rho[:, None]
    facing = np.clip(-(axes * towards).sum(axis=1), 0, None)
    return YIELD / rho * np.exp(-rho / water.sin / ATTENUATION) * facing


def light_of_energy(energy: Array) -> Array:
    """Light of a muon (GeV) relative to one that only ionises."""
    return 1 + np.asarray(energy) * LOSS_RADIATION / LOSS_IONISATION


def energy_of_light(light: Array) -> Array:
    """Inverse of `light_of_energy`; NaN where the light is less than a muon gives."""
    light = np.asarray(light, dtype=float)
    return np.where(light > 1, (light - 1) * LOSS_IONISATION / LOSS_RADIATION, np.nan)
