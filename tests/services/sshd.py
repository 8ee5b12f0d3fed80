"""A host reached by SSH: Debian's sshd on loopback, under another user, with keys of its own.

``python tests/services/sshd.py`` says whether it can be had; tests of several folders use `running()`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers.waiting import until

from esap_wf.backends import Profile

USER, ALIAS = "esapwf-far", "far"
_SSHD = "/usr/sbin/sshd"


def why_not() -> str:
    """Why there can be none here; empty if there can."""
    if os.geteuid() != 0:
        return "sshd lets in another user only if it is started by root"
    for program in (_SSHD, "ssh", "ssh-keygen", "useradd"):
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            return f"there is no {program} (apt-get install openssh-server)"
    return ""


class Host:
    """
    A host, in a folder that holds its keys and its log.

    Attributes
    ----------
    config : Path
        An ssh configuration that knows it as `ALIAS`.
    home : Path
        Of its user.
    base : Path
        The folder of pieces there.
    sockets : Path
        Where this user's connections are kept.
    """

    def __init__(self, more: str = "") -> None:
        self.more = more
        self.folder = Path(tempfile.mkdtemp(prefix="esw-sshd-", dir="/tmp"))
        self.folder.chmod(0o755)  # the other user reads the public key here
        self.home = Path(_user().pw_dir)
        self.sockets = self.folder / "run"
        self.sockets.mkdir(mode=0o700)
        self.token = f"esap-wf-{self.folder.name.removeprefix('esw-sshd-')}"
        self.base = self.home / self.token / "pieces"
        self.config, self.log = self.folder / "ssh_config", self.folder / "sshd.log"
        self.port = _free_port()
        self.listener: subprocess.Popen[bytes] | None = None
        for name in ("hostkey", "id"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.folder / name)]
            subprocess.run(make, check=True)
        shutil.copy(self.folder / "id.pub", self.folder / "authorized_keys")
        (self.folder / "authorized_keys").chmod(0o644)
        self.know(self.folder / "hostkey.pub")
        self._write_configurations()
        self.listen()

    def know(self, key: Path) -> None:
        """Make a key the one that clients expect."""
        kind, text = key.read_text().split()[:2]
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {text}\n")

    def _write_configurations(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        (self.folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/hostkey\n"
            f"PidFile none\nAuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\n"
            f"AllowUsers {USER}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            f"PrintMotd no\nPrintLastLog no\nX11Forwarding no\nAllowTcpForwarding local\nLogLevel VERBOSE\n{self.more}"
        )
        self.config.write_text(
            f"Host {ALIAS}\n  HostName 127.0.0.1\n  Port {self.port}\n  User {USER}\n"
            f"  IdentityFile {self.folder}/id\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.folder}/known_hosts\n  GlobalKnownHostsFile none\n"
        )

    def profile(self, name: str = "far", **more: Any) -> Profile:
        """A profile of it; `more` are further keys of `Profile`."""
        settings = {"host": ALIAS, "config": str(self.config), "folder": f"{self.token}/pieces"}
        return Profile(name=name, kind="ssh", settings=settings, **more)

    def toml(self, name: str = "far") -> str:
        """The same for a configuration file."""
        keys = "".join(f'{k} = "{v}"\n' for k, v in self.profile().settings.items())
        return f'[backends.{name}]\nkind = "ssh"\n{keys}'

    # --- what happens to it

    def listen(self) -> None:
        """Let clients in."""
        with self.log.open("ab") as log:
            self.listener = subprocess.Popen(
                [_SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._answers, 20, what="sshd", detail=self.log.read_text)

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def deaf(self) -> None:
        """New clients are refused; connections go on."""
        if self.listener:
            self.listener.kill()
            self.listener.wait()
            self.listener = None

    def cut(self, for_good: bool = True) -> None:
        """All connections break, and none is there any more; not `for_good`: clients may be back already."""
        for process in self._of_connections():
            with contextlib.suppress(psutil.Error):
                process.kill()
        if for_good:
            until(lambda: not self.connections(), 20, what="the end of connections")

    def _of_connections(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                ports = {c.laddr[1] for c in process.net_connections("tcp4") if c.laddr and c.raddr}
                if process.info["name"].startswith("sshd") and self.port in ports:
                    found.append(process)
        return found

    def connections(self) -> int:
        """Clients that are connected."""
        return len(
            {
                c.raddr
                for c in psutil.net_connections("tcp4")
                if c.raddr and c.laddr and c.laddr[1] == self.port and c.status == psutil.CONN_ESTABLISHED
            }
        )

    def accepted(self) -> int:
        """How many connections there ever were."""
        return self.log.read_text(errors="replace").count("Accepted publickey")

    # --- what is there

    def processes(self) -> list[psutil.Process]:
        """Living processes of its user that work for pieces in its folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.username() != USER or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                about = (process.cwd(), *process.cmdline())
                if any(self.token in word for word in about):
                    found.append(process)
        return found

    def left(self) -> list[str]:
        """Files and folders of its user, below its folder."""
        top = self.home / self.token
        return sorted(str(p.relative_to(top)) for p in top.rglob("*")) if top.exists() else []

    def stop(self) -> None:
        """End it, and remove all of it."""
        self.deaf()
        for process in [*self._of_connections(), *self.processes()]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        shutil.rmtree(self.home / self.token, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        # a locked account (the password "!") is let in by nobody
        made = subprocess.run(
            ["useradd", "-m", "-s", "/bin/sh", "-p", "*", USER], capture_output=True, check=False
        )
        if made.returncode not in (0, 9):  # another worker was first
            raise RuntimeError(made.stderr.decode()) from None
        return until(lambda: _known(), 20, what="the user")


def _known() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    assert isinstance(port, int)
    return port


@contextlib.contextmanager
def running(more: str = "") -> Iterator[Host]:
    """
    A host, and connections to it of its own; the test is skipped by name if it can't be had.

    Parameters
    ----------
    more : str
        Lines of its configuration.
    """
    if why := why_not():
        pytest.skip(f"sshd: {why}")
    host = Host(more)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(host.sockets))
            yield host
    finally:
        host.stop()


if __name__ == "__main__":
    print(f"sshd: {why_not() or _SSHD}")
    sys.exit(bool(why_not()))
