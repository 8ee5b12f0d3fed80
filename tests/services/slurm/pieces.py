"""The processes of a cluster, each in namespaces of its own: its pids and its host name are not those of this machine."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil


class Piece:
    """
    A daemon and all that it starts; none of it outlives this process.

    Parameters
    ----------
    name : str
        Its host name.
    folder : Path
        Of the cluster.
    command : sequence
        Stays in the foreground.
    hidden : Path, optional
        A folder that it does not see.
    """

    def __init__(
        self, name: str, folder: Path, command: Sequence[object], hidden: Path | None = None
    ) -> None:
        self.name = name
        with (folder / "log" / f"{name}.out").open("ab") as out:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--pid", "--uts", "--mount", "--mount-proc", "--fork", "--kill-child"),
                    *(
                        str(Path(__file__).with_name("piece.sh")),
                        name,
                        str(folder / "etc"),
                        str(hidden or ""),
                    ),
                    *map(str, command),
                ],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                cwd=folder,
                start_new_session=True,
            )
        self.start()

    def start(self) -> None:
        """Start the daemon (anew); what else is in the namespace lives on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"start\n")
        self._process.stdin.flush()

    def processes(self) -> list[psutil.Process]:
        """What lives in the namespace, by the pids of this machine; the first is its process 1."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def inside(self, *command: object) -> str:
        """Run something in its namespaces; what it printed."""
        first = str(self.processes()[0].pid)
        done = subprocess.run(
            ["nsenter", "--target", first, "--pid", "--uts", "--mount", "--", *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(map(str, command))}: {done.stderr}")
        return done.stdout

    def crash(self, program: str) -> None:
        """SIGKILL to the daemon alone."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.name() == program and process.parent() == self.processes()[0]:
                    process.send_signal(signal.SIGKILL)
                    psutil.wait_procs([process], 20)

    def cut(self) -> None:
        """A power cut: SIGKILL to all of it."""
        # the kernel lets the first process of a namespace end after all others, and unshare after that
        for process in self.processes()[:1]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.ask()
        self._process.wait()

    def ask(self) -> None:
        """Ask the daemon to end; `end` waits for it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self, seconds: float = 20) -> None:
        """Let the daemon end, and all that is with it."""
        self.ask()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.cut()

    def lives(self) -> bool:
        """Whether its namespace is there."""
        return self._process.poll() is None
