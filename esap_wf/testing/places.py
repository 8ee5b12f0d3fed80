"""An isolated place for runs, and the command line that works on it, as a process or in this one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

COMMAND = Path(sys.executable).parent / "esap-wf"
#: Seconds after which a test that waits fails.
PATIENCE = 180.0
Found = TypeVar("Found")


@dataclass
class Done:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout: anything beside it fails the test."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n"), (
            f"not one line: {self.out!r}\n{self.err}"
        )
        answer = json.loads(self.out)
        assert isinstance(answer, dict), answer
        return answer

    @property
    def problems(self) -> str:
        """Message and problems of the error, as one text."""
        error = self.json["error"]
        assert set(error) == {"code", "message", "problems"}, error
        assert all(set(p) == {"where", "what", "hint"} for p in error["problems"]), error
        return "\n".join(
            [error["message"], *(f"{p['where']}: {p['what']} ({p['hint']})" for p in error["problems"])]
        )


@dataclass
class Place:
    """A store, a cache and a configuration file of their own, and the command line that works on them."""

    root: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "ESAP_WF_STORE": "store",
            "ESAP_WF_CACHE": "cache",
            "ESAP_WF_CONFIG": "config.toml",
            "HOME": "home",
        }
        return {**{k: str(self.root / v) for k, v in own.items()}, **self.extra}

    def __call__(
        self, *args: object, cwd: Path | None = None, env: dict[str, str] | None = None, **more: Any
    ) -> Done:
        """A real process."""
        done = subprocess.run(
            [str(COMMAND), *map(word, args)],
            cwd=cwd or self.root,
            env={**os.environ, **self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=300,
            check=False,
            **more,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def inside(self, *args: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
        """
        The same in this process, which spares the start of an interpreter: where it is not the process that
        is tested.
        """
        return inside(*args, environment={**self.environment, **(env or {})}, cwd=cwd or self.root)

    def runs(self) -> list[Path]:
        """All run directories, and what was staged."""
        return [*self.store.glob("runs/*/*"), *self.store.glob("tmp/*")]


_TURN = threading.RLock()


def inside(*args: object, environment: Mapping[str, str], cwd: Path | None = None) -> Done:
    """
    The command line in this process; one call at a time, because environment, folder and streams are the
    process's.
    """
    from esap_wf.cli import main

    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)
        for _ in range(2)
    )
    code: object = 0
    with _TURN, _as_in(environment, cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([word(a) for a in args])  # type: ignore[misc]
        except SystemExit as ended:
            code = ended.code or 0
    streams = [stream.buffer.getvalue().decode(errors="surrogateescape") for stream in (out, err)]
    assert isinstance(code, int), code
    return Done(code, *streams)


@contextlib.contextmanager
def _as_in(environment: Mapping[str, str], cwd: Path | None) -> Iterator[None]:
    """This process with other variables, in another folder, and with nothing to read."""
    kept, stdin = {name: os.environ.get(name) for name in environment}, sys.stdin
    with contextlib.chdir(cwd or Path.cwd()), Path(os.devnull).open() as nothing:
        os.environ.update(environment)
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = stdin
            for name, value in kept.items():  # never emptied: other threads start processes
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def word(value: object) -> str | bytes:
    """An argument of a command line."""
    return value if isinstance(value, (str, bytes)) else str(value)


def until(
    condition: Callable[[], Found | None],
    seconds: float = PATIENCE,
    *,
    what: str = "it",
    detail: Callable[[], object] = str,
) -> Found:
    """
    Wait until a condition holds.

    Parameters
    ----------
    condition : callable
        Is asked until its answer is true.
    seconds : float
        Nothing is timed by this: it ends a test that would hang, on a machine that has other work to do.
    what : str
        What is waited for, for the error.
    detail : callable, optional
        What an error shows beside it.

    Returns
    -------
    object
        The first answer that is true.

    Raises
    ------
    AssertionError
        It did not happen in time.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what} {detail()}"
        time.sleep(0.03)
    return found


def of_run(run: Path | str) -> dict[int, str]:
    """Living processes that carry a run's key, and their command lines, by the run's directory or id."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get("ESAP_WF_RUN") == Path(run).name:
                found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found
