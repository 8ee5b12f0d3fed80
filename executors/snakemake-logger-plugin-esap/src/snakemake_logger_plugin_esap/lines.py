"""An append-only file of JSON lines that survives the death of its writer."""

import json
import os
import sys
from pathlib import Path
from typing import Any


class Lines:
    """One write() a line with O_APPEND: what was written stays when the process is killed, and lines never
    mix.

    Parameters
    ----------
    path
        The file; its folder is made. Further lines are appended to an earlier run's.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()  # Snakemake changes directory later
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._torn = self._ends_inside_a_line()
        self._broken = False
        self._waiting = b""
        self._encode = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode

    @property
    def open(self) -> bool:
        """Whether lines can still be written."""
        return self._fd >= 0

    def write(self, line: dict[str, Any], *, wait: bool = False) -> None:
        """
        Append a line; with `wait` together with the next one. A failure is told once and does not stop the
        run.
        """
        if self._fd < 0:
            return
        data = self._waiting + self._encode(line).encode("ascii") + b"\n"
        if wait:
            self._waiting = data
            return
        self._waiting = b""
        if self._torn:
            data = b"\n" + data
        try:
            self._torn = os.write(self._fd, data) != len(data)
            self._broken = False
        except OSError as error:
            self.complain(error)

    def complain(self, error: Exception) -> None:
        """Say on stderr what is wrong: once a failure, not once a job."""
        if not self._broken:
            self._broken = True
            sys.stderr.write(f"snakemake-logger-plugin-esap: {self._path}: {error}\n")

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _ends_inside_a_line(self) -> bool:
        """
        Tell whether an earlier writer was cut off, so that our first line must not continue its last one.
        """
        size = os.fstat(self._fd).st_size
        if not size:
            return False
        with self._path.open("rb") as stream:
            stream.seek(size - 1)
            return stream.read(1) != b"\n"
