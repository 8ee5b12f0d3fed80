"""Start a run's engine, and find it again. Used by the supervisor only.

Between supervisor and engine stands a *keeper*, a fork of the supervisor: it writes down the engine's pid and, whatever happens to
the supervisor, its exit code. A successor of a killed supervisor can so adopt the engine.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError
from esap_wf.models.manifest import Base
from esap_wf.render import COMMAND
from esap_wf.runs import processes
from esap_wf.runs.lease import RENEW, TTL
from esap_wf.runs.processes import Holder

#: Settings of engines in a user's shell that would silently change a run.
ENGINE_VARIABLES = ("NXF_", "SNAKEMAKE_", "TOIL_", "CWL_", "CWLTOOL_")
#: Variables by which packages of the user could take the place of pinned ones.
PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)


class EngineProcess(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``engine/<epoch>.json``: the engine of an epoch and its keeper."""

    schema_version: int = 1
    epoch: int
    engine: Holder
    keeper: Holder


class EngineExit(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``engine/<epoch>.exit.json``: how it ended, what it and its jobs used, and whether it left processes behind."""

    schema_version: int = 1
    exit_code: int
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0
    orphans: bool = True


def environment(run_id: str, added: Mapping[str, str], isolated: bool = False) -> dict[str, str]:
    """
    The user's environment without engine settings, with the run's key, by which its processes are found.

    Parameters
    ----------
    run_id : str
    added : mapping
        What the engine's plug-in adds; its PYTHONPATH goes before the user's.
    isolated : bool
        Leave out what could put other packages in the place of pinned ones.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ENGINE_VARIABLES)}
    if isolated:
        kept = {k: v for k, v in kept.items() if k not in PYTHON_VARIABLES}
    path = os.pathsep.join(p for p in (added.get("PYTHONPATH"), kept.get("PYTHONPATH")) if p)
    return {**kept, **added, **({"PYTHONPATH": path} if path else {}), processes.RUN_VARIABLE: run_id}


def start(run: Path, epoch: int, arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """
    Start ``command.sh``.

    Parameters
    ----------
    run : Path
        Run directory.
    epoch : int
    arguments : sequence of str
        What the engine's plug-in adds.
    env : mapping
        From `environment`.

    Returns
    -------
    int
        Pid of the keeper, a child of this process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = _keep(run, epoch, ["bash", COMMAND, *arguments], dict(env))
    except BaseException as error:
        with contextlib.suppress(OSError):
            (run / "logs" / "engine.log").open("a").write(f"esap-wf: the engine could not be started: {error}\n")
    finally:
        os._exit(code)


def _keep(run: Path, epoch: int, argv: list[str], env: dict[str, str]) -> int:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    signal.set_wakeup_fd(-1)
    adopting = False
    with contextlib.suppress(OSError, AttributeError):
        adopting = ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) == 0  # what the engine leaves behind becomes our child
    with (run / "logs" / "engine.log").open("ab") as log:
        engine = subprocess.Popen(
            argv, cwd=run, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_default_signals
        )
    me = processes.me()
    holder = msgspec.structs.replace(me, pid=engine.pid, start=processes.start_time(engine.pid) or 0)
    files.write_atomic(
        run / "engine" / f"{epoch}.json", msgspec.json.encode(EngineProcess(epoch=epoch, engine=holder, keeper=me)), sync=False
    )
    status, cpu, rss = 0, 0.0, 0
    while True:
        try:
            pid, ended, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == engine.pid:
            status, cpu, rss = ended, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
            break
        if not pid and signal.sigtimedwait({signal.SIGCHLD}, RENEW) is None:
            with contextlib.suppress(OSError):
                _beat(run, epoch).touch()  # observers on other hosts can't ask for a pid
    told = EngineExit(
        exit_code=os.waitstatus_to_exitcode(status), cpu_seconds=round(cpu, 3), max_rss_bytes=rss, orphans=not adopting or _has_children()
    )
    files.write_atomic(run / "engine" / f"{epoch}.exit.json", msgspec.json.encode(told), sync=False)
    return 0


def _has_children() -> bool:
    """Whether anything of the engine outlives it (what has ended is reaped)."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _default_signals() -> None:
    # a process that a shell starts in the background ignores SIGINT, and so would all its children
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _beat(run: Path, epoch: int) -> Path:
    return run / "engine" / f"{epoch}.beat"


def beats(run: Path, epoch: int, seconds: float = TTL) -> bool:
    """Whether a keeper on another host gives a sign of life within a time, by this process's monotonic clock."""

    def seen() -> int:
        try:
            return _beat(run, epoch).stat().st_mtime_ns
        except OSError:
            return 0

    before, until = seen(), time.monotonic() + seconds
    while time.monotonic() < until:
        if seen() != before:
            return True
        if exit_of(run, epoch):
            return False
        time.sleep(0.5)
    return False


def engine_of(run: Path, epoch: int) -> EngineProcess | None:
    """The engine that an epoch started, if it got so far."""
    try:
        return files.read_json(run / "engine" / f"{epoch}.json", EngineProcess)
    except NotFoundError:
        return None


def exit_of(run: Path, epoch: int) -> EngineExit | None:
    """How the engine of an epoch ended; None if it runs, or if nobody was left to see it."""
    try:
        return files.read_json(run / "engine" / f"{epoch}.exit.json", EngineExit)
    except NotFoundError:
        return None


def send(process: EngineProcess, number: int, group: bool = False) -> None:
    """Send a signal to the engine, if it is still the same process; to its `group`, jobs included, the keeper is deaf to it."""
    if processes.start_time(process.engine.pid) == process.engine.start:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group and processes.start_time(process.keeper.pid) == process.keeper.start:
                os.killpg(process.keeper.pid, number)
            else:
                os.kill(process.engine.pid, number)
