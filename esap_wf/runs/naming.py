"""Which run a text means: its id, the beginning of its id, or a name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence

from esap_wf import files
from esap_wf.errors import EsapError, NotFoundError, Problem, UsageError
from esap_wf.runs import requests
from esap_wf.runs.layout import ID, Layout
from esap_wf.runs.removal import Tombstone
from esap_wf.runs.run import Run

_PREFIX = re.compile(r"[0-9a-f]{4,16}")
#: Runs that an error lists before the rest is only counted.
CANDIDATES = 10


def find(
    store: Layout,
    text: str,
    named: list[str] | None = None,
    newest: Callable[[str], None] | None = None,
) -> Run:
    """
    The run that a user means.

    Parameters
    ----------
    store : Layout
    text : str
        Its id, the beginning of it (four digits or more) or its name.
    named : list of str, optional
        Ids of the runs with that name, the newest first, from an index; otherwise all runs are read.
    newest : callable, optional
        Told which one is meant if several have the name: the one that was given it last. Without it they
        are refused.

    Raises
    ------
    NotFoundError
        There is none, or it was removed.
    UsageError
        There are several: all are listed.
    """
    if ID.fullmatch(text) and (store.run_exists(text) or store.tombstone_path(text).exists()):
        if not store.run_exists(text):
            raise missing(store, text)
        return Run(store, text)
    matches: dict[str, str] = {}
    if _PREFIX.fullmatch(text):
        matches.update((i, "") for i in store.ids(text) if store.run_exists(i))
    if named is None:
        named = _named(store, text)
    named = [i for i in named if store.run_exists(i)]
    matches.update((i, text) for i in (named[:1] if newest else named))
    if len(matches) == 1:
        run = Run(store, next(iter(matches)))
        if newest and len(named) > 1:
            newest(
                f"{len(named)} runs are named {text!r}: the newest is taken, {run.id} of "
                f"{run.record().created}"
            )
        return run
    if not matches:
        raise missing(store, text)
    raise UsageError(f"{text!r} is ambiguous: {len(matches)} runs match", candidates(store, sorted(matches)))


def candidates(store: Layout, ids: Sequence[str]) -> list[Problem]:
    """What may be meant, for an error: the first few, each with what tells it from the others."""
    rest = len(ids) - CANDIDATES
    more = [Problem("", f"and {rest} more", "esap-wf list")] if rest > 0 else []
    return [Problem(i, _described(Run(store, i))) for i in ids[:CANDIDATES]] + more


def _named(store: Layout, name: str) -> list[str]:
    """Ids of the runs with a name, the one that was given it last first."""
    found = []
    for run in (Run(store, i) for i in store.ids() if store.run_exists(i)):
        try:
            at = requests.names(run.record(), requests.read_further(run.dir)).get(name)
        except (NotFoundError, UsageError):
            continue
        if at is not None:
            found.append((at, run.id))
    return [run_id for _, run_id in sorted(found, reverse=True)]


def missing(store: Layout, text: str) -> NotFoundError:
    """There is no such run; or it was removed."""
    if ID.fullmatch(text):
        try:
            grave = files.read_json(store.tombstone_path(text), Tombstone)
            return NotFoundError(
                f"run {text} was removed", [Problem(text, f"removed {grave.removed} by {grave.by}")]
            )
        except NotFoundError:
            pass
    return NotFoundError(
        f"there is no run {text!r} in {store.root}",
        [Problem(text, "it is not an id, the beginning of an id, or a name", "esap-wf list")],
    )


def _described(run: Run) -> str:
    try:
        record = run.record()
    except (EsapError, OSError):
        return "its record can't be read"
    phase = ""
    with contextlib.suppress(EsapError, OSError):
        phase = f", {run.observe().phase}"
    return f"workflow {record.workflow}{phase}, created {record.created}" + (
        f", name {record.name}" if record.name else ""
    )
