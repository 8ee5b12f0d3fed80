"""What esap-wf asks of a kind of place. Public through `esap_wf.backends`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from esap_wf.models import Model
from esap_wf.models.place import Capacity, Profile, Queue, Survey
from esap_wf.models.plan import Allocation

if TYPE_CHECKING:
    from esap_wf.backends.launcher import Launcher

#: Version of the contract. It changes when a plug-in that keeps the present one would not be understood any
#: more.
CONTRACT = 1


class NoSettings(Model, frozen=True, kw_only=True):
    """A kind of place without keys of its own."""


class BackendBase(ABC):
    """
    A kind of place. A plug-in derives from this class and is named by an entry point in the group
    ``esap_wf.backends``; instances are made without arguments, and nothing is kept in them.

    Attributes
    ----------
    contract : int
        The version of the contract that the plug-in is written for.
    name, title : str
        That of the entry point, which is the ``kind`` of profiles; for people.
    settings : type
        A `msgspec.Struct` of the keys that its profiles have beside those of `Profile`.
    shares_store : bool
        As `Launcher.shares_store`, where that does not depend on the profile (`shares`).
    """

    contract: int
    name: str
    title: str
    settings: type[Model] = NoSettings
    shares_store: bool = False

    @abstractmethod
    def survey(self, profile: Profile, cache: Path) -> Survey:
        """
        Ask the place what it is and what it has.

        Raises
        ------
        OutageError, NeedsPersonError
        """

    def capacity(self, profile: Profile, store: Path, survey: Survey | None) -> Capacity:
        """What the place has, within the limits of its profile; `survey` is None if it was never asked."""
        from esap_wf.backends.capacities import within

        return within(profile, survey)

    # --- what a place with a workload manager says; these do for one without

    def shares(self, profile: Profile) -> bool:
        """Whether pieces of this profile work in the run store itself (`Launcher.shares_store`)."""
        return self.shares_store

    def ways(self, profile: Profile) -> tuple[Profile, ...]:
        """
        The ways in which a place can be used, best first: profiles in which nothing is left open (`shares`,
        `queue`). The first one that suits the engine is planned. The default: as it is.
        """
        return (profile,)

    def queue(self, profile: Profile, allocation: Allocation, survey: Survey | None) -> Queue | None:
        """
        Where the engine submits the jobs of its steps, for a profile of `ways`; None: it works alone. An
        engine that can't submit there (`EngineBase.queues`) gets another one of the `ways`.
        """
        return None

    def reasons(self, profile: Profile, allocation: Allocation, survey: Survey | None) -> list[str]:
        """
        What is against a run there beside what `capacity` shows, each with the way out: a partition or an
        account that isn't there, a limit that nobody can meet, and the part of the place that would fit.
        Nothing is asked of the place. `allocation` is what the largest job asks for: of a step where the
        engine submits (`queue`), else of a piece.
        """
        return []

    def starts(self, profile: Profile, allocation: Allocation) -> str:
        """
        When a job (as in `reasons`) would begin there now, as the place expects it (RFC 3339); empty if it
        doesn't say.

        Raises
        ------
        RefusedError
            The place would not take it.
        """
        return ""

    def submitted(self, profile: Profile, job: Allocation) -> str:
        """With what a job of a step is submitted, for people: one line; empty if nothing is."""
        return ""

    def head_wall(self, profile: Profile) -> int | None:
        """Seconds that an engine gets which is a job of its own there; None: no limit."""
        return None

    def sees(self, profile: Profile, folder: Path, cache: Path) -> bool | None:
        """
        Whether jobs of the place see a folder of this machine under the same path. None: nobody knows, and
        it can't be found out in a few seconds.
        """
        return True if self.shares(profile) else None

    def lacking(self, profile: Profile, paths: Sequence[str]) -> list[str] | None:
        """
        Which of some files and folders jobs of the place don't find, at least the first one; this machine
        need not have them. None: nobody knows, and it can't be found out in a few seconds.
        """
        return None

    @abstractmethod
    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        """What starts pieces there. Nothing is asked of the place yet."""
