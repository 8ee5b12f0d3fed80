"""Nextflow's trace: one row for each task that has ended, with how it ended and what it used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from esap_wf.engines import following
from esap_wf.formats import reading

#: Columns of the trace. The name comes last: it holds what a pipeline puts in a tag, and that may be a line
#: break.
FIELDS = (
    "task_id",
    "hash",
    "native_id",
    "process",
    "status",
    "exit",
    "submit",
    "start",
    "complete",
    "realtime",
    "%cpu",
    "peak_rss",
    "attempt",
    "workdir",
    "error_action",
    "name",
)
#: Nextflow writes this where it doesn't know something.
_NOTHING = ("-", "")


def trace_path(run: Path, epoch: int) -> Path:
    """Trace of an epoch."""
    return run / "engine" / f"{epoch}.trace.tsv"


@dataclass(frozen=True)
class Row:
    """
    A task that has ended.

    Parameters
    ----------
    name, hash, workdir : str
    status : str
        ``COMPLETED``, ``CACHED``, ``FAILED`` or ``ABORTED``.
    error_action : str
        What Nextflow made of a failure: ``IGNORE``, ``RETRY``, …
    native_id : str, optional
        Of the process or job that carried it out.
    exit_code : int, optional
        None: nobody has seen how it ended.
    attempt : int
    ended : float, optional
        Seconds since 1970.
    cpu_seconds : float, optional
    memory_bytes : int, optional
        The largest resident memory.
    """

    name: str
    hash: str
    workdir: str
    status: str
    error_action: str
    native_id: str | None
    exit_code: int | None
    attempt: int
    ended: float | None
    cpu_seconds: float | None
    memory_bytes: int | None

    @property
    def cached(self) -> bool:
        """Whether it was taken from Nextflow's cache."""
        return self.status == "CACHED"

    @property
    def done(self) -> bool:
        """Whether it has ended well, now or before."""
        return self.status in ("COMPLETED", "CACHED")

    @property
    def retried(self) -> bool:
        """Whether this is a further attempt."""
        return not self.cached and self.attempt > 1


@dataclass(frozen=True)
class Line:
    """A line of the trace, from one byte to before another; without a row if it is the head, or broken."""

    start: int
    end: int
    row: Row | None


class Trace:
    """
    Follows a trace.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._columns: list[str] = []

    def read(self) -> list[Line]:
        """Complete lines since the last call."""
        if following.size(self.path) <= self._offset:
            return []
        with reading.opened(self.path) as file:
            file.seek(self._offset)
            data = file.read()
        found = []
        for text in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
            start, self._offset = self._offset, self._offset + len(text) + 1
            found.append(Line(start, self._offset, self._row(text)))
        return found

    def _row(self, line: bytes) -> Row | None:
        text = line.decode("utf-8", "replace")
        if not self._columns:
            self._columns = text.split("\t")
            return None
        values = text.split("\t", len(self._columns) - 1)
        if len(values) != len(self._columns) or not set(FIELDS) <= set(self._columns):
            return None
        return _row(dict(zip(self._columns, values, strict=True)))


def _row(fields: dict[str, str]) -> Row:
    code = _whole(fields["exit"])
    milliseconds, percent, ended = (
        _whole(fields["realtime"]),
        _number(fields["%cpu"]),
        _whole(fields["complete"]),
    )
    return Row(
        name=fields["name"],
        hash=fields["hash"],
        workdir=fields["workdir"],
        status=fields["status"],
        error_action=fields["error_action"],
        native_id=None if fields["native_id"] in _NOTHING else fields["native_id"],
        exit_code=code if code is not None and 0 <= code < 256 else None,
        attempt=_whole(fields["attempt"]) or 1,
        ended=ended / 1000 if ended else None,
        cpu_seconds=None
        if milliseconds is None or percent is None
        else round(milliseconds * percent / 100_000, 3),
        memory_bytes=_whole(fields["peak_rss"]) or None,
    )


def _whole(text: str) -> int | None:
    value = _number(text)
    return None if value is None else int(value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
