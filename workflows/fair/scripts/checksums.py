"""
Checksums of files, and lists of them as a data lake's catalogue gives: CSV with `name` and any of `bytes`,
`adler32`, `md5`, `sha256`.

Standard library only.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zlib
from pathlib import Path

#: hexadecimal digits of each
DIGITS = {"adler32": 8, "md5": 32, "sha256": 64}
CHUNK = 1 << 20


class Sums:
    """Size and checksums of bytes as they pass."""

    def __init__(self) -> None:
        self.bytes, self._adler = 0, 1
        self._hashes = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}

    def update(self, chunk: bytes) -> None:
        """Add bytes."""
        self.bytes += len(chunk)
        self._adler = zlib.adler32(chunk, self._adler)
        for each in self._hashes.values():
            each.update(chunk)

    def values(self) -> dict[str, str | int]:
        """`bytes` and each checksum in hexadecimal."""
        return {
            "bytes": self.bytes,
            "adler32": f"{self._adler:08x}",
            **{k: v.hexdigest() for k, v in self._hashes.items()},
        }


def of(path: Path) -> dict[str, str | int]:
    """Size and checksums of a file."""
    sums = Sums()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sums.update(chunk)
    return sums.values()


def read(path: Path) -> dict[str, dict[str, str | int]]:
    """
    A list of checksums by name of the file.

    Raises
    ------
    SystemExit
        All lines that are wrong.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SystemExit(f"{path.name}: not a readable CSV file ({error})") from None
    listed: dict[str, dict[str, str | int]] = {}
    wrong = []
    for number, row in enumerate(rows, start=2):
        known = {k: (row.get(k) or "").strip().lower() for k in ("bytes", *DIGITS)}
        name, given = (row.get("name") or "").strip(), {k: v for k, v in known.items() if v}
        if not name:
            wrong.append(f"line {number}: no name")
        if not given:
            wrong.append(f"line {number}: neither bytes nor one of {', '.join(DIGITS)}")
        if name in listed:
            wrong.append(f"line {number}: {name} is listed twice")
        if "bytes" in given and not given["bytes"].isdecimal():
            wrong.append(f"line {number}: bytes {given['bytes']!r} is not a number")
        for kind, digits in DIGITS.items():
            if kind in given and not (
                len(given[kind]) == digits and set(given[kind]) <= set("0123456789abcdef")
            ):
                wrong.append(f"line {number}: {kind} {given[kind]!r} is not {digits} hexadecimal digits")
        listed[name] = {k: int(v) if k == "bytes" and v.isdecimal() else v for k, v in given.items()}
    if not rows:
        wrong.append("it lists no file; the first line names the columns: name,bytes,adler32,md5,sha256")
    if wrong:
        raise SystemExit("\n".join(f"{path.name}: {line}" for line in wrong))
    return listed


def write(path: Path, files: dict[str, dict[str, str | int]]) -> None:
    """Write a list that `read` reads."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["name", "bytes", *DIGITS])
        for name, sums in sorted(files.items()):
            table.writerow([name, sums["bytes"], *(sums[kind] for kind in DIGITS)])
