"""The one process that owns a run: prepares, launches, watches, collects. Started detached by `esap_wf.flow`, followed by everybody.

``python -P -m esap_wf.supervisor STORE RUN [JUDGED]``. It alone writes ``state.json`` and ``events.jsonl``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import time
from pathlib import Path

import msgspec

from esap_wf import collect, config, documents, environments, files, launch, plugins, render, watch
from esap_wf.engines import Engine, EventSource
from esap_wf.errors import EsapError, StoppedError, UnavailableError
from esap_wf.models.manifest import Manifest
from esap_wf.models.plan import Plan
from esap_wf.models.run import Failure, Outputs, Phase, Reason, State, now
from esap_wf.quantities import human_seconds, to_seconds
from esap_wf.runs import crashpoints, processes, states
from esap_wf.runs.lease import FencedError, HeldByOther, Lease
from esap_wf.runs.run import StopRequest
from esap_wf.runs.store import Run, Store
from esap_wf.tenure import GRACE, Tenure, trace

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
    """

    def __init__(self, store: Store, run: Run, cache: Path) -> None:
        super().__init__(store, run)
        self.cache = cache
        self.manifest: Manifest
        self.engine: Engine
        self.late = False  # the user's time limit was reached
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
        # whoever asks this process to end leaves a stop request: jobs end, the run can be resumed. Not before it owns the run:
        # one that came too late is a survivor to the owner, and must not stop the run of which it is told to keep off
        signal.signal(signal.SIGTERM, lambda *_: self.run.request_stop(StopRequest(at=now(), by="the system (SIGTERM)", drain=True)))
        before = self.run.state()
        self.log = watch.EventLog(self.run, before, None)
        try:
            if before.phase is Phase.COMPLETED:
                return 0
            if not (self.run.dir / ".reserve").is_file():
                raise files.explain(OSError(errno.ENOSPC, ""), self.run.dir)  # a final state could not be written
            self.write(Phase.QUEUED, reason="", started=before.started, ended=None, exit_code=None)
            self._read()
            if self.run.accepted() is not None:
                return self.completed()
            self._prepare()
            return self._conclude(self._watch() if self._begin(before) else None)
        except FencedError:
            raise
        except EsapError as error:
            self._abandon()
            return self.failed([_failure_of(error)], ": ".join([error.message, *map(str, error.problems[:1])]).replace("\n", " ")[:500])
        except Exception as error:  # a bug of ours must not leave a run without an end
            trace()
            self._abandon()
            detail = f"{type(error).__name__}: {error}"
            return self.failed([Failure(step="esap-wf", reason=Reason.UNKNOWN, log="logs/supervisor.log", detail=detail)], None)
        finally:
            with contextlib.suppress(EsapError):
                self.lease.release()

    def _read(self) -> None:
        """What was planned; after the run is owned, so that a broken file is told as its end."""
        self.plan = files.read_json(self.run.dir / "plan.json", Plan)
        self.snapshot = self.run.dir / render.folder_of(self.plan)
        # validated when it was planned, and read-only since; runs of the first version have it in the snapshot only
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
        self.write(Phase.QUEUED, reason="building the Python environment of the workflow, once: logs/software.log")

        try:
            built = environments.build(requirements, self.cache, self.run.dir / "logs" / "software.log", self._unwanted)
        except StoppedError:
            return  # no engine is started for a run that is to stop
        if [str(built / "bin")] != self.plan.software.bin_dirs:
            raise UnavailableError(f"the environment was built at {built}, the plan names another place: make a new plan")

    def _unwanted(self) -> bool:
        """Asked while something is built: whether nobody waits for it any more."""
        self.renew()
        return self.run.stop_requested() is not None

    def _make_images_ready(self) -> None:
        software = self.plan.software
        wanted = [c for c in (software.container, *software.images.values()) if c is not None]
        if not wanted:
            return
        from esap_wf import containers

        for choice in wanted:
            if not containers.is_ready(choice):
                self.write(Phase.QUEUED, reason=f"making the image {choice.image} ready for {choice.runtime}, once: logs/software.log")
                with contextlib.suppress(StoppedError):
                    containers.prepare(choice, self.cache, self.run.dir / "logs" / "software.log", self._unwanted)

    def _begin(self, before: State) -> bool:
        """Adopt the engine that a lost supervisor left, or account for every survivor and start a new one. False if none is wanted."""
        last = max((e for e in range(1, self.lease.epoch) if launch.engine_of(self.run.dir, e)), default=0)
        lost = before.phase not in states.FINAL | {Phase.PENDING, Phase.HELD, Phase.SUSPENDED}
        if last and lost:
            process = launch.engine_of(self.run.dir, last)
            lives = processes.alive(process.engine) if process else False
            if process and lives is None:
                self.write(Phase.QUEUED, reason=f"watching for signs of life of its engine on {process.engine.host}")
            if process and lives is None and launch.beats(self.run.dir, last):
                raise UnavailableError(
                    f"its engine works on {process.engine.host}, out of reach from here: resume it there, or cancel it there"
                )
            if launch.exit_of(self.run.dir, last) or lives:
                self.epoch = last
                self.note(f"the engine of epoch {last} is adopted")
                self.write(Phase.EXECUTING, reason="", started=self.log.state.started or now())
                return True
        if self.lease.epoch > 1:
            self.clear_survivors()
        if last:
            # what it told after its supervisor's last look would be counted by nobody
            self._take(self.engine.events(self.run.dir, last, self.log.told(last)))
        if self.run.stop_requested():
            return False
        resume = self.lease.epoch > 1
        for arguments in self.engine.before_resume(self.run.dir) if resume else []:
            self._call(arguments)
        self.epoch = self.lease.epoch
        arguments, added = self.engine.supervised(self.run.dir, self.epoch, resume)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken[1], warn_on_full_buffer=False)
        isolated = self.plan.software.route == "python"
        launch.start(self.run.dir, self.epoch, arguments, launch.environment(self.run.id, added, isolated))
        crashpoints.reached("engine-started")
        self.write(Phase.EXECUTING, reason="", started=self.log.state.started or now())
        return True

    def _abandon(self) -> None:
        """No engine works on for a run that is at its end."""
        if self.epoch:
            with contextlib.suppress(EsapError):
                self.clear_survivors()

    def _call(self, arguments: list[str]) -> None:
        import subprocess

        with (self.run.dir / "logs" / "engine.log").open("ab") as log:
            subprocess.run(
                ["bash", render.COMMAND, *arguments], cwd=self.run.dir, env=launch.environment(self.run.id, {}),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip

    # --- watch

    def _watch(self) -> launch.EngineExit | None:
        """Until the engine has ended; None if nobody saw how."""
        told = self.log.told(self.epoch) if self.epoch != self.lease.epoch else None
        source = self.engine.events(self.run.dir, self.epoch, told)
        started = written = time.monotonic()
        limit = to_seconds(self.plan.request.resources.wall) if self.plan.request.resources.wall is not None else None
        changed, asked_at, asked_now = False, 0.0, False
        while True:
            ended, gone = self._ended()
            changed |= self._take(source)
            if gone:
                return ended
            moment = time.monotonic()
            if changed and moment - written >= CHECKPOINT:
                self.write(Phase.EXECUTING)
                changed, written = False, moment
            self.renew()
            if limit is not None and moment - started > limit and not self.late and self._stop(drain=False) is not None:
                self.late, asked_at, asked_now = True, moment, True
                self.note(f"the time limit of {human_seconds(limit)} is reached: jobs are cancelled")
            request = self.run.stop_requested()
            wanted = request and (self.stop is None or (self.stop.drain and not request.drain))
            if request and wanted and (drains := self._stop(request.drain)) is not None:
                self.stop = msgspec.structs.replace(request, drain=drains)
                why = f", {self.engine.title} can't let them end and start no others" if request.drain and not drains else ""
                self.note(f"stop asked by {request.by}: " + ("running jobs end first" if drains else f"jobs are cancelled{why}"))
                asked_at, asked_now = moment, not drains
            if asked_now and moment - asked_at > GRACE:
                self._signal(signal.SIGKILL)
                self.clear_survivors()
                asked_now = False
            self._sleep()

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

    def _ended(self) -> tuple[launch.EngineExit | None, bool]:
        """How the engine ended, and whether it did."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        ended = launch.exit_of(self.run.dir, self.epoch)
        if ended:
            return ended, True
        process = launch.engine_of(self.run.dir, self.epoch)
        if process is None:
            # the keeper has not written yet, or died before it could
            return None, self.epoch == self.lease.epoch and not _has_children()
        if processes.alive(process.engine) is False and processes.alive(process.keeper) is False:
            return launch.exit_of(self.run.dir, self.epoch), True
        return None, False

    def _stop(self, drain: bool) -> bool | None:
        """Ask the engine to stop: whether its jobs end first; None if it isn't known yet."""
        asked = self.engine.stop_signal(True) if drain else None
        now = asked or self.engine.stop_signal(False)
        assert now is not None
        return asked is not None if self._signal(*now) else None

    def _signal(self, number: int, group: bool = False) -> bool:
        """False if the engine isn't known yet: its keeper is about to tell."""
        process = launch.engine_of(self.run.dir, self.epoch)
        if process:
            launch.send(process, number, group)
        return process is not None

    # --- collect and conclude

    def _conclude(self, ended: launch.EngineExit | None) -> int:
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
            outputs, failures, warnings = collect.collect(self.manifest, self.run.dir, self.snapshot, self.beat)
        except StoppedError:
            return self.aborted(code)
        crashpoints.reached("outputs-checked")
        if failures:
            return self.failed(failures, None, code)
        accepted = Outputs(
            run=self.run.id, epoch=self.lease.epoch, accepted=now(), outputs=outputs, warnings=[*self.plan.warnings, *warnings]
        )
        self.run.accept(accepted, self.lease)
        return self.completed()

    def _failures(self, code: int | None) -> list[Failure]:
        """Why the engine ended badly, the cause first: jobs of this engine, what it says itself, what earlier ones left undone."""
        told = self.log.state.failures
        mine = [f for f in told if f.epoch in (None, self.epoch)]
        causes = [f for f in mine if f.reason != Reason.CANCELLED]  # what is cancelled is so because something else failed
        if self.late:
            asked = f"the time limit that was asked for, {self.plan.request.resources.wall}, is reached"
            causes.insert(0, Failure(step="engine", reason=Reason.TIMEOUT, exit_code=code, log="logs/engine.log", detail=asked))
        causes = causes or (self.engine.explain(self.run.dir, self.epoch, code) if self.epoch else [])
        if not causes and not mine:
            what = f"{self.engine.title} ended with exit code {code}" if code is not None else f"{self.engine.title} was killed"
            reason = Reason.SIGNAL if code is None or code < 0 else Reason.ENGINE
            causes = [Failure(step="engine", reason=reason, exit_code=code, log="logs/engine.log", detail=what)]
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
    return Failure(step="prepare", reason=reason, log="logs/software.log", detail=str(error).replace("\n", " "))


def main(argv: list[str] | None = None) -> int:
    """Entry of the supervisor process: STORE RUN [JUDGED], the last from `Run.judged`."""
    root, run_id, *judged = argv or sys.argv[1:]
    crashpoints.reached("supervisor-started")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = Store.open(Path(root))
    if store.shared:
        os.umask(0o007)
    run = store.run(run_id)
    run.believe(*judged or [""])
    try:
        return Supervisor(store, run, config.load(root).cache).main()
    except HeldByOther as error:
        print(f"esap-wf: {error}", file=sys.stderr)  # noqa: T201
        return 0
    except FencedError as error:
        print(f"esap-wf: {error}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
