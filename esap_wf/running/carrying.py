"""One input that lies elsewhere, from there into the run directory. Called by several threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from esap_wf import files
from esap_wf.config import Config
from esap_wf.errors import EsapError, Problem, RefusedError, StoppedError
from esap_wf.formats import digests
from esap_wf.models.request import LAKE, DataRef
from esap_wf.running.arrived import File, as_it_is
from esap_wf.runs import crashpoints
from esap_wf.runs.run import Run
from esap_wf.transfers import cache, learned, references
from esap_wf.transfers.fetching import Fetched, fetch
from esap_wf.transfers.sources import WebSource

#: Clocks of file systems may be behind by so many seconds.
_BEHIND = 2.0


@dataclass
class Tally:
    """Bytes that have come, told by several threads."""

    bytes: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def come(self, size: int) -> None:
        """May raise to stop."""
        self.bytes += size
        if self.stop.is_set():
            raise StoppedError("bringing inputs was stopped")


class RecalledError(EsapError):
    """A file lies in a cold tier, and was asked for."""

    def __init__(self, seconds: float) -> None:
        super().__init__("it is being recalled")
        self.seconds = seconds


class Carrier:
    """
    Brings inputs of one run.

    Parameters
    ----------
    run : Run
    places : Config
        Of lakes and servers.
    uris : iterable of str
        Of all that will be brought: what can be asked for together is.
    """

    def __init__(self, run: Run, places: Config, uris: Iterable[str]) -> None:
        self.run, self.config, self.tally = run, places, Tally()
        self.kept = references.cache_of(places)
        self._together = references.questions(uris)

    def carry(self, ref: DataRef) -> list[File]:
        """
        A file, or a folder with what it holds.

        Raises
        ------
        RecalledError
            It was asked for, and comes later.
        StoppedError, LakeOutageError, CredentialError, EsapError
        """
        assert ref.path
        if self.tally.stop.is_set():
            raise StoppedError("bringing inputs was stopped")
        source = references.source_of(self.config, ref.uri, self._together)
        if isinstance(source, WebSource) and "sha256" not in ref.checksums:
            source.expects = ref.modified
        target = self.run.dir / ref.path
        if (path := source.local()) is not None:
            return list(self._linked(path, target, ref))
        if (seconds := source.recall()) is not None:
            raise RecalledError(seconds)
        wanted = references.wanted(ref)
        while True:
            fetched = fetch(
                source,
                wanted,
                self.kept,
                lambda: references.known(self.config, ref),
                partial(self._learn, ref),
                self.tally.come,
            )
            crashpoints.reached("input-fetched")
            self.tally.come(0)  # nothing is put into a run that was stopped meanwhile
            try:
                cache.link(fetched.path, target)
                break
            except FileNotFoundError:  # somebody has cleared the cache meanwhile
                continue
        return [as_it_is(self.run.dir, ref.path, ref.uri, fetched.sha256)]

    def _learn(self, ref: DataRef, fetched: Fetched) -> None:
        store = self.run.store
        # also of those whose catalogue knows it: that a name stands for other bytes one day is to be noticed
        if ref.uri.startswith(LAKE) or "sha256" not in ref.checksums:
            learned.keep(store.root, references.wanted(ref), fetched.sha256, fetched.bytes, store.file_mode)

    def _linked(self, source: Path, target: Path, ref: DataRef) -> Iterator[File]:
        """A result of another run, without a copy; from now on nobody writes into it by accident."""
        assert ref.path
        accepted = datetime.fromisoformat(ref.modified).timestamp() if ref.modified else 0.0
        store = os.path.realpath(self.run.store.root)
        try:
            if ref.folder:
                target.mkdir(parents=True, exist_ok=True)
            for inner, part in references.parts_of(self.config, ref.uri):
                # a result may be a link, also to what the user gave the other run
                path, place = Path(os.path.realpath(source / inner)), target / inner
                if part.is_folder:
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                about, own = path.stat(), path.is_relative_to(store)
                touched = about.st_mtime > accepted + _BEHIND or about.st_size != part.bytes
                if touched and digests.of_file(path, partial(self.tally.come, 0)) != part.sha256:
                    what = f"{part.path} was changed after the run had accepted it"
                    raise RefusedError(
                        "an input is not what it was", [Problem(ref.uri, what, "run it again")]
                    )
                if own and about.st_uid == os.getuid():
                    path.chmod(about.st_mode & 0o777 & ~0o222)
                cache.link(path, place, own)
                if not own:
                    place.chmod(about.st_mode & 0o555)
                self.tally.come(about.st_size)
                name = (Path(ref.path) / inner).as_posix()
                yield as_it_is(self.run.dir, name, ref.uri, part.sha256)
        except FileNotFoundError:
            raise references.is_gone(ref.uri) from None
        except OSError as error:
            raise files.explain(error, target) from error
