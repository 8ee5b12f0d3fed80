"""
The cluster: all of it is files of one folder, so that any number of processes see the same.

- ``jobs/<key>/``: ``spec.json``, ``sent.json`` (what was copied), ``sandbox/``, and what the node writes
- ``handles/<handle>``: the key
- ``executions/<key>``: a line for each begin and end of the command; it stays when a job is removed
- ``faults.json``: a list of what is to go wrong, written by tests: ``{"fault": …, "piece": pattern, "at": call, …}``. Each happens once
- ``away.json``, ``locked-out``, ``hold``: the cluster is away, wants a person, begins no job, as long as they are there
- ``log.jsonl``: each question that was asked, each fault that happened, each job that was taken and is over

============== ====================================================================================
fault          what happens
============== ====================================================================================
lose           at `state`, when the job has begun (``"when": "waiting"`` or ``"ended"``: then): killed, and nothing of it is left
twice          `submit` works, and answers that the cluster is away
handle         at `state`: the job gets another handle, the old one is unknown
huge-handle    the handle has 1 MB
away           at the call ``at`` (default: any): from then on the cluster is away, for ``seconds`` or until it is told
unknown        one question of `state` finds nobody
person         at the call ``at``: from then on somebody must act
slow           the job begins ``seconds`` later; without that, when it is told (``release``: the file ``hold`` is removed)
cut            a transfer breaks in the middle
deaf           a request to stop is lost
no-exit        nobody knows how the job has ended
refuse, busy   the job isn't taken: for ever, now
broken         the plug-in raises what it shouldn't, at the call ``at``
============== ====================================================================================
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from toy_place import node, transfer

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


class AwayError(Exception):
    """Nobody answers."""


class LockedOutError(Exception):
    """Somebody has to do something."""


class NoSuchJobError(Exception):
    """The cluster is sure that it has no such job."""


class RefusedError(Exception):
    """The job isn't taken."""


@dataclass
class Job:
    state: str
    sandbox: Path
    sent: Mapping[str, list[int]]
    exit_code: int | None = None
    reason: str = ""
    node: str = ""
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    wall_seconds: float | None = None


