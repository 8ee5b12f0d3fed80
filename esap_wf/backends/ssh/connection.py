"""
One connection for each user and host, shared by all processes: OpenSSH's own, opened as a *master* that
the calls of every supervisor go through.

Each run has a supervisor, a process of its own. A library that speaks SSH inside one process (asyncssh: 7-10
ms a command, against 15-24) would need a connection for each of them, or a daemon of ours that they share;
the master is that daemon, and `ssh` also brings what people have set up: configuration, agent, jump hosts,
tickets. Nothing else here knows of it: another transport has to give what `Connection` gives.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import psutil

from esap_wf.backends.launcher import NeedsPersonError, OutageError
from esap_wf.backends.ssh import failures
from esap_wf.backends.ssh.channel import Channel, Feed
from esap_wf.backends.ssh.settings import Address
from esap_wf.backends.turns import held, private_folder
from esap_wf.errors import EsapError, Problem

log = logging.getLogger(__name__)

#: Commands at a time over all processes; sshd allows 10 (MaxSessions), and counts one a moment longer.
CHANNELS = 4
#: Of these, those that transfers of many bytes may take: short questions never wait for them.
FOR_TRANSFERS = 3
#: Seconds to connect, and to be let in.
CONNECT, OPEN = 15, 45
#: Seconds after which a master without work ends.
KEPT = 600
#: Seconds for a question to the master itself.
ASK = 5
#: Seconds without a sign after which a call is given up.
PATIENCE = 45.0
#: Seconds to wait for a free channel.
TURN = 90.0
#: Seconds for which nobody tries again what needs a person: hosts shut out who knocks too often.
FRESH = 2.0

_NEVER_ASK = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
#: What the user's configuration may want for a terminal, and what must not be lent to a host.
_PLAIN: tuple[str, ...] = (
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "RequestTTY=no",
    "PermitLocalCommand=no",
)
_PLAIN += ("ForwardAgent=no", "ForwardX11=no", "ExitOnForwardFailure=no")


class _Failure(msgspec.Struct):
    """Why a connection couldn't be opened, for those who wait for the same."""

    kind: str
    message: str
    problems: list[tuple[str, str, str]]


