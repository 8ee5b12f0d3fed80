"""What esap-wf asks of a kind of data lake. Public through `esap_wf.datalakes`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from esap_wf.errors import Problem, RefusedError, UnavailableError, UsageError
from esap_wf.models import Model
from esap_wf.models.data import Content, Did, Entry, Recall, Replica

#: Version of the contract. It changes when a plug-in that keeps the present one would not be understood any
#: more.
CONTRACT = 1
#: DIDs of one question: what Rucio's servers take.
BATCH = 1000


class NoEntryError(UsageError):
    """A catalogue does not know a DID, or does not say so to this account."""

    code = "not-found"

    def __init__(self, lake: str, did: Did, hint: str = "") -> None:
        self.did = did
        super().__init__(f"{lake} has no {did}", [Problem(did.uri(lake), "there is no such data", hint)])


class DeniedError(RefusedError):
    """An account may not do that."""


class TakenError(RefusedError):
    """A name that was given out before, for other content or for data that is no more."""


class LakeOutageError(UnavailableError):
    """A lake can't be asked, or a copy can't be read, at present."""


class NoSettings(Model, frozen=True, kw_only=True):
    """A kind of lake without keys of its own."""


@dataclass(frozen=True)
class LakeProfile:
    """
    A lake as the configuration has it.

    Parameters
    ----------
    name : str
        ``LAKE`` of ``rucio://LAKE/scope/name``.
    kind : str
        Which plug-in serves it.
    settings : Model
        The kind's own keys, checked.
    folder : Path
        From which relative paths of the settings are taken.
    """

    name: str
    kind: str
    settings: Model
    folder: Path


class Lake(ABC):
    """
    One lake, as one account sees it. What an account may not see isn't there for it.

    Every method may raise `LakeOutageError`: nobody could be asked. It never means that something isn't
    there. Methods take many DIDs at once; who calls cuts them into pieces of `BATCH`.
    """

    profile: LakeProfile

    @property
    @abstractmethod
    def account(self) -> str:
        """Who asks."""

    # --- find

    @abstractmethod
    def find(
        self,
        scope: str,
        pattern: str = "*",
        *,
        content: Content | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Iterator[Did]:
        """
        Names in a scope.

        Parameters
        ----------
        scope : str
        pattern : str
            ``*`` stands for any letters; nothing else is special.
        content : Content, optional
            Only of this kind.
        metadata : mapping, optional
            Only with these values.
        """

    @abstractmethod
    def describe(self, dids: Sequence[Did]) -> dict[Did, Entry]:
        """What is known of each; what isn't there for the account is missing in the answer."""

    @abstractmethod
    def files(self, did: Did) -> Iterator[Entry]:
        """
        The files of a dataset or a container, through all levels, each once, by name; of a file itself.

        Raises
        ------
        NoEntryError
        """

    @abstractmethod
    def replicas(self, dids: Sequence[Did]) -> dict[Did, list[Replica]]:
        """Copies of files, those that are read soonest first; of a file without any the list is empty."""

    # --- read

    @abstractmethod
    def fetch(self, did: Did, target: BinaryIO, start: int = 0) -> Iterator[int]:
        """
        Write a file's bytes from `start` on. Gives the number of bytes of each part that was written, so that
        who calls may count, stop, or go on later.

        Raises
        ------
        NoEntryError, DeniedError
            Trying again is of no use.
        LakeOutageError
            Trying again may be.
        """

    def local(self, did: Did) -> Path | None:
        """A file of this machine that holds the bytes, which may be linked to and never written; or None."""
        return None

    @abstractmethod
    def recall(self, dids: Sequence[Did], seconds: float) -> Recall:
        """
        Ask for files of a cold tier to be readable for so long, and tell how far they are. Repeatable: the
        second call asks for nothing that was asked for already.
        """

    # --- write

    @abstractmethod
    def store(
        self,
        path: Path,
        did: Did,
        *,
        metadata: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        rse: str | None = None,
    ) -> Entry:
        """
        Put a file into the lake. Repeatable: the same bytes under the same name are one file.

        Parameters
        ----------
        path : Path
        did : Did
        metadata : mapping, optional
        seconds : float, optional
            How long it is to be kept; None: for ever.
        rse : str, optional
            Which storage element is to have it; None: the lake's own choice.

        Raises
        ------
        TakenError
            The name stands for other bytes, or did once.
        DeniedError
        """

    @abstractmethod
    def register(
        self,
        did: Did,
        content: Content,
        parts: Sequence[Did] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Entry:
        """
        Make a dataset or a container, or attach parts to one that is there. All parts are attached, or none.

        Raises
        ------
        NoEntryError
            Of a part.
        TakenError
            The name stands for something else.
        DeniedError
        """

    @abstractmethod
    def delete(self, dids: Sequence[Did]) -> list[Did]:
        """
        Give up data of one's own; returns what is gone by this call. Its names are never given out again.

        Raises
        ------
        DeniedError
            One is somebody else's; nothing is given up then.
        """


class LakeBase(ABC):
    """
    A kind of data lake. A plug-in derives from this class and is named by an entry point in the group
    ``esap_wf.datalakes``; instances are made without arguments, and nothing is kept in them.

    Attributes
    ----------
    contract : int
        The version of the contract that the plug-in is written for.
    name, title : str
        That of the entry point, which is the ``kind`` in the configuration; for people.
    settings : type
        A `msgspec.Struct` of the keys of ``[datalakes.NAME]`` beside ``kind``.
    """

    contract: int
    name: str
    title: str
    settings: type[Model] = NoSettings

    @abstractmethod
    def open(self, profile: LakeProfile, cache: Path) -> Lake:
        """
        The lake of a profile, for whoever runs this process. Nothing is asked of it yet.

        Parameters
        ----------
        profile : LakeProfile
        cache : Path
            A local folder for what may be lost.
        """