@dataclass
class Cluster:
    folder: Path
    boot: str = field(default_factory=lambda: Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    def __post_init__(self) -> None:
        for name in ("jobs", "handles", "executions", "locks", "home", "removed"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    # --- what goes wrong

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[int]:
        with (self.folder / name).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock.fileno()

    def log(self, **what: object) -> None:
        line = json.dumps({**what, "by": os.getpid()}) + "\n"
        fd = os.open(self.folder / "log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    def faulty(self, fault: str, key: str, **where: object) -> dict[str, Any] | None:
        """Use up a fault of this kind for this job, if there is one."""
        path = self.folder / "faults.json"
        if not path.exists():
            return None
        with self._locked("lock"):
            faults = json.loads(path.read_text())
            for number, one in enumerate(faults):
                wanted = {name: one.get(name) for name in where}
                if (
                    one["fault"] == fault
                    and fnmatch.fnmatchcase(key, one.get("piece", "*"))
                    and all(value in (None, where[name]) for name, value in wanted.items())
                ):
                    node.write(path, faults[:number] + faults[number + 1 :])
                    self.log(fault=fault, key=key)
                    assert isinstance(one, dict)
                    return one
        return None

    def asked(self, call: str, key: str) -> None:
        """Somebody asks: raises if nobody can answer."""
        self.log(call=call, key=key)
        if self.faulty("broken", key, at=call):
            raise ZeroDivisionError("a mistake in the plug-in")
        if fault := self.faulty("away", key, at=call):
            seconds = fault.get("seconds")
            end = None if seconds is None else time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
            node.write(self.folder / "away.json", {"until": end})
        if self.faulty("person", key, at=call):
            (self.folder / "locked-out").touch()
        with contextlib.suppress(FileNotFoundError):
            until = json.loads((self.folder / "away.json").read_text())["until"]
            if until is None or time.clock_gettime(time.CLOCK_BOOTTIME) < until:
                raise AwayError("the cluster does not answer")
        if (self.folder / "locked-out").exists():
            raise LockedOutError("your ticket has expired: get another one")

    # --- the commands of the cluster

    def submit(
        self,
        key: str,
        source: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> str | None:
        """Begin a job, unless it is there; None: not now."""
        assert KEY.fullmatch(key)
        self.asked("submit", key)
        if self.faulty("refuse", key):
            raise RefusedError("jobs on Thursdays are not allowed")
        if self.faulty("busy", key):
            return None
        with self._locked(f"locks/{key}") as lock:
            folder = self.folder / "jobs" / key
            if not (folder / "node.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                transfer.send(source, folder / "sandbox")
                node.write(folder / "sent.json", transfer.listing(folder / "sandbox"))
                handle = f"job-{os.urandom(6).hex()}"
                node.write(folder / "handle.json", handle)
                node.write(self.folder / "handles" / handle, key)
                slow, now = self.faulty("slow", key), time.clock_gettime(time.CLOCK_BOOTTIME)
                if slow and "seconds" not in slow:
                    (self.folder / "hold").touch()
                spec = {
                    "boot": self.boot,
                    "command": list(command),
                    "environment": {**self.own(), **environment},
                    "not_before": now + (slow or {}).get("seconds", 0),
                    "hold": str(self.folder / "hold"),
                    "executions": str(self.folder / "executions" / key),
                    "log": str(self.folder / "log.jsonl"),
                }
                node.write(folder / "spec.json", spec)
                subprocess.run(
                    [sys.executable, "-I", "-S", node.__file__, str(folder), str(lock)],
                    input=json.dumps(dict(secrets)),
                    text=True,
                    pass_fds=[lock],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=self.own(),
                    check=True,
                )
                self.log(job="taken", key=key)
            handle = json.loads((folder / "handle.json").read_text())
        if self.faulty("twice", key):
            raise AwayError("the connection broke before the answer came")
        return "x" * 10**6 if self.faulty("huge-handle", key) else str(handle)

    def own(self) -> dict[str, str]:
        """Variables that each job has."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "SHELL": "/bin/bash",
            "USER": "toy",
        }

    def _find(self, key: str, handle: str | None, call: str) -> Path:
        """A job's folder: by its handle; if that is unknown, by its name, which is a question of its own."""
        self.asked(call, key)
        if handle is not None and re.fullmatch(r"job-\w{12}", handle):
            with contextlib.suppress(FileNotFoundError):
                key = json.loads((self.folder / "handles" / handle).read_text())
                return self._named(key)
        self.asked(call, key)
        return self._named(key)

    def _named(self, key: str) -> Path:
        folder = self.folder / "jobs" / key
        if KEY.fullmatch(key) and not (folder / "node.json").exists() and folder.exists():
            with self._locked(f"locks/{key}"):  # it is just being submitted, or who did that has died
                pass
        if not (folder / "node.json").exists():
            raise NoSuchJobError(f"no job {key}")
        return folder

    def state(self, key: str, handle: str | None, call: str = "state") -> Job:
        """How a job is."""
        folder = self._find(key, handle, call)
        if call == "state":
            if self.faulty("unknown", key):
                raise AwayError("the answer was empty")
            if self.faulty("handle", key):
                self._another_handle(folder)
        try:
            job = self._judged(folder)
        except FileNotFoundError:
            raise NoSuchJobError(f"no job {key}") from None
        when = {"waiting": "waiting", "running": "running", "ended": "ended"}.get(job.state)
        if call == "state" and when:
            lost = self.faulty("lose", key, when=when) if when == "running" else self._lost_then(key, when)
            if lost:
                self._kill(folder)
                self._remove(folder)
                raise NoSuchJobError(f"no job {key}")
            if job.state == "ended" and self.faulty("no-exit", key):
                node.write(
                    folder / "exit.json",
                    {**json.loads((folder / "exit.json").read_text()), "exit_code": None},
                )
                job.exit_code = None
        return job

    def _lost_then(self, key: str, when: str) -> bool:
        """A fault that doesn't say when means: running."""
        path = self.folder / "faults.json"
        if not path.exists() or not any(f.get("when") == when for f in json.loads(path.read_text())):
            return False
        return self.faulty("lose", key, when=when) is not None

    def _judged(self, folder: Path) -> Job:
        sent = json.loads((folder / "sent.json").read_text())
        who = json.loads((folder / "node.json").read_text())
        lives = who["boot"] == self.boot and node.field(who["pid"], 19) == who["start"]
        job = Job("running", (folder / "sandbox").resolve(), sent, node=f"node-{who['pid'] % 7}")
        with contextlib.suppress(FileNotFoundError):
            end = json.loads((folder / "exit.json").read_text())
            job.state = "ended"
            job.__dict__.update(end)
            return job
        if not lives:
            if (folder / "exit.json").exists():  # written meanwhile
                return self._judged(folder)
            if not self._processes(folder):
                job.state = "gone"
                job.reason = "cancelled" if (folder / "cancelled").exists() else "its node was lost"
        elif not (folder / "begun.json").exists():
            job.state, job.reason = "waiting", "(Priority)"
        return job

    def _another_handle(self, folder: Path) -> None:
        (self.folder / "handles" / json.loads((folder / "handle.json").read_text())).unlink()
        handle = f"job-{os.urandom(6).hex()}"
        node.write(self.folder / "handles" / handle, folder.name)
        node.write(folder / "handle.json", handle)

    def living(self, prefix: str) -> list[str]:
        """Keys of jobs that wait or run."""
        self.asked("list", prefix)
        found = []
        for folder in sorted((self.folder / "jobs").glob(f"{prefix}*")):
            with contextlib.suppress(NoSuchJobError, FileNotFoundError):
                if self._judged(self._named(folder.name)).state in ("waiting", "running"):
                    found.append(folder.name)
        return found

    def _processes(self, folder: Path) -> dict[int, int]:
        """Living processes of a job, its node too: pid → start."""
        who = json.loads((folder / "node.json").read_text())
        found: dict[int, int] = {}
        if who["boot"] == self.boot and node.field(who["pid"], 19) == who["start"]:
            with contextlib.suppress(psutil.Error):
                below = psutil.Process(who["pid"]).children(recursive=True)
                found = {p.pid: s for p in below if (s := node.field(p.pid, 19))}
            found[who["pid"]] = who["start"]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                start = node.field(process.pid, 19)
                mine = process.environ().get("ESAP_WF_PIECE") == folder.name or (
                    os.getsid(process.pid) == who["pid"] and (start or 0) >= who["start"]
                )
                if start and mine:
                    found[process.pid] = start
        return found

    def _kill(self, folder: Path) -> None:
        """The node first, which would begin or tell something; then what it leaves, until nothing is left."""
        (folder / "cancelled").touch()
        end = time.monotonic() + 10
        while (left := self._processes(folder)) and time.monotonic() < end:
            who = json.loads((folder / "node.json").read_text())["pid"]
            for pid in sorted(left, key=lambda pid: pid != who):
                if node.field(pid, 19) == left[pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(node.PAUSE)

    def cancel(self, key: str, handle: str | None) -> None:
        """End a job."""
        folder = self._find(key, handle, "cancel")
        if not self.faulty("deaf", key) and self._judged(folder).state in ("waiting", "running"):
            self._kill(folder)

    def send(self, key: str, handle: str | None, number: int, to_all: bool) -> None:
        """Send a signal to the command of a job, or to all of it; one that waits is cancelled by any."""
        folder = self._find(key, handle, "signal")
        if self.faulty("deaf", key):
            return
        job = self._judged(folder)
        if job.state == "waiting":
            self._kill(folder)
            return
        if job.state != "running":
            return
        with contextlib.suppress(FileNotFoundError):
            end = time.monotonic() + 10
            while not (folder / "task.json").exists() and time.monotonic() < end:
                time.sleep(node.PAUSE)  # its node is about to write that down
            task = json.loads((folder / "task.json").read_text())
            who = json.loads((folder / "node.json").read_text())["pid"]
            chosen = (
                {p: s for p, s in self._processes(folder).items() if p != who}
                if to_all
                else {task["pid"]: task["start"]}
            )
            for pid, start in chosen.items():
                if node.field(pid, 19) == start:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)

    def remove(self, key: str, handle: str | None) -> None:
        """Remove a job that doesn't work any more."""
        folder = self._find(key, handle, "remove")
        with self._locked(f"locks/{key}"):
            if self._judged(folder).state in ("ended", "gone"):
                self._remove(folder)

    def _remove(self, folder: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "handles" / json.loads((folder / "handle.json").read_text())).unlink()
        away = self.folder / "removed" / f"{folder.name}.{os.urandom(4).hex()}"
        with contextlib.suppress(FileNotFoundError):
            folder.rename(away)
            if not (away / "exit.json").exists():
                self.log(job="over", key=folder.name)
        for left in (self.folder / "removed").iterdir():
            shutil.rmtree(left, ignore_errors=True)
