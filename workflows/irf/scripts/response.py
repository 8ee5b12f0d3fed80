"""
Toy response of an array of Cherenkov telescopes: trigger, selection, energy, direction, gamma-hadron score.

Parametrised, numpy only. It has the data model and the interfaces of a real simulation, not its physics: no
substitute for CORSIKA and sim_telarray, whose event lists can take its place (README.md, "Event lists").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: m from the edge of the light pool to where a shower is seen in less than one of 20 000 cases
BEYOND = 400.0


@dataclass(frozen=True)
class Species:
    """How showers of one particle look: largest core distance (m), score at threshold and far above it,
    spread of the score, part of the energy that gives light, part of the images that survive selection,
    lowest and highest energy thrown relative to those of gammas."""

    impact_max: float
    score: tuple[float, float]
    spread: float
    visible: float
    keep: float
    range_factor: float


SPECIES = {
    "gamma": Species(1000.0, (0.62, 0.95), 0.13, 1.0, 1.0, 1.0),
    "electron": Species(1000.0, (0.60, 0.93), 0.14, 1.0, 1.0, 1.0),
    "proton": Species(1200.0, (0.38, 0.12), 0.15, 0.45, 0.6, 2.0),
}


def transverse_field(
    zenith: float, azimuth: float, strength: float, inclination: float, declination: float
) -> float:
    """
    Geomagnetic field across the shower axis.

    Parameters
    ----------
    zenith, azimuth : float
        Of the pointing, deg; azimuth from north over east.
    strength : float
        Field, microtesla.
    inclination, declination : float
        Of the field, deg; inclination counts downwards, declination eastwards.

    Returns
    -------
    float
        Microtesla.
    """
    z, a, i, d = np.radians([zenith, azimuth, inclination, declination])
    axis = np.array([np.sin(z) * np.cos(a), np.sin(z) * np.sin(a), np.cos(z)])
    field = strength * np.array([np.cos(i) * np.cos(d), np.cos(i) * np.sin(d), -np.sin(i)])
    return float(np.linalg.norm(np.cross(axis, field)))


@dataclass(frozen=True)
class Response:
    """
    Response of one array to showers from one direction.

    Attributes
    ----------
    threshold : float
        Energy of a gamma at threshold, TeV.
    radius : float
        Light pool at threshold, m.
    direction : tuple of float
        Direction error: floor and addition at threshold, deg.
    resolution : tuple of float
        Relative energy resolution: floor and addition at threshold.
    scale : float
        Reconstructed over true energy that an unknown loss of light causes.
    hadron_shift : float
        Added to the score of protons.
    """

    threshold: float
    radius: float
    direction: tuple[float, float]
    resolution: tuple[float, float]
    scale: float
    hadron_shift: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any], selected: Mapping[str, Any]) -> Response:
        """Response for the parameters of a production and what was selected from the database for them."""
        s, cos_z = selected, float(np.cos(np.radians(parameters["zenith"])))
        light = s["optical_throughput"] * s["transmission"] * s["throughput_factor"]
        field = transverse_field(
            parameters["zenith"],
            parameters["azimuth"],
            s["field_ut"],
            s["field_inclination_deg"],
            s["field_declination_deg"],
        )
        spread = 1 + 0.002 * field  # the field pulls showers apart: 10 % at 50 microtesla
        worse = s["direction_factor"] * spread
        return cls(
            threshold=s["threshold_tev"] / light * cos_z**-2.5 * parameters["nsb"] ** 0.25 * spread,
            radius=s["light_pool_radius_m"] * s["light_pool_scale"] / cos_z,
            direction=(
                float(np.hypot(s["angular_floor_deg"], s["pointing_error_deg"])) * worse,
                s["angular_threshold_deg"] * worse,
            ),
            resolution=(
                s["energy_floor"] * s["resolution_factor"],
                s["energy_threshold"] * s["resolution_factor"],
            ),
            # the calibration knows throughput and air, a systematic variant is what it does not know
            scale=s["throughput_factor"],
            hadron_shift=s["hadron_score_shift"],
        )

    def _edge(self, x: Array) -> Array:
        return self.radius * (1 + 0.9 * np.clip(x, 0, 4))

    def reach(self, particle: str, energy: Array) -> Array:
        """
        Distance of the core (m) beyond which `observe` sees nothing: `BEYOND` from the edge of the light
        pool.
        """
        return self._edge(np.log10(energy * (SPECIES[particle].visible / self.threshold))) + BEYOND

    def observe(
        self, rng: np.random.Generator, particle: str, energy: Array, impact: Array, offset: Array
    ) -> tuple[NDArray[np.intp], Array, Array, Array, Array]:
        """
        Reconstruct given showers.

        Parameters
        ----------
        rng : numpy.random.Generator
        particle : str
            Key of `SPECIES`.
        energy, impact, offset : ndarray, shape (n,)
            True energy (TeV), distance of the core (m) and of the direction from the optical axis (deg).

        Returns
        -------
        index : ndarray of int, shape (k,)
            Showers that survive trigger and image selection.
        reco_energy : ndarray, shape (k,)
            TeV.
        dx, dy : ndarray, shape (k,)
            Error of the direction along two perpendicular axes, deg.
        score : ndarray, shape (k,)
            Gamma-hadron score in [0, 1], 1 is gamma-like.
        """
        kind = SPECIES[particle]
        x = np.log10(energy * (kind.visible / self.threshold))
        edge = self._edge(x)
        # most showers fall far outside the light pool: what follows costs only where it matters
        near = np.flatnonzero(impact < edge + BEYOND)
        x, edge, impact, offset = x[near], edge[near], impact[near], offset[near]
        seen = (
            kind.keep
            / (1 + np.exp(-4 * (x - 0.15)))
            / (1 + np.exp((impact - edge) / 40))
            * np.exp(-0.5 * (offset / 3.6) ** 4)
        )
        kept = np.flatnonzero(rng.random(near.size) < seen)
        index = near[kept]
        x, offset, visible = np.clip(x[kept], 0, 4), offset[kept], energy[index] * kind.visible * self.scale
        floor, addition = self.resolution
        if particle == "proton":
            reco = visible * rng.lognormal(0.0, 0.35, index.size)
        else:
            reco = visible * np.exp(rng.normal(0.02 * (x < 0.5), floor + addition * np.exp(-x / 0.7)))
        floor, addition = self.direction
        sigma = floor + addition * np.exp(-x / 0.6) + 0.01 * offset
        dx, dy = rng.normal(0, sigma), rng.normal(0, sigma)
        weight = np.clip(x / 3, 0, 1)
        mean = kind.score[0] * (1 - weight) + kind.score[1] * weight
        mean = mean + (self.hadron_shift if particle == "proton" else 0.0)
        return index, reco, dx, dy, np.clip(rng.normal(mean, kind.spread), 0, 1)
