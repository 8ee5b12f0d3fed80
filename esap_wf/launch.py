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
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError
from esap_wf.models.manifest import Base
from esap_wf.render import COMMAND
from esap_wf.runs import processes
from esap_wf.runs.processes import Holder

#: Settings of engines in a user's shell that would silently change a run.
ENGINE_VARIABLES = ("NXF_", "SNAKEMAKE_", "TOIL_", "CWL_", "CWLTOOL_")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)


class EngineProcess(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``engine/<epoch>.json``: the engine of an epoch and its keeper."""

    schema_version: int = 1
    epoch: int
    engine: Holder
    keeper: Holder


class EngineExit(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``engine/<epoch>.exit.json``: how it ended, and what it and its jobs used."""

    schema_version: int = 1
    exit_code: int
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0


def environment(run_id: str, added: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without engine settings, with the run's key, by which its processes are found."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ENGINE_VARIABLES)}
    return {**kept, **added, processes.RUN_VARIABLE: run_id}


def start(run: Path, run_id: str, epoch: int, arguments: Sequence[str], added: Mapping[str, str]) -> int:
    """
    Start ``command.sh``.

    Parameters
    ----------
    run : Path
        Run directory.
    run_id : str
    epoch : int
    arguments, added
        What the engine's plug-in adds to arguments and environment.

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
        code = _keep(run, epoch, ["bash", COMMAND, *arguments], environment(run_id, added))
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
    signal.set_wakeup_fd(-1)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # jobs whose engine dies stay our children
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
            pid, ended, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        if pid == engine.pid:
            status, cpu, rss = ended, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
            break
    told = EngineExit(exit_code=os.waitstatus_to_exitcode(status), cpu_seconds=round(cpu, 3), max_rss_bytes=rss)
    files.write_atomic(run / "engine" / f"{epoch}.exit.json", msgspec.json.encode(told), sync=False)
    return 0


def _default_signals() -> None:
    # a process that a shell starts in the background ignores SIGINT, and so would all its children
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


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
