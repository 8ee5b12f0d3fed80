"""What one account sees of a lake in a folder, and how its catalogue is asked and written."""

from __future__ import annotations

import getpass
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from esap_wf import files
from esap_wf.datalakes.base import LakeOutageError, LakeProfile, NoEntryError
from esap_wf.datalakes.directory import Rse, Settings
from esap_wf.datalakes.directory.catalogue import Catalogue
from esap_wf.datalakes.directory.storage import Storage
from esap_wf.errors import Problem
from esap_wf.formats.schemas import closest
from esap_wf.models.data import Did, Entry


class View:
    """
    A lake and who looks at it.

    Parameters
    ----------
    profile : LakeProfile
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, profile: LakeProfile, clock: Callable[[], float]) -> None:
        settings = profile.settings
        assert isinstance(settings, Settings)
        self.lake, self.rses, self.clock = profile.name, settings.rses, clock
        self.account = settings.account or getpass.getuser()
        self.folder = (profile.folder / Path(settings.folder).expanduser()).absolute()
        self.storage = Storage(self.folder)
        self.catalogue = Catalogue(self.folder / "catalogue.sqlite")

    def readable(self, dids: Iterable[Did]) -> list[Did]:
        """Those in scopes that the account may read."""
        wanted = list(dids)
        scopes = {name: self.catalogue.scope(name) for name in {did.scope for did in wanted}}
        return [did for did in wanted if (s := scopes[did.scope]) is not None and s.may_read(self.account)]

    def entries(self, dids: Iterable[Did]) -> dict[Did, Entry]:
        """What the account may know of."""
        return self.catalogue.entries(self.readable(dids), self.clock())

    def one(self, did: Did) -> Entry:
        """
        What is known of one.

        Raises
        ------
        NoEntryError
        """
        found = self.entries([did])
        if did not in found:
            raise NoEntryError(self.lake, did, self._near(did))
        return found[did]

    def _near(self, did: Did) -> str:
        known = self.catalogue.scope(did.scope)
        if known is None or not known.may_read(self.account):
            return ""
        names = [found.name for found in self.catalogue.find(did.scope, "*", None, {}, self.clock())]
        return closest(did.name, names[:1000]) or f"esap-wf lake find {self.lake}:{did.scope}"

    def rse(self, name: str) -> Rse:
        """One that the configuration no longer names still has what it has."""
        return self.rses.get(name, Rse())

    @contextmanager
    def asking(self) -> Iterator[None]:
        """A catalogue that can't be asked is an outage; what is asked inside is of one moment."""
        with self._explained(), self.catalogue.reading():
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            where = str(self.catalogue.path)
            raise LakeOutageError(
                f"the data lake {self.lake} can't be asked", [Problem(where, str(error))]
            ) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that is written inside, or nothing."""
        with self._explained():
            try:
                with self.catalogue.writing():
                    yield
            except OSError as error:
                raise files.explain(error, self.folder) from None
