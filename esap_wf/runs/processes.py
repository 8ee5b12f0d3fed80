"""Which process is which: pids come back, so a process is its host, boot, pid and start time.

psutil is loaded where processes are searched or killed, never to look at one owner: `list` and `status` do
that often.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from esap_wf.models import Model

#: The run that a process belongs to, and the one engine of it: `engine_key`.
RUN_VARIABLE, ENGINE_VARIABLE = "ESAP_WF_RUN", "ESAP_WF_ENGINE"
#: A job of Slurm has this variable, and this process above it.
_BATCH, _MANAGER = "SLURM_JOB_ID", "slurmstepd"
_PROC = Path("/proc")
_LINUX = sys.platform.startswith("linux")
#: Names that say nothing about which machine it is.
_ANONYMOUS = frozenset({"", "localhost", "localhost.localdomain"})


class Holder(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    One process, for ever.

    `start` is in clock ticks since boot on Linux (steps of the wall clock don't move it), else in
    milliseconds since 1970. `space` is the pid namespace: inside a container pid 7 is another process than
    outside. `machine` tells hosts of one name apart.
    """

    host: str
    boot_id: str
    pid: int
    start: int
    space: str = ""
    machine: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def engine_key(run_id: str, epoch: int) -> str:
    """What names one engine of a run: the engine of a later owner carries the run's key, too."""
    return f"{run_id}.{epoch}"


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process of a run that outlived its supervisor; `engine` is the key that it carries, if any."""

    pid: int
    name: str
    start: int
    session: int = 0
    engine: str = ""


@lru_cache(maxsize=1)
def _boot() -> tuple[str, str]:
    """Boot id and pid namespace."""
    if _LINUX:
        try:
            boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            boot = ""
        try:
            space = str((_PROC / "self/ns/pid").readlink())
        except OSError:
            space = ""
        return boot, space
    import psutil

    return str(int(psutil.boot_time())), ""


def user() -> str:
    """Login name of this process's user, whatever the environment says; the number if it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@lru_cache(maxsize=1)
def _machine() -> str:
    """The machine id, empty if there is none."""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except (OSError, ValueError):
        return ""


def start_time(pid: int) -> int | None:
    """When a process started; None if there is none (or only a zombie, which will never write again)."""
    if _LINUX:
        try:
            text = (_PROC / str(pid) / "stat").read_bytes()
        except OSError:
            return None
        fields = text[text.rindex(b")") + 2 :].split()  # the name may contain spaces and parentheses
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 1000)
    except psutil.Error:
        return None


def me() -> Holder:
    """This process. Not cached: a child after `fork` is another one."""
    boot, space = _boot()
    pid = os.getpid()
    return Holder(
        host=os.uname().nodename,
        boot_id=boot,
        pid=pid,
        start=start_time(pid) or 0,
        space=space,
        machine=_machine(),
    )


