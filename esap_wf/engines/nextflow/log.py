"""Nextflow's log, as far as it says what was submitted and why something failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from esap_wf.engines import following
from esap_wf.formats import reading

#: Where the log is, relative to the run directory; at its start Nextflow renames an older one to ``….1`` and
#: so on.
LOG = "logs/nextflow.log"
#: Bytes of one part: a log that was left alone for hours is not read at once.
CHUNK = 4_000_000
#: An error's text is written at once; if its end can't be found within this many bytes it is none that we
#: know.
BLOCK = 65_536

_ENTRY = re.compile(
    rb"^(?P<stamp>\S+-\d\d \d\d:\d\d:\d\d\.\d{3}) \[[^\n]*?\] (?:INFO |WARN |ERROR|DEBUG) \S+ - (?:"
    rb"\[(?P<hash>[0-9a-f]{2}/[0-9a-f]{6})\] (?:(?P<what>Submitted|Re-submitted|Cached) process > "
    rb"(?P<name>[^\n]*)"
    rb"|NOTE: (?P<note>[^\n]*))"
    rb"|Task completed > TaskHandler\[[^\n]* error: (?!-;)[\w.$]*:? ?(?P<why>[^\n]*);"
    rb" workDir: [^\n]*?/(?P<folder>[0-9a-f]{2}/[0-9a-f]{6})[0-9a-f]*\]"
    rb"|Session UUID: (?P<session>[^\n]*)"
    rb"|(?P<error>Error executing process > '[^\n]*'\n\nCaused by:\n  (?P<cause>[^\n]*)\n)"
    rb")",
    re.MULTILINE,
)
_WORKDIR = re.compile(rb"Work dir:\n  \S*?/([0-9a-f]{2}/[0-9a-f]{6})[0-9a-f]*\n")
_ERROR = b"Error executing process > '"
_NEXT = re.compile(rb"^\S+-\d\d \d\d:\d\d:\d\d\.\d{3} \[", re.MULTILINE)

#: What an entry is about: the session, a task that was handed over (``submitted``, ``resubmitted``,
#: ``cached``), what Nextflow notes of one, and why one failed.
Kind = Literal["session", "submitted", "resubmitted", "cached", "note", "cause"]
_HANDED_OVER: dict[str, Kind] = {
    "Submitted": "submitted",
    "Re-submitted": "resubmitted",
    "Cached": "cached",
}


def run_name(run: Path, epoch: int) -> str:
    """Nextflow's name of what an epoch runs: unique in a history, in the characters that Nextflow takes."""
    name = re.sub(r"[^a-z0-9]+", "-", run.name.lower()).strip("-")[:60]
    return f"run-{name}-{epoch}" if name else f"run-{epoch}"


def log_path(run: Path, epoch: int) -> Path | None:
    """The log of an epoch, wherever it was renamed to; None if Nextflow didn't get so far."""
    name = f" -name {run_name(run, epoch)} ".encode()
    for path in [run / LOG, *(run / f"{LOG}.{n}" for n in range(1, 10))]:
        try:
            with reading.opened(path) as file:
                if name in file.readline(BLOCK).rstrip(b"\n") + b" ":
                    return path
        except OSError:
            return None
    return None


@dataclass(frozen=True)
class Entry:
    """
    Something that the log says.

    Parameters
    ----------
    kind : str
    text : str
        The session, the name of a task, the note, or the cause.
    end : int
        Bytes of the log up to its end.
    stamp : str
        When, in the log's own form.
    hash : str
        The task's; empty for a session.
    """

    kind: Kind
    text: str
    end: int
    stamp: str = ""
    hash: str = ""


class Log:
    """Follows the log of an epoch, which need not be there yet."""

    def __init__(self, run: Path, epoch: int) -> None:
        self._run, self._epoch = run, epoch
        self._path: Path | None = None
        #: Bytes that were read.
        self.offset = 0

    def read(self) -> list[Entry]:
        """What was added since the last call."""
        self._path = self._path or log_path(self._run, self._epoch)
        found: list[Entry] = []
        while self._path is not None and following.size(self._path) > self.offset:
            with reading.opened(self._path) as file:
                file.seek(self.offset)
                data = file.read(CHUNK)
            end = _end(data)
            if end == 0:
                break
            matches = (_entry(match, end, self.offset) for match in _ENTRY.finditer(data, 0, end))
            found += [entry for entry in matches if entry is not None]
            self.offset += end
        return found


def _end(data: bytes) -> int:
    """Where a part of the log is complete: behind its last line, before an error that is being written."""
    end = data.rfind(b"\n") + 1
    begun = data.rfind(_ERROR, 0, end)
    if begun < 0 or len(data) - begun >= BLOCK:
        return end
    complete = _NEXT.search(data, begun) or b"\nWork dir:\n" in data[begun:end]
    return end if complete else data.rfind(b"\n", 0, begun) + 1


def _entry(match: re.Match[bytes], end: int, offset: int) -> Entry | None:
    """The entry of a match in a part of the log that is complete up to `end` and begins at `offset`."""
    text = {k: v.decode("utf-8", "replace") for k, v in match.groupdict().items() if v is not None}
    stamp, behind = text["stamp"], offset + match.end()
    if "session" in text:
        return Entry("session", text["session"], behind, stamp)
    if "why" in text:
        return Entry("cause", text["why"], behind, stamp, text["folder"])
    if "note" in text:
        return Entry("note", text["note"], behind, stamp, text["hash"])
    if "error" in text:
        following_entry = _NEXT.search(match.string, match.end(), end)
        last = following_entry.start() if following_entry else end
        where = _WORKDIR.search(match.string, match.end(), last)
        return Entry("cause", text["cause"], behind, stamp, where[1].decode()) if where else None
    return Entry(_HANDED_OVER[text["what"]], text["name"], behind, stamp, text["hash"])
