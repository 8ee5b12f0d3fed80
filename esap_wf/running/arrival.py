"""
A run's inputs that lie elsewhere, brought into its directory before the engine starts:
``inputs/<name>/<number>/<base name>``, a link to the cache or to the result of another run.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import PurePosixPath

from esap_wf import config, files
from esap_wf.config import Config
from esap_wf.credentials import CredentialError
from esap_wf.datalakes import LakeOutageError
from esap_wf.errors import EsapError, RefusedError, StoppedError
from esap_wf.formats.quantities import human_bytes, human_count, human_seconds, to_bytes
from esap_wf.models.request import DataRef
from esap_wf.models.run import Phase, encode
from esap_wf.running import staging, tables
from esap_wf.running.arrived import RECORD, Arrived, File, as_it_is, is_same, recorded
from esap_wf.running.carrying import Carrier, RecalledError
from esap_wf.running.ownership import Ownership
from esap_wf.running.trouble import Trouble
from esap_wf.runs import crashpoints

logger = logging.getLogger(__name__)

#: Files that are fetched at a time; seconds between two looks, and between two times that it is told how
#: far they are.
PARALLEL, LOOK, TELL = 4, 0.2, 1.0


class InputError(RefusedError):
    """An input can't be had, or is not what it should be."""

    code = "input"

    def __init__(self, error: EsapError) -> None:
        super().__init__(error.message, error.problems)


def bring(owner: Ownership, worked: bool) -> None:
    """
    Bring what is not there yet. Ends early if the run is to stop; who can't be asked is waited for.

    Parameters
    ----------
    owner : Ownership
    worked : bool
        An engine has worked with what is there, and its results may yet be accepted: a file that was changed
        since it came stays so, and is told then.

    Raises
    ------
    InputError
        Something can't be had, or is not what its catalogue says.
    EsapError
        The disk is full, say.
    """
    if refs := staging.brought(owner.plan):
        _Bringing(owner, config.load(str(owner.store.root)), refs, worked).run()


