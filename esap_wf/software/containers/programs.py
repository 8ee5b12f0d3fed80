"""The program of a container runtime: found, asked, tried, and watched while it builds or pulls."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from esap_wf.errors import Problem, StoppedError, UnavailableError
from esap_wf.formats import reading
from esap_wf.software.containers.runtime import Found, Runtime

#: Seconds for a question to a runtime; a daemon that hangs is as good as none.
PATIENCE = 20.0
#: Bytes of the end of a log in which the last lines of what failed are looked for.
TAIL = 20_000
_LOOK = 0.05
#: A file that only `trial_root` has in /etc.
TRIAL = "esap-wf-trial"


def environment(names: Sequence[str]) -> dict[str, str]:
    """
    Variables of this process that steer a runtime: those named, and those with a prefix that ends in ``*``.
    """
    prefixes = tuple(n[:-1] for n in names if n.endswith("*"))
    return {k: v for k, v in os.environ.items() if k in names or (prefixes and k.startswith(prefixes))}


def ask(argv: Sequence[str], added: Mapping[str, str], patience: float = PATIENCE) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a short command; 124 if it took too long."""
    try:
        done = subprocess.run(
            list(argv),
            env={**os.environ, **added},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"no answer for {patience:g} s"
    except OSError as error:
        return 127, "", error.strerror or str(error)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def last(text: str) -> str:
    """The last line that says something, without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it printed nothing")


def carry_out(
    argv: Sequence[str],
    added: Mapping[str, str],
    log: Path,
    stopped: Callable[[], bool],
    what: str,
    hint: str = "",
) -> None:
    """
    A long command, its output appended to a log.

    Raises
    ------
    UnavailableError
        It failed; shows its last lines.
    StoppedError
        `stopped` said so; the command and its children have ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        begin = out.tell()
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **added},
            start_new_session=True,
        )
        try:
            while child.poll() is None:
                if stopped():
                    raise StoppedError("nobody is waiting for the container image any more")
                time.sleep(_LOOK)
        except BaseException:
            finish(child)
            raise
    if child.returncode:
        printed = reading.tail(log, TAIL, begin).splitlines()
        tail = [line.strip() for line in printed if line.strip()][-4:]
        raise UnavailableError(
            "a container image can't be made ready",
            [Problem(what, " / ".join(tail) or "it printed nothing", hint)],
        )


def finish(child: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """End a child that leads a session, and its process group."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sent)
        except OSError:
            return
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            continue
    child.wait()


def remembered(
    cache: Path,
    name: str,
    program: str,
    added: Mapping[str, str],
    probe: Callable[[], dict[str, object] | str],
) -> dict[str, object] | str:
    """
    The answer of a probe; a good one is kept as long as program, user, kernel and environment are the same.

    Parameters
    ----------
    cache : Path
    name, program : str
    added : mapping
        The runtime's environment.
    probe : callable
        Tries the runtime; a text is a reason against it and is not kept.
    """
    try:
        s = Path(program).stat()
    except OSError as error:
        return error.strerror or str(error)
    known = [
        name,
        os.path.realpath(program),
        s.st_size,
        s.st_mtime_ns,
        os.getuid(),
        os.uname().release,
        sorted(added.items()),
    ]
    key = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    kept = cache / "containers" / "usable" / f"{name}-{key[:20]}.json"
    try:
        stored = json.loads(kept.read_text("utf-8"))
        if isinstance(stored, dict):
            return stored
    except (OSError, ValueError):
        pass
    answer = probe()
    if isinstance(answer, dict):
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
            temporary.write_text(json.dumps(answer), "utf-8")
            temporary.replace(kept)
        except OSError:
            pass  # costs time at the next command, nothing else
    return answer


def found_by_trial(
    cache: Path, name: str, program: str, added: dict[str, str], probe: Callable[[], dict[str, object] | str]
) -> Found | str:
    """
    The runtime as the probe (see `remembered`) found it to work, by ``version`` and ``options``, or why it
    doesn't.
    """
    answer = remembered(cache, name, program, added, probe)
    if isinstance(answer, str):
        return answer
    options = answer["options"]
    return Found(program, str(answer["version"]), added, tuple(options) if isinstance(options, list) else ())


def trial_root(cache: Path) -> tuple[Path, list[str]]:
    """
    A root file system without programs for trying a runtime, and the folders of this machine that give it
    some.

    Returns
    -------
    root, mounts : Path, list of str
    """
    root = cache / "containers" / "trial"
    mounts = [d for d in ("/usr", "/bin", "/lib", "/lib64") if Path(d).is_dir()]
    for folder in (*mounts, "/proc", "/sys", "/dev", "/tmp", "/etc", "/root", "/run", "/var/tmp"):
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("group", "root:x:0:\n")):
        (root / "etc" / name).write_text(text)
    (root / "etc" / TRIAL).write_text("")
    return root, mounts


def locate(runtime: Runtime, configured: str | None) -> str | None:
    """Path of a runtime's program: the configured one, else the first on PATH."""
    names = (configured,) if configured else runtime.programs
    # not resolved: a link's name may say what a program shall be
    return next((os.path.abspath(found) for n in names if (found := shutil.which(n))), None)  # noqa: PTH100
