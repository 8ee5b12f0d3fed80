"""The database of a cluster: made once, kept by content, copied for each cluster.

Accounts: ``science`` (everybody's default) and ``reserve``, of which only `ROOT` is a member. QOS: ``normal``, ``quick`` (5 minutes, 2 cores a
job) and ``single`` (a user runs one job at a time, and has two at most in the queue).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from helpers import kept
from helpers.waiting import until

ROOT = "root"
_SQL = (
    "CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'of-tests'; CREATE USER 'slurm'@'localhost' IDENTIFIED BY 'of-tests';"
    "GRANT ALL ON slurm_acct.* TO 'slurm'@'127.0.0.1'; GRANT ALL ON slurm_acct.* TO 'slurm'@'localhost';"
)
_INSTALL = "mariadb-install-db --no-defaults --user=root --auth-root-authentication-method=normal --skip-test-db --innodb-log-file-size=8M"
_SERVER = (
    "mariadbd --no-defaults --user=root --bind-address=127.0.0.1 --innodb-buffer-pool-size=64M --innodb-log-file-size=8M "
    "--innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --skip-log-bin --performance-schema=0"
)
_ENTITIES = (
    "add cluster {cluster}",
    "add account science Description=tests Organization=tests",
    "add account reserve Description=tests Organization=tests",
    "add qos quick MaxWall=00:05:00 MaxTRESPerJob=cpu=2 Flags=DenyOnLimit",
    "add qos single MaxJobsPerUser=1 MaxSubmitJobsPerUser=2",
    "add user {users} Account=science DefaultAccount=science",
    "add user root Account=reserve",
    "modify account science set qos=normal,quick,single defaultqos=normal",
)


def server(folder: Path, port: int) -> list[str]:
    """The command of a database whose data are below a cluster's folder."""
    return [
        *_SERVER.split(),
        f"--datadir={folder}/sql",
        f"--socket={folder}/run/sql.sock",
        f"--port={port}",
        f"--pid-file={folder}/run/sql.pid",
    ]


def fill(folder: Path, cluster: str, users: tuple[str, ...], make: Callable[[Path], object]) -> None:
    """
    Put data into a cluster's folder, so that its database knows the accounts.

    Parameters
    ----------
    folder : Path
        Of the cluster.
    cluster : str
        Its name.
    users : tuple of str
        Ordinary users.
    make : callable
        Gets an empty folder, and leaves such data in it, if there are none yet.
    """
    versions = [_version(program) for program in ("mariadbd", "slurmctld")]
    data = kept.made("slurm-accounts", [*versions, cluster, users, Path(__file__)], make)
    shutil.copytree(data, folder / "sql")


def install(folder: Path) -> None:
    """Make an empty database below a cluster's folder."""
    subprocess.run([*_INSTALL.split(), f"--datadir={folder}/sql"], check=True, capture_output=True)


def admit(folder: Path) -> None:
    """Let slurmdbd into an empty database that runs."""
    client = ["mariadb", "--no-defaults", "-S", f"{folder}/run/sql.sock", "-u", "root", "-e"]
    until(
        lambda: not subprocess.run([*client, "SELECT 1"], capture_output=True, check=False).returncode,
        60,
        what="mariadbd",
    )
    subprocess.run([*client, _SQL], check=True, capture_output=True)


def entities(cluster: str, users: tuple[str, ...]) -> list[list[str]]:
    """The commands that make accounts, users and QOS."""
    names = ",".join((ROOT, *users))
    return [["sacctmgr", "-i", *line.format(cluster=cluster, users=names).split()] for line in _ENTITIES]


def _version(program: str) -> str:
    option = "--version" if program == "mariadbd" else "-V"
    return subprocess.run([program, option], capture_output=True, text=True, check=True).stdout
