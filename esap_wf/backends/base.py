"""What esap-wf asks of a kind of place. Public through `esap_wf.backends`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from esap_wf.models import Model
from esap_wf.models.place import Capacity, Profile, Survey

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
        As `Launcher.shares_store`.
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

    @abstractmethod
    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        """What starts pieces there. Nothing is asked of the place yet."""
