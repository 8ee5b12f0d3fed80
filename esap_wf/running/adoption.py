"""
The engine that an earlier owner of a run left behind: whether the new owner adopts it, or gives it up before
another one is started.

What is alive decides, not the phase. An engine that has ended badly while nobody watched is started again:
who resumes a run wants it to go on.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass

from esap_wf import files, plugins
from esap_wf.engines import EngineBase
from esap_wf.errors import EsapError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Phase, State, now
from esap_wf.running.ownership import Ownership
from esap_wf.runs import attempts, processes, states
from esap_wf.runs.attempts import EngineProcess
from esap_wf.runs.run import Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FormerEngine:
    """
    The last engine of a run's earlier owners, as it looks from here.

    Parameters
    ----------
    epoch : int
    process : EngineProcess or None
        None if it is not known which one it was.
    adoptable : bool or None
        Whether it lives, or has done its work. None if it is on another host, where nobody can be asked.
    why : str
        What was seen, as the log has it.
    """

    epoch: int
    process: EngineProcess | None
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
    if not epoch:
        return None
    process = attempts.of(owner.run.dir, epoch)
    adoptable, why = _seen(owner.run, epoch, process, before.phase in states.FINAL)
    logger.info("the engine of epoch %d %s", epoch, why)
    return FormerEngine(epoch, process, adoptable, why)


def _seen(run: Run, epoch: int, process: EngineProcess | None, final: bool) -> tuple[bool | None, str]:
    """Whether an engine can be adopted, and why; `final`: the run had come to its end."""
    if process is None:
        return False, "left no record of its process"
    if attempts.is_void(run.dir, epoch):
        return False, "was given up by a later owner"
    if ended := attempts.end_of(run.dir, epoch):
        if final:
            return False, f"has ended with exit code {ended.exit_code}, and what it left was not accepted"
        return ended.exit_code == 0, f"has ended with exit code {ended.exit_code} while nobody watched"
    lives = processes.alive(process.engine)
    if lives:
        return True, f"is alive ({process.engine})"
    if lives is None:
        return None, f"can't be asked from here ({process.engine})"
    if not final and ended_well(run, epoch):
        return True, "is gone, but what it left behind shows that it had finished"
    return False, f"is gone ({process.engine})"


def ended_well(run: Run, epoch: int) -> bool:
    """Whether an engine whose end nobody saw has left word that it ended well."""
    with contextlib.suppress(EsapError):  # the plan may not have been read yet
        plan = files.read_json(run.dir / "plan.json", Plan)
        engine: EngineBase = plugins.one("esap_wf.engines", plan.engine.name)
        return engine.ended_well(run.dir, epoch)
    return False


def adopts(owner: Ownership, former: FormerEngine) -> bool:
    """Whether an engine is adopted: one out of reach is watched for signs of life."""
    if former.adoptable is not None or former.process is None:
        return bool(former.adoptable)
    host = former.process.engine.host
    owner.write(Phase.QUEUED, reason=f"watching for signs of life of its engine on {host}")
    beats = attempts.beats(owner.run.dir, former.epoch)
    logger.info(
        "the engine of epoch %d on %s gives %s",
        former.epoch,
        host,
        "signs of life" if beats else "no sign of life",
    )
    return beats


def adopt(owner: Ownership, former: FormerEngine) -> None:
    """Watch a former engine from now on, in place of the one who started it."""
    logger.info("decided: the engine of epoch %d is adopted, because it %s", former.epoch, former.why)
    owner.epoch = former.epoch
    owner.note(f"the engine of epoch {former.epoch} is adopted")
    reason = ""
    if former.process and processes.alive(former.process.engine) is None:
        reason = f"its engine is running on {former.process.engine.host}, out of reach from here"
    owner.write(Phase.EXECUTING, reason=reason, started=owner.events.state.started or now())


def give_up(owner: Ownership, former: FormerEngine | None) -> None:
    """
    Make sure that nothing of earlier owners works on, before another engine is started; what their last
    engine has reported is counted.
    """
    owner.lease.require()
    for epoch in range(1, owner.lease.epoch):
        # it may go on where it can't be reached from here, once it wakes up
        attempts.declare_void(owner.run.dir, epoch, owner.store.file_mode)
    if owner.lease.epoch > 1:
        logger.info("decided: all engines before epoch %d are void", owner.lease.epoch)
        owner.clear_survivors()
    if former:
        # what it reported after its supervisor's last look would be counted by nobody
        owner.count(owner.engine.events(owner.run.dir, former.epoch, owner.events.cursor(former.epoch)))
