"""Places that a run may go to: their profiles with their plug-ins, and what they have said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from esap_wf import plugins
from esap_wf.backends import surveys
from esap_wf.backends.base import BackendBase
from esap_wf.errors import EsapError, Problem, RefusedError, UnavailableError
from esap_wf.formats.schemas import closest
from esap_wf.models.place import Capacity, Profile, Queue, Survey
from esap_wf.models.plan import Allocation

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Place:
    """
    One place.

    Parameters
    ----------
    profile : Profile
    kind : BackendBase
    survey : Survey, optional
        What it has said; None if it was never asked.
    warning : str
        Why that is old.
    """

    profile: Profile
    kind: BackendBase
    survey: Survey | None = None
    warning: str = ""

    @property
    def name(self) -> str:
        """As users name it."""
        return self.profile.name

    @property
    def elsewhere(self) -> bool:
        """
        Whether it doesn't see the run store: what is there is not what is here, and runs are sent to it.
        """
        return not self.kind.shares(self.profile)

    def capacity(self, store: Path) -> Capacity:
        """
        What it has.

        Raises
        ------
        UnavailableError
            It was never asked, or its plug-in fails.
        """
        if self.survey is None and not self.kind.shares_store:
            what = f"has not been asked yet: esap-wf backends check {self.name}"
            raise UnavailableError(what, [Problem(f"backend {self.name}", what)])
        try:
            return self._said(lambda: self.kind.capacity(self.profile, store, self.survey))
        except RefusedError as error:
            raise UnavailableError(error.message, error.problems) from None

    # --- of a workload manager

    def ways(self) -> list[Place]:
        """The same place, once for each way in which it can be used, best first."""
        return [
            replace(self, profile=profile) for profile in self._said(lambda: self.kind.ways(self.profile))
        ]

    def queue(self, allocation: Allocation) -> Queue | None:
        """Where engines submit the jobs of their steps, if they do."""
        return self._said(lambda: self.kind.queue(self.profile, allocation, self.survey))

    def reasons(self, job: Allocation) -> list[str]:
        """What is against its largest job."""
        return self._said(lambda: self.kind.reasons(self.profile, job, self.survey))

    def starts(self, job: Allocation) -> str:
        """
        When a job would begin; empty if it doesn't say.

        Raises
        ------
        RefusedError
            It would not be taken.
        """
        return self._said(lambda: self.kind.starts(self.profile, job))

    def sees(self, folder: Path, cache: Path) -> bool | None:
        """Whether its jobs see a folder of this machine."""
        return self._said(lambda: self.kind.sees(self.profile, folder, cache))

    def head_wall(self) -> int | None:
        """Seconds that an engine gets which is a job of its own."""
        return self._said(lambda: self.kind.head_wall(self.profile))

    def _said(self, ask: Callable[[], _Answer]) -> _Answer:
        """
        What a plug-in answers.

        Raises
        ------
        RefusedError
        UnavailableError
            It fails.
        """
        try:
            return ask()
        except RefusedError:
            raise
        except EsapError as error:
            raise UnavailableError(error.message, error.problems) from None
        except Exception as error:  # a plug-in's: whatever it is
            what = surveys.failing(self.profile, error)
            raise UnavailableError(what, [Problem(f"backend {self.name}", what)]) from None


@dataclass(frozen=True)
class Places:
    """
    All places that profiles describe.

    Parameters
    ----------
    usable : dict
        Name → place.
    broken : dict
        Name → why there is no plug-in for it.
    """

    usable: dict[str, Place]
    broken: dict[str, str]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.usable, *self.broken])

    def __contains__(self, name: str) -> bool:
        return name in self.usable or name in self.broken


def places(profiles: Mapping[str, Profile], cache: Path, named: str | None = None) -> Places:
    """
    All places, with what they have said.

    Parameters
    ----------
    profiles : mapping
    cache : Path
    named : str, optional
        The one that somebody has named: it is asked what it has, if it is elsewhere.

    Raises
    ------
    UnavailableError
        The place that was named can't be asked, and never was.
    """
    kinds, broken = plugins.load("esap_wf.backends", {p.kind for p in profiles.values()})
    reasons = {b.name: b.why for b in broken}
    found = Places({}, {})
    for name, profile in profiles.items():
        kind = kinds.get(profile.kind)
        if kind is None:
            found.broken[name] = reasons.get(profile.kind) or _no_plugin(profile.kind)
        elif kind.shares_store:
            found.usable[name] = Place(profile, kind)
        elif name == named:
            answer = surveys.ask(kind, profile, cache)
            found.usable[name] = Place(profile, kind, answer.survey, answer.warning)
        else:
            found.usable[name] = Place(profile, kind, surveys.known(profile, cache))
    return found


def _no_plugin(kind: str) -> str:
    hint = closest(kind, plugins.BUILT_IN["esap_wf.backends"])
    return f"no plug-in for backends of kind {kind!r} is installed" + (f" ({hint})" if hint else "")
