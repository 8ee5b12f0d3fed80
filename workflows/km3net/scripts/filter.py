"""
Step `filter`: read a file of any known kind, drop short pulses and events with too few triggered hits. The
volume shrinks here.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import eventfile
import numpy as np
from documents import only, read_json

#: how files begin, whatever their name
SIGNATURES = {b"root": "ROOT", b"\x89HDF": "HDF5"}
#: other files that are mistaken for event files
OTHERS = {b"SIMPLE  ": "FITS", b"\x1f\x8b": "compressed (gzip); unpack it", b"PK\x03\x04": "an archive (ZIP)"}


def read(path: Path) -> eventfile.EventFile:
    """
    Read an event file; what it is, is told by its content.

    Raises
    ------
    eventfile.EventFileError
        It is none that is known, or it is damaged.
    """
    with path.open("rb") as file:
        begin = file.read(8)
    kind = SIGNATURES.get(begin[:4])
    if kind == "ROOT":
        import rootfiles  # seconds of imports, which files of ours don't need

        return rootfiles.read(path)
    if kind == "HDF5":
        try:
            return eventfile.read(path)
        except eventfile.EventFileError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise eventfile.EventFileError(f"a damaged HDF5 file: {error}") from None
    other = next((kind for start, kind in OTHERS.items() if begin.startswith(start)), "")
    raise eventfile.EventFileError(f"neither a ROOT file nor HDF5{f', but {other}' * bool(other)}")


def select(content: eventfile.EventFile, parameters: Mapping[str, Any]) -> None:
    """Cut hits and events, in place."""
    tot = content.hits["tot"]
    content.keep_hits((tot >= parameters["tot_min"]) & (tot <= parameters["tot_max"]))
    hits, triggered = content.hits, content.hits["triggered"] > 0
    number = np.bincount(hits["event"][triggered], minlength=len(content.events))
    pairs = np.unique(np.stack([hits["event"][triggered], hits["dom_id"][triggered]], axis=1), axis=0)
    modules = np.bincount(pairs[:, 0], minlength=len(content.events))
    enough = modules >= parameters["min_modules"]
    content.keep_events(number >= parameters["min_hits"], "triggered hits")
    content.keep_events(enough[number >= parameters["min_hits"]], "modules")


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--events", type=Path, required=True, help="file, or a folder with nothing else in it")
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    path = only(args.events)
    try:
        content = read(path)
    except eventfile.EventFileError as error:
        raise SystemExit(
            f"{path.name}: {error}. Event files are ROOT (offline or online) or the HDF5 of README.md"
        ) from None
    select(content, read_json(args.parameters)["parameters"])
    content.facts["name"] = path.name
    eventfile.write(args.out, content)
    print(
        f"{path.name}: {', '.join(f'{what} {left}' for what, left in content.flow)}; {len(content.hits)} hits"
    )


if __name__ == "__main__":
    main()