def alive(holder: Holder) -> bool | None:
    """
    Whether a process still runs.

    Returns
    -------
    bool or None
        Definite on the same machine; None if only watching its lease can tell (another host, another
        container, hidden processes).
    """
    boot, space = _boot()
    if holder.boot_id and holder.boot_id == boot:
        if holder.space != space:
            return None
        start = start_time(holder.pid)
        if start is not None:
            return start == holder.start
        if _LINUX and (_PROC / str(holder.pid) / "stat").exists():
            return False  # a zombie, perhaps another user's
        try:
            os.kill(holder.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return None  # /proc is mounted with hidepid: somebody is there, but who?
        return False  # a zombie
    # two clones may have one name
    same = holder.host == os.uname().nodename and holder.machine and holder.machine == _machine()
    if same and holder.host not in _ANONYMOUS and holder.boot_id and boot:
        return False  # this machine was restarted since
    return None


def survivors(run_id: str, sessions: Sequence[Holder] = ()) -> list[Survivor]:
    """
    Processes that belong to a run: all of this user's, of other users' those in recorded sessions.

    Parameters
    ----------
    run_id : str
        Searched for in the environment of each process.
    sessions : sequence of Holder
        Recorded session leaders (the engine's): their sessions find children that dropped the environment.

    Returns
    -------
    list of Survivor
        Without this process and its parents.
    """
    import psutil

    boot, space = _boot()
    job = os.environ.get(_BATCH)
    leaders: dict[int, int] = {}
    for leader in sessions:
        if (leader.boot_id, leader.space) != (boot, space):
            continue
        now = start_time(leader.pid)
        if now is None or now == leader.start:  # else the number belongs to somebody else by now
            leaders[leader.pid] = leader.start
    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    uid = os.getuid()
    found = []
    for process in psutil.process_iter():
        pid = process.pid
        try:
            if pid in mine:
                continue
            start = start_time(pid)
            if start is None:
                continue
            sid = os.getsid(pid)
            belongs, engine = sid in leaders and start >= leaders[sid], ""
            if not belongs and process.uids().real == uid:  # nobody sees the environment of others
                environment = process.environ()
                belongs = environment.get(RUN_VARIABLE) == run_id
                engine = environment.get(ENGINE_VARIABLE, "")
                # what a workload manager has started here is ended by that alone
                belongs = belongs and environment.get(_BATCH) == job
            if belongs and not _is_of_manager(process, mine):
                found.append(Survivor(pid, process.name(), start, sid, engine))
        except (psutil.Error, OSError):
            continue
    return found


def _is_of_manager(process: Any, mine: set[int]) -> bool:
    """Whether a process is a job's of a workload manager on this machine, in which this process is not."""
    return any(parent.name() == _MANAGER and parent.pid not in mine for parent in process.parents())


def _send(processes: Iterable[Survivor], signal: int) -> None:
    for process in processes:
        if start_time(process.pid) == process.start:  # at the last moment: the pid may have been given away
            try:
                os.kill(process.pid, signal)
            except OSError:
                pass


def _mine(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _wait(processes: list[Survivor], seconds: float) -> list[Survivor]:
    until = time.monotonic() + seconds
    pause = 0.01
    while True:
        processes = [p for p in processes if start_time(p.pid) == p.start]
        if not processes or time.monotonic() >= until:
            return processes
        time.sleep(pause)
        pause = min(0.2, pause * 1.5)


def terminate(processes: Iterable[Survivor], grace: float = 10.0) -> list[Survivor]:
    """
    End processes: SIGTERM, after `grace` seconds SIGKILL, and wait until they are gone. None of them, if some
    are another user's.

    Returns
    -------
    list of Survivor
        What could not be ended (uninterruptible sleep, another user's): empty in all normal cases.
    """
    import signal

    left = list(processes)
    if others := [p for p in left if not _mine(p.pid)]:
        return others
    _send(left, signal.SIGTERM)
    _send(left, signal.SIGCONT)  # a stopped process receives SIGTERM only when it goes on
    left = _wait(left, grace)
    if left:
        _send(left, signal.SIGKILL)
        left = _wait(left, 5.0)
    return left


def kill_tree(pid: int, spare: bool = False) -> None:
    """
    Kill a process and all below it, by kinship and session, until nothing is left; not by a run's key, which
    the processes of a new owner carry, too.

    Parameters
    ----------
    pid : int
    spare : bool
        The process itself lives on.
    """
    import signal

    import psutil

    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        try:
            below = {p.pid for p in psutil.Process(pid).children(recursive=True)}
        except psutil.Error:
            below = set()
        below |= {p for p in psutil.pids() if p != pid and _session(p) == pid}
        below = {p for p in below if start_time(p) is not None} | (
            set() if spare or start_time(pid) is None else {pid}
        )
        if not below:
            return
        for victim in below:
            try:
                os.kill(victim, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.02)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
