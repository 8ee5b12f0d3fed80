"""What comes of an engine that has ended: its results are collected and accepted, or the causes are named."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from esap_wf.backends.launcher import Seen
from esap_wf.errors import StoppedError
from esap_wf.models.run import Failure, Outputs, Reason, now
from esap_wf.running import clearing, collect, endings, originals, products, render, staging
from esap_wf.running.ownership import Ownership
from esap_wf.runs import crashpoints, trees

#: Steps of failures that are esap-wf's or an engine's own, and no job's.
_OWN = frozenset({"engine", "prepare", "input", "esap-wf"})


class Watched(Protocol):
    """What a watch over an engine, or over the pieces of a run, has seen of their end."""

    late: bool
    hung: str

    def losses(self) -> list[Failure]:
        """What has failed without an exit code."""


def conclude(owner: Ownership, ended: Seen | None, watch: Watched | None, cache: Path) -> None:
    """
    Bring a run to its final phase.

    Parameters
    ----------
    owner : Ownership
    ended : Seen or None
        None if nobody saw how the engine ended, or if there was none.
    watch : Watched or None
        Of the engine, if there was one.
    cache : Path
    """
    code = ended.exit_code if ended else None
    if ended:
        owner.usage = ended.usage
    if code != 0:
        clearing.clear(owner)
        owner.stop = owner.stop or owner.run.stop_requested()
        if owner.stop is not None:
            endings.aborted(owner, code)
        else:
            endings.failed(owner, causes(owner, code, watch), None, code)
        return
    if ended is None or ended.orphans:
        clearing.clear(owner)  # a step's background process must not change what is accepted
    try:
        if broken := _changed_inputs(owner):
            endings.failed(owner, broken, None, code)
            return
        found, warnings = _collected(owner, cache)
    except StoppedError:
        endings.aborted(owner, code)
        return
    crashpoints.reached("outputs-checked")
    if found.failures:
        endings.failed(owner, found.failures, None, code)
        return
    accepted = Outputs(
        run=owner.run.id,
        epoch=owner.lease.epoch,
        accepted=now(),
        outputs=found.outputs,
        values=found.values,
        warnings=[*owner.plan.warnings, *warnings, *found.warnings],
    )
    owner.run.accept(accepted, owner.lease)
    endings.completed(owner)


def _changed_inputs(owner: Ownership) -> list[Failure]:
    if not staging.brought(owner.plan):
        return []
    from esap_wf.running import arrived  # for these runs alone

    return arrived.changed(owner)


def _collected(owner: Ownership, cache: Path) -> tuple[collect.Collected, list[str]]:
    """What the run has made, and warnings of how it is known."""
    run, plan = owner.run.dir, owner.plan
    named, warnings = collect.named_by(owner.engine, *_worked(owner))
    workplace = None
    if plan.config == "plain":
        brought = [ref.path for ref in (*staging.brought(plan), *staging.copied(plan)) if ref.path]
        ours = [*plan.files, *staging.staged(plan), *brought]
        workplace = products.Workplace(run, run / render.home_of(plan), ours, run / plan.entry)
    warnings += originals.changed(plan, cache, owner.beat)
    given = trees.given_to(plan)
    found = collect.collect(
        owner.manifest, run, owner.snapshot, owner.beat, named=named, given=given, workplace=workplace
    )
    return found, warnings


def _worked(owner: Ownership) -> tuple[Path, int]:
    """Where the engine has left its records, and in which of its epochs."""
    return (owner.worked, 1) if owner.worked else (owner.run.dir, owner.epoch)


def causes(owner: Ownership, code: int | None, watch: Watched | None) -> list[Failure]:
    """
    Why an engine ended badly, the cause first: why it was ended, jobs of this engine, what it says itself,
    what earlier ones left undone.
    """
    reported = owner.events.state.failures
    mine = [f for f in reported if f.epoch in (None, owner.epoch)]
    found = _why_ended_by_us(owner, code, watch)
    # what is cancelled is so because something else failed
    found += [f for f in mine if f.reason != Reason.CANCELLED]
    # by somebody else, at a workload manager
    found = found or [f for f in mine if f.state]
    if not found and owner.epoch:
        found = owner.engine.explain(*_worked(owner), code)
    if not found and not mine:
        found = [_of_engine(*_unexplained(owner, code), code)]
    # of earlier engines only jobs that are still to be done
    return found + [f for f in reported if f not in found and (f in mine or f.step not in _OWN)]


def _why_ended_by_us(owner: Ownership, code: int | None, watch: Watched | None) -> list[Failure]:
    found = []
    if watch and watch.late:
        wall = owner.plan.request.resources.wall
        found.append(
            _of_engine(Reason.TIMEOUT, f"the time limit that was asked for, {wall}, is reached", code)
        )
    if watch and watch.hung:
        found.append(_of_engine(Reason.ENGINE, watch.hung, code))
    return found + (watch.losses() if watch else [])


def _unexplained(owner: Ownership, code: int | None) -> tuple[Reason, str]:
    if code is None:
        return Reason.SIGNAL, f"{owner.engine.title} was killed"
    reason = Reason.SIGNAL if code < 0 else Reason.ENGINE
    return reason, f"{owner.engine.title} ended with exit code {code}"


def _of_engine(reason: Reason, detail: str, code: int | None) -> Failure:
    return Failure(step="engine", reason=reason, exit_code=code, log="logs/engine.log", detail=detail)
