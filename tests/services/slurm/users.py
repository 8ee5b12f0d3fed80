"""The ordinary users of a cluster, made on this machine when they are needed first."""

from __future__ import annotations

import pwd
import subprocess

from helpers.waiting import until

#: In the account ``science``, as root is.
USERS = ("esapwf-one", "esapwf-two")


def known(name: str) -> pwd.struct_passwd:
    """An ordinary user of this machine."""
    if found := _found(name):
        return found
    # a locked account (the password "!") is let in by nobody
    made = subprocess.run(
        ["useradd", "-m", "-s", "/bin/sh", "-p", "*", name], capture_output=True, check=False
    )
    if made.returncode not in (0, 9):  # another worker was first
        raise RuntimeError(made.stderr.decode())
    return until(lambda: _found(name), 20, what="the user")


def _found(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
