"""What stands between a supervisor and its engine.

A *keeper* is a fork of the supervisor: it writes down the engine's pid and, whatever happens to the
supervisor, its exit code. A successor of a killed supervisor can so adopt the engine, or declare it void:
then the keeper ends it, also where nobody else can reach it (a cut-off host, a container that was stopped for
a while).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.runs import attempts, processes
from esap_wf.runs.lease import RENEW

logger = logging.getLogger(__name__)

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)


def start(
    run: Path, epoch: int, command: Sequence[str], env: Mapping[str, str], given_up: Callable[[], None]
) -> int:
    """
    Start an engine, in its run directory.

    Parameters
    ----------
    run : Path
        Run directory.
    epoch : int
    command : sequence of str
    env : mapping
        All of its environment.
    given_up : callable
        Ends what no process of this machine is a parent of, called by the keeper if the engine is given up.

    Returns
    -------
    int
        Pid of the keeper, a child of this process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        logger.debug("the keeper of epoch %d is process %d", epoch, pid)
        return pid
    code = 1
    try:
        code = 1 if attempts.is_void(run, epoch) else _keep(run, epoch, list(command), dict(env), given_up)
    except BaseException as error:
        with contextlib.suppress(OSError):
            (run / "logs" / "engine.log").open("a").write(
                f"esap-wf: the engine could not be started: {error}\n"
            )
    finally:
        os._exit(code)


def _keep(run: Path, epoch: int, argv: list[str], env: dict[str, str], given_up: Callable[[], None]) -> int:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    signal.set_wakeup_fd(-1)
    adopting = False
    with contextlib.suppress(OSError, AttributeError):
        # what the engine leaves behind becomes our child
        adopting = ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) == 0
    with (run / "logs" / "engine.log").open("ab") as log:
        engine = subprocess.Popen(
            argv,
            cwd=run,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_default_signals,
        )
    me = processes.me()
    holder = msgspec.structs.replace(me, pid=engine.pid, start=processes.start_time(engine.pid) or 0)
    files.write_atomic(
        run / "engine" / f"{epoch}.json",
        msgspec.json.encode(attempts.EngineProcess(epoch=epoch, engine=holder, keeper=me)),
        sync=False,
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
            if attempts.is_void(run, epoch):
                logger.info("keeper: a later owner has given up the engine of epoch %d: it is ended", epoch)
                processes.kill_tree(me.pid, spare=True)
                given_up()
                return 1  # how it ended is nobody's business any more
            with contextlib.suppress(OSError):
                attempts.beat_path(run, epoch).touch()  # observers on other hosts can't ask for a pid
    end = attempts.EngineExit(
        exit_code=os.waitstatus_to_exitcode(status),
        cpu_seconds=round(cpu, 3),
        max_rss_bytes=rss,
        orphans=not adopting or _has_children(),
    )
    attempts.keep_end(run, epoch, end)
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
