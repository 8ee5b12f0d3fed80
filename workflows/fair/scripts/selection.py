"""
Candidates Λ → p π⁻ of events: identified tracks, the place where two of them meet, cuts, the invariant mass.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import detector
import numpy as np
import particles
import vector
from numpy.typing import NDArray

vector.register_awkward()

#: what is kept of a candidate, and its unit
FIELDS = {
    "mass": "GeV",
    "pt": "GeV",
    "rapidity": "",
    "decay_length": "cm",
    "proper_length": "cm",
    "distance": "cm",
}


@dataclass(frozen=True)
class Cuts:
    """The selection."""

    #: largest deviation of m² from that of the particle, in resolutions
    identification: float
    #: relative resolution of the momentum that this supposes
    resolution: float
    #: largest distance of the two tracks (cm)
    distance: float
    #: smallest distance of the place where they meet from the target (cm)
    decay_length: float
    #: largest angle of the pair's momentum to the line from the target (rad)
    pointing: float


def identified(tracks: ak.Array, charge: int, mass: float, cuts: Cuts) -> ak.Array:
    """Tracks of one charge whose time of flight fits a particle."""
    momentum = np.sqrt(tracks.px**2 + tracks.py**2 + tracks.pz**2)
    # elementwise on the flat tracks: the resolution depends on momentum
    flat = ak.to_numpy(ak.flatten(momentum))
    error = ak.unflatten(detector.mass_squared_error(flat, mass, cuts.resolution), ak.num(momentum))
    return tracks[(tracks.charge == charge) & (abs(tracks.m2 - mass**2) < cuts.identification * error)]


def meeting(proton: ak.Array, pion: ak.Array) -> tuple[ak.Array, ak.Array]:
    """
    Where two straight tracks are nearest to each other.

    Returns
    -------
    place : awkward.Array
        Vector half way between them (cm).
    distance : awkward.Array
        Distance of the tracks there (cm).
    """
    u, v = momentum(proton).to_Vector3D().unit(), momentum(pion).to_Vector3D().unit()
    a, b = position(proton), position(pion)
    between = a - b
    # nearest points a + s u and b + t v: their difference is orthogonal to both directions
    cosine, along_u, along_v = u.dot(v), u.dot(between), v.dot(between)
    apart = np.maximum(1 - cosine**2, 1e-12)
    s, t = (cosine * along_v - along_u) / apart, (along_v - cosine * along_u) / apart
    first, second = a + u * s, b + v * t
    return (first + second) * 0.5, (first - second).mag


def momentum(tracks: ak.Array, mass: float = 0.0) -> ak.Array:
    """Four-vectors of tracks with a mass (GeV), in double precision."""
    double = {k: ak.values_astype(tracks[k], np.float64) for k in ("px", "py", "pz")}
    return ak.zip({**double, "mass": ak.full_like(double["px"], mass)}, with_name="Momentum4D")


def position(tracks: ak.Array) -> ak.Array:
    """A point on each track (cm)."""
    return ak.zip({k: ak.values_astype(tracks[k], np.float64) for k in ("x", "y", "z")}, with_name="Vector3D")


def candidates(
    chunk: ak.Array, cuts: Cuts
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_], float]:
    """
    Candidates of some events.

    Returns
    -------
    columns : dict of array
        `FIELDS` of all that pass the cuts.
    true : array of bool
        Those of which both tracks are from the same decay.
    shell : float
        Largest |E² - p² - m²| of their tracks, relative to E².
    """
    protons = identified(chunk.tracks, +1, particles.PROTON, cuts)
    pions = identified(chunk.tracks, -1, particles.PION, cuts)
    proton, pion = ak.unzip(ak.cartesian([protons, pions]))
    proton, pion = ak.flatten(proton), ak.flatten(pion)
    p, q = momentum(proton, particles.PROTON), momentum(pion, particles.PION)
    pair = p + q
    place, distance = meeting(proton, pion)
    length = place.mag
    along = pair.to_Vector3D()
    angle = np.arccos(np.clip(place.dot(along) / np.maximum(length * along.mag, 1e-12), -1, 1))
    kept = (
        (distance < cuts.distance)
        & (length > cuts.decay_length)
        & (place.z < detector.PLANE)
        & (angle < cuts.pointing)
    )
    columns = {
        "mass": pair.mass,
        "pt": pair.pt,
        "rapidity": pair.rapidity,
        "decay_length": length,
        "proper_length": length * particles.LAMBDA / along.mag,
        "distance": distance,
    }
    true = (proton.mother >= 0) & (proton.mother == pion.mother)
    off = [
        np.abs(d.E**2 - d.px**2 - d.py**2 - d.pz**2 - m**2) / d.E**2
        for d, m in ((p, particles.PROTON), (q, particles.PION))
    ]
    shell = max((float(ak.max(o[kept])) for o in off), default=0.0) if ak.any(kept) else 0.0
    return {k: ak.to_numpy(v[kept]) for k, v in columns.items()}, ak.to_numpy(true[kept]), shell
