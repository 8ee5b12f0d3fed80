"""
Reading on in a record that an engine still writes: `Record`, and its parts. For the event modules, those of
other packages too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from esap_wf.engines import Cursor
from esap_wf.formats import reading
from esap_wf.models.run import Event

#: Bytes of one part: a record that was left alone for hours is not read at once.
CHUNK = 4_000_000


def lines_after(path: Path, offset: int) -> list[bytes]:
    """
    Complete lines from a byte offset on, with their newline, at most `CHUNK` bytes; none if the file isn't
    there yet.
    """
    try:
        if path.stat().st_size <= offset:
            return []
        with reading.opened(path) as f:
            f.seek(offset)
            data = f.read(CHUNK)
    except FileNotFoundError:
        return []
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def all_lines(path: Path) -> Iterator[bytes]:
    """Every complete line of a record."""
    offset = 0
    while lines := lines_after(path, offset):
        yield from lines
        offset += sum(map(len, lines))


def offset_of(cursor: Cursor, path: Path) -> int:
    """
    Bytes of a record that were passed on, of an engine whose mark is an offset; those that are there now if
    nobody knows.
    """
    return size(path) if cursor.lost else int(cursor.mark or 0)


def size(path: Path) -> int:
    """Bytes of a record; 0 if the file isn't there yet."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Record(ABC):
    """
    A record of one line for each thing that happens, as an `EventSource`: the mark of an event is the offset
    behind its line.

    What lies before the cursor is read once more, because later lines may refer to it, but it is not reported
    a second time.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    reported : int
        Bytes that were passed on, from `offset_of`.

    Attributes
    ----------
    offset : int
        Behind the line that is read.
    """

    def __init__(self, path: Path, reported: int = 0) -> None:
        self.path, self.reported, self.offset = path, reported, 0

    @abstractmethod
    def events_of(self, line: bytes) -> Iterable[Event]:
        """
        The events of one complete line, with its newline; none of one that the engine can't have written.
        It raises nothing.
        """

    def read(self) -> list[Event]:
        """Events since the last call; empty only if there are no more."""
        events: list[Event] = []
        before = -1
        while not events and before < self.offset:  # a part without any event is not the end
            before = self.offset
            events = self._part()
        return events

    def _part(self) -> list[Event]:
        events: list[Event] = []
        for line in lines_after(self.path, self.offset):
            self.offset += len(line)
            found = self.events_of(line)
            if self.offset > self.reported:
                events += [msgspec.structs.replace(event, mark=self.offset) for event in found]
        return events
