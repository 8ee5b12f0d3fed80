"""A cluster: its start, its use, and what can happen to it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from helpers.waiting import until

from . import accounting as database
from . import configuration
from .configuration import BIG, GPU, NODES
from .pieces import Piece
from .users import USERS, known


class Cluster:
    """
    A cluster, in a folder that holds all of it.

    Parameters
    ----------
    accounting : bool
        Whether there is a database (``sacct``, accounts, QOS).
    hide : dict, optional
        Node → folder that it does not see.
    min_job_age : int
        For how many seconds the controller remembers an ended job.
    node_timeout : int
        After how many seconds a silent node is down.
    more : str
        Further lines of slurm.conf.

    Attributes
    ----------
    environment : dict
        What Slurm's commands need here.
    """

    def __init__(
        self,
        *,
        accounting: bool = True,
        hide: Mapping[str, Path] | None = None,
        min_job_age: int = 300,
        node_timeout: int = 20,
        more: str = "",
    ) -> None:
        self.accounting = accounting
        self.hide = dict(hide or {})
        self.folder = Path(tempfile.mkdtemp(prefix="esw-slurm-", dir="/tmp"))
        for name in ("", "etc", "run", "log", "state", "spool"):
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name).chmod(0o755)
        self.environment = {"SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}
        self.pieces: dict[str, Piece] = {}
        # removes the folder if this process is killed
        self._sweeper = subprocess.Popen(
            ["sh", "-c", 'read -r _; sleep 3; exec rm -rf "$0"', self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        names = ("slurmctld", "slurmdbd", "mariadbd", *NODES, BIG, GPU)
        self.ports = dict(zip(names, _free_ports(len(names)), strict=True))
        configuration.write(
            self.folder,
            self.ports,
            accounting=accounting,
            min_job_age=min_job_age,
            node_timeout=node_timeout,
            more=more,
        )

    def start(self) -> None:
        """Start it, and wait until all nodes can be used."""
        for name in USERS:
            known(name)
        self._start_munge()
        if self.accounting:
            database.fill(self.folder, configuration.CLUSTER, USERS, _make_accounts)
            self._start_database()
        self.start_controller()
        for node in (*NODES, BIG, GPU):
            self.start_node(node)
        until(lambda: self._idle() == {*NODES, BIG, GPU}, 60, what="all nodes", detail=self.logs)

    def _start_munge(self) -> None:
        key = self.folder / "etc" / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        at = self.folder / "run"
        self._piece(
            "munged",
            *("munged", "--foreground", "--force", "--num-threads=4", f"--key-file={key}"),
            *(f"--socket={at}/munge.sock", f"--pid-file={at}/munged.pid", f"--seed-file={at}/munged.seed"),
            f"--log-file={self.folder}/log/munged.log",
        )
        until((at / "munge.sock").exists, 20, what="munged", detail=self.logs)

    def _start_database(self, fresh: bool = False) -> None:
        self._piece("sql", *database.server(self.folder, self.ports["mariadbd"]))
        if fresh:
            database.admit(self.folder)
        until(lambda: _answers(self.ports["mariadbd"]), 60, what="mariadbd", detail=self.logs)
        daemon, started = self._piece("dbd", "slurmdbd", "-D"), time.monotonic()

        def answers() -> bool:
            nonlocal started
            # where the machine is busy it may give up its database, and ends
            if time.monotonic() - started > 10 and not daemon.processes()[1:]:
                daemon.start()
                started = time.monotonic()
            return bool(self.ask("sacctmgr", "-n", "show", "qos", check=False))

        until(answers, 120, what="slurmdbd", detail=self.logs)

    def _piece(self, name: str, *command: object, hidden: Path | None = None) -> Piece:
        if name in self.pieces and self.pieces[name].lives():
            raise RuntimeError(f"{name} runs already")
        self.pieces[name] = Piece(name, self.folder, command, hidden)
        return self.pieces[name]

    def _idle(self) -> set[str]:
        return set(self.ask("sinfo", "-h", "-N", "-t", "idle,alloc,mix", "-o", "%N", check=False).split())

    def logs(self) -> str:
        """The last lines of all logs."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-5:])
            for path in sorted((self.folder / "log").glob("*.out"))
        )

    # --- its use

    def ask(
        self, *command: object, user: str | None = None, check: bool = True, text: str | None = None
    ) -> str:
        """What a command prints, asked here; `user` asks it, `text` is its standard input."""
        # groups of the user, and a folder that is his to read
        more = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            input=text or "",
            check=False,
            env={**os.environ, **self.environment},
            cwd="/" if user else None,
            **more,  # type: ignore[call-overload]
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")
        return str(done.stdout)

    def submit(self, script: str, *options: object, user: str | None = None) -> str:
        """Hand in a batch job that runs `script`; its id."""
        default = ("--parsable", "--output=/dev/null")
        text = f"#!/bin/sh\n{script}\n"
        return self.ask("sbatch", *default, *options, user=user, text=text).strip().partition(";")[0]

    def state(self, job: str) -> str:
        """A job's state, by the controller, such as ``RUNNING``."""
        return self.field(job, "JobState")

    def field(self, job: str, name: str) -> str:
        """A value of ``scontrol show job``."""
        words = self.ask("scontrol", "--oneliner", "show", "job", job).split()
        return next((w.partition("=")[2] for w in words if w.startswith(f"{name}=")), "")

    def ends(self, job: str) -> str:
        """Wait for the end of a job; its state."""
        going = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "")
        until(
            lambda: self.state(job) not in going,
            150,
            what=f"the end of job {job}",
            detail=lambda: self.ask("scontrol", "show", "job", job),
        )
        return self.state(job)

    def jobs(self) -> list[str]:
        """Ids of the jobs that wait or run."""
        return self.ask("squeue", "-h", "-o", "%i").split()

    # --- what happens to it

    def start_controller(self) -> None:
        """Start slurmctld, with the state that it had."""
        self._piece("head", "slurmctld", "-D", "-i")
        until(
            lambda: "UP" in self.ask("scontrol", "ping", check=False), 30, what="slurmctld", detail=self.logs
        )

    def stop_controller(self) -> None:
        """Take slurmctld away; jobs go on."""
        self.pieces["head"].end()

    def kill_controller(self) -> None:
        """The same without warning."""
        self.pieces["head"].cut()

    def forget_jobs(self) -> None:
        """slurmctld crashes and has lost what it knew of jobs: nodes end them, and their ids are given again."""
        self.kill_controller()
        for path in (self.folder / "state").glob("job_state*"):
            path.unlink()
        self.start_controller()

    def start_node(self, name: str) -> None:
        """Switch a node on."""
        self._piece(name, "slurmd", "-D", "-N", name, hidden=self.hide.get(name))

    def kill_node(self, name: str, noticed: bool = True) -> None:
        """
        A power cut of a node.

        Parameters
        ----------
        name : str
        noticed : bool
            The site's monitoring tells Slurm of it at once; else Slurm itself finds it out, half a minute after its timeout.
        """
        self.pieces[name].cut()
        if noticed:
            self.down(name)

    def crash_slurmd(self, name: str) -> None:
        """Only slurmd dies; its jobs go on."""
        self.pieces[name].crash("slurmd")

    def restart_slurmd(self, name: str) -> None:
        """Start slurmd again, beside the jobs that it left."""
        self.pieces[name].start()

    def drain(self, name: str, reason: str = "broken fan") -> None:
        """An administrator lets a node take no further jobs."""
        self.ask("scontrol", "update", f"NodeName={name}", "State=DRAIN", f"Reason={reason}")

    def down(self, name: str, reason: str = "power supply") -> None:
        """An administrator takes a node out of use, with all its jobs."""
        self.ask("scontrol", "update", f"NodeName={name}", "State=DOWN", f"Reason={reason}")

    def resume_node(self, name: str) -> None:
        """The end of `drain` and `down`, and of what Slurm itself did to a node."""
        # refused if it can be used already
        self.ask("scontrol", "update", f"NodeName={name}", "State=RESUME", check=False)
        until(lambda: name in self._idle(), 60, what=f"node {name}", detail=self.logs)

    def mend(self) -> None:
        """Let everything be there again that was taken away, and all nodes be of use."""
        if not self.pieces["head"].lives():
            self.start_controller()
        for name in (*NODES, BIG, GPU):
            if not self.pieces[name].lives():
                self.start_node(name)
            self.resume_node(name)

    def requeue(self, job: str) -> None:
        """An administrator puts a job back into the queue."""
        self.ask("scontrol", "requeue", job)

    def cancel(self, job: str, by: str | None = None) -> None:
        """An administrator (or a user) cancels a job."""
        self.ask("scancel", job, user=by)

    def expire(self, job: str) -> None:
        """Let a job reach its time limit: Slurm looks every 30 seconds."""
        self.ask("scontrol", "update", f"JobId={job}", "EndTime=now")

    def cover(self, name: str, folder: Path, size: str = "1m") -> None:
        """From now on a node sees another folder there: empty, on a disk of this size."""
        self.pieces[name].inside("mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "tmpfs", folder)

    def mount(self, name: str, source: Path, target: Path) -> None:
        """From now on a node sees a folder there, too, which it can't write to: software of a site."""
        self.pieces[name].inside("mount", "--bind", source, target)
        self.pieces[name].inside("mount", "-o", "remount,bind,ro", target)

    def uncover(self, name: str, folder: Path) -> None:
        """The end of `cover` and `mount`."""
        self.pieces[name].inside("umount", "-l", folder)

    def stop(self) -> None:
        """End it, and remove all of it."""
        for piece in self.pieces.values():
            piece.cut()
        self._sweeper.kill()
        self._sweeper.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


def _make_accounts(folder: Path) -> None:
    made = Cluster()
    try:
        database.install(made.folder)
        made._start_munge()
        made._start_database(fresh=True)
        for command in database.entities(configuration.CLUSTER, USERS):
            made.ask(*command)
        for name in ("dbd", "sql"):
            made.pieces[name].end()
        shutil.copytree(made.folder / "sql", folder, dirs_exist_ok=True)
    finally:
        made.stop()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            server = stack.enter_context(socket.socket())
            server.bind(("127.0.0.1", 0))
            ports.append(int(server.getsockname()[1]))
        return ports
