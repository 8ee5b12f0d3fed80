"""A lake in a folder, as one account sees it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote_from_bytes

from esap_wf.datalakes.base import Lake, LakeOutageError, LakeProfile
from esap_wf.datalakes.directory.view import View
from esap_wf.datalakes.directory.writing import Writer
from esap_wf.errors import Problem
from esap_wf.formats.quantities import to_seconds
from esap_wf.models.data import Content, Did, Entry, Recall, Replica, Tier

_CHUNK = 4_000_000


class DirectoryLake(Lake):
    """
    See `esap_wf.datalakes.Lake`.

    Parameters
    ----------
    profile : LakeProfile
    clock : callable, optional
        Seconds since 1970.
    """

    def __init__(self, profile: LakeProfile, clock: Callable[[], float] = time.time) -> None:
        self.profile = profile
        self._view = View(profile, clock)
        self._writer = Writer(self._view)

    @property
    def account(self) -> str:
        """As the profile says, else the user of this process."""
        return self._view.account

    # --- find

    def find(
        self,
        scope: str,
        pattern: str = "*",
        *,
        content: Content | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Iterator[Did]:
        """Of a scope that the account may read."""
        with self._view.asking():
            known = self._view.catalogue.scope(scope)
            if known is None or not known.may_read(self.account):
                return
            found = list(
                self._view.catalogue.find(scope, pattern, content, metadata or {}, self._view.clock())
            )
        yield from found

    def describe(self, dids: Sequence[Did]) -> dict[Did, Entry]:
        """Of scopes that the account may read."""
        with self._view.asking():
            return self._view.entries(dids)

    def files(self, did: Did) -> Iterator[Entry]:
        """Without those that the account may not read, which it doesn't know of."""
        with self._view.asking():
            found, seen, stack = set(), set(), [did]
            self._view.one(did)
            while stack:
                one = stack.pop()
                if one in seen:
                    continue
                seen.add(one)
                entry = self._view.entries([one]).get(one)
                if entry is None:
                    continue
                if entry.content is Content.FILE:
                    found.add(one)
                else:
                    stack += [part for part, _ in self._view.catalogue.parts(one)]
            entries = self._view.catalogue.entries(found, self._view.clock())
        yield from (entries[one] for one in sorted(entries))

    def replicas(self, dids: Sequence[Did]) -> dict[Did, list[Replica]]:
        """Hot ones first; of a file that is recalled from a cold one the time is told that it still takes."""
        self._arrive(dids)
        with self._view.asking():
            held = self._view.catalogue.replicas(self._view.readable(dids), self._view.clock())
            known = self._view.catalogue.entries(held, self._view.clock())
            asked = self._view.catalogue.recalls(known)
        return {did: self._copies(did, held[did], asked.get(did)) for did in known}

    def _copies(self, did: Did, rses: list[str], asked: tuple[float, float] | None) -> list[Replica]:
        found = []
        for name in rses:
            rse, path = self._view.rse(name), str(self._view.storage.place(name, did))
            cold = rse.tier is Tier.COLD
            seconds = None
            if cold:
                seconds = max(0.0, asked[0] - self._view.clock()) if asked else float(to_seconds(rse.recall))
            ready = not cold and os.access(path, os.F_OK)
            url = f"file://{quote_from_bytes(os.fsencode(path))}"
            found.append(Replica(rse=name, url=url, tier=rse.tier, ready=ready, seconds=seconds))
        return sorted(found, key=lambda r: (not r.ready, r.tier is Tier.COLD, r.rse)) if found[1:] else found

    # --- read

    def fetch(self, did: Did, target: BinaryIO, start: int = 0) -> Iterator[int]:
        """From a hot copy."""
        path = self.local(did)
        if path is None:
            raise self._unreadable(did)
        try:
            with path.open("rb") as source:
                source.seek(start)
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    yield len(chunk)
        except FileNotFoundError:
            raise self._unreadable(did) from None

    def local(self, did: Did) -> Path | None:
        """A hot copy."""
        with self._view.asking():
            self._view.one(did)
        for replica in self.replicas([did]).get(did, []):
            if replica.ready:
                return self._view.storage.place(replica.rse, did)
        return None

    def _unreadable(self, did: Did) -> LakeOutageError:
        copies = self.replicas([did]).get(did, [])
        where = did.uri(self._view.lake)
        if any(r.tier is Tier.COLD for r in copies):
            hint = "it is to be recalled first; a run that needs it does so"
            return LakeOutageError(
                f"{did} lies on a cold storage element", [Problem(where, "no hot copy", hint)]
            )
        what = f"the catalogue names {', '.join(r.rse for r in copies)}" if copies else "there is no copy"
        hint = "it was removed from the lake's folder: whoever has the data must store it under another name"
        return LakeOutageError(f"no copy of {did} can be read", [Problem(where, what, hint)])

    def recall(self, dids: Sequence[Did], seconds: float) -> Recall:
        """Each takes the time that its storage element is said to take, all of them at once."""
        ready, waiting, failed = [], [], {}
        copies = self.replicas(dids)
        asked = []
        for did in dids:
            mine = copies.get(did)
            if mine is None:
                failed[str(did)] = "there is no such data"
            elif any(r.ready for r in mine):
                ready.append(did)
            elif cold := [
                r for r in mine if r.tier is Tier.COLD and self._view.storage.place(r.rse, did).exists()
            ]:
                waiting.append(did)
                asked.append((did, cold[0].seconds or 0.0))
            else:
                failed[str(did)] = "no copy of it is left"
        if asked:
            with self._view.writing():
                now = self._view.clock()
                for did, takes in asked:
                    self._view.catalogue.ask(did, now + takes, now + takes + seconds)
        return Recall(ready=ready, waiting=waiting, failed=failed)

    def _arrive(self, dids: Sequence[Did]) -> None:
        """Hot copies of what has been recalled by now."""
        with self._view.asking():
            now = self._view.clock()
            due = [(d, r) for d, r in self._view.catalogue.recalls(dids).items() if r[0] <= now]
        if not due:
            return
        hot = next((n for n, rse in self._view.rses.items() if rse.tier is Tier.HOT), None)
        with self._view.writing():
            for did, (_, until) in due:
                copies = self._view.catalogue.replicas([did], self._view.clock())[did]
                cold = [n for n in copies if self._view.rse(n).tier is Tier.COLD]
                if hot and cold and (path := self._view.storage.place(cold[0], did)).exists():
                    self._view.storage.link(path, hot, did)
                    self._view.catalogue.has(did, hot, until)
                self._view.catalogue.answered(did)

    # --- write

    def store(
        self,
        path: Path,
        did: Did,
        *,
        metadata: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        rse: str | None = None,
    ) -> Entry:
        """A copy: what happens to the user's file is nobody's business any more."""
        return self._writer.store(path, did, dict(metadata or {}), seconds, rse)

    def register(
        self,
        did: Did,
        content: Content,
        parts: Sequence[Did] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Entry:
        """A dataset takes files, a container datasets and containers."""
        return self._writer.register(did, content, parts, dict(metadata or {}))

    def delete(self, dids: Sequence[Did]) -> list[Did]:
        """Of data that the account has stored itself, or in a scope of its own."""
        return self._writer.delete(dids)

    def allow(self, scope: str, readers: Sequence[str] | None, writers: Sequence[str]) -> None:
        """Say who may do what in a scope (`Writer.allow`)."""
        self._writer.allow(scope, readers, writers)
