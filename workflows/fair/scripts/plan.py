"""
Before anything runs: parameters that don't fit together, and whether this python3 has the software. Standard
library only.

Writes which files are generated: `blocks` of events, none where files are given; `simulation_blocks`
likewise, at most one.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import documents

NEEDED = ("numpy", "scipy", "uproot", "awkward", "vector", "hist", "iminuit", "matplotlib")
#: below it the shape of the background is not smooth; the threshold of the pair is 1.0778 GeV
LEAST_MASS = 1.08


def problems(mass_min: float, mass_max: float, bins: int, reader: str) -> list[str]:
    """What is wrong, all at once."""
    found = []
    if mass_min < LEAST_MASS:
        found.append(f"mass_min: {mass_min:g} GeV is below {LEAST_MASS:g} GeV, where the spectrum starts")
    if not mass_min + 0.02 < 1.115683 < mass_max - 0.02:
        found.append(
            f"mass_min, mass_max: {mass_min:g} to {mass_max:g} GeV leaves less than 0.02 GeV on "
            "a side of "
            "1.1157 GeV"
        )
    elif (width := (mass_max - mass_min) / bins) > 0.002:
        found.append(
            f"bins: {bins} bins are {1e3 * width:.2g} MeV wide, a peak of 1 MeV needs bins of 2 MeV or less"
        )
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        found.append(
            f"software: python3 on PATH lacks {', '.join(missing)}; requirements.txt says which versions"
        )
    if reader == "root" and importlib.util.find_spec("ROOT") is None:
        found.append(
            "reader: 'root' is wanted, and python3 on PATH has no module ROOT; 'uproot' reads "
            "the same "
            "files without it"
        )
    return found


def main() -> None:
    """Write ``cwl.output.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--given", type=int, required=True, help="files that are given")
    parser.add_argument(
        "--simulated", type=int, required=True, help=("files of the simulation that are given")
    )
    parser.add_argument("--files", type=int, required=True, help=("files to be generated if none is given"))
    parser.add_argument("--mass-min", type=float, required=True)
    parser.add_argument("--mass-max", type=float, required=True)
    parser.add_argument("--bins", type=int, required=True)
    parser.add_argument("--reader", required=True)
    args = parser.parse_args()
    if found := problems(args.mass_min, args.mass_max, args.bins, args.reader):
        raise SystemExit("\n".join(found))
    blocks = [] if args.given else list(range(1, args.files + 1))
    documents.write_json(
        Path("cwl.output.json"), {"blocks": blocks, "simulation_blocks": [] if args.simulated else [0]}
    )


if __name__ == "__main__":
    main()
