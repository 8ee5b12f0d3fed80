"""The one process that owns a run: prepares, launches, watches, collects. Started detached by
`esap_wf.running.control`, followed by everybody.

``python -P -m esap_wf.running.supervisor STORE RUN [PRESUMED] [--revision FOLDER]``. It alone writes
``state.json`` and ``events.jsonl``. Each step has a module of its own, which is told of the run by its
`Ownership`. What was decided, and why, is in ``logs/supervisor.log``.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from esap_wf import config, files
from esap_wf.backends.launcher import Condition, Refusal, Seen
from esap_wf.errors import EsapError, RefusedError, UnavailableError
from esap_wf.formats import log_lines
from esap_wf.formats.printing import printable
from esap_wf.models.run import Failure, Phase, Reason, State, now
from esap_wf.running import adoption, conclusion, endings, preparation, raising, render, revisions, staging
from esap_wf.running.environment import environment
from esap_wf.running.launching import engine_piece
from esap_wf.running.ownership import Leaving, Ownership
from esap_wf.running.patience import Patience
from esap_wf.running.watch import Watch
from esap_wf.runs import attempts, crashpoints, states
from esap_wf.runs.lease import FencedError, HeldByOther
from esap_wf.runs.pieces import under_way
from esap_wf.runs.run import BY_THE_SYSTEM, StopRequest
from esap_wf.runs.store import Run, Store

if TYPE_CHECKING:
    from esap_wf.running.pieces.watch import PiecesWatch

logger = logging.getLogger(__name__)

#: So often an engine is started again of which nobody saw how it ended: one here, and one that is a job,
#: which may lose its node, or be taken away by an administrator.
LOST, LOST_JOBS = 1, 5


class Supervisor:
    """
    Prepares, launches, watches and collects one run.

    Parameters
    ----------
    store : Store
    run : Run
    cache : Path
        Where environments are built.
    revision : Path, optional
        A newer plan and what is rendered by it (`esap_wf.running.revisions.stage`).
    """

    def __init__(self, store: Store, run: Run, cache: Path, revision: Path | None = None) -> None:
        self.run, self.cache, self.revision = run, cache, revision
        self.owner = Ownership(store, run, cache)
        self._revised = False
        self._watch: Watch | None = None
        self._pieces: PiecesWatch | None = None

    def main(self) -> int:
        """
        From acquiring the run to its final phase.

        Returns
        -------
        int
            Exit code of the process: 0 if a final phase was written.
        """
        self.owner.acquire()
        # not before: one that came too late is a survivor to the owner, and must not stop the run of which it
        # is told to keep off
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        before = self.owner.open_events()
        try:
            if before.phase is not Phase.COMPLETED:
                self._carry_out(before)
        except FencedError:
            if self.owner.epoch:
                self.owner.here.fenced({self.owner.key(self.owner.epoch): None})
            raise
        except Leaving:
            logger.info("this supervisor was asked to end; what works goes on, for who resumes the run")
        except EsapError as error:
            self._abandon()
            reason = ": ".join([error.message, *map(str, error.problems[:1])]).replace("\n", " ")[:500]
            endings.failed(self.owner, [_failure_of(error)], reason)
        except Exception as error:  # a bug of ours must not leave a run without an end
            logger.exception("run %s ends by a bug", self.run.id)
            self._abandon()
            detail = f"{type(error).__name__}: {error}"
            bug = Failure(step="esap-wf", reason=Reason.UNKNOWN, log="logs/supervisor.log", detail=detail)
            endings.failed(self.owner, [bug], None)
        finally:
            with contextlib.suppress(EsapError):
                self.owner.lease.release()
        return 0

    def _ask_to_stop(self, *_: object) -> None:
        """
        Whoever asks this process to end leaves a stop request: jobs end, the run can be resumed. Pieces of a
        run that works elsewhere, and an engine that is a job, go on without it.
        """
        begun = self.owner.epoch or attempts.last(self.run.dir, self.owner.lease.epoch)
        if begun and self.owner.here.is_queue:
            self.owner.leaving = True
            return
        if self._pieces:
            self._pieces.leaving = True
            return
        self.run.request_stop(StopRequest(at=now(), by=BY_THE_SYSTEM, drain=True))

    def _carry_out(self, before: State) -> None:
        """The steps from a run that is owned to its end."""
        owner = self.owner
        if not (self.run.dir / ".reserve").is_file():
            # a final state could not be written
            raise files.explain(OSError(errno.ENOSPC, ""), self.run.dir)
        self._take_over_revision(before)
        owner.write(Phase.QUEUED, reason="", started=before.started, ended=None, exit_code=None)
        if earlier := revisions.finish(self.run):
            owner.note(f"it continues with a new plan; the previous one is {earlier}")
        owner.read_plan()
        if self.run.accepted() is not None:
            endings.completed(owner)
            return
        if staging.brought(owner.plan):
            from esap_wf.running import arrival  # for these runs alone

            worked = before.phase not in states.FINAL and attempts.last(self.run.dir, owner.lease.epoch) > 0
            arrival.bring(owner, worked)
        if staging.is_elsewhere(owner.plan):
            if former := adoption.former_engine(owner, before):  # by an earlier plan it worked here
                adoption.give_up(owner, former)
            ended = self._pieces_to_their_end()
        else:
            preparation.prepare(owner, self.cache)
            ended = self._engine_to_its_end(before)
        conclusion.conclude(owner, ended, self._pieces or self._watch, self.cache)
        if self._pieces and owner.events.state.phase is Phase.COMPLETED:
            self._pieces.clear()

    def _take_over_revision(self, before: State) -> None:
        """
        Make a newer request's plan the run's, unless the engine of the present one may still work or has done
        its work.
        """
        if self.revision is None:
            return
        former = adoption.former_engine(self.owner, before)
        working = (former and former.adoptable is not False) or under_way(self.run.dir, self.owner.store)
        if self.run.accepted() is not None or working:
            self.owner.note("it continues as it was planned: its engine is still running, or has finished")
            logger.info("decided: the plan of a newer request is not taken over: work is done, or goes on")
            return
        try:
            revisions.finish(self.run)
            revisions.begin(self.run, self.revision)
        except EsapError as error:
            self.owner.note(f"the plan of a newer request could not be taken over: {error}")
            logger.info("the plan of a newer request could not be taken over: %s", error)
            return
        self._revised = True
        logger.info("decided: the plan of a newer request is taken over")

    # --- the engine

    def _pieces_to_their_end(self) -> Seen | None:
        """The pieces of a run that works elsewhere."""
        from esap_wf.running.pieces.watch import PiecesWatch  # for these runs alone

        self._pieces = PiecesWatch(self.owner)
        return self._pieces.until_end()

    def _engine_to_its_end(self, before: State) -> Seen | None:
        """An engine from its start, or from its adoption, to its end; None if nobody saw how it ended."""
        lost = 0
        if not self._begin(before):
            return None
        while True:
            ended = self._follow()
            if ended is None:
                if adoption.ended_well(self.run, self.owner.epoch):
                    unseen = "nobody saw how the engine ended, but what it left behind shows"
                    what = f"{unseen} that it had finished"
                    logger.info(what)
                    self.owner.note(what)
                    return Seen(Condition.ENDED, exit_code=0, orphans=True)
                lost += 1
                if self._is_over() or lost > (LOST_JOBS if self.owner.here.is_queue else LOST):
                    return None
                why = self._why_lost()
                what = f"nobody saw how the engine ended{f' ({why})' if why else ''}, so it is started again"
            elif ended.exit_code == 0 or self._is_over():
                return ended
            elif self._watch and self._watch.forgotten:
                lost += 1
                if lost > LOST_JOBS:
                    self._watch.hung = self._watch.forgotten
                    return ended
                what = "what jobs have done that were forgotten is looked for by another engine"
            elif self._hands_over(ended):
                what = "the time of the engine's job was almost over: another one goes on"
            elif raising.gets_more(self.owner):
                what = ""  # which it has told itself
            else:
                return ended
            if what:
                logger.info(what)
                self.owner.note(what)
            # another one, in an epoch of its own, says whether anything is left to do
            self.owner.acquire()
            if not self._begin(self.owner.events.state):
                return None

    def _why_lost(self) -> str:
        if self._watch is None or not self.owner.here.is_queue:
            return ""
        return self._watch.forgotten or self._watch.gone

    def _is_over(self) -> bool:
        """Whether the engine was ended on purpose."""
        return bool(self.owner.wants_stop() or (self._watch and (self._watch.late or self._watch.hung)))

    def _hands_over(self, ended: Seen) -> bool:
        """
        Whether an engine has only ended because its time was almost over: none of its jobs has failed.
        """
        if not ended.drained:
            return False
        failures = self.owner.events.state.failures
        return not [f for f in failures if f.epoch == self.owner.epoch and f.reason != Reason.CANCELLED]

    def _begin(self, before: State) -> bool:
        """
        Adopt the engine that a lost supervisor left, or account for every survivor and start a new one. False
        if none is wanted.
        """
        former = adoption.former_engine(self.owner, before)
        former = adoption.certain(self.owner, former, before)
        if former and former.adoptable and not self._revised:
            adoption.adopt(self.owner, former)
            return True
        adoption.give_up(self.owner, former)
        return not self.run.stop_requested() and self._start()

    def _start(self) -> bool:
        """Start an engine, in the epoch of this owner; False if the run was to end before there was one."""
        owner, epoch = self.owner, self.owner.lease.epoch
        resume = epoch > 1
        added = owner.engine.launch_additions(self.run.dir, epoch, resume)
        for arguments in added.before:
            self._call(arguments)
        owner.epoch = epoch
        if resume:
            logger.info("decided: %s is started again, in epoch %d", owner.engine.title, epoch)
        isolated = owner.plan.software.route == "python"
        engine = engine_piece(
            owner.plan,
            owner.engine,
            owner.key(epoch),
            self.run.dir,
            added.arguments,
            environment(added.environment, isolated),
        )
        handle = Patience(owner).answer(lambda: owner.here.start([engine]).get(engine.key))
        if isinstance(handle, Refusal):
            raise RefusedError(f"{owner.engine.title} can't be started: {handle.reason}")
        if handle is None:
            owner.here.give_up({engine.key: None})
            return False
        crashpoints.reached("engine-started")
        if not owner.here.is_queue:
            owner.write(Phase.EXECUTING, reason="", started=owner.events.state.started or now())
        return True

    def _call(self, arguments: list[str]) -> None:
        """Let the engine do something before it is started (unlock a folder)."""
        with (self.run.dir / "logs" / "engine.log").open("ab") as output:
            subprocess.run(
                ["bash", render.COMMAND, *arguments],
                cwd=self.run.dir,
                env=environment({}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )

    def _follow(self) -> Seen | None:
        self._watch = watch = Watch(self.owner)
        return watch.until_end()

    def _abandon(self) -> None:
        """No engine works on for a run that is at its end."""
        if self._pieces:
            self._pieces.abandon()
        if self.owner.epoch:
            with contextlib.suppress(EsapError):
                self.owner.clear_survivors()


def _failure_of(error: EsapError) -> Failure:
    reason = Reason.ENGINE
    if error.code == "input":
        detail = "; ".join([error.message, *map(str, error.problems)]).replace("\n", " ")
        return Failure(step="input", reason=Reason.STAGE_IN, detail=detail)
    if isinstance(error, files.NoSpaceError):
        reason = Reason.NO_SPACE
    elif isinstance(error, UnavailableError):
        reason = Reason.SOFTWARE
    detail = str(error).replace("\n", " ")
    return Failure(step="prepare", reason=reason, log="logs/software.log", detail=detail)


def main(argv: list[str] | None = None) -> int:
    """
    Entry of the supervisor process: STORE RUN [PRESUMED] [--revision FOLDER]; PRESUMED is from
    `Run.presumed_dead`.
    """
    root, run_id, *presumed = argv or sys.argv[1:]
    revision = None
    if "--revision" in presumed:
        at = presumed.index("--revision")
        revision = Path(presumed[at + 1])
        presumed = presumed[:at]
    crashpoints.reached("supervisor-started")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log_lines.to_stderr(logging.INFO)
    store = Store.open(Path(root))
    if store.shared:
        os.umask(0o007)
    run = store.run(run_id)
    run.presume_dead(*presumed or [""])
    try:
        return Supervisor(store, run, config.load(root).cache, revision).main()
    except HeldByOther as error:
        print(printable(f"esap-wf: {error}"), file=sys.stderr)  # noqa: T201
        return 0
    except FencedError as error:
        print(printable(f"esap-wf: {error}"), file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
