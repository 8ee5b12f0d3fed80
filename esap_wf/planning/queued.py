"""Engines that submit the jobs of their steps to a workload manager: what a plan has to see to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from esap_wf.backends.places import Place
from esap_wf.engines import EngineBase
from esap_wf.errors import EsapError, Problem, RefusedError
from esap_wf.formats.quantities import human_seconds
from esap_wf.models.place import Containers, Profile
from esap_wf.models.plan import Allocation, Estimate
from esap_wf.planning.wishes import Wishes

#: What starts containers on nodes, for their users.
RUNTIME = "apptainer"
#: Folders that are of one machine almost everywhere.
_OF_ONE = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run")


def largest_job(place: Place, allocation: Allocation, wishes: Wishes) -> Allocation:
    """
    What the largest job asks for: a step's where the engine submits, else a piece, which is all of it.

    Parameters
    ----------
    place : Place
    allocation : Allocation
        `step_cores` are those of the largest step.
    wishes : Wishes
    """
    queue = place.queue(allocation)
    if queue is None:
        return allocation

    def top(what: str, default: int) -> int:
        first = next(iter(wishes.of(what)), None)
        return first.amount if first and first.amount else default

    mine = "memory" in wishes.given
    return msgspec.structs.replace(
        allocation,
        cores=max(queue.cores, allocation.step_cores),
        memory_bytes=allocation.memory_bytes if mine else top("memory", queue.memory_bytes),
        wall_seconds=top("wall", queue.wall_seconds),
    )


def submitters(place: Place, allocation: Allocation) -> str | None:
    """The kind of workload manager to which an engine must be able to submit; None: to none."""
    queue = place.queue(allocation)
    return queue.kind if queue else None


def contained(profile: Profile) -> Profile:
    """A profile with the container runtimes that nodes have."""
    named = profile.containers or Containers()
    allowed = [r for r in named.runtimes if r == RUNTIME] if named.runtimes else [RUNTIME]
    # none would mean all
    runtimes = allowed or ["udocker"]
    return msgspec.structs.replace(profile, containers=msgspec.structs.replace(named, runtimes=runtimes))


def seen(place: Place, store: Path, cache: Path) -> list[str]:
    """
    Warnings about what the nodes don't see.

    Raises
    ------
    RefusedError
        They don't see the store.
    """
    known = place.sees(store, cache)
    if known is False:
        what = "its jobs don't see the run store, or can't write there"
        hint = (
            f"take a store on a file system that its nodes share: esap-wf --store DIR …; or name `folder` in "
            f"the profile of {place.name}, a folder that they see, so that work is sent there"
        )
        raise RefusedError(f"{place.name} can't take the run", [Problem(str(store), what, hint)])
    if known is None:
        return [
            f"nobody knows yet whether the jobs of {place.name} see the run store {store}: none has begun "
            "within a few seconds"
        ]
    return []


def of_one_machine(paths: Iterable[str | Path], store: Path, place: str) -> list[str]:
    """A warning about paths that are of this machine alone, most likely; those beside the store are not."""
    mine = _one(str(store))
    found = [str(p) for p in paths if (root := _one(str(p))) and root != mine]
    if not found:
        return []
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return [f"{', '.join(found[:3])}{more}: the jobs of {place} probably don't see what is there"]


def _one(path: str) -> str:
    whole = os.path.normpath(path)
    return next((root for root in _OF_ONE if Path(whole).is_relative_to(root)), "")


def confirm_head(place: Place, engine: EngineBase, estimate: Estimate) -> None:
    """
    An engine that is a job itself ends with it, unless it can hand over.

    Raises
    ------
    RefusedError
        Its job ends before the run is done, as far as one can tell.
    """
    limit = place.head_wall()
    if limit is None or engine.drains or estimate.wall_seconds <= limit:
        return
    what = (
        f"{engine.title} is a job of at most {human_seconds(limit)} (head_wall), the run will take about "
        f"{human_seconds(estimate.wall_seconds)}, and {engine.title} can't hand over its work to another job"
    )
    hint = 'raise head_wall in the profile, or let the engine be here: head = "here"'
    raise RefusedError(f"{place.name} can't take the run", [Problem(f"backend {place.name}", what, hint)])


def several(site: Place, name: str, failed: Sequence[tuple[Place, EsapError]]) -> EsapError:
    """One error of the ways in which a place can't be used."""
    if len(failed) == 1:
        return failed[0][1]
    # what the place itself doesn't have or allow, it doesn't in any way
    own = f"backend {site.name}"
    if any(problem.where == own for problem in failed[0][1].problems):
        return failed[0][1]
    problems: dict[str, Problem] = {}
    for _, error in failed:
        for problem in error.problems or [Problem(own, error.message)]:
            problems.setdefault(problem.what, problem)
    return RefusedError(f"{site.name} can't take a run of {name}", list(problems.values()))
