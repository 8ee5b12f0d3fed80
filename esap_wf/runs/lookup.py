"""Find runs: by id, name, or through the index. Light: `list` and `status` start with it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from urllib.parse import quote

from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, UsageError
from esap_wf.runs.index import Index, Row
from esap_wf.runs.store import BESIDE, Run, Store

_TOO_SHORT, _HEX = re.compile(r"[0-9a-f]{1,3}"), re.compile(r"[0-9a-f]{4,16}")


def index_of(store: Store, config: Config) -> Index:
    """
    The store's index on this machine, caught up. A file a host: SQLite's WAL must not span hosts, and homes
    are on networks.
    """
    return Index.open(
        store, config.cache / "index" / f"{store.id}-{quote(socket.gethostname(), safe='')}.sqlite"
    )


def opened(config: Config) -> Store | None:
    """
    The configured store; None if there is none yet.

    Raises
    ------
    UsageError
        Something else is there.
    """
    try:
        return Store.open(config.store)
    except NotFoundError as error:
        if config.store.exists() and (
            not config.store.is_dir() or any(p.name not in BESIDE for p in config.store.iterdir())
        ):
            raise UsageError(f"{config.store} is not a run store", error.problems) from None
        return None


def find_run(config: Config, text: str, newest: Callable[[str], None] | None = None) -> Run:
    """
    A run by id, beginning of an id, or name.

    Parameters
    ----------
    config : Config
    text : str
    newest : callable, optional
        Told which run is meant if several have the name: the newest. Without it they are refused.

    Raises
    ------
    NotFoundError, UsageError
        None, or several.
    """
    store = Store.open(config.store)
    if not text.strip():
        raise NotFoundError("no run was given", [Problem("RUN", "is empty", "esap-wf list shows the runs")])
    with index_of(store, config) as index:
        named = [row.id for row in index.by_name(text)]
        try:
            # an id is copied with what stands around it, or written in capitals
            return store.find(text if named else _as_id(text), named=named, newest=newest)
        except NotFoundError as error:
            if any(p.what.startswith("removed") for p in error.problems):
                raise
            if _TOO_SHORT.fullmatch(text) and (rows := index.by_prefix(text, limit=100)):
                message = f"{text!r} is too short: give at least four characters of an id"
                raise NotFoundError(message, store.candidates([row.id for row in rows])) from None
            if "/" in text:
                problem = Problem("RUN", "give the id or the name of a run, not a path", "esap-wf list")
                raise NotFoundError(f"there is no run {text!r}", [problem]) from None
            if index.count() == 0:
                problem = Problem(
                    "RUN",
                    f"there are no runs yet in {store.root}",
                    "esap-wf run hello, or another --store DIR",
                )
                raise NotFoundError(f"there is no run {text!r}", [problem]) from None
            import difflib

            known = {row.name: row.id for row in index.page(limit=200)[0] if row.name}
            close = difflib.get_close_matches(text[:80], known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            what = "it is not an id, the beginning of an id, or a name"
            raise NotFoundError(
                f"there is no run {text!r} in {store.root}", [Problem("RUN", what, f"{hint}esap-wf list")]
            ) from None


def find_runs(config: Config, texts: Sequence[str], newest: Callable[[str], None] | None = None) -> list[Run]:
    """
    Several runs, see `find_run`.

    Raises
    ------
    NotFoundError, UsageError
        All that are not there, or not clear, at once.
    """
    found, errors = list[Run](), list[UsageError]()
    for text in dict.fromkeys(texts):
        try:
            found.append(find_run(config, text, newest))
        except UsageError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        problems = [
            Problem("RUN", error.message, "; ".join(filter(None, (p.hint for p in error.problems[:1]))))
            for error in errors
        ]
        kind = NotFoundError if all(isinstance(error, NotFoundError) for error in errors) else UsageError
        raise kind(f"{len(errors)} of {len(texts)} runs could not be identified", problems)
    return list({run.id: run for run in found}.values())


def _as_id(text: str) -> str:
    bare = text.strip().lower()
    return bare if _HEX.fullmatch(bare) else text


def listed(
    store: Store,
    config: Config,
    *,
    phase: str | None = None,
    workflow: str | None = None,
    tag: str | None = None,
    name: str | None = None,
    owner: str | None = None,
    since: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Row], str | None]:
    """
    A page of runs as they are now, newest first.

    Parameters
    ----------
    store : Store
    config : Config
    phase, workflow, tag, owner : str, optional
        Only those.
    name : str, optional
        Only those whose name holds this text.
    since : str, optional
        Created then or later, see `moment_of`.
    limit : int
        Runs of a page.
    cursor : str, optional
        From the page before.

    Returns
    -------
    rows : list of Row
    cursor : str or None
        For the next page, None at the end.
    """
    with index_of(store, config) as index:
        rows: list[Row] = []
        while True:
            page, cursor = index.page(
                phase=phase,
                workflow=workflow,
                tag=tag,
                name=name,
                owner=owner,
                since=since,
                limit=limit - len(rows),
                cursor=cursor,
            )
            # a run that was at work when it was last announced may be lost by now
            rows += [row for row in index.live(page) if phase is None or row.phase == phase.upper()]
            if cursor is None or len(rows) >= limit:
                return rows, cursor


def moment_of(text: str | None, where: str) -> str | None:
    """
    A time that a user writes, as the index has it; `where` it is written.

    Raises
    ------
    UsageError
        It is none.
    """
    if text is None:
        return None
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise UsageError(
            "the command line is not valid" if where.startswith("-") else "the request is not valid",
            [Problem(where, f"{text!r} is not a time", "write 2026-11-21 or 2026-11-21T10:00:00Z")],
        ) from None
