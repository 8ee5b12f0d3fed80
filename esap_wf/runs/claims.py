"""Of identical runs, which one is *the* run. A run is claimed before it is rendered.

A claim is a file made by `files.create_exclusive`: of any number of identical starts at one moment, on any
hosts, one creates it and the others attach to its run. The next generation follows when a run was removed,
its creator died, or the user wants it again.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from esap_wf import files
from esap_wf.errors import NotFoundError, UsageError
from esap_wf.models import Model
from esap_wf.models.run import encode, now
from esap_wf.runs import crashpoints, decisions, processes
from esap_wf.runs.layout import Layout
from esap_wf.runs.lease import TTL
from esap_wf.runs.processes import Holder

_IDENTITY = re.compile(r"[0-9a-f]{8,128}")
_RUN_ID = re.compile(r"[0-9a-f]{16}")


class ClaimFile(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``claims/<2 hex>/<identity>.<generation>.json``."""

    schema_version: int = 1
    identity: str
    generation: int
    run: str
    holder: Holder
    at: str


@dataclass(frozen=True, slots=True)
class Claim:
    """
    The answer to a claim.

    Attributes
    ----------
    identity : str
        What was claimed.
    generation : int
        To be given as `renew_from` for an explicit rerun.
    run_id : str
        The run that has it: the caller's own if `mine`.
    mine : bool
        Whether the caller shall create the run.
    holder : Holder
        Who claimed.
    published : bool
        Whether the run directory is there. If neither `mine` nor `published`, its creator is still at work.
    """

    identity: str
    generation: int
    run_id: str
    mine: bool
    holder: Holder
    published: bool


def _path(store: Layout, identity: str, generation: int) -> Path:
    return store.root / "claims" / identity[:2] / f"{identity}.{generation}.json"


def _check(identity: str) -> None:
    if not _IDENTITY.fullmatch(identity):
        raise UsageError(f"{identity!r} is not an identity digest")


def latest(store: Layout, identity: str) -> ClaimFile | None:
    """The claim of the highest generation, None if nobody ever claimed."""
    _check(identity)
    generation = 0
    while _path(store, identity, generation + 1).exists():  # generations leave no gaps
        generation += 1
    return _read_claim(_path(store, identity, generation)) if generation else None


def _read_claim(path: Path) -> ClaimFile:
    for _ in range(20):
        try:
            return files.read_json(path, ClaimFile)
        except NotFoundError:
            raise
        except UsageError:
            time.sleep(0.05)  # where the file system has no links, its creator may be writing it
    return files.read_json(path, ClaimFile)


def holds(store: Layout, claim: Claim) -> bool:
    """Whether a claim is still the latest: asked once more just before a run is published."""
    found = latest(store, claim.identity)
    return found is not None and found.run == claim.run_id and found.generation == claim.generation


def claim(
    store: Layout,
    identity: str,
    run_id: str,
    *,
    renew_from: int | None = None,
    holder: Holder | None = None,
    wait: float = 5.0,
) -> Claim:
    """
    Claim an identity for a new run, or learn which run has it.

    Parameters
    ----------
    store : Layout
        Where.
    identity : str
        Digest of what makes two runs the same. Runs that are not deterministic don't claim.
    run_id : str
        Id of the run that the caller would create.
    renew_from : int, optional
        For an explicit rerun: the generation that the user saw. If it has a successor by now, the caller
        attaches to that.
    holder : Holder, optional
        Who claims; this process by default.
    wait : float
        Seconds to wait for the directory of a run that a living process has claimed.

    Returns
    -------
    Claim
        Look at `mine`.
    """
    _check(identity)
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"{run_id!r} is not a run id")
    holder = holder or processes.me()
    until = time.monotonic() + wait
    store.make_folder(store.root / "claims" / identity[:2])
    while True:
        found = latest(store, identity)
        why = "nobody has claimed it before"
        if found is not None and renew_from is not None and found.generation <= renew_from:
            why = f"a further run is wanted beside {found.run}"
        elif found is not None:
            published = store.run_exists(found.run)
            why = "" if published else _why_abandoned(store, found)
            if not why:
                if published or time.monotonic() >= until:
                    there = "is there" if published else "is still being made"
                    _log_decision(found, f"run {found.run} has it, and {there}: no other one is started")
                    return Claim(identity, found.generation, found.run, False, found.holder, published)
                time.sleep(0.05)
                continue
        generation = (found.generation if found else 0) + 1
        new = ClaimFile(identity=identity, generation=generation, run=run_id, holder=holder, at=now())
        if files.create_exclusive(_path(store, identity, generation), encode(new), mode=store.file_mode):
            crashpoints.reached("claimed")
            _log_decision(new, f"claimed for run {run_id}: {why}")
            return Claim(identity, generation, run_id, True, holder, False)


def _log_decision(claim: ClaimFile, decision: str) -> None:
    text = "identity %s, generation %d: %s"
    decisions.log(__name__, text, claim.identity[:12], claim.generation, decision)


def _why_abandoned(store: Layout, found: ClaimFile) -> str:
    """Why the run of a claim, which is not there at this moment, will never be; empty if it may."""
    if store.tombstone_path(found.run).exists():
        return f"its run {found.run} was removed"
    lives = processes.alive(found.holder)
    if lives is False:
        # published between the two looks, then its creator ended
        return "" if store.run_exists(found.run) else f"its creator {found.holder} is gone"
    if lives is True or _age(store, _path(store, found.identity, found.generation)) <= TTL:
        return ""
    return f"its creator {found.holder} can't be asked, and has made no run for {TTL:.0f} s"


def _age(store: Layout, path: Path) -> float:
    """Seconds since a file was made, by the clock of the file server alone: both times come from it."""
    try:
        return files.clock(store.root / "tmp") - path.stat().st_mtime
    except OSError:
        return 0.0
