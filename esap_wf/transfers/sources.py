"""Where a file is read: a data lake, a run of the store, the web. What is asked of each is the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from esap_wf.datalakes import Lake, NoEntryError
from esap_wf.errors import EsapError, Problem, RefusedError
from esap_wf.models.data import Did
from esap_wf.transfers.together import Together


class Source(ABC):
    """
    A file that lies somewhere else.

    Attributes
    ----------
    place : str
        Whom one waits for if it can't be read, for people.
    tells_breaks : bool
        Whether `fetch` raises if a reading has broken off: then what it gives to the end is the whole file.
    """

    place: str
    tells_breaks = False

    @abstractmethod
    def confirm_allowed(self) -> None:
        """
        Ask whether who runs this may read the file, though its bytes are here already.

        Raises
        ------
        NoEntryError, DeniedError
            No.
        LakeOutageError
            Nobody can be asked.
        """

    @abstractmethod
    def fetch(self, target: BinaryIO, start: int) -> Iterator[int]:
        """As `esap_wf.datalakes.Lake.fetch`."""

    def recall(self) -> float | None:
        """Ask for a file that can't be read at once; seconds that it may still take, or None if it can."""
        return None

    def local(self) -> Path | None:
        """A whole file of this machine's that never changes, to which a run may have a link; or None."""
        return None


#: Seconds for which what was recalled is to stay readable.
KEPT = 7 * 86400.0


class Questions:
    """
    What is asked about files of one lake that are brought together.

    Parameters
    ----------
    dids : sequence of Did
    """

    def __init__(self, dids: Sequence[Did]) -> None:
        self.entries = Together(lambda lake, some: lake.describe(some), dids)
        self.copies = Together(lambda lake, some: lake.replicas(some), dids)


class LakeSource(Source):
    """
    A file in a data lake.

    Parameters
    ----------
    lake : Lake
    did : Did
    others : Questions, optional
        Of the files that are brought together with it.
    """

    def __init__(self, lake: Lake, did: Did, others: Questions | None = None) -> None:
        self.lake, self.did, self.place = lake, did, lake.profile.name
        self._others = others or Questions([did])

    def confirm_allowed(self) -> None:
        """A catalogue tells of what somebody may read."""
        if self._others.entries.of(self.lake, self.did) is None:
            raise NoEntryError(self.place, self.did)

    def fetch(self, target: BinaryIO, start: int) -> Iterator[int]:
        return self.lake.fetch(self.did, target, start)

    def recall(self) -> float | None:
        """By the lake, which keeps what was asked for."""
        copies = self._others.copies.of(self.lake, self.did)
        if not copies or any(copy.ready for copy in copies):
            return None
        answer = self.lake.recall([self.did], KEPT)
        if self.did in answer.ready or self.did not in answer.waiting:
            return None
        return min((copy.seconds for copy in copies if copy.seconds is not None), default=60.0)


class RunSource(Source):
    """
    A result of a run of this store.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path, self.place = path, "the run store"

    def confirm_allowed(self) -> None:
        """The file system says it."""

    def fetch(self, target: BinaryIO, start: int) -> Iterator[int]:
        with self.path.open("rb") as source:
            source.seek(start)
            while chunk := source.read(1 << 20):
                target.write(chunk)
                yield len(chunk)

    def local(self) -> Path | None:
        """Results that were accepted stay as they are."""
        return self.path


class WebSource(Source):
    """
    A file at an address.

    Parameters
    ----------
    url : str
    hosts : sequence of str
        Servers that may be anywhere (`esap_wf.transfers.web`).
    token : callable, optional
    """

    tells_breaks = True

    def __init__(self, url: str, hosts: Sequence[str], token: Callable[[], str] | None) -> None:
        self.url, self.hosts, self.token = url, hosts, token
        self.place = urlsplit(url).hostname or url
        #: What the server said when the run was planned; empty: it doesn't matter.
        self.expects = ""

    def confirm_allowed(self) -> None:
        """By asking for it again."""
        from esap_wf.transfers import web

        web.describe(self.url, hosts=self.hosts, token=self.token)

    def fetch(self, target: BinaryIO, start: int) -> Iterator[int]:
        from esap_wf.transfers import web

        known = web.describe(self.url, hosts=self.hosts, token=self.token)
        if self.expects and (now := known.modified or known.etag) != self.expects:
            what = f"it is of {now or 'no known time'}, and was of {self.expects} when the run was planned"
            hint = "plan it again, or say which content is meant: #sha256=…"
            raise RefusedError(f"{self.url} was changed", [Problem(self.url, what, hint)])
        if start and not known.ranges:
            raise AgainError(f"{self.place} gives a file as a whole only")
        if start and not (known.etag or known.modified):
            raise AgainError(f"{self.place} doesn't say whether the rest belongs to what is there")
        try:
            yield from web.fetch(self.url, target, start, expected=known, hosts=self.hosts, token=self.token)
        except (web.RestartError, web.ChangedError) as error:
            raise AgainError(error.message) from error


class AgainError(EsapError):
    """A file can only be read from its beginning."""
