"""
The engine of an epoch, as the run directory records it: its process, or the job that it is, its signs of
life, its end, and whether it was given up.

`esap_wf.backends` starts engines and writes this record; whoever adopts or removes a run reads it.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError
from esap_wf.models import Model
from esap_wf.runs.lease import TTL
from esap_wf.runs.processes import Holder


class EngineProcess(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``engine/<epoch>.json``: the engine of an epoch and its keeper."""

    schema_version: int = 1
    epoch: int
    engine: Holder
    keeper: Holder


class EngineJob(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    ``engine/<epoch>.job.json``: the engine of an epoch that is a job of a workload manager. It is written
    before the job is handed in, and again when its id is known.
    """

    schema_version: int = 1
    epoch: int
    place: str
    name: str
    job: str = ""
    submitted: str = ""


class EngineExit(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    ``engine/<epoch>.exit.json``: how it ended, what it and its jobs used, whether it left processes behind,
    and whether it was asked to start no more jobs because its time was almost over.
    """

    schema_version: int = 1
    exit_code: int
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0
    orphans: bool = True
    drained: bool = False


def of(run: Path, epoch: int) -> EngineProcess | None:
    """The engine that an epoch started, if it got so far."""
    try:
        return files.read_json(run / "engine" / f"{epoch}.json", EngineProcess)
    except NotFoundError:
        return None


def job_of(run: Path, epoch: int) -> EngineJob | None:
    """The job that the engine of an epoch is, or was to be; None if it is none."""
    try:
        return files.read_json(_job(run, epoch), EngineJob)
    except NotFoundError:
        return None


def keep_job(run: Path, job: EngineJob, mode: int | None = None) -> None:
    """Write down which job the engine of an epoch is, before anything else happens."""
    files.write_atomic(_job(run, job.epoch), msgspec.json.encode(job), mode=mode)


def _job(run: Path, epoch: int) -> Path:
    return run / "engine" / f"{epoch}.job.json"


def end_of(run: Path, epoch: int) -> EngineExit | None:
    """How the engine of an epoch ended; None if it runs, or if nobody was left to see it."""
    try:
        return files.read_json(run / "engine" / f"{epoch}.exit.json", EngineExit)
    except NotFoundError:
        return None


def keep_end(run: Path, epoch: int, end: EngineExit) -> None:
    """Write down how the engine of an epoch ended."""
    files.write_atomic(run / "engine" / f"{epoch}.exit.json", msgspec.json.encode(end), sync=False)


def started(run: Path) -> list[int]:
    """Epochs that started an engine, in order."""
    try:
        names = [p.name for p in (run / "engine").iterdir() if p.suffix == ".json"]
    except FileNotFoundError:
        return []
    found = {n.removesuffix(".json").removesuffix(".job") for n in names}
    return sorted(int(n) for n in found if n.isdigit())


def last(run: Path, below: int) -> int:
    """The last epoch before `below` that started an engine; 0 if none did."""
    return max((e for e in range(1, below) if of(run, e) or job_of(run, e)), default=0)


def beat_path(run: Path, epoch: int) -> Path:
    """What its keeper touches, every `lease.RENEW` seconds."""
    return run / "engine" / f"{epoch}.beat"


def last_beat(run: Path, epoch: int) -> int:
    """
    Time of the last sign of life by the clock of its host or file server: only that it changes says anything.
    0 if there was none.
    """
    try:
        return beat_path(run, epoch).stat().st_mtime_ns
    except OSError:
        return 0


def beats(run: Path, epoch: int, seconds: float = TTL) -> bool:
    """
    Whether a keeper on another host gives a sign of life within a time, by this process's monotonic clock.
    """
    before, until = last_beat(run, epoch), time.monotonic() + seconds
    while time.monotonic() < until:
        if last_beat(run, epoch) != before:
            return True
        if end_of(run, epoch):
            return False
        time.sleep(0.5)
    return False


def declare_void(run: Path, epoch: int, mode: int | None = None) -> None:
    """
    Write ``engine/<epoch>.void``: whatever of that engine still lives, wherever it is, is to end and its
    results are nobody's.

    Written by an owner that doesn't adopt the engine, before it starts another; once it is there it stays.
    """
    files.create_exclusive(_void(run, epoch), b"", mode=mode)


def is_void(run: Path, epoch: int) -> bool:
    """
    Whether a later owner has given up the engine of an epoch; also if the run is gone altogether. A file
    server that fails says no.
    """
    try:
        return _void(run, epoch).exists() or not (run / "engine").is_dir()
    except OSError:
        return False


def _void(run: Path, epoch: int) -> Path:
    return run / "engine" / f"{epoch}.void"
