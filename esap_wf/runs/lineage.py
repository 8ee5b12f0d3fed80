"""
What a run was made from, and what was made from it, through all runs of the store.

Backwards the plans of the runs on the way are read, forwards the index is asked. A run that is met again is
named, but not followed again: many ways may lead to one run, and the answer would be as long as all ways.
"""

from __future__ import annotations

from collections import deque
from itertools import groupby

import msgspec
from msgspec import UNSET, UnsetType

from esap_wf import files
from esap_wf.errors import EsapError, NotFoundError
from esap_wf.models.run import Phase
from esap_wf.runs import origins
from esap_wf.runs.index import Index
from esap_wf.runs.layout import Layout
from esap_wf.runs.removal import Tombstone
from esap_wf.runs.run import Run

#: Runs in a row that are followed: an answer that is nested deeper is readable for nobody, nor for JSON.
DEEPEST = 100


class Node(msgspec.Struct, kw_only=True, omit_defaults=True):
    """
    A run in an answer. `again`: it stands in it once more, where it is followed; `more`: it has not been
    followed, because it is too far away.
    """

    run: str
    workflow: str | None
    phase: str | None
    again: bool = False
    more: bool = False


class Maker(Node, kw_only=True, omit_defaults=True):
    """
    A run and what it was made from. `note` says why that isn't known; workflow and phase may be missing then.
    """

    note: str = ""
    sources: list[Source] | UnsetType = msgspec.field(default=UNSET, name="from")


class Source(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One reference of an input, and the run that made it."""

    input: str
    uri: str
    checksum: str | None
    run: Maker | UnsetType = UNSET


class User(Node, kw_only=True, omit_defaults=True):
    """A run that was given results of another one, by which input."""

    owner: str
    input: str
    used_by: list[User] | UnsetType = UNSET


class Lineage(Maker, kw_only=True, omit_defaults=True):
    """What a run was made from, and what was made from it."""

    used_by: list[User]


def of(run: Run, index: Index) -> Lineage:
    """
    The lineage of a run.

    Parameters
    ----------
    run : Run
    index : Index
        Of its store, caught up.
    """
    state = run.observe()
    lineage = Lineage(run=run.id, workflow=run.record().workflow, phase=state.phase, used_by=[])
    _backwards(run.store, lineage)
    _forwards(index, lineage)
    return lineage


def _backwards(store: Layout, top: Maker) -> None:
    """Follow inputs to the runs that made them, each where it is nearest."""
    met = {top.run: top}
    waiting: deque[tuple[Maker, int]] = deque([(top, 0)])
    while waiting:
        node, depth = waiting.popleft()
        if node.phase is None or node.phase == Phase.ARCHIVED:
            node.sources = []
            continue
        if depth == DEEPEST:
            node.more = True
            continue
        node.sources = []
        try:
            found = origins.of_plan(store, store.path_of(node.run))
        except (EsapError, OSError) as error:
            node.note = f"its plan can't be read: {getattr(error, 'message', error)}"
            continue
        for origin in found:
            source = Source(input=origin.input, uri=origin.uri, checksum=origin.checksum)
            node.sources.append(source)
            if origin.run is None:
                continue
            if known := met.get(origin.run):
                source.run = Maker(run=known.run, workflow=known.workflow, phase=known.phase, again=True)
            else:
                source.run = met[origin.run] = _maker(store, origin.run)
                waiting.append((source.run, depth + 1))


def _maker(store: Layout, run_id: str) -> Maker:
    """A run as it is now, also if it was removed, or if nothing is known of it."""
    try:
        if store.tombstone_path(run_id).exists():
            grave = files.read_json(store.tombstone_path(run_id), Tombstone)
            workflow = grave.record.workflow if grave.record else None
            note = f"removed {grave.removed} by {grave.by}"
            return Maker(run=run_id, workflow=workflow, phase=Phase.ARCHIVED, note=note)
        run = Run(store, run_id)
        return Maker(run=run_id, workflow=run.record().workflow, phase=run.observe().phase)
    except NotFoundError:
        note = "it is not in this store"
    except (EsapError, OSError) as error:
        note = f"it can't be read: {getattr(error, 'message', error)}"
    return Maker(run=run_id, workflow=None, phase=None, note=note)


def _forwards(index: Index, top: Lineage) -> None:
    """Follow results to the runs that were given them."""
    met = {top.run}
    waiting: deque[tuple[str, list[User], int]] = deque([(top.run, top.used_by, 1)])
    while waiting:
        run_id, users, depth = waiting.popleft()
        found = index.users(run_id)
        # a run that was removed a moment ago drops out
        live = {row.id: row for row in index.live({row.id: row for row, _ in found}.values())}
        for used_by, entries in groupby(found, lambda entry: entry[0].id):
            if (row := live.get(used_by)) is None:
                continue
            for _, name in entries:
                user = User(run=row.id, workflow=row.workflow, phase=row.phase, owner=row.owner, input=name)
                users.append(user)
                if row.id in met:
                    user.again = True
                elif depth == DEEPEST:
                    user.more = True
                else:
                    user.used_by = []
                    waiting.append((row.id, user.used_by, depth + 1))
                met.add(row.id)
