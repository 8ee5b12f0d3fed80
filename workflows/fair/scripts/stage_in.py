"""
Copy one event file to the place of the job and verify the copy: its bytes were read twice, from the source
and from the copy.

With a list of checksums (a catalogue's) the file must be in it and agree with all that it says. Standard
library only.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import checksums
import documents

#: how every ROOT file starts
MAGIC = b"root"


def copy(source: Path, target: Path) -> dict[str, str | int]:
    """Copy a file; size and checksums of what was read."""
    sums = checksums.Sums()
    part = target.with_name(f".{target.name}.part")
    with source.open("rb") as read, part.open("wb") as written:
        while chunk := read.read(checksums.CHUNK):
            sums.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    part.replace(target)
    return sums.values()


def problems(
    name: str,
    start: bytes,
    read: dict[str, str | int],
    copied: dict[str, str | int],
    listed: dict[str, str | int] | None,
) -> list[str]:
    """What is wrong with a copy."""
    found = []
    if start != MAGIC:
        found.append(f"{name}: not a ROOT file, it starts with {start!r}")
    if copied != read:
        found.append(f"{name}: the copy is not what was read ({copied['bytes']} of {read['bytes']} bytes)")
    for key, value in (listed or {}).items():
        if read[key] != value:
            found.append(f"{name}: {key} is {read[key]}, the list says {value}")
    return found


def main() -> None:
    """Copy, verify, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--checksums", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    args = parser.parse_args()
    name, listed = args.source.name, None
    if args.checksums:
        listed = checksums.read(args.checksums).get(name)
        if listed is None:
            raise SystemExit(f"{name}: not in the list of checksums {args.checksums.name}")
    read = copy(args.source, args.out)
    with args.out.open("rb") as file:
        start = file.read(4)
    if found := problems(name, start, read, checksums.of(args.out), listed):
        args.out.unlink()
        raise SystemExit("\n".join(found))
    documents.write_json(
        args.record, {"name": name, "origin": "given", **read, "verified_with": sorted(listed or {})}
    )


if __name__ == "__main__":
    main()