class _Bringing:
    def __init__(self, owner: Ownership, places: Config, refs: Sequence[DataRef], worked: bool) -> None:
        self.owner, self.config, self.all, self.worked = owner, places, refs, worked
        self.record = {file.path: file for file in recorded(owner.run.dir)}
        self.waiting = deque(self._missing())
        self.carrier, self.trouble = Carrier(owner.run, places, (r.uri for r in self.waiting)), Trouble("")
        self.tally = self.carrier.tally
        self.recalled: dict[str, float] = {}
        # what is tried again, by when
        self._later: list[tuple[float, int, DataRef]] = []
        self._tried = itertools.count()
        self._told, self._said = 0.0, ""
        self._kept = len(self.record)

    def _missing(self) -> Iterator[DataRef]:
        mine: dict[str, list[File]] = {}
        for file in self.record.values():
            # a folder is there with what it holds
            for path in (file.path, *map(str, PurePosixPath(file.path).parents)):
                mine.setdefault(path, []).append(file)
        for ref in self.all:
            there = mine.get(ref.path or "", [])
            if not there or not all(self._is_good(file) for file in there):
                yield ref

    def _is_good(self, file: File) -> bool:
        there = self.owner.run.dir
        return (there / file.path).exists() if self.worked else is_same(there, file)

    def run(self) -> None:
        """Until all has come, or the run is to stop."""
        self._make_room()
        working: dict[Future[list[File]], DataRef] = {}
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="bringing")
        try:
            while self.waiting or self._later or working:
                if self.owner.wants_stop():
                    return
                while len(working) < 2 * PARALLEL and (ref := self._next()):
                    working[pool.submit(self.carrier.carry, ref)] = ref
                done = wait(working, LOOK, FIRST_COMPLETED).done if working else set()
                for future in done:
                    self._came(future, working.pop(future))
                self._tell(len(working))
                if not working and not self.waiting and self._later:
                    time.sleep(LOOK)
        finally:
            # a server that sends nothing is not waited for
            self.tally.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            self._keep()
        for ref in staging.copied(self.owner.plan):
            self._copy(ref)
        if self._said:
            self.owner.write(Phase.QUEUED, reason="")
        crashpoints.reached("inputs-brought")

    def _make_room(self) -> None:
        """What no run has any more gives way, the longest unwanted first."""
        needed = sum(ref.bytes or 0 for ref in self.waiting)
        if needed:
            most = max(0, int(to_bytes(self.config.cache_size)) - needed)
            gone = self.carrier.kept.collect(most)
            if gone:
                freed = human_bytes(sum(one.bytes for one in gone))
                logger.info("%s left the cache, %s", human_count(len(gone), "file"), freed)

    def _next(self) -> DataRef | None:
        if self.waiting:
            return self.waiting.popleft()
        if self._later and self._later[0][0] <= time.monotonic():
            return heapq.heappop(self._later)[2]
        return None

    def _again(self, ref: DataRef, seconds: float) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._tried), ref))

    def _came(self, future: Future[list[File]], ref: DataRef) -> None:
        try:
            found = future.result()
        except StoppedError:
            return
        except RecalledError as error:
            self.recalled[ref.uri] = time.monotonic() + error.seconds
            self._again(ref, min(max(error.seconds, LOOK), 60.0))
            return
        except CredentialError as error:
            self.trouble.place = f"the credential {error.name}"
            self.trouble.begin(error.message, person=True)
            self._again(ref, self.trouble.pause())
            return
        except LakeOutageError as error:
            self.trouble.place = ref.uri.partition("://")[2].partition("/")[0].rpartition("@")[2]
            self.trouble.begin(str(error))
            self._again(ref, self.trouble.pause())
            return
        except files.NoSpaceError:
            raise
        except EsapError as error:
            raise InputError(error) from error
        self.trouble.end()
        self.recalled.pop(ref.uri, None)
        self.record |= {file.path: file for file in found}

    def _tell(self, working: int) -> None:
        moment = time.monotonic()
        if moment - self._told < TELL:
            return
        self._told = moment
        self._keep()
        left = len(self.waiting) + len(self._later) + working
        total = sum(ref.bytes or 0 for ref in self.all)
        said = f"bringing inputs: {len(self.all) - left} of {human_count(len(self.all), 'file')}"
        if total:
            said += f", {human_bytes(self.tally.bytes)} of {human_bytes(total)}"
        if self.recalled:
            rest = max(0.0, max(self.recalled.values()) - moment)
            said += f"; {len(self.recalled)} recalled from tape, about {human_seconds(rest)} more"
        said = self.trouble.reason or said
        if left and said != self._said:
            self._said = said
            held = self.trouble.person and self.trouble.what
            self.owner.write(Phase.HELD if held else Phase.QUEUED, reason=said)

    def _keep(self) -> None:
        if len(self.record) == self._kept:
            return
        self.owner.lease.require()  # one that slept must not write what its successor knows better
        self._kept = len(self.record)
        document = Arrived(files=[self.record[path] for path in sorted(self.record)])
        path = self.owner.run.dir / RECORD
        path.parent.mkdir(exist_ok=True)
        files.write_atomic(path, encode(document), mode=self.owner.store.file_mode, sync=False)

    def _copy(self, ref: DataRef) -> None:
        """A table with the paths of what was brought."""
        run, plan = self.owner.run.dir, self.owner.plan
        assert ref.path
        kept = self.record.get(ref.path)
        if kept and self.worked and self._is_good(kept):
            return
        try:
            content = tables.copy_of(run, plan, ref)
        except EsapError as error:
            raise InputError(error) from error
        sha256 = hashlib.sha256(content).hexdigest()
        if kept and kept.sha256 == sha256 and is_same(run, kept):
            return
        path = run / ref.path
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, content, mode=self.owner.store.file_mode, sync=False)
        self.record[ref.path] = as_it_is(run, ref.path, ref.uri, sha256)
        self._kept = -1
        self._keep()
