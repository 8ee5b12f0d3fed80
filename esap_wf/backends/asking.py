"""The one question to a place for all runs of a user: asked by one supervisor, its answer read by all."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import msgspec

from esap_wf.backends.launcher import Condition, Launcher, NeedsPersonError, OutageError, Seen
from esap_wf.backends.slots import Registered, Slot, Slots, SlotsError, Status, clock
from esap_wf.models.place import Profile
from esap_wf.runs import processes

logger = logging.getLogger(__name__)

#: Seconds between two questions: for one run alone, for several, at most, and at most while nobody answers.
ALONE, LEAST, MOST, OUTAGE = 0.5, 2.0, 10.0, 30.0
#: By this part of the time for which a run's pieces are left alone the pause grows.
GROWTH = 0.02
#: Seconds for which another run's question is waited for; after which who asks is not waited for any more.
PATIENCE, STUCK = 10.0, 60.0
_PAUSE = 0.03
_OVER = (Condition.ENDED, Condition.GONE)


class Answers:
    """
    What a place says of the pieces of all runs.

    Parameters
    ----------
    launcher : Launcher
    profile : Profile
    slots : Slots
    run : str
        The run for which it is asked.
    """

    def __init__(self, launcher: Launcher, profile: Profile, slots: Slots, run: str) -> None:
        self.launcher, self.profile, self.run = launcher, profile, run
        self._slots = slots

    def recent(self, serial: int, changed: float) -> Status | None:
        """
        An answer that counts, asked for by this process or another.

        Parameters
        ----------
        serial : int
            What was asked before this one of the run is no answer; 0 if the run has nothing there.
        changed : float
            When the run did something last (`clock`).

        Returns
        -------
        Status or None
            None if it did not come in time.

        Raises
        ------
        NeedsPersonError, SlotsError
        """
        end = time.monotonic() + PATIENCE
        while True:
            status = self._slots.status()
            if status and self._counts(status, serial, changed):
                return status
            if status is None or clock() - status.answered >= self._least(status):
                with self._slots.asking() as may:
                    if may:
                        status = self._slots.status()
                        if status and self._counts(status, serial, changed):
                            return status
                        return self._ask(status.outages if status else 0)
            if time.monotonic() > end:
                if (since := self._slots.asking_for()) > STUCK:
                    raise SlotsError(f"another run has been asking for {since:.0f} seconds")
                return None
            time.sleep(_PAUSE)

    def _least(self, status: Status) -> float:
        """Seconds between two questions, whatever has happened meanwhile."""
        alone = set(status.serials) <= {self.run}
        return min(self.profile.poll or LEAST, ALONE if alone else LEAST)

    def _counts(self, status: Status, serial: int, changed: float) -> bool:
        if serial and status.serials.get(self.run, -1) < serial:
            return False
        now = clock()
        if self.profile.poll is not None:
            pause = self.profile.poll
        else:
            pause = min(MOST, max(self._least(status), GROWTH * (now - changed)))
            pause = min(OUTAGE, pause * 2**status.outages) if status.outages else pause
        return now - status.answered < pause

    def _ask(self, outages: int) -> Status:
        """Ask the place for all pieces of all runs, and write down what it says."""
        with self._slots.locked():
            runs = self._slots.runs()
        asked = {key: slot.handle for r in runs.values() for key, slot in r.pieces.items()}
        serials = {run: registered.serial for run, registered in runs.items()}
        began, person, seen = clock(), None, dict[str, Seen]()
        try:
            seen = dict(self.launcher.look(asked)) if asked else {}
        except NeedsPersonError as error:
            person = error
        except OutageError as error:
            seen = {key: Seen(Condition.UNKNOWN, reason=str(error)) for key in asked}
        if person is None:
            silent = Seen(Condition.UNKNOWN, reason="the place said nothing of it")
            seen = {key: seen.get(key, silent) for key in asked}
        lost = bool(seen) and all(s.condition is Condition.UNKNOWN for s in seen.values())
        status = Status(
            boot=self._slots.boot,
            asked=began,
            answered=clock(),
            serials=serials,
            seen=seen,
            person=str(person) if person else "",
            outages=min(outages + 1, 10) if lost else 0,
        )
        try:
            self._slots.keep(status)
            self._free(runs, seen)
        except SlotsError as error:
            logger.warning("no other run hears what %s has said: %s", self.profile.name, error)
        if person:
            raise person
        return status

    def _free(self, asked: Mapping[str, Registered], seen: Mapping[str, Seen]) -> None:
        """What doesn't work any more gives its slot back, unless its run has done something meanwhile."""

        def is_over(key: str, slot: Slot) -> bool:
            starts = slot.starting is not None and processes.alive(slot.starting) is not False
            return key in seen and seen[key].condition in _OVER and not starts

        freed = [
            run for run, r in asked.items() if any(is_over(k, s) and not s.over for k, s in r.pieces.items())
        ]
        if not freed:
            return
        with self._slots.locked():
            for run in freed:
                now = self._slots.run(run)
                if now is None or now.serial != asked[run].serial:
                    continue
                pieces = {
                    key: msgspec.structs.replace(slot, over=slot.over or is_over(key, slot))
                    for key, slot in now.pieces.items()
                    if not (slot.forgotten and is_over(key, slot))
                }
                self._slots.write(run, msgspec.structs.replace(now, pieces=pieces))
