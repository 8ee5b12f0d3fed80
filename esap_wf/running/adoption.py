"""
The engine that an earlier owner of a run left behind: whether the new owner adopts it, or gives it up before
another one is started.

What is alive decides, not the phase. An engine that has ended badly while nobody watched is started again:
who resumes a run wants it to go on.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace

from esap_wf import files, plugins
from esap_wf.backends.launcher import Condition, NeedsPersonError, OutageError, Seen
from esap_wf.engines import EngineBase
from esap_wf.errors import EsapError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Phase, State, now
from esap_wf.running import clearing
from esap_wf.running.ownership import Ownership
from esap_wf.running.patience import Patience
from esap_wf.runs import attempts, states
from esap_wf.runs.run import Run

logger = logging.getLogger(__name__)

#: Seconds between two looks at an engine that can't be asked.
LOOK = 0.5


@dataclass(frozen=True, slots=True)
class FormerEngine:
    """
    The last engine of a run's earlier owners, as it looks from here.

    Parameters
    ----------
    epoch : int
    seen : Seen
    adoptable : bool or None
        Whether it lives, or has done its work. None if it may be where nobody can be asked.
    why : str
        What was seen, as the log has it.
    """

    epoch: int
    seen: Seen
    adoptable: bool | None
    why: str


def former_engine(owner: Ownership, before: State) -> FormerEngine | None:
    """
    The last engine of earlier owners, looked at without waiting; None if none was started.

    Parameters
    ----------
    owner : Ownership
    before : State
        As the last owner left it.
    """
    epoch = attempts.last(owner.run.dir, owner.lease.epoch)
    return _looked_at(owner, epoch, before) if epoch else None


def _looked_at(owner: Ownership, epoch: int, before: State, told: str = "") -> FormerEngine:
    """How it looks now; in the log, unless that was `told` before."""
    key = owner.key(epoch)
    try:
        seen = owner.here.look({key: None})[key]
    except NeedsPersonError as error:
        seen = Seen(Condition.UNKNOWN, reason=str(error))
    adoptable, why = _judged(owner.run, epoch, seen, before.phase in states.FINAL)
    if why != told:
        logger.info("the engine of epoch %d %s", epoch, why)
    return FormerEngine(epoch, seen, adoptable, why)


def _judged(run: Run, epoch: int, seen: Seen, final: bool) -> tuple[bool | None, str]:
    """Whether an engine can be adopted, and why; `final`: the run had come to its end."""
    if attempts.is_void(run.dir, epoch):
        return False, "was given up by a later owner"
    if seen.condition is Condition.ENDED:
        if final:
            return False, f"has ended with exit code {seen.exit_code}, and what it left was not accepted"
        return seen.exit_code == 0, f"has ended with exit code {seen.exit_code} while nobody watched"
    if seen.condition is Condition.UNKNOWN:
        return None, f"can't be asked: {seen.reason}"
    if _works(seen):
        return True, f"is alive on {seen.where}" + (f", {seen.reason}" if seen.reason else "")
    if not final and ended_well(run, epoch):
        return True, "is gone, but what it left behind shows that it had finished"
    return False, seen.reason


def _works(seen: Seen) -> bool:
    return seen.condition in (Condition.WAITING, Condition.RUNNING)


def ended_well(run: Run, epoch: int) -> bool:
    """Whether an engine whose end nobody saw has left word that it ended well."""
    with contextlib.suppress(EsapError):  # the plan may not have been read yet
        plan = files.read_json(run.dir / "plan.json", Plan)
        engine: EngineBase = plugins.one("esap_wf.engines", plan.engine.name)
        return engine.ended_well(run.dir, epoch)
    return False


def certain(owner: Ownership, former: FormerEngine | None, before: State) -> FormerEngine | None:
    """The same, once it is known whether it lives: one out of reach is watched for signs of life."""
    if former is None or former.adoptable is not None:
        return former
    if owner.here.is_queue:
        return _told(owner, former, before)
    where = former.seen.where
    owner.write(Phase.QUEUED, reason=f"watching for signs of life of its engine on {where}")
    while former.adoptable is None:
        owner.renew()
        owner.here.wait(LOOK)
        former = _looked_at(owner, former.epoch, before, told=former.why)
    return former


def _told(owner: Ownership, former: FormerEngine, before: State) -> FormerEngine:
    """The same where somebody has to be asked for it. A request to stop gives the engine up."""

    def look() -> FormerEngine | None:
        found = _looked_at(owner, former.epoch, before, told=former.why)
        if found.adoptable is None:
            raise OutageError(found.seen.reason)
        return found

    return Patience(owner).answer(look) or replace(former, adoptable=False)


def adopt(owner: Ownership, former: FormerEngine) -> None:
    """Watch a former engine from now on, in place of the one who started it."""
    logger.info("decided: the engine of epoch %d is adopted, because it %s", former.epoch, former.why)
    owner.epoch = former.epoch
    owner.note(f"the engine of epoch {former.epoch} is adopted")
    seen = former.seen
    reason = f"its engine is running on {seen.where}, {seen.reason}" if _works(seen) and seen.reason else ""
    owner.write(Phase.EXECUTING, reason=reason, started=owner.events.state.started or now())


def give_up(owner: Ownership, former: FormerEngine | None) -> None:
    """
    Make sure that nothing of earlier owners works on, before another engine is started; what their last
    engine has reported is counted.
    """
    owner.lease.require()
    never_began = 0
    if owner.lease.epoch > 1:
        # they may go on where they can't be reached from here, once they wake up
        owner.here.give_up({owner.key(e): None for e in range(1, owner.lease.epoch)})
        logger.info("decided: all engines before epoch %d are void", owner.lease.epoch)
        never_began = clearing.wait_for_jobs(owner)
        clearing.clear(owner)
    if former:
        # what it reported after its supervisor's last look would be counted by nobody
        owner.count(owner.source(former.epoch, owner.events.cursor(former.epoch)))
        clearing.take_up(owner, former.epoch, never_began)
