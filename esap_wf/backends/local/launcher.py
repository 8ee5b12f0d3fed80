"""Engines on this machine: started, seen, asked to end, found again.

Pids, signals and process groups of engines stand here and in `keeper`, nowhere else. The record by which an
engine is found is the run's own (`esap_wf.runs.attempts`), so handles say nothing that is needed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from esap_wf.backends.launcher import Condition, Launcher, Part, Piece, Refusal, Seen, Served, Signal, Usage
from esap_wf.backends.local import keeper
from esap_wf.backends.local.wakeup import Wakeup
from esap_wf.errors import UnavailableError
from esap_wf.formats.quantities import human_count
from esap_wf.runs import attempts, processes
from esap_wf.runs.attempts import EngineExit, EngineProcess
from esap_wf.runs.lease import TTL

logger = logging.getLogger(__name__)


class _Heard(Struct, frozen=True):
    """The last sign of life of an engine out of reach, and when it was seen, by this process's clock."""

    beat: int
    moment: float
    new: bool


class LocalLauncher(Launcher):
    """
    See `esap_wf.backends.Launcher`. The key of a piece is that of an engine: run and epoch.

    An engine that is GONE, or has ended, may have left jobs: `clear` ends them.
    """

    shares_store = True
    sees_itself = True

    def __init__(self) -> None:
        self._wakeup = Wakeup()
        # keepers that are children of this process, by key: None once they have ended
        self._keepers: dict[str, int | None] = {}
        self._heard: dict[str, _Heard] = {}
        self._seen_alive: set[str] = set()

    def serve(self, run: Served) -> None:
        """The run directory holds the record of its engines."""
        self._run, self._root = run, str(run.folder.resolve())

    def wait(self, seconds: float) -> None:
        """A child that ends is worth a look at once."""
        self._wakeup.wait(seconds)

    # --- start

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        """Each by a keeper of its own, a fork of this process."""
        return {piece.key: self._start(piece) for piece in pieces}

    def _start(self, piece: Piece) -> str | Refusal:
        run, epoch = piece.key.rsplit(".", 1)[0], _epoch(piece.key)
        if known := attempts.of(self._run.folder, epoch):
            return str(known.engine)
        if piece.key not in self._keepers:
            self._wakeup.arm()
            keys = {processes.RUN_VARIABLE: run, processes.ENGINE_VARIABLE: piece.key}
            self._keepers[piece.key] = keeper.start(
                piece.folder,
                epoch,
                piece.command,
                {**piece.environment, **keys},
                lambda: self._end_containers(epoch),
            )
        return f"kept by process {self._keepers[piece.key]}"

    # --- look

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        """By the run's record, and what this machine says of the processes in it."""
        return {key: self._look(key) for key in pieces}

    def _look(self, key: str) -> Seen:
        folder, epoch = self._run.folder, _epoch(key)
        has_keeper = self._has_keeper(key)  # asked first: it writes before it goes
        if ended := attempts.end_of(folder, epoch):
            return self._ended(ended, attempts.of(folder, epoch))
        process = attempts.of(folder, epoch)
        if process is None:
            if has_keeper:
                return Seen(Condition.WAITING, reason="it is being started")
            return Seen(Condition.GONE, reason="left no record of its process")
        engine, kept = processes.alive(process.engine), processes.alive(process.keeper)
        if engine is None or kept is None:
            return self._out_of_reach(key, epoch, process, bool(engine))
        if engine and key not in self._seen_alive:
            if key not in self._keepers:
                logger.info("the engine of epoch %d is %s", epoch, process.engine)
            self._seen_alive.add(key)
        # if it has just ended while somebody watches, its keeper is about to write how
        if engine or (kept and (key in self._seen_alive or has_keeper)):
            return self._running(process)
        if ended := attempts.end_of(folder, epoch):
            return self._ended(ended, process)
        return Seen(
            Condition.GONE, reason=f"is gone ({process.engine})", where=process.engine.host, orphans=True
        )

    def _has_keeper(self, key: str) -> bool:
        """Whether a keeper that this process has started still lives."""
        pid = self._keepers.get(key)
        if pid is None:
            return False
        try:
            if not os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            pass
        self._keepers[key] = None
        return False

    def _running(self, process: EngineProcess, reason: str = "") -> Seen:
        return Seen(Condition.RUNNING, reason=reason, where=process.engine.host, root=self._root)

    def _ended(self, end: EngineExit, process: EngineProcess | None) -> Seen:
        return Seen(
            Condition.ENDED,
            exit_code=end.exit_code,
            where=process.engine.host if process else "",
            root=self._root,
            usage=Usage(end.cpu_seconds, end.max_rss_bytes),
            orphans=end.orphans,
        )

    def _out_of_reach(self, key: str, epoch: int, process: EngineProcess, alive: bool) -> Seen:
        """
        An engine that can't be asked from here: it runs for as long as signs of life come, and is gone
        if none has come for `TTL` seconds.
        """
        beat, moment = attempts.last_beat(self._run.folder, epoch), time.monotonic()
        heard = self._heard.get(key)
        if heard is None or heard.beat != beat:
            heard = self._heard[key] = _Heard(beat, moment, new=heard is not None)
        if moment - heard.moment >= TTL:
            reason = f"has given no sign of life for {TTL:.0f} s ({process.engine})"
            return Seen(Condition.GONE, reason=reason, where=process.engine.host, orphans=True)
        if alive or heard.new:
            return self._running(process, "out of reach from here")
        reason = f"{process.engine} is out of reach from here"
        return Seen(Condition.UNKNOWN, reason=reason, where=process.engine.host)

    def quiet(self, key: str, handle: str | None) -> float | None:
        """By the engine's children, and its own processor time."""
        process = attempts.of(self._run.folder, _epoch(key))
        if process is None or not processes.alive(process.engine):
            return None  # elsewhere, or ended: that is seen by other means
        import psutil

        try:
            engine = psutil.Process(process.engine.pid)
            if engine.status() == psutil.STATUS_STOPPED or engine.children():
                return None
            return float(sum(engine.cpu_times()[:2]))
        except psutil.Error:
            return None

    # --- what is left

    def survivors(self, run: str) -> Sequence[str] | None:
        """Engines of which a process lives here; None if one may live where it can't be asked."""
        known = {e: p for e in attempts.started(self._run.folder) if (p := attempts.of(self._run.folder, e))}
        for epoch, process in known.items():
            over = attempts.is_void(self._run.folder, epoch) or attempts.end_of(self._run.folder, epoch)
            if not over and processes.alive(process.engine) is None:
                return None
        sessions = {p.keeper.pid: processes.engine_key(run, e) for e, p in known.items()}
        keys = set()
        for survivor in processes.survivors(run, [p.keeper for p in known.values()]):
            if key := survivor.engine or sessions.get(survivor.session):
                keys.add(key)
        return sorted(keys)

    def clear(self, run: str, grace: float, told: Callable[[str], None]) -> None:
        """Every process that carries the run's key, or is in a session of its keepers; containers, too."""
        folder = self._run.folder
        keepers = [p.keeper for e in attempts.started(folder) if (p := attempts.of(folder, e))]
        left = processes.survivors(run, keepers)
        self._end_containers()
        if not left:
            return
        what = (
            f"ending {human_count(len(left), 'process', 'processes')} of an earlier attempt: "
            f"{', '.join(f'{s.name} {s.pid}' for s in left[:10])}"
        )
        logger.info(what)
        told(what)
        if stuck := processes.terminate(left, grace):
            raise UnavailableError(
                f"processes of an earlier attempt can't be ended: {', '.join(str(s.pid) for s in stuck)}"
            )

    def _end_containers(self, epoch: int | None = None) -> None:
        """What a daemon started for the run, or for one engine of it, is no process of this user's."""
        if self._run.containers:
            from esap_wf.software import containers

            containers.end(self._run.containers, self._run.run, epoch)

    # --- the end

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        """One out of reach is given up: its keeper ends it, wherever it is."""
        for key in pieces:
            epoch = _epoch(key)
            process = attempts.of(self._run.folder, epoch)
            if process and processes.alive(process.engine) is None:
                logger.info(
                    "the engine of epoch %d is out of reach (%s): it is declared void", epoch, process.engine
                )
                attempts.declare_void(self._run.folder, epoch, self._run.mode)
            elif signal is None:
                self._kill(key, process)
            elif process:
                _send(process, signal)

    def _kill(self, key: str, process: EngineProcess | None) -> None:
        """Kill an engine and all below it; its keeper lives on, to write how it ended."""
        if process is None:
            if self._has_keeper(key):
                attempts.declare_void(self._run.folder, _epoch(key), self._run.mode)
            return
        if processes.alive(process.keeper):
            processes.kill_tree(process.keeper.pid, spare=True)
        elif processes.alive(process.engine):
            processes.kill_tree(process.engine.pid)
        self._end_containers(_epoch(key))

    def give_up(self, pieces: Mapping[str, str | None]) -> None:
        """A mark in the run's record: keepers look for it."""
        for key in pieces:
            attempts.declare_void(self._run.folder, _epoch(key), self._run.mode)

    def fenced(self, pieces: Mapping[str, str | None]) -> None:
        """Process trees of the engine and its keeper, and its containers."""
        for key in pieces:
            epoch = _epoch(key)
            process = attempts.of(self._run.folder, epoch)
            if process is None or not attempts.is_void(self._run.folder, epoch):
                continue
            for holder in (process.keeper, process.engine):
                if processes.alive(holder):
                    logger.info(
                        "the engine of epoch %d was given up: process %d is killed", epoch, holder.pid
                    )
                    processes.kill_tree(holder.pid)
            self._end_containers(epoch)

    # --- the run directory is here

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        """What an engine makes is in the run directory."""

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        """The run directory stays as it is."""


def _epoch(key: str) -> int:
    return int(key.rpartition(".")[2])


def _send(process: EngineProcess, sent: Signal) -> None:
    """To the engine, if it is still the same process; to all of its group, the keeper is deaf to it."""
    if not processes.alive(process.engine):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        logger.debug("signal %d to the engine, process %d", sent.number, process.engine.pid)
        if sent.to_jobs and processes.alive(process.keeper):
            os.killpg(process.keeper.pid, sent.number)
        else:
            os.kill(process.engine.pid, sent.number)
