"""The one process that owns a run: prepares, launches, watches, collects. Started detached by `esap_wf.flow`, followed by everybody.

``python -P -m esap_wf.supervisor STORE RUN``. It alone writes ``state.json`` and ``events.jsonl``.
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
import traceback
from pathlib import Path

import msgspec

from esap_wf import collect, config, documents, environments, files, launch, plugins, productions, render, report, watch
from esap_wf.engines import Engine, EventSource
from esap_wf.errors import EsapError, UnavailableError
from esap_wf.models.manifest import Manifest
from esap_wf.models.plan import Plan
from esap_wf.models.run import Event, Failure, Outputs, Phase, Reason, State, now
from esap_wf.runs import crashpoints, processes, states
from esap_wf.runs.lease import RENEW, FencedError, HeldByOther, Lease
from esap_wf.runs.run import StopRequest
from esap_wf.runs.store import Run, Store

#: Seconds between two looks at the engine's record; a child's end wakes the supervisor at once.
LOOK = 0.2
#: Seconds between two checkpoints of a run that makes progress.
CHECKPOINT = 1.0
#: Seconds that an engine has to cancel its jobs before all of the run's processes are killed.
GRACE = 15.0
#: Bytes below which a disk counts as full when a run has failed.
FULL = 1_000_000


class Supervisor:
    """
    One tenure of one run.

    Parameters
    ----------
    store : Store
    run : Run
    cache : Path
        Where environments are built.
    """

    def __init__(self, store: Store, run: Run, cache: Path) -> None:
        self.store, self.run, self.cache = store, run, cache
        self.plan = files.read_json(run.dir / "plan.json", Plan)
        self.snapshot = run.dir / render.manifest_of(self.plan).parent
        # it was held against its schema when it was planned, and is what was planned: read-only, part of the code's digest
        self.manifest = msgspec.convert(documents.load(run.dir / render.manifest_of(self.plan)).data, Manifest)
        self.engine: Engine = plugins.one("esap_wf.engines", self.plan.engine.name)
        self.unit_steps = (self.manifest.units.steps if self.manifest.units else None) or None
        self.lease: Lease
        self.log: watch.EventLog
        self.stop: StopRequest | None = None
        self.epoch = 0  # of the engine that is watched
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
        self.log = watch.EventLog(self.run, before, self.unit_steps)
        try:
            if before.phase is Phase.COMPLETED:
                return 0
            if not (self.run.dir / ".reserve").is_file():
                raise files.explain(OSError(errno.ENOSPC, ""), self.run.dir)  # a final state could not be written
            self._write(Phase.QUEUED, reason="", started=before.started, ended=None, exit_code=None)
            if self.run.accepted() is not None:
                return self._completed()
            self._prepare()
            return self._conclude(self._watch() if self._begin(before) else None)
        except FencedError:
            raise
        except EsapError as error:
            self._abandon()
            return self._failed([_failure_of(error)], str(error).splitlines()[0])
        except Exception as error:  # a bug of ours must not leave a run without an end
            _trace()
            self._abandon()
            detail = f"{type(error).__name__}: {error}"
            return self._failed([Failure(step="esap-wf", reason=Reason.UNKNOWN, log="logs/supervisor.log", detail=detail)], None)
        finally:
            with contextlib.suppress(EsapError):
                self.lease.release()

    # --- prepare and launch

    def _prepare(self) -> None:
        """Build the software's environment if the plan says so and nobody has."""
        if self.plan.software.route != "python" or all(Path(d).is_dir() for d in self.plan.software.bin_dirs):
            return
        requirements = next(self.snapshot / s.python for s in self.manifest.software if s.python)
        self._write(Phase.QUEUED, reason="building the Python environment of the workflow, once: logs/software.log")
        renewed = time.monotonic()

        def stopped() -> bool:
            nonlocal renewed
            if time.monotonic() - renewed >= RENEW:
                self.lease.renew()
                renewed = time.monotonic()
            return self.run.stop_requested() is not None

        try:
            built = environments.build(requirements, self.cache, self.run.dir / "logs" / "software.log", stopped)
        except environments.Stopped:
            return  # no engine is started for a run that is to stop
        if [str(built / "bin")] != self.plan.software.bin_dirs:
            raise UnavailableError(f"the environment was built at {built}, the plan names another place: make a new plan")

    def _begin(self, before: State) -> bool:
        """Adopt the engine that a lost supervisor left, or account for every survivor and start a new one. False if none is wanted."""
        last = max((e for e in range(1, self.lease.epoch) if launch.engine_of(self.run.dir, e)), default=0)
        lost = before.phase not in states.FINAL | {Phase.PENDING, Phase.HELD, Phase.SUSPENDED}
        if last and lost:
            process = launch.engine_of(self.run.dir, last)
            if launch.exit_of(self.run.dir, last) or (process and processes.alive(process.engine)):
                self.epoch = last
                self._note(f"the engine of epoch {last} is adopted")
                self._write(Phase.EXECUTING, started=self.log.state.started or now())
                return True
        if self.lease.epoch > 1:
            self._clear_survivors()
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
        launch.start(self.run.dir, self.run.id, self.epoch, arguments, added)
        crashpoints.reached("engine-started")
        self._write(Phase.EXECUTING, started=self.log.state.started or now())
        return True

    def _clear_survivors(self) -> None:
        keepers = [p.keeper for e in range(1, self.lease.epoch) if (p := launch.engine_of(self.run.dir, e))]
        left = processes.survivors(self.run.id, keepers)
        if left:
            self._note(f"{len(left)} processes of an earlier attempt are ended: {', '.join(f'{s.name} {s.pid}' for s in left[:10])}")
            stuck = processes.terminate(left, GRACE)
            if stuck:
                raise UnavailableError(f"processes of an earlier attempt can't be ended: {', '.join(str(s.pid) for s in stuck)}")

    def _abandon(self) -> None:
        """No engine works on for a run that is at its end."""
        if self.epoch:
            with contextlib.suppress(EsapError):
                self._clear_survivors()

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
        told = self.log.told(self.epoch) if self.epoch != self.lease.epoch else 0
        source = self.engine.events(self.run.dir, self.epoch, told)
        written = renewed = time.monotonic()
        changed, asked_at, asked_now = False, 0.0, False
        while True:
            ended, gone = self._ended()
            changed |= self._take(source)
            if gone:
                return ended
            moment = time.monotonic()
            if changed and moment - written >= CHECKPOINT:
                self._write(Phase.EXECUTING)
                changed, written = False, moment
            if moment - renewed >= RENEW:
                self.lease.renew()
                renewed = moment
            request = self.run.stop_requested()
            wanted = request and (self.stop is None or (self.stop.drain and not request.drain))
            if request and wanted and self._signal(*self.engine.stop_signal(request.drain)):
                self.stop = request
                self._note(f"stop asked by {request.by}: " + ("running jobs end first" if request.drain else "jobs are cancelled"))
                asked_at, asked_now = moment, not request.drain
            if asked_now and moment - asked_at > GRACE:
                self._signal(signal.SIGKILL)
                self._clear_survivors()
                asked_now = False
            self._sleep()

    def _take(self, source: EventSource) -> bool:
        """Append what the engine has told since the last time; True if anything new was counted."""
        changed = False
        while events := source.read():
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
            self._clear_survivors()
            self.stop = self.stop or self.run.stop_requested()
            if self.stop is not None:
                how = "after its running jobs had ended" if self.stop.drain else "at once"
                self._write(
                    Phase.ABORTED, reason=f"stopped by {self.stop.by}, {how}: esap-wf resume {self.run.id}", ended=now(), exit_code=code
                )
                return 0
            failures = list(self.log.state.failures)
            if not failures:
                what = f"{self.engine.title} ended with exit code {code}" if code is not None else f"{self.engine.title} was killed"
                reason = Reason.SIGNAL if code is None or code < 0 else Reason.ENGINE
                failures = [Failure(step="engine", reason=reason, exit_code=code, log="logs/engine.log", detail=what)]
            return self._failed(failures, None, code)
        outputs, failures, warnings = collect.collect(self.manifest, self.run.dir, self.snapshot)
        crashpoints.reached("outputs-checked")
        if failures:
            return self._failed(failures, None, code)
        accepted = Outputs(
            run=self.run.id, epoch=self.lease.epoch, accepted=now(), outputs=outputs, warnings=[*self.plan.warnings, *warnings]
        )
        self.run.accept(accepted, self.lease)
        return self._completed()

    def _completed(self) -> int:
        outputs = self.run.accepted()
        assert outputs is not None
        self.run.accept(outputs, self.lease)  # writes outputs.json if a lost supervisor could not
        productions.enter(self.run, self.plan, outputs)
        self._write(Phase.COMPLETED, reason="", ended=now(), exit_code=0, warnings=outputs.warnings)
        return 0

    def _failed(self, failures: list[Failure], reason: str | None, code: int | None = None) -> int:
        explained = watch.explained(failures, self.run.dir)
        full = self.log.full or shutil.disk_usage(self.run.dir).free < FULL  # jobs can't even write into their logs why they fail
        if full and not any(f.reason == Reason.NO_SPACE for f in explained):
            reason = None
            explained.insert(
                0, Failure(step="engine", reason=Reason.NO_SPACE, log="logs/engine.log", detail=f"the disk of {self.run.dir} is full")
            )
        self._write(Phase.ERROR, reason=reason or watch.headline(explained[0]), ended=now(), exit_code=code, failures=explained[:20])
        return 0

    # --- write

    def _note(self, text: str) -> None:
        self.log.append([Event(t=time.time(), kind="note", detail=text)])

    def _write(self, phase: Phase, **changes: object) -> None:
        """Write a phase and the counts; a change of phase is an event too."""
        if phase is not self.log.state.phase:
            self.log.append([Event(t=time.time(), kind="phase", phase=phase)])
            changes = {"since": now(), **changes}
        state = msgspec.structs.replace(self.log.state, phase=phase, **changes)
        if phase in states.FINAL:
            self._report(state)
        try:
            self.log.state = self.run.write_state(state, self.lease)
        except files.NoSpaceError:
            if phase is not Phase.EXECUTING:
                raise
            self.log.state, self.log.full = state, True  # a missed checkpoint is no reason to stop an engine

    def _report(self, state: State) -> None:
        """The page for people; a run doesn't fail for it."""
        try:
            used = launch.exit_of(self.run.dir, self.epoch)
            cost = (used.cpu_seconds, used.max_rss_bytes) if used else None
            page = report.page(self.run.record(), self.plan, state, self.run.accepted(), report.bars(self.run.events_path), cost)
            files.write_atomic(self.run.dir / "report.html", page, mode=self.store.file_mode, sync=False)
        except Exception:
            _trace()


def _trace() -> None:
    with contextlib.suppress(OSError):  # its log may be on the full disk of which the error tells
        traceback.print_exc()


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
    """Entry of the supervisor process: STORE RUN."""
    root, run_id = (argv or sys.argv[1:])[:2]
    crashpoints.reached("supervisor-started")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = Store.open(Path(root))
    if store.shared:
        os.umask(0o007)
    run = store.run(run_id)
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
