"""The one process that owns a run: prepares, launches, watches, collects. Started detached by `esap_wf.flow`,
followed by everybody.

``python -P -m esap_wf.running.supervisor STORE RUN [JUDGED] [--revision FOLDER]``. It alone writes
``state.json`` and ``events.jsonl``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

import msgspec

from esap_wf import config, files, plugins
from esap_wf.engines import Cursor, EngineBase, EventSource
from esap_wf.errors import EsapError, StoppedError, UnavailableError
from esap_wf.formats import documents
from esap_wf.formats.printing import printable
from esap_wf.formats.quantities import human_seconds, to_seconds
from esap_wf.models.manifest import Manifest
from esap_wf.models.plan import Plan
from esap_wf.models.run import Failure, Outputs, Phase, Reason, State, now
from esap_wf.running import collect, launch, originals, products, render, revisions, watch
from esap_wf.running.pulse import DEAD, DEAD_ON_FULL_DISK, Pulse
from esap_wf.running.tenure import FULL, GRACE, Tenure, trace
from esap_wf.runs import attempts, crashpoints, processes, states, trees
from esap_wf.runs.lease import TTL, FencedError, HeldByOther, Lease
from esap_wf.runs.run import StopRequest
from esap_wf.runs.store import Run, Store
from esap_wf.software import environments

#: Seconds between two looks at the engine's record; a child's end wakes the supervisor at once.
LOOK = 0.2
#: Seconds between two checkpoints of a run that makes progress.
CHECKPOINT = 1.0


class Supervisor(Tenure):
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
        super().__init__(store, run)
        self.cache = cache
        self.revision = revision
        self.revised = False
        self.manifest: Manifest
        self.late = False  # the user's time limit was reached
        self.hung = ""  # why an engine was ended that did nothing any more
        # last sign of life of an engine elsewhere, and when it was seen
        self._heard: tuple[int, float] | None = None
        self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()

    def main(self) -> int:
        """
        From acquiring the run to its final phase.

        Returns
        -------
        int
            Exit code of the process: 0 if a final phase was written.
        """
        self.lease = Lease.acquire(self.run)
        # whoever asks this process to end leaves a stop request: jobs end, the run can be resumed. Not before
        # it owns the run: one that came too late is a survivor to the owner, and must not stop the run of
        # which it is told to keep off
        signal.signal(
            signal.SIGTERM,
            lambda *_: self.run.request_stop(StopRequest(at=now(), by="the system (SIGTERM)", drain=True)),
        )
        before = self.run.state()
        self.log = watch.EventLog(self.run, before, None)
        try:
            if before.phase is Phase.COMPLETED:
                return 0
            if not (self.run.dir / ".reserve").is_file():
                # a final state could not be written
                raise files.explain(OSError(errno.ENOSPC, ""), self.run.dir)
            self._take_over(before)
            self.write(Phase.QUEUED, reason="", started=before.started, ended=None, exit_code=None)
            self._read()
            if self.run.accepted() is not None:
                return self.completed()
            self._prepare()
            ended = self._watch() if (begun := self._begin(before)) else None
            if begun and ended is None and self._is_done(self.epoch):
                self.note(
                    "nobody saw how the engine ended, but what it left behind shows that it had finished"
                )
                ended = attempts.EngineExit(exit_code=0)
            elif begun and ended is None and not (self._unwanted() or self.late or self.hung):
                ended = self._once_more()
            return self._conclude(ended)
        except FencedError:
            if launch.end_void(self.run.dir, self.epoch):
                self.end_containers(self.epoch)
            raise
        except EsapError as error:
            self._abandon()
            return self.failed(
                [_failure_of(error)],
                ": ".join([error.message, *map(str, error.problems[:1])]).replace("\n", " ")[:500],
            )
        except Exception as error:  # a bug of ours must not leave a run without an end
            trace()
            self._abandon()
            detail = f"{type(error).__name__}: {error}"
            return self.failed(
                [Failure(step="esap-wf", reason=Reason.UNKNOWN, log="logs/supervisor.log", detail=detail)],
                None,
            )
        finally:
            with contextlib.suppress(EsapError):
                self.lease.release()

    def _take_over(self, before: State) -> None:
        """
        Make a newer request's plan the run's, unless the engine of the present one may still work or has done
        its work.
        """
        if self.revision is None:
            return
        last = attempts.last(self.run.dir, self.lease.epoch)
        if self.run.accepted() is not None or (last and self._adoptable(last, before) is not False):
            self.note("it continues as it was planned: its engine is still running, or has finished")
            return
        try:
            revisions.finish(self.run)
            revisions.begin(self.run, self.revision)
            self.revised = True
        except EsapError as error:
            self.note(f"the plan of a newer request could not be taken over: {error}")

    def _read(self) -> None:
        """What was planned; after the run is owned, so that a broken file is told as its end."""
        if earlier := revisions.finish(self.run):
            self.note(f"it continues with a new plan; the previous one is {earlier}")
        self.plan = files.read_json(self.run.dir / "plan.json", Plan)
        self.snapshot = self.run.dir / render.folder_of(self.plan)
        # validated when it was planned, and read-only since; runs of the first version have it in the
        # snapshot only
        kept, first = self.run.dir / render.MANIFEST, self.snapshot / Path(self.plan.source).name
        self.manifest = msgspec.convert(documents.load(kept if kept.is_file() else first).data, Manifest)
        self.engine = plugins.one("esap_wf.engines", self.plan.engine.name)
        self.log.unit_steps = (self.manifest.units.steps if self.manifest.units else None) or None

    # --- prepare and launch

    def _prepare(self) -> None:
        """Build the software's environment, or make images ready, if the plan says so and nobody has."""
        self._make_images_ready()
        environment = Path(self.plan.software.bin_dirs[0]).parent if self.plan.software.bin_dirs else None
        if self.plan.software.route != "python" or environment is None or environments.is_ready(environment):
            return
        requirements = next(self.snapshot / s.python for s in self.manifest.software if s.python)
        self.write(
            Phase.QUEUED,
            reason=f"building the Python environment of the workflow, once: {self.run.dir}/logs/software.log",
        )

        try:
            built = environments.build(
                requirements, self.cache, self.run.dir / "logs" / "software.log", self._unwanted
            )
        except StoppedError:
            return  # no engine is started for a run that is to stop
        if [str(built / "bin")] != self.plan.software.bin_dirs:
            raise UnavailableError(
                f"the environment was built at {built}, but the plan names another place: make a new plan"
            )

    def _unwanted(self) -> bool:
        """Asked while something is built: whether nobody waits for it any more."""
        self.renew()
        return self.run.stop_requested() is not None

    def _make_images_ready(self) -> None:
        if not self.plan.software.containers:
            return
        from esap_wf.software import containers

        with contextlib.suppress(StoppedError):  # no engine is started for a run that is to stop
            for choice in self.plan.software.containers:
                if not containers.is_ready(choice):
                    told = (
                        f"making the image {choice.image} ready for {choice.runtime}, once: "
                        f"{self.run.dir}/logs/software.log"
                    )
                    self.write(Phase.QUEUED, reason=told)
                    containers.prepare(
                        choice, self.cache, self.run.dir / "logs" / "software.log", self._unwanted
                    )

    def _begin(self, before: State) -> bool:
        """
        Adopt the engine that a lost supervisor left, or account for every survivor and start a new one. False
        if none is wanted.
        """
        last = attempts.last(self.run.dir, self.lease.epoch)
        if last and not self.revised and self._can_adopt(last, before):
            self.epoch = last
            self.note(f"the engine of epoch {last} is adopted")
            process = attempts.of(self.run.dir, last)
            away = process is not None and processes.alive(process.engine) is None
            reason = (
                f"its engine is running on {process.engine.host}, out of reach from here"
                if process and away
                else ""
            )
            self.write(Phase.EXECUTING, reason=reason, started=self.log.state.started or now())
            return True
        self.lease.require()
        for epoch in range(1, self.lease.epoch):
            # it may go on where it can't be reached from here, once it wakes up
            attempts.declare_void(self.run.dir, epoch, self.store.file_mode)
        if self.lease.epoch > 1:
            self.clear_survivors()
        if last:
            # what it told after its supervisor's last look would be counted by nobody
            self._take(self.engine.events(self.run.dir, last, self.log.cursor(last)))
        if self.run.stop_requested():
            return False
        resume = self.lease.epoch > 1
        added = self.engine.launch_additions(self.run.dir, self.lease.epoch, resume)
        for arguments in added.before:
            self._call(arguments)
        self.epoch = self.lease.epoch
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken[1], warn_on_full_buffer=False)
        isolated = self.plan.software.route == "python"
        env = launch.environment(self.run.id, self.epoch, added.environment, isolated)
        launch.start(self.run.dir, self.epoch, added.arguments, env, lambda: self.end_containers(self.epoch))
        crashpoints.reached("engine-started")
        self.write(Phase.EXECUTING, reason="", started=self.log.state.started or now())
        return True

    def _once_more(self) -> attempts.EngineExit | None:
        """
        Nobody saw how the engine ended (its keeper was killed): another one, in an epoch of its own, says
        whether anything is left to do.
        """
        self.note("nobody saw how the engine ended, so it is started again")
        self.lease = Lease.acquire(self.run)
        return self._watch() if self._begin(self.log.state) else None

    def _can_adopt(self, epoch: int, before: State) -> bool:
        """
        Whether an earlier owner's engine lives, here or elsewhere, or has ended well since. What is alive
        decides, not the phase.

        One that has ended badly while nobody watched is started again: who resumes wants the run to go on.
        """
        lives = self._adoptable(epoch, before)
        process = attempts.of(self.run.dir, epoch)
        if lives is None and process:
            self.write(
                Phase.QUEUED, reason=f"watching for signs of life of its engine on {process.engine.host}"
            )
            return attempts.beats(self.run.dir, epoch)
        return bool(lives)

    def _adoptable(self, epoch: int, before: State) -> bool | None:
        """
        As `_can_adopt`, without a wait; None if the engine is on another host, where nobody can be asked.
        """
        process = attempts.of(self.run.dir, epoch)
        if process is None or attempts.is_void(self.run.dir, epoch):
            return False
        if ended := attempts.end_of(self.run.dir, epoch):
            judged = before.phase in states.FINAL  # its results were looked at, and not accepted
            return ended.exit_code == 0 and not judged
        lives = processes.alive(process.engine)
        return lives if lives is not False or before.phase in states.FINAL else self._is_done(epoch)

    def _is_done(self, epoch: int) -> bool:
        """Whether the last engine, whose end nobody saw, has left word that it ended well."""
        with contextlib.suppress(EsapError):  # the plan may not have been read yet
            plan = files.read_json(self.run.dir / "plan.json", Plan)
            engine: EngineBase = plugins.one("esap_wf.engines", plan.engine.name)
            return engine.ended_well(self.run.dir, epoch)
        return False

    def _abandon(self) -> None:
        """No engine works on for a run that is at its end."""
        if self.epoch:
            with contextlib.suppress(EsapError):
                self.clear_survivors()

    def _call(self, arguments: list[str]) -> None:
        import subprocess

        with (self.run.dir / "logs" / "engine.log").open("ab") as log:
            subprocess.run(
                ["bash", render.COMMAND, *arguments],
                cwd=self.run.dir,
                env=launch.environment(self.run.id, self.lease.epoch, {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )

    # --- watch

    def _watch(self) -> attempts.EngineExit | None:
        """Until the engine has ended; None if nobody saw how."""
        cursor = self.log.cursor(self.epoch) if self.epoch != self.lease.epoch else Cursor.START
        source = self.engine.events(self.run.dir, self.epoch, cursor)
        started = written = time.monotonic()
        limit = (
            to_seconds(self.plan.request.resources.wall)
            if self.plan.request.resources.wall is not None
            else None
        )
        changed, asked_at, asked_now = False, 0.0, False
        pulse = Pulse()
        while True:
            ended, gone = self._ended()
            if self._take(source):
                changed = True
                pulse.told()
            if gone:
                return ended
            moment = time.monotonic()
            if changed and moment - written >= CHECKPOINT:
                self.write(Phase.EXECUTING)
                changed, written = False, moment
            self.renew()
            if (
                limit is not None
                and moment - started > limit
                and not self.late
                and self._stop(drain=False) is not None
            ):
                self.late, asked_at, asked_now = True, moment, True
                self.note(f"the time limit of {human_seconds(limit)} has been reached: jobs are cancelled")
            if not asked_now and self._hangs(pulse):
                self._signal(signal.SIGTERM)
                asked_at, asked_now = moment, True
            request = self.run.stop_requested()
            wanted = request and (self.stop is None or (self.stop.drain and not request.drain))
            if request and wanted and (drains := self._stop(request.drain)) is not None:
                self.stop = msgspec.structs.replace(request, drain=drains)
                why = (
                    f", {self.engine.title} can't let them end and start no others"
                    if request.drain and not drains
                    else ""
                )
                self.note(
                    f"stop requested by {request.by}: "
                    + ("running jobs end first" if drains else f"jobs are cancelled{why}")
                )
                asked_at, asked_now = moment, not drains
            if asked_now and moment - asked_at > GRACE:
                self._signal(signal.SIGKILL)
                self.clear_survivors()
                asked_now = False
            self._sleep()

    def _hangs(self, pulse: Pulse) -> bool:
        """Whether the engine does nothing any more; the reason is kept for the end."""
        silent = (
            pulse.silent_for(lambda: attempts.of(self.run.dir, self.epoch))
            if not self.stop and not self.late
            else 0.0
        )
        if silent < DEAD_ON_FULL_DISK:
            return False
        full = self.log.full or shutil.disk_usage(self.run.dir).free < FULL
        if not full and (silent < DEAD or self.log.state.progress.jobs_running):
            return False
        self.hung = f"{self.engine.title} has done nothing for {human_seconds(silent)}, so it is ended"
        self.note(self.hung)
        return True

    def _take(self, source: EventSource) -> bool:
        """Append what the engine has told since the last time; True if anything new was counted."""
        changed = False
        while events := source.read():
            self.lease.require()  # one that slept must not write what its successor has told
            changed |= self.log.append(events)
            crashpoints.reached("event-folded")
        return self.log.append([]) or changed

    def _sleep(self) -> None:
        ready, _, _ = select.select([self._woken[0]], [], [], LOOK)
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken[0], 512)

    def _ended(self) -> tuple[attempts.EngineExit | None, bool]:
        """How the engine ended, and whether it did."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        ended = attempts.end_of(self.run.dir, self.epoch)
        if ended:
            return ended, True
        process = attempts.of(self.run.dir, self.epoch)
        if process is None:
            # the keeper has not written yet, or died before it could
            return None, self.epoch == self.lease.epoch and not _has_children()
        lives = processes.alive(process.engine), processes.alive(process.keeper)
        if lives == (False, False) or (None in lives and self._is_silent()):
            return attempts.end_of(self.run.dir, self.epoch), True
        return None, False

    def _is_silent(self) -> bool:
        """
        Whether an engine that can't be asked from here has given no sign of life for `TTL` seconds, by this
        process's clock.
        """
        beat, moment = attempts.last_beat(self.run.dir, self.epoch), time.monotonic()
        if self._heard is None or self._heard[0] != beat:
            self._heard = beat, moment
        return moment - self._heard[1] >= TTL

    def _stop(self, drain: bool) -> bool | None:
        """Ask the engine to stop: whether its jobs end first; None if it isn't known yet."""
        asked = self.engine.stop_signal(True) if drain else None
        now = asked or self.engine.stop_signal(False)
        assert now is not None
        return asked is not None if self._signal(now.number, now.to_jobs) else None

    def _signal(self, number: int, group: bool = False) -> bool:
        """False if the engine isn't known yet: its keeper is about to tell."""
        process = attempts.of(self.run.dir, self.epoch)
        if process and processes.alive(process.engine) is None:
            # no signal reaches it: its keeper ends it
            attempts.declare_void(self.run.dir, self.epoch, self.store.file_mode)
        elif process:
            launch.send(process, number, group)
        return process is not None

    # --- collect and conclude

    def _conclude(self, ended: attempts.EngineExit | None) -> int:
        code = ended.exit_code if ended else None
        if code != 0:
            self.clear_survivors()
            self.stop = self.stop or self.run.stop_requested()
            if self.stop is not None:
                return self.aborted(code)
            failures = self._failures(code)
            return self.failed(failures, None, code)
        if ended is None or ended.orphans:
            self.clear_survivors()  # a step's background process must not change what is accepted
        try:
            named, warnings = collect.named_by(self.engine, self.run.dir, self.epoch)
            given = trees.given_to(self.plan)
            place = None
            if self.plan.config == "plain":
                place = products.Workplace(
                    self.run.dir,
                    self.run.dir / render.home_of(self.plan),
                    self.plan.files,
                    self.run.dir / self.plan.entry,
                )
            warnings += originals.changed(self.plan, self.cache, self.beat)
            found = collect.collect(
                self.manifest, self.run.dir, self.snapshot, self.beat, named=named, given=given, place=place
            )
        except StoppedError:
            return self.aborted(code)
        crashpoints.reached("outputs-checked")
        if found.failures:
            return self.failed(found.failures, None, code)
        accepted = Outputs(
            run=self.run.id,
            epoch=self.lease.epoch,
            accepted=now(),
            outputs=found.outputs,
            values=found.values,
            warnings=[*self.plan.warnings, *warnings, *found.warnings],
        )
        self.run.accept(accepted, self.lease)
        return self.completed()

    def _failures(self, code: int | None) -> list[Failure]:
        """
        Why the engine ended badly, the cause first: jobs of this engine, what it says itself, what earlier
        ones left undone.
        """
        told = self.log.state.failures
        mine = [f for f in told if f.epoch in (None, self.epoch)]
        # what is cancelled is so because something else failed
        causes = [f for f in mine if f.reason != Reason.CANCELLED]
        if self.hung:
            causes.insert(
                0,
                Failure(
                    step="engine",
                    reason=Reason.ENGINE,
                    exit_code=code,
                    log="logs/engine.log",
                    detail=self.hung,
                ),
            )
        if self.late:
            asked = f"the time limit that was asked for, {self.plan.request.resources.wall}, is reached"
            causes.insert(
                0,
                Failure(
                    step="engine", reason=Reason.TIMEOUT, exit_code=code, log="logs/engine.log", detail=asked
                ),
            )
        causes = causes or (self.engine.explain(self.run.dir, self.epoch, code) if self.epoch else [])
        if not causes and not mine:
            what = (
                f"{self.engine.title} ended with exit code {code}"
                if code is not None
                else f"{self.engine.title} was killed"
            )
            reason = Reason.SIGNAL if code is None or code < 0 else Reason.ENGINE
            causes = [
                Failure(step="engine", reason=reason, exit_code=code, log="logs/engine.log", detail=what)
            ]
        # of earlier engines only jobs that are still to be done
        own = {"engine", "prepare", "esap-wf"}
        return causes + [f for f in told if f not in causes and (f in mine or f.step not in own)]


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _failure_of(error: EsapError) -> Failure:
    reason = (
        Reason.NO_SPACE
        if isinstance(error, files.NoSpaceError)
        else Reason.SOFTWARE
        if isinstance(error, UnavailableError)
        else Reason.ENGINE
    )
    return Failure(
        step="prepare", reason=reason, log="logs/software.log", detail=str(error).replace("\n", " ")
    )


def main(argv: list[str] | None = None) -> int:
    """
    Entry of the supervisor process: STORE RUN [JUDGED] [--revision FOLDER]; JUDGED is from `Run.judged`.
    """
    root, run_id, *judged = argv or sys.argv[1:]
    revision = None
    if "--revision" in judged:
        at = judged.index("--revision")
        revision = Path(judged[at + 1])
        judged = judged[:at]
    crashpoints.reached("supervisor-started")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = Store.open(Path(root))
    if store.shared:
        os.umask(0o007)
    run = store.run(run_id)
    run.believe(*judged or [""])
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