class Connection:
    """
    The way to one host.

    Parameters
    ----------
    address : Address
    patience : float
        Seconds without a sign after which a call is given up.
    """

    def __init__(self, address: Address, patience: float = PATIENCE) -> None:
        self.address, self.patience = address, patience

    @contextlib.contextmanager
    def channel(self, words: Sequence[str], feed: Feed, transfer: bool = False) -> Iterator[Channel]:
        """
        Run a command there.

        Parameters
        ----------
        words : sequence of str
            Of characters that mean nothing to any shell: whatever the user's is, it reads them.
        feed : Feed
            Writes what it gets on its standard input.
        transfer : bool
            It may take long.

        Raises
        ------
        OutageError, NeedsPersonError
            There is no connection.
        """
        assert all(re.fullmatch(r"[A-Za-z0-9_./@+-]+", word) for word in words), words
        paths = [self._path(f"slot{n}") for n in range(FOR_TRANSFERS if transfer else CHANNELS)]
        try:
            # the last one is for questions: they take it first
            with held(paths[::-1], TURN) as slot:
                channel = self._begun(words, feed, slot)
                with channel:
                    yield channel
        except TimeoutError:
            raise failures.outage(self.address, "others use all that it allows at a time") from None

    def _begun(self, words: Sequence[str], feed: Feed, slot: int) -> Channel:
        try:
            return Channel(self._argv(self._master(), words), feed, self.patience, (slot,))
        except TimeoutError:
            raise failures.outage(self.address, "another process waits for it already") from None
        except OSError as error:  # too many files or processes, a full disk
            what = f"no more can be started on this machine now ({error.strerror or error})"
            raise failures.outage(self.address, what) from None

    def _argv(self, master: Path, words: Sequence[str]) -> list[str]:
        # without the master there is no way: a call must not become a connection of its own
        never = ["-o", "ProxyCommand=false", "-o", "ControlMaster=no", *_NEVER_ASK]
        return [
            _ssh(),
            "-F",
            "/dev/null",
            *never,
            "-S",
            _escaped(master),
            "-T",
            "--",
            "esap-wf",
            " ".join(words),
        ]

    def _path(self, what: str) -> Path:
        return private_folder() / f"{self.address.digest}.{what}"

    # --- the master

    def _master(self) -> Path:
        """Its socket; it is opened if there is none."""
        path = self._path("ssh")
        if _listens(path):
            return path
        began = time.time()
        with held([self._path("lock")], OPEN + ASK):
            if _listens(path):
                return path
            self._raise_fresh(began)
            self._end_master()
            try:
                self._open(path)
            except (OutageError, NeedsPersonError) as error:
                self._keep(error)
                raise
        return path

    def _open(self, path: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ESAP_WF_")}
        # a jump host's own ssh must not ask either; it has no terminal, because it is a session of its own
        environment |= {"SSH_ASKPASS_REQUIRE": "never"}
        for name in ("SSH_ASKPASS", "DISPLAY"):
            environment.pop(name, None)
        argv = [
            *(_ssh(), *self.address.options, *_NEVER_ASK),
            *(
                "-o",
                f"ConnectTimeout={CONNECT}",
                "-o",
                "ServerAliveInterval=15",
                "-o",
                "ServerAliveCountMax=3",
            ),
            *(word for option in _PLAIN for word in ("-o", option)),
            *("-o", f"ControlPersist={KEPT}", "-o", "ControlMaster=yes", "-S", _escaped(path)),
            *self.address.more,
            *("-f", "-N", "-T", "--", self.address.host),
        ]
        log.info("a connection to %s is opened", self.address.host)
        with tempfile.TemporaryFile() as said:
            try:
                opening = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env=environment,
                    cwd="/",
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise _no_ssh(error) from None
            try:
                code = opening.wait(OPEN)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(opening.pid, signal.SIGKILL)
                opening.wait()
                raise failures.outage(self.address, "it does not answer in time") from None
            said.seek(0)
            text = said.read(16_384).decode(errors="replace")
        if code:
            raise failures.understood(text, self.address)
        if (pid := self._ask("check")) is not None:
            with contextlib.suppress(psutil.Error):
                _write(self._path("pid"), f"{pid} {psutil.Process(pid).create_time()}")

    def _ask(self, what: str) -> int | None:
        """Ask the master itself; its process id, 0 if it doesn't say it; None if it doesn't answer."""
        argv = [_ssh(), "-F", "/dev/null", "-S", _escaped(self._path("ssh")), "-O", what, "--", "esap-wf"]
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ASK, check=False
            )
        except (subprocess.TimeoutExpired, OSError):
            return None
        if done.returncode:
            return None
        return int(found[1]) if (found := re.search(r"pid=(\d+)", done.stderr)) else 0

    def suspect(self) -> None:
        """Nothing came for a while: a master that doesn't answer is ended; the next call opens one."""
        if _listens(self._path("ssh")) and self._ask("check") is not None:
            return  # it lives: the host or the way is slow, and it finds out by itself
        with contextlib.suppress(TimeoutError), held([self._path("lock")], ASK):
            if self._ask("check") is None:
                self._end_master()

    def _end_master(self) -> None:
        """End one that is not used any more, or does not answer."""
        known = self._path("pid")
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            pid, born = known.read_text().split()
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(born)) < 1 and process.uids().real == os.getuid():
                log.info(
                    "the connection to %s does not answer: its process %s is ended", self.address.host, pid
                )
                process.kill()
        for path in (known, self._path("ssh")):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close it, for all processes."""
        self._ask("exit")
        for what in ("pid", "failed"):
            self._path(what).unlink(missing_ok=True)

    # --- what failed for one need not be tried by all who wait

    def _keep(self, error: EsapError) -> None:
        problems = [(p.where, p.what, p.hint) for p in error.problems]
        _write(
            self._path("failed"), msgspec.json.encode(_Failure(error.code, error.message, problems)).decode()
        )

    def _raise_fresh(self, began: float) -> None:
        path = self._path("failed")
        try:
            when = path.stat().st_mtime
            failure = msgspec.json.decode(path.read_bytes(), type=_Failure)
        except (OSError, msgspec.MsgspecError):
            return
        kind = NeedsPersonError if failure.kind == NeedsPersonError.code else OutageError
        if when < began - (FRESH if kind is NeedsPersonError else 0):
            return
        raise kind(failure.message, [Problem(*p) for p in failure.problems])


def _ssh() -> str:
    return "ssh"


def _no_ssh(error: OSError) -> NeedsPersonError:
    return NeedsPersonError(
        "there is no ssh on this machine",
        [Problem("ssh", error.strerror or str(error), "install the OpenSSH client")],
    )


def _escaped(path: Path) -> str:
    """A path as ``ssh`` takes it, which puts values in the place of ``%h`` and the like."""
    return str(path).replace("%", "%%")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.rename(path)


def _listens(path: Path) -> bool:
    """Whether anybody listens at a socket; one that hangs does, too."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ASK)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
