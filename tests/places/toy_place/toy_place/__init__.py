"""
A kind of place for tests: a cluster in a folder of this machine, which does all that a place may do to a run.

It shares nothing with who uses it: a piece is copied into a sandbox, runs there in a session of its own, and what it has made is copied
back. There is no bulk question: `look` asks once a piece. `cluster` says what it does wrong, and how it is told to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from esap_wf.backends import (
    BackendBase,
    Condition,
    Found,
    Launcher,
    NeedsPersonError,
    NoSettings,
    OutageError,
    Part,
    Piece,
    Profile,
    Refusal,
    Seen,
    Signal,
    Survey,
    Usage,
)
from toy_place import transfer
from toy_place.cluster import AwayError, Cluster, Job, LockedOutError, NoSuchJobError, RefusedError

#: What is looked for on the PATH there.
PROGRAMS = ("bash", "python", "python3", "node", "java", "git")
#: What its operator has put beside the software.
RUNTIMES = ("apptainer", "podman")


class Settings(NoSettings, frozen=True, kw_only=True):
    """Where the cluster is."""

    folder: str


class Toy(BackendBase):
    contract = 1
    name = "toy"
    title = "a toy cluster"
    settings = Settings

    def survey(self, profile: Profile, cache: Path) -> Survey:
        cluster = _cluster(profile)
        try:
            cluster.asked("survey", "")
        except AwayError as error:
            raise OutageError(str(error)) from None
        except LockedOutError as error:
            raise NeedsPersonError(str(error)) from None
        disk = os.statvfs(cluster.folder)
        path = os.pathsep.join([*profile.software.path, cluster.own()["PATH"]])
        programs = {name: found for name in PROGRAMS if (found := shutil.which(name, path=path))}
        own = os.pathsep.join(profile.software.path)
        return Survey(
            asked=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            disk_bytes=disk.f_bavail * disk.f_frsize,
            programs=programs,
            engines={
                name: Found(path=there.path, version=there.version or _version(there.path))
                for name, there in profile.engines.items()
                if there.path and os.access(there.path, os.X_OK)
            },
            python=_distributions(programs),
            runtimes={
                name: Found(path=found, version=_version(found))
                for name in RUNTIMES
                if (found := shutil.which(name, path=own))
            },
            system="Toy 1.0",
        )

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        return ToyLauncher(_cluster(profile))


def _cluster(profile: Profile) -> Cluster:
    return Cluster(Path(msgspec.convert(profile.settings, Settings).folder))


def _version(program: str) -> str:
    """In three numbers at most."""
    for word in ("--version", "-v"):
        said = subprocess.run([program, word], capture_output=True, text=True, check=False, timeout=60)
        if found := re.search(r"\d+(?:\.\d+){1,2}", said.stdout):
            return found[0]
    return ""


def _distributions(programs: Mapping[str, str]) -> dict[str, str]:
    """Of the Python that comes first."""
    python = programs.get("python") or programs.get("python3")
    if python is None:
        return {}
    said = subprocess.run(
        [
            python,
            "-c",
            "from importlib import metadata; import json; "
            "print(json.dumps({d.metadata['Name']: d.version for d in metadata.distributions()}))",
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    found = json.loads(said.stdout)
    assert isinstance(found, dict)
    return found


class ToyLauncher(Launcher):
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        answers: dict[str, str | Refusal] = {}
        for piece in pieces:
            variables = {**piece.environment, "ESAP_WF_PIECE": piece.key}
            secrets = {name: os.environ[name] for name in piece.secrets if name in os.environ}
            try:
                handle = self.cluster.submit(piece.key, piece.folder, piece.command, variables, secrets)
            except AwayError as error:
                raise OutageError(str(error)) from None
            except LockedOutError as error:
                raise NeedsPersonError(str(error)) from None
            except RefusedError as error:
                answers[piece.key] = Refusal(str(error))
            else:
                if handle is not None:
                    answers[piece.key] = handle
        return answers

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        return {key: self._seen(key, handle) for key, handle in pieces.items()}

    def _seen(self, key: str, handle: str | None) -> Seen:
        try:
            job = self.cluster.state(key, handle)
        except AwayError as error:
            return Seen(Condition.UNKNOWN, reason=str(error))
        except LockedOutError as error:
            raise NeedsPersonError(str(error)) from None
        except NoSuchJobError as error:
            return Seen(Condition.GONE, reason=str(error))
        return Seen(
            Condition(job.state),
            exit_code=job.exit_code,
            reason=job.reason,
            where=job.node,
            root=str(job.sandbox),
            usage=Usage(job.cpu_seconds, job.max_rss_bytes, job.wall_seconds),
        )

    def survivors(self, run: str) -> Sequence[str] | None:
        try:
            return self.cluster.living(f"{run}.")
        except (AwayError, LockedOutError):
            return None

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        for key, handle in pieces.items():
            try:
                if signal is None:
                    self.cluster.cancel(key, handle)
                else:
                    self.cluster.send(key, handle, signal.number, signal.to_jobs)
            except (AwayError, LockedOutError, NoSuchJobError):
                continue

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        try:
            job = self.cluster.state(key, handle, "pull")
            cut = self.cluster.faulty("cut", key)
            transfer.fetch(
                job.sandbox, job.sent, into, part is Part.RECORD, wanted, self._breaks(cut is not None)
            )
        except (AwayError, LockedOutError) as error:
            raise OutageError(str(error)) from None
        except NoSuchJobError as error:
            raise LookupError(str(error)) from None

    def _breaks(self, after_half: bool) -> transfer.Break:
        """Called before each file: raises where the connection is to break."""

        def check(done: int, of: int) -> None:
            if after_half and done >= of // 2:
                raise AwayError("the connection broke in the middle")

        return check

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        for key, handle in pieces.items():
            try:
                self.cluster.remove(key, handle)
            except (AwayError, LockedOutError) as error:
                raise OutageError(str(error)) from None
            except NoSuchJobError:
                continue


__all__ = ["Job", "Settings", "Toy", "ToyLauncher"]
