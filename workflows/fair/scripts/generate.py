"""
Write one file of toy events: nuclear collisions at a fixed target, with Λ → p π⁻ among protons and pions of
the collision.

Transverse mass is exponential, rapidity Gaussian, the decay isotropic, its place by the lifetime; then the
toy detector measures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import awkward as ak
import checksums
import detector
import documents
import events
import numpy as np
import particles
import rootfile
import vector
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: mean number in an event, inverse slope of the transverse mass (GeV), width of the rapidity: of the
#: collision's own particles
PRIMARIES = {
    "proton": (particles.PROTON, 1, 16.0, 0.16, 0.75),
    "pi+": (particles.PION, 1, 10.0, 0.13, 0.90),
    "pi-": (particles.PION, -1, 14.0, 0.13, 0.90),
}
LAMBDA_SLOPE, LAMBDA_WIDTH = 0.15, 0.60


def thermal(
    rng: np.random.Generator, n: int, mass: float, slope: float, width: float, centre: float
) -> Array:
    """
    Momenta with dN/dm_T ~ m_T exp(-m_T / slope) and Gaussian rapidity.

    Returns
    -------
    array of shape (3, n)
        GeV, beam along z.
    """
    # m_T = mass + x: the density (mass + x) exp(-x / slope) is the sum of an exponential and a gamma
    # distribution
    excess = rng.gamma(np.where(rng.random(n) < mass / (mass + slope), 1.0, 2.0), slope)
    mt = mass + excess
    pt, phi = np.sqrt(mt**2 - mass**2), rng.uniform(0, 2 * np.pi, n)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(rng.normal(centre, width, n))])


def decay(rng: np.random.Generator, mother: Array) -> tuple[Array, Array, Array]:
    """
    Isotropic decays Λ → p π⁻.

    Parameters
    ----------
    mother : array of shape (3, n)
        Momenta (GeV).

    Returns
    -------
    proton, pion : arrays of shape (4, n)
        Energy and momentum (GeV).
    place : array of shape (3, n)
        Where it decays (cm).
    """
    n = mother.shape[1]
    p = particles.decay_momentum(particles.LAMBDA, particles.PROTON, particles.PION)
    cosine, phi = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    direction = p * np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine])
    frame = vector.array(
        {"px": mother[0], "py": mother[1], "pz": mother[2], "mass": np.full(n, particles.LAMBDA)}
    )
    daughters = []
    for sign, mass in ((1, particles.PROTON), (-1, particles.PION)):
        x, y, z = sign * direction
        moving = vector.array({"px": x, "py": y, "pz": z, "mass": np.full(n, mass)}).boost_p4(frame)
        daughters.append(np.stack([moving.E, moving.px, moving.py, moving.pz]))
    time = rng.exponential(particles.LAMBDA_CTAU, n)
    return daughters[0], daughters[1], mother / particles.LAMBDA * time


def measure(
    rng: np.random.Generator, p: Array, start: Array, mass: Array, resolution: float
) -> dict[str, Array]:
    """
    What the detector says of tracks: momentum, place at its first plane, m².

    Parameters
    ----------
    p, start : arrays of shape (3, n)
        True momenta (GeV), places where the tracks start (cm).
    mass : array
        True masses (GeV).
    resolution : float
        Relative resolution of the momentum.
    """
    size = np.sqrt((p**2).sum(axis=0))
    slopes = p[:2] / p[2]
    place = (
        start[:2]
        + slopes * (detector.PLANE - start[2])
        + rng.normal(0, detector.POSITION_ERROR, slopes.shape)
    )
    slopes = slopes + rng.normal(0, detector.slope_error(size), slopes.shape)
    measured = size * (1 + resolution * rng.normal(size=size.size))
    pz = measured / np.sqrt(1 + (slopes**2).sum(axis=0))
    # one error for momentum and time of flight together: their correlation does not matter here
    m2 = mass**2 + detector.mass_squared_error(size, mass, resolution) * rng.normal(size=size.size)
    return {
        "px": pz * slopes[0],
        "py": pz * slopes[1],
        "pz": pz,
        "x": place[0],
        "y": place[1],
        "z": np.full(size.size, detector.PLANE),
        "m2": m2,
    }


def simulate(
    n: int, seed: int, block: int, energy: float, rate: float, resolution: float
) -> dict[str, ak.Array | Array]:
    """
    Events of one block; equal arguments give equal events.

    Parameters
    ----------
    n : int
        Events.
    seed, block : int
        Together they start the random numbers, so that blocks are independent.
    energy : float
        Kinetic energy of the beam per nucleon (GeV).
    rate : float
        Mean number of decays Λ → p π⁻ in an event.
    resolution : float
        Relative resolution of the momentum.
    """
    rng = np.random.default_rng([seed, block])
    centre = particles.beam_rapidity(energy) / 2
    decays = rng.poisson(rate, n)
    total = int(decays.sum())
    proton, pion, place = decay(
        rng, thermal(rng, total, particles.LAMBDA, LAMBDA_SLOPE, LAMBDA_WIDTH, centre)
    )
    owner, number = (
        np.repeat(np.arange(n), decays),
        np.arange(total) - np.repeat(np.cumsum(decays) - decays, decays),
    )
    parts = [
        (proton[1:], place, particles.PROTON, 1, owner, number),
        (pion[1:], place, particles.PION, -1, owner, number),
    ]
    for mass, charge, mean, slope, width in PRIMARIES.values():
        counts = rng.poisson(mean, n)
        m = int(counts.sum())
        p = thermal(rng, m, mass, slope, width, centre)
        parts.append((p, np.zeros((3, m)), mass, charge, np.repeat(np.arange(n), counts), np.full(m, -1)))
    p, start = (np.concatenate([part[i] for part in parts], axis=1) for i in (0, 1))
    mass, charge = (np.concatenate([np.full(part[0].shape[1], part[i]) for part in parts]) for i in (2, 3))
    event, mother = (np.concatenate([part[i] for part in parts]) for i in (4, 5))
    seen = detector.accepted(*p, start[2])
    p, start, mass, charge, event, mother = (
        p[:, seen],
        start[:, seen],
        mass[seen],
        charge[seen],
        event[seen],
        mother[seen],
    )
    tracks = {**measure(rng, p, start, mass, resolution), "charge": charge, events.MOTHER: mother}
    # tracks of an event in random order: nothing is to be learnt from their places
    order = np.lexsort((rng.random(event.size), event))
    kinds = {"charge": np.int32, events.MOTHER: np.int32}
    jagged = {
        k: ak.unflatten(v[order].astype(kinds.get(k, np.float32)), np.bincount(event, minlength=n))
        for k, v in tracks.items()
    }
    return {
        "event": np.arange(n, dtype=np.int64),
        events.TRUE_DECAYS: decays.astype(np.int32),
        "trk": ak.zip(jagged),
    }


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--block", type=int, required=True, help="number of this file, from 1; 0 is the simulation"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--beam-energy", type=float, required=True, help="GeV a nucleon")
    parser.add_argument("--lambda-rate", type=float, required=True, help="decays an event")
    parser.add_argument("--momentum-resolution", type=float, required=True, help="percent")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    args = parser.parse_args()
    said = {
        "seed": args.seed,
        "block": args.block,
        "events": args.events,
        "beam_energy_gev": args.beam_energy,
        "lambda_rate": args.lambda_rate,
        "momentum_resolution_percent": args.momentum_resolution,
    }
    made = simulate(
        args.events, args.seed, args.block, args.beam_energy, args.lambda_rate, args.momentum_resolution / 100
    )
    with rootfile.recreate(args.out) as file:
        tree = file.mktree(
            events.TREE, {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in made.items()}
        )
        tree.extend(made)
    documents.write_json(
        args.record,
        {
            "name": args.out.name,
            "origin": "generated",
            **checksums.of(args.out),
            "verified_with": [],
            "generator": said,
        },
    )


if __name__ == "__main__":
    main()
