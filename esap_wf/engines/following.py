"""Reading on in a record that an engine still writes. Imported by the event modules."""

from __future__ import annotations

from pathlib import Path

#: Bytes of one part: a record that was left alone for hours is not read at once.
CHUNK = 4_000_000


def lines_after(path: Path, offset: int) -> list[bytes]:
    """Complete lines from a byte offset on, with their newline, at most `CHUNK` bytes; none if the file isn't there yet."""
    try:
        if path.stat().st_size <= offset:
            return []
        with path.open("rb") as f:
            f.seek(offset)
            data = f.read(CHUNK)
    except FileNotFoundError:
        return []
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
