"""Why a place can't be used now, since when, and when it is tried again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from esap_wf.models.run import now

logger = logging.getLogger(__name__)

#: Seconds between two tries, at first and at most.
RETRY, PATIENT = 1.0, 60.0
GROWTH = 1.5


@dataclass
class Trouble:
    """
    Trouble with one place, or none.

    Parameters
    ----------
    place : str
        What the place is called.

    Attributes
    ----------
    what : str
        For people; empty if there is none.
    since : str
        When it began.
    person : bool
        Somebody has to do something before it ends.
    """

    place: str
    what: str = ""
    since: str = ""
    person: bool = False
    _pause: float = RETRY

    def begin(self, what: str, person: bool = False) -> None:
        """There is some, or it is another one now."""
        if not self.what or self.person != person:
            self.since, self._pause = now(), RETRY
            logger.info("%s can't be used: %s", self.place, what)
        self.what, self.person = " ".join(what.split()) or "nobody knows why", person

    def end(self) -> None:
        """There is none any more."""
        if self.what:
            logger.info("%s can be used again", self.place)
        self.what, self.person = "", False

    def pause(self) -> float:
        """Seconds until the next try; each is longer than the one before."""
        pause, self._pause = self._pause, min(PATIENT, GROWTH * self._pause)
        return pause

    @property
    def reason(self) -> str:
        """As a run's reason has it; empty if there is none."""
        if not self.what:
            return ""
        verb = "somebody must act, held by" if self.person else "waiting for"
        return f"{verb} {self.place} since {self.since}: {self.what}"[:1000]
