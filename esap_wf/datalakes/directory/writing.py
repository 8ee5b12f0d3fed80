"""What one account stores in a lake in a folder, and gives up again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from esap_wf import files
from esap_wf.datalakes.base import DeniedError, NoEntryError, TakenError
from esap_wf.datalakes.directory.catalogue import Scope, instant
from esap_wf.datalakes.directory.storage import Copied
from esap_wf.datalakes.directory.view import View
from esap_wf.errors import NotFoundError, Problem, UsageError
from esap_wf.models.data import Content, Did, Entry

#: Why a name can't be used.
GIVEN_UP = "the name was given up, and is never given out again"


class Writer:
    """
    What changes a lake.

    Parameters
    ----------
    view : View
    """

    def __init__(self, view: View) -> None:
        self._view = view

    def store(
        self, path: Path, did: Did, metadata: dict[str, Any], seconds: float | None, rse: str | None
    ) -> Entry:
        """See `esap_wf.datalakes.Lake.store`."""
        self._usable(did)
        rses = self._view.rses
        if rse is not None and rse not in rses:
            what = f"there is no storage element {rse!r}"
            raise UsageError(
                f"{did} can't be stored", [Problem(self._view.lake, what, f"known: {', '.join(rses)}")]
            )
        self.confirm_writer(did.scope)
        if not path.is_file():
            raise NotFoundError(f"{did} can't be stored", [Problem(str(path), "there is no such file")])
        if not os.access(path, os.R_OK):
            raise UsageError(f"{did} can't be stored", [Problem(str(path), "it may not be read")])
        try:
            copied = self._view.storage.copy(path)
        except OSError as error:
            raise files.explain(error, path) from None
        try:
            with self._view.writing():
                entry = self._stored(copied, did, metadata, seconds, rse or next(iter(rses)))
        finally:
            copied.path.unlink(missing_ok=True)
        self._remove_ended()
        return entry

    def _stored(
        self, copied: Copied, did: Did, metadata: dict[str, Any], seconds: float | None, rse: str
    ) -> Entry:
        catalogue, now = self._view.catalogue, self._view.clock()
        expires = None if seconds is None else now + seconds
        self._own_or_confirmed(did.scope)
        known = catalogue.known(did, now)
        if known is None:
            entry = Entry(
                did=did,
                bytes=copied.bytes,
                checksums=copied.checksums,
                created=instant(now),
                account=self._view.account,
                metadata=metadata,
            )
            catalogue.add(entry, expires)
        else:
            self._same(known, did, copied)
            catalogue.prolong(did, expires)
            if metadata:
                catalogue.describe(did, {**known[0].metadata, **metadata})
        # what lies there without being in the catalogue was left by somebody who was killed
        held = rse in catalogue.replicas([did], now)[did]
        if not held or not self._view.storage.place(rse, did).exists():
            self._view.storage.put(copied, rse, did)
        catalogue.has(did, rse, None)
        return catalogue.entries([did], now)[did]

    def _same(self, known: tuple[Entry, bool], did: Did, copied: Copied) -> None:
        entry, gone = known
        if gone:
            raise TakenError(
                f"{did} can't be stored",
                [Problem(did.uri(self._view.lake), GIVEN_UP, "take another name")],
            )
        if (entry.content, entry.bytes, entry.checksums.get("sha256")) != (
            Content.FILE,
            copied.bytes,
            copied.checksums["sha256"],
        ):
            is_file = entry.content is Content.FILE
            what = "the name stands for other bytes" if is_file else f"the name is a {entry.content}"
            raise TakenError(
                f"{did} can't be stored",
                [Problem(did.uri(self._view.lake), what, "data is never replaced: take another name")],
            )

    def register(self, did: Did, content: Content, parts: Sequence[Did], metadata: dict[str, Any]) -> Entry:
        """See `esap_wf.datalakes.Lake.register`."""
        self._usable(did)
        if content is Content.FILE:
            raise UsageError(
                f"{did} can't be registered", [Problem(str(did), "a file is stored, not registered")]
            )
        with self._view.writing():
            now = self._view.clock()
            self._own_or_confirmed(did.scope)
            known = self._view.catalogue.known(did, now)
            if known and (known[1] or known[0].content is not content):
                what = GIVEN_UP if known[1] else f"the name is a {known[0].content}"
                raise TakenError(f"{did} can't be registered", [Problem(str(did), what, "take another name")])
            self._check_parts(did, content, parts, now)
            if known is None:
                entry = Entry(
                    did=did,
                    content=content,
                    created=instant(now),
                    account=self._view.account,
                    metadata=metadata,
                )
                self._view.catalogue.add(entry, None)
            elif metadata:
                self._view.catalogue.describe(did, {**known[0].metadata, **metadata})
            self._view.catalogue.attach(did, parts)
            return self._view.catalogue.entries([did], now)[did]

    def _check_parts(self, did: Did, content: Content, parts: Sequence[Did], now: float) -> None:
        entries = self._view.entries(parts)
        for part in parts:
            if part not in entries:
                raise NoEntryError(self._view.lake, part)
            holds_files = entries[part].content is Content.FILE
            if holds_files is not (content is Content.DATASET):
                what = f"a {content} can't hold a {entries[part].content}"
                raise UsageError(f"{part} can't be attached to {did}", [Problem(str(part), what)])
            if part == did or self._leads_to(part, did):
                raise UsageError(
                    f"{part} can't be attached to {did}", [Problem(str(part), "it would hold itself")]
                )

    def _leads_to(self, start: Did, end: Did) -> bool:
        stack, seen = [start], set()
        while stack:
            one = stack.pop()
            if one == end:
                return True
            if one not in seen:
                seen.add(one)
                stack += [p for p, content in self._view.catalogue.parts(one) if content is not Content.FILE]
        return False

    def delete(self, dids: Sequence[Did]) -> list[Did]:
        """See `esap_wf.datalakes.Lake.delete`: of data that is the account's, or in a scope that is."""
        with self._view.writing():
            entries = self._view.entries(dids)
            against = []
            for did, entry in entries.items():
                scope = self._view.catalogue.scope(did.scope)
                if self._view.account not in {entry.account, scope.account if scope else ""}:
                    against.append(Problem(str(did), f"it is {entry.account}'s"))
            if against:
                raise DeniedError("nothing was deleted", against)
            held = self._view.catalogue.replicas(entries, 0.0)
            for did in entries:
                self._view.catalogue.end(did)
        self._remove(held)
        return sorted(entries)

    def _remove_ended(self) -> None:
        """Copies of what was kept for a time that is over."""
        ended = self._view.catalogue.ended(self._view.clock())
        if ended:
            held = self._view.catalogue.replicas(ended, 0.0)
            with self._view.writing():
                for did in ended:
                    self._view.catalogue.end(did)
            self._remove(held)

    def _remove(self, held: dict[Did, list[str]]) -> None:
        # after the catalogue has forgotten them: a kill leaves a file too many, never a name without one
        for did, rses in held.items():
            for rse in rses:
                self._view.storage.remove(rse, did)

    def allow(self, scope: str, readers: Sequence[str] | None, writers: Sequence[str]) -> None:
        """
        Say who may do what in a scope; it is made if there is none.

        Parameters
        ----------
        scope : str
        readers : sequence of str or None
            Accounts; None: everybody.
        writers : sequence of str
            Accounts beside that of the scope.

        Raises
        ------
        DeniedError
            It is somebody else's.
        """
        self._usable(Did(scope, "x"))
        with self._view.writing():
            known = self._view.catalogue.scope(scope)
            if known and known.account != self._view.account:
                raise DeniedError(f"{scope} can't be changed", [Problem(scope, f"it is {known.account}'s")])
            allowed = None if readers is None else frozenset(readers)
            self._view.catalogue.keep_scope(Scope(scope, self._view.account, allowed, frozenset(writers)))

    def _usable(self, did: Did) -> None:
        if why := did.wrong():
            raise UsageError("data can't be stored under this name", [Problem(str(did)[:80], why)])

    def confirm_writer(self, scope: str) -> None:
        """
        Nothing, if the account may write in a scope, or there is none yet.

        Raises
        ------
        DeniedError
        """
        with self._view.asking():
            known = self._view.catalogue.scope(scope)
        account = self._view.account
        if known is not None and not known.may_write(account):
            command = f"esap-wf lake allow {self._view.lake}:{scope} --writer {account}"
            what, hint = f"the scope is {known.account}'s", f"{known.account} lets you in by: {command}"
            raise DeniedError(f"{account} may not write in {scope}", [Problem(scope, what, hint)])

    def _own_or_confirmed(self, scope: str) -> None:
        if self._view.catalogue.scope(scope) is None:
            self._view.catalogue.keep_scope(Scope(scope, self._view.account, None, frozenset()))
        self.confirm_writer(scope)
