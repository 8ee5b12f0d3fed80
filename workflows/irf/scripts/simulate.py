"""
Step `simulate`: throw one seed block of gammas, protons and electrons; blocks are independent of each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from documents import read_json
from events import PARTICLES, event_hdu, write_hdus
from response import Response
from showers import Thrown, throw_diffuse


def share(total: int, blocks: int, block: int) -> int:
    """Showers of block 1 … ``blocks``; the first ones take what doesn't divide."""
    return total // blocks + (block <= total % blocks)


def stream(seed: int, block: int, particle: str) -> int:
    """
    Seed of one particle in one block, a 62-bit number: independent of its neighbours, and it fits into a FITS
    header.
    """
    words = np.random.SeedSequence([seed, block, PARTICLES.index(particle)]).generate_state(1, np.uint64)
    return int(words[0] >> 2)


def block_hdus(
    parameters: Mapping[str, Any], selected: Mapping[str, Any], simulation: str, block: int
) -> list[Any]:
    """Event list of one block as HDUs, see `events`."""
    response, hdus = Response.of(parameters, selected), [fits.PrimaryHDU()]
    for particle in PARTICLES:
        seed = stream(parameters["seed"], block, particle)
        thrown = Thrown.of(
            particle, share(parameters[f"{particle}_showers"], parameters["blocks"], block), parameters
        )
        columns = throw_diffuse(np.random.default_rng(seed), particle, thrown, response)
        header = {
            "PARTICLE": particle,
            "SIMULATN": simulation,
            "SITE": parameters["site"],
            "ZENITH": float(parameters["zenith"]),
            "AZIMUTH": float(parameters["azimuth"]),
            "NSB": float(parameters["nsb"]),
            "EMIN": thrown.energy_min,
            "EMAX": thrown.energy_max,
            "IMPMAX": thrown.impact_max,
            "CONEMAX": thrown.cone,
            "SPINDEX": thrown.index,
            "NSHOWER": thrown.showers,
            "SEED": seed,
        }
        hdus.append(event_hdu(particle, columns, header))
        print(f"{particle}: {len(columns['gh_score'])} of {thrown.showers} showers kept, seed {seed}")
    return hdus


def make(parameters: Path, simulation: Path, block: int, out: Path) -> None:
    """Write the event list of a block."""
    document = read_json(parameters)
    name = read_json(simulation)["simulation"]
    write_hdus(out, block_hdus(document["parameters"], document["selected"], name, block))


def unit(values: Mapping[str, Any], results: Mapping[str, str]) -> None:
    """One block of a shard (rules/shard)."""
    parameters, simulation = Path(values["parameters"]), Path(values["simulation"])
    make(parameters, simulation, values["number"], Path(results["result"]))


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--simulation", type=Path, required=True)
    cli.add_argument("--block", type=int, required=True, help="1 to the number of blocks")
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    make(args.parameters, args.simulation, args.block, args.out)


if __name__ == "__main__":
    main()
