"""
The toy detector, in the manner of a forward spectrometer at a fixed target: acceptance and resolution.

A track is measured at a plane behind the target; there is no field before it, so tracks are straight lines.
Lengths in cm, momenta in GeV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: distance of the first plane from the target; what decays behind it is not seen
PLANE = 30.0
#: polar angles of a track that is accepted
ANGLES = np.radians((2.5, 25.0))
#: smallest momentum of a track that is accepted
LEAST_MOMENTUM = 0.2
#: resolution of the position at the plane
POSITION_ERROR = 0.01
#: resolution of the slopes: a constant, and multiple scattering in 0.5 % of a radiation length (rad GeV)
SLOPE_ERROR, SCATTERING = 0.0005, 0.0010
#: time-of-flight wall: distance, and resolution of the time times c
WALL, TIME_ERROR = 800.0, 0.080 * 29.9792458


def accepted(px: Array, py: Array, pz: Array, z: Array) -> NDArray[np.bool_]:
    """Tracks that start before the plane and go through the detector."""
    pt = np.hypot(px, py)
    angle = np.arctan2(pt, pz)
    return (z < PLANE) & (angle > ANGLES[0]) & (angle < ANGLES[1]) & (np.hypot(pt, pz) > LEAST_MOMENTUM)


def slope_error(momentum: Array) -> Array:
    """Resolution of each slope (rad)."""
    return np.hypot(SLOPE_ERROR, SCATTERING / momentum)


def mass_squared_error(momentum: Array, mass: float, resolution: float) -> Array:
    """
    Resolution of m² = p² (1/β² - 1) from momentum and time of flight (GeV²).

    Parameters
    ----------
    momentum : array
        GeV.
    mass : float
        Mass of the particle (GeV).
    resolution : float
        Relative resolution of the momentum.
    """
    energy = np.hypot(momentum, mass)
    time = TIME_ERROR * (momentum / energy) / WALL
    return np.hypot(2 * energy**2 * time, 2 * mass**2 * resolution)
