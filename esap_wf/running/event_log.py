"""``events.jsonl``: `EventLog` is its one writer. A full disk makes it wait, never lose or repeat a line."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from esap_wf import files
from esap_wf.engines import Cursor
from esap_wf.models.run import Event, State
from esap_wf.runs import event_lines, progress
from esap_wf.runs.run import Run


class EventLog:
    """
    Appends events and keeps the counts.

    Parameters
    ----------
    run : Run
    state : State
        The checkpoint to go on from.
    unit_steps : list of str or None
        Steps along the workflow's axis.

    Attributes
    ----------
    state : State
        With everything folded that was appended.
    full : bool
        Whether the disk was full at the last attempt.
    """

    def __init__(self, run: Run, state: State, unit_steps: list[str] | None) -> None:
        self.run, self.unit_steps = run, unit_steps
        size = run.events_path.stat().st_size if run.events_path.exists() else 0
        self.lost = size < state.offset  # a power cut took lines that the checkpoint has counted
        if self.lost:  # what is appended now is counted from here
            state = msgspec.structs.replace(state, offset=size)
        self.state = progress.follow(state, run.events_path, unit_steps)
        self.full = False
        self._waiting: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode

    def append(self, events: Sequence[Event]) -> bool:
        """Append and fold; True if anything new was folded."""
        self._waiting += [self._encode(e) for e in events]
        if not self._waiting:
            return False
        try:
            files.append_line(self.run.events_path, b"\n".join(self._waiting), mode=self.run.store.file_mode)
        except files.NoSpaceError:
            self.full = True
            return False
        self.full = False
        self._waiting.clear()
        self.state = progress.follow(self.state, self.run.events_path, self.unit_steps)
        return True

    def journals(self) -> dict[str, int]:
        """Up to where the journals of shards were counted: bytes by their names."""
        found: dict[str, int] = {}
        for line in event_lines.complete_lines(self.run.events_path, 0):
            if b'"journal"' in line or b'"anew"' in line:
                try:
                    event = msgspec.json.decode(line, type=Event)
                except files.BROKEN:
                    continue
                if event.kind == "anew":
                    found.clear()
                elif event.journal:
                    name, _, offset = event.journal.rpartition(":")
                    found[name] = int(offset) if offset.isdecimal() else 0
        return found

    def cursor(self, epoch: int) -> Cursor:
        """Up to where the engine's record of an epoch was counted."""
        if self.lost:
            return Cursor.LOST
        last = Cursor.START
        for line in event_lines.complete_lines(self.run.events_path, 0):
            if b'"source"' in line:
                try:
                    event = msgspec.json.decode(line, type=Event)
                except files.BROKEN:
                    continue
                if event.epoch == epoch and event.mark is not None:
                    last = Cursor.at(event.mark)
        return last
