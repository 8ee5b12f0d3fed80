"""One command on a host: it is sent something and answers, and is never waited for in vain."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Protocol

#: Writes what a command is sent.
Feed = Callable[["Sink"], None]
#: Seconds between two looks at what is being sent.
_LOOK = 0.5
_CHUNK = 65_536
#: Bytes of what it says beside its answer.
_SAID = 16_384


class Sink(Protocol):
    """What is written to."""

    def write(self, data: bytes, /) -> int:
        """All of it."""


class StalledError(Exception):
    """Nothing has come or gone for a while."""


class Channel:
    """
    A command that runs.

    Parameters
    ----------
    argv : list of str
    feed : Feed
        Writes to its standard input, in a thread of its own.
    patience : float
        Seconds after which it is given up if nothing comes and nothing can be sent.
    keep : tuple of int
        Descriptors that it holds as well.
    """

    def __init__(self, argv: list[str], feed: Feed, patience: float, keep: tuple[int, ...] = ()) -> None:
        self._patience, self._moved = patience, time.monotonic()
        self._failed: BaseException | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, pass_fds=keep, bufsize=0
        )
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._stdout, select.POLLIN)
        self._writer = threading.Thread(target=self._send, args=(feed,), daemon=True)
        self._writer.start()

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self.close()

    def _send(self, feed: Feed) -> None:
        try:
            feed(_Watched(self._stdin, self._step))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough, or is gone: its answer says which
        except BaseException as error:  # it is raised to whoever reads
            self._failed = error
            self._process.kill()
        finally:
            with contextlib.suppress(OSError):
                self._stdin.close()

    def _step(self) -> None:
        self._moved = time.monotonic()

    def read(self, count: int = _CHUNK) -> bytes:
        """
        What comes next, at most `count` bytes; empty at the end.

        Raises
        ------
        StalledError
        """
        while not self._poll.poll(_LOOK * 1000):
            if time.monotonic() - self._moved > self._patience:
                raise StalledError
        self._step()
        data = os.read(self._stdout.fileno(), min(count, _CHUNK))
        if not data and self._failed:
            raise self._failed
        return data

    def close(self) -> tuple[int, str]:
        """End it if it hasn't ended; its exit code, and what it said beside its answer."""
        if self._process.returncode is None:
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._writer.join()
        if not self._stdout.closed:
            self._stdout.close()
        if self._said.closed:
            return self._process.returncode, ""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - _SAID))
        text = self._said.read().decode(errors="replace")
        self._said.close()
        return self._process.returncode, text


class _Watched:
    """A stream that says when something went."""

    def __init__(self, stream: IO[bytes], step: Callable[[], None]) -> None:
        self._stream, self._step = stream, step

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view[:_CHUNK]) :]
            self._step()
        return len(data)
