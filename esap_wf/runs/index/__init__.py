"""A fast answer to "which runs": a SQLite cache of the store on a local disk. SQL is in this package only.

It can be deleted at any time, and makes itself anew when it is missing, broken, of another version or of
another store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from esap_wf.errors import EsapError, UsageError
from esap_wf.models.run import Phase
from esap_wf.runs import states
from esap_wf.runs.index.cache import Cache
from esap_wf.runs.index.questions import Question, rows_of
from esap_wf.runs.index.schema import Row
from esap_wf.runs.productions import Production
from esap_wf.runs.store import Run, Store

__all__ = ["Index", "Row"]

_CURSOR = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,}(?:Z|[+-][0-9:]{4,5}))_([0-9a-f]{16})")


class Index:
    """
    An open index.

    Attributes
    ----------
    store : Store
        What it is of.
    """

    def __init__(self, store: Store, cache: Cache) -> None:
        self.store = store
        self._cache = cache

    @classmethod
    def open(cls, store: Store, path: Path) -> Index:
        """
        Open the index, make it if necessary, and catch up.

        Parameters
        ----------
        store : Store
            What it is of.
        path : Path
            Its file, on a local disk. Several processes of one host may use it at once. If it cannot be
            written, the index is kept in memory.
        """
        index = cls(store, Cache.open(store, path))
        index.catch_up()
        return index

    @property
    def path(self) -> Path | None:
        """Its file; None if it is kept in memory because its folder cannot be written."""
        return self._cache.path

    def close(self) -> None:
        """Close it."""
        self._cache.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def catch_up(self) -> int:
        """Take over what the journal says since the last time; the number of runs that were read."""
        return self._cache.catch_up()

    def rebuild(self) -> None:
        """Read all run directories anew."""
        self._cache.rebuild()

    def count(self) -> int:
        """Number of runs."""
        return self._cache.count()

    def page(
        self,
        *,
        phase: str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        since: str | None = None,
        owner: str | None = None,
        name: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Row], str | None]:
        """
        One page of runs, newest first.

        Parameters
        ----------
        phase, workflow, tag, owner : str, optional
            Only those. UNKNOWN asks each active run whether its owner lives.
        name : str, optional
            One of their names holds this text, in any case of letters.
        since : str, optional
            Created at this RFC 3339 time in UTC or later.
        limit : int
            Rows of a page.
        cursor : str, optional
            From the page before.

        Returns
        -------
        rows : list of Row
            As announced by the journal; see `live`.
        cursor : str or None
            For the next page, None at the end.
        """
        if phase is not None:
            try:
                phase = Phase(phase.upper()).value
            except ValueError:
                raise UsageError(f"there is no phase {phase!r}; the phases are {', '.join(Phase)}") from None
        if phase == Phase.UNKNOWN:
            return self._unknown(workflow, tag, since, owner, name, limit, cursor)
        return self._page([phase] if phase else [], workflow, tag, since, owner, name, limit, cursor)

    def _unknown(
        self,
        workflow: str | None,
        tag: str | None,
        since: str | None,
        owner: str | None,
        name: str | None,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[Row], str | None]:
        found: list[Row] = []
        active = sorted(p.value for p in states.ACTIVE)
        while True:
            rows, following = self._page(active, workflow, tag, since, owner, name, max(limit, 50), cursor)
            for row in self.live(rows):
                if row.phase == Phase.UNKNOWN:
                    found.append(row)
                    if len(found) == limit:
                        last = row.id == rows[-1].id and following is None
                        return found, None if last else _cursor(row)
            if following is None:
                return found, None
            cursor = following

    def _page(
        self,
        phases: list[str],
        workflow: str | None,
        tag: str | None,
        since: str | None,
        owner: str | None,
        name: str | None,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[Row], str | None]:
        if not 1 <= limit <= 100_000:
            raise UsageError(f"a page has 1 to 100000 runs, not {limit}")
        few = self._cache.named_like(name, limit) if name is not None else None
        question = Question(tag, few)
        for column, value in (("workflow", workflow), ("owner", owner)):
            if value is not None:
                question.demand(f"r.{column} = ?", value)
        if name is not None:
            question.demand(
                "EXISTS (SELECT 1 FROM names n WHERE n.run = r.id AND instr(lower(n.name), lower(?)))", name
            )
        if since is not None:
            question.demand(f"{question.created} >= ?", since)
        if cursor is not None:
            question.demand(f"({question.created}, {question.key}) < (?, ?)", *_parse(cursor))
        parts: list[Row] = []
        # one question a phase: each is answered in the order of an index, "phase IN" would sort
        asked: list[str | None] = [*phases] or [None]
        for phase in asked:
            parts += self._cache.rows(*question.sql(phase, limit + 1))
        if len(phases) > 1:
            parts.sort(key=lambda row: (row.created, row.id), reverse=True)
        rows = parts[:limit]
        return rows, _cursor(rows[-1]) if len(parts) > limit else None

    def live(self, rows: Iterable[Row]) -> list[Row]:
        """
        The rows with the present phase and counts of active runs; runs that were removed meanwhile drop out.
        """
        return [fresh for row in rows if (fresh := self._observed(row)) is not None]

    def _observed(self, row: Row) -> Row | None:
        if row.phase not in states.ACTIVE:
            return row
        try:
            state = Run(self.store, row.id).observe()
        except (EsapError, OSError):
            return row if self.store.run_exists(row.id) else None
        if state.phase is Phase.ARCHIVED:
            return None
        return row._replace(
            phase=state.phase.value,
            started=state.started,
            ended=state.ended,
            progress=msgspec.json.encode(state.progress).decode(),
        )

    def by_identity(self, identity: str, *, limit: int = 100) -> list[Row]:
        """Runs of the same identity, newest first: the duplicate check."""
        return self._equal("identity", identity, limit) if identity else []

    def by_science(self, digest: str, *, limit: int = 100) -> list[Row]:
        """Runs of the same science (whatever is computed besides), newest first."""
        return self._equal("science", digest, limit)

    def by_production(self, workflow: str, science: str, *, limit: int = 100) -> list[Production]:
        """
        Entries of the record of productions of the same science, newest first: also of runs that were
        removed.
        """
        return self._cache.productions(workflow, science, limit) if science else []

    def by_name(self, name: str, *, limit: int = 100) -> list[Row]:
        """Runs with a name, the one that was given it last first."""
        sql = rows_of("names n CROSS JOIN runs r ON r.id = n.run") + " WHERE n.name = ?"
        return self._cache.rows(f"{sql} ORDER BY n.at DESC, n.run DESC LIMIT ?", [name, limit])

    def users(self, source: str) -> list[tuple[Row, str]]:
        """
        Runs of this store, of any owner, that were given results of a run, newest first; one entry for each
        of their inputs.
        """
        return self._cache.users(source)

    def _equal(self, column: str, value: str, limit: int) -> list[Row]:
        return self._cache.rows(
            f"{rows_of('runs r')} WHERE r.{column} = ? ORDER BY r.created DESC, r.id DESC LIMIT ?",
            [value, limit],
        )

    def by_prefix(self, prefix: str, *, limit: int = 100) -> list[Row]:
        """Runs whose id begins so (hex digits)."""
        if not prefix or prefix.strip("0123456789abcdef"):
            return []
        return self._cache.rows(
            f"{rows_of('runs r')} WHERE r.id >= ? AND r.id < ? ORDER BY r.id LIMIT ?",
            [prefix, prefix + "g", limit],
        )


def _cursor(row: Row) -> str:
    return f"{row.created}_{row.id}"


def _parse(cursor: str) -> tuple[str, str]:
    found = _CURSOR.fullmatch(cursor)
    if not found:
        raise UsageError(f"{cursor!r} is not a cursor: give `next` from the previous page")
    return found[1], found[2]
