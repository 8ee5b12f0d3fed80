"""
One status question a place for all runs of a user, and caps over all of them.

The supervisors of a user's runs on one machine tell each other, by files (`slots`), which pieces they have at
a place. One of them asks for all, the others read its answer. No process serves the others, so none is missed
when it is killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from esap_wf.backends.asking import Answers
from esap_wf.backends.launcher import (
    LONGEST_HANDLE,
    BatchJob,
    Condition,
    Launcher,
    NeedsPersonError,
    Part,
    Piece,
    Refusal,
    Seen,
    Served,
    Signal,
)
from esap_wf.backends.slots import Registered, Slot, Slots, SlotsError, clock
from esap_wf.formats.quantities import human_count
from esap_wf.models.place import Profile
from esap_wf.runs import processes

logger = logging.getLogger(__name__)


class Shared(Launcher):
    """
    A launcher that asks for all runs of this user, and keeps to the caps of the place over all of them.

    Parameters
    ----------
    launcher : Launcher
        That of the place.
    profile : Profile
    cache : Path
    """

    def __init__(self, launcher: Launcher, profile: Profile, cache: Path) -> None:
        self.launcher, self.profile = launcher, profile
        self.shares_store, self.is_queue = launcher.shares_store, launcher.is_queue
        self.waiting_for = ""
        self._me = processes.me()
        self._slots = Slots(cache / "places" / profile.name, self._me.boot_id)
        #: What is registered, as far as this process knows: key → handle.
        self._known: dict[str, str | None] = {}
        #: No older answer counts; 0 until something is registered.
        self._serial = 0
        self._changed = clock()

    def serve(self, run: Served) -> None:
        """As `Launcher.serve`. When the directory of the run is gone, nothing of it counts any more."""
        self.launcher.serve(run)
        self._run = run
        self._answers = Answers(self.launcher, self.profile, self._slots, run.run)

    # --- starting, within the caps

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        """As `Launcher.start`. A piece for which there is no slot is missing from the answer."""
        self.waiting_for = ""
        taken = self._take(pieces)
        if pieces and not taken:
            return {}
        answers: Mapping[str, str | Refusal] | None = None
        try:
            answers = self.launcher.start(taken)
            self.waiting_for = self.waiting_for or self.launcher.waiting_for
            return answers
        finally:
            self._began(taken, answers)

    def _take(self, pieces: Sequence[Piece]) -> list[Piece]:
        try:
            taken = self._with_slots(pieces)
            if len(taken) < len(pieces) and self.profile.caps.heads is not None:
                # what has ended since the last question gives its slot back
                self._answers.recent(0, self._changed)
                taken = self._with_slots(pieces)
        except SlotsError as error:
            if self.profile.caps.heads is None and self.profile.caps.submissions is None:
                logger.warning("pieces are started, but no other run knows of them: %s", error)
                return list(pieces)
            self.waiting_for = f"who keeps to the limits of {self.profile.name} can't count: {error}"
            return []
        return taken

    def _with_slots(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Those that may be started now, which have a slot from now on."""
        heads, most = self.profile.caps.heads, self.profile.caps.submissions
        with self._slots.locked():
            runs = self._slots.runs()
            mine = runs.get(self._run.run) or self._none()
            held = {k for r in runs.values() for k, slot in r.pieces.items() if not slot.over}
            times = self._slots.submissions()
            slots, taken = dict(mine.pieces), []
            for piece in pieces:
                has = piece.key in held and piece.key in slots and slots[piece.key].granted
                if heads is not None and not has and len(held - {piece.key}) >= heads:
                    self.waiting_for = (
                        f"{human_count(len(held), 'piece')} of yours are at {self.profile.name}, "
                        f"where {heads} may be at a time"
                    )
                    continue
                if most is not None and len(times) >= most:
                    self.waiting_for = (
                        f"{human_count(most, 'piece')} a minute may be started at {self.profile.name}"
                    )
                    continue
                held.add(piece.key)
                times.append(clock())
                handle = self._known.get(piece.key)
                slots[piece.key] = Slot(handle=handle, granted=True, starting=self._me)
                taken.append(piece)
            if len(taken) == len(pieces):
                self.waiting_for = ""
            if taken:
                if most is not None:
                    self._slots.keep_submissions(times)
                self._write(mine, slots)
        return taken

    def _began(self, pieces: Sequence[Piece], answers: Mapping[str, str | Refusal] | None) -> None:
        """Keep the handles; what the place hasn't taken gives its slot back. No earlier answer counts."""

        def change(slots: dict[str, Slot]) -> None:
            for key in [piece.key for piece in pieces]:
                answer = answers.get(key) if answers is not None else None
                if isinstance(answer, str):
                    handle = answer if len(answer.encode()) <= LONGEST_HANDLE else None
                    slots[key] = Slot(handle=handle, granted=True)
                    self._known[key] = handle
                elif answers is None:  # nobody knows whether it was started
                    slots[key] = Slot(handle=self._known.get(key), granted=True)
                else:
                    slots.pop(key, None)
                    self._known.pop(key, None)

        self._change(change)

    # --- looking

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        """As `Launcher.look`; the answer may be some seconds old, but no older than what was done last."""
        if not pieces:
            return {}
        try:
            return self._look(pieces)
        except SlotsError as error:
            logger.warning("%s is asked for this run alone: %s", self.profile.name, error)
            return self.launcher.look(pieces)

    def _look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        seen: Mapping[str, Seen] = {}
        for _ in range(2):
            self._register(pieces)
            status = self._answers.recent(self._serial, self._changed)
            if status is None:
                break
            if status.person:
                raise NeedsPersonError(status.person)
            seen = status.seen
            if missing := pieces.keys() - seen.keys():  # somebody has lost or broken what was registered
                for key in missing:
                    self._known.pop(key, None)
                continue
            return {key: seen[key] for key in pieces}
        late = Seen(Condition.UNKNOWN, reason="it has not answered the question of another run of yours yet")
        return {key: seen.get(key, late) for key in pieces}

    def _register(self, pieces: Mapping[str, str | None]) -> None:
        """Have these pieces asked for; the first time, no answer counts that somebody got before."""
        new = {k: h for k, h in pieces.items() if k not in self._known or (h and self._known[k] != h)}
        if not new and self._serial:
            return
        with self._slots.locked():
            mine = self._slots.run(self._run.run) or self._none()
            slots = dict(mine.pieces)
            for key, handle in new.items():
                slot = slots.get(key, Slot())
                slots[key] = msgspec.structs.replace(slot, handle=handle or slot.handle, starting=None)
            self._write(mine, slots)
        self._known |= new

    # --- the rest is the place's

    def survivors(self, run: str) -> Sequence[str] | None:
        """As `Launcher.survivors`."""
        return self.launcher.survivors(run)

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        """As `Launcher.stop`; no answer from before counts any more."""
        try:
            self.launcher.stop(pieces, signal)
        finally:
            self._change(lambda slots: None)

    def give_up(self, pieces: Mapping[str, str | None]) -> None:
        """As `Launcher.give_up`; no answer from before counts any more."""
        try:
            self.launcher.give_up(pieces)
        finally:
            self._change(lambda slots: None)

    def clear(self, run: str, grace: float, told: Callable[[str], None]) -> None:
        """As `Launcher.clear`; no answer from before counts any more."""
        try:
            self.launcher.clear(run, grace, told)
        finally:
            self._change(lambda slots: None)

    def wait(self, seconds: float) -> None:
        """As `Launcher.wait`."""
        self.launcher.wait(seconds)

    def quiet(self, key: str, handle: str | None) -> float | None:
        """As `Launcher.quiet`."""
        return self.launcher.quiet(key, handle)

    def batch_jobs(self, run: str, ended: Sequence[str] = ()) -> Sequence[BatchJob] | None:
        """As `Launcher.batch_jobs`."""
        return self.launcher.batch_jobs(run, ended)

    def silent_nodes(self) -> Sequence[str]:
        """As `Launcher.silent_nodes`."""
        return self.launcher.silent_nodes()

    def script(self, piece: Piece) -> str:
        """As `Launcher.script`."""
        return self.launcher.script(piece)

    def fenced(self, pieces: Mapping[str, str | None]) -> None:
        """As `Launcher.fenced`."""
        self.launcher.fenced(pieces)

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        """As `Launcher.pull`."""
        self.launcher.pull(key, handle, into, part, wanted)

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        """As `Launcher.forget`. One that is not known to be over keeps its slot until it is."""
        self.launcher.forget(pieces)

        def change(slots: dict[str, Slot]) -> None:
            for key in pieces.keys() & slots.keys():
                if slots[key].over:
                    del slots[key]
                else:
                    slots[key] = msgspec.structs.replace(slots[key], forgotten=True)

        self._change(change, raised=False)
        for key in pieces:
            self._known.pop(key, None)

    # --- what is registered of this run

    def _none(self) -> Registered:
        return Registered(folder=str(self._run.folder), serial=0)

    def _change(self, change: Callable[[dict[str, Slot]], None], raised: bool = True) -> None:
        """Change the slots of this run; if that can't be written, at least this process knows of it."""
        if raised:
            self._serial = max(self._serial + 1, int(clock() * 1e9))
            self._changed = clock()
        try:
            with self._slots.locked():
                mine = self._slots.run(self._run.run)
                if mine is None:
                    if not raised:
                        return
                    mine = self._none()
                slots = dict(mine.pieces)
                change(slots)
                if raised:
                    self._write(mine, slots)
                else:
                    self._slots.write(self._run.run, msgspec.structs.replace(mine, pieces=slots))
        except SlotsError as error:
            logger.warning("no other run hears what this one did at %s: %s", self.profile.name, error)

    def _write(self, mine: Registered, slots: dict[str, Slot]) -> None:
        """Write the slots of this run under a new serial. Call it with the lock."""
        serial = max(self._serial, self._slots.next_serial(mine))
        changed = msgspec.structs.replace(mine, folder=str(self._run.folder), serial=serial, pieces=slots)
        self._slots.write(self._run.run, changed)
        self._serial, self._changed = serial, clock()
