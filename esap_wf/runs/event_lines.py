"""Lines of ``events.jsonl``, as counting needs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from esap_wf.formats import reading
from esap_wf.models.run import Failure, Reason

_CHUNK = 4 * 1024 * 1024
_KEY = 64


class Line(msgspec.Struct, gc=False):
    """
    What the fold needs of an `Event`; everything else, also fields of a newer version, is skipped by the
    decoder.
    """

    kind: str
    epoch: int | None = None
    step: str | None = None
    unit: str | None = None
    job: str | None = None
    attempt: int | None = None
    exit_code: int | None = None
    reason: str | None = None
    detail: str | None = None
    log: str | None = None
    host: str | None = None
    batch: str | None = None
    state: str | None = None
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    seconds: float | None = None
    totals: dict[str, int] | None = None


decode = msgspec.json.Decoder(Line).decode


def key_of(step: str, unit: str | None, job: str | None) -> str:
    """What identifies a job; empty if its engine doesn't say."""
    name = unit if unit is not None else job
    if name is None:
        return ""
    key = f"{step}\t{name}"
    if len(key) <= _KEY:
        return key
    from hashlib import blake2b  # loads OpenSSL, for what is rare

    return blake2b(key.encode(), digest_size=12).hexdigest()


def failure_of(line: Line, name: str) -> Failure:
    """The failure that a line tells of, of a step of that name."""
    return Failure(
        step=name,
        unit=line.unit,
        attempt=line.attempt,
        reason=line.reason or Reason.UNKNOWN,
        exit_code=line.exit_code,
        job_id=line.job,
        log=line.log,
        detail=line.detail or "",
        epoch=line.epoch,
        job=line.batch,
        node=line.host if line.batch else None,
    )


def completed(failure: Failure, line: Line) -> Failure:
    """
    A failure with what the workload manager says of its job. Of a unit in a shard, which has failed for a
    reason of its own, where that was; and who killed it, if it was killed.
    """
    if failure.step != line.step:
        told = failure.reason == Reason.SIGNAL and line.reason is not None
        return msgspec.structs.replace(
            failure,
            reason=line.reason if told and line.reason else failure.reason,
            detail=line.detail or failure.detail if told else failure.detail,
            node=line.host or failure.node,
            state=line.state,
        )
    return msgspec.structs.replace(
        failure,
        reason=line.reason or failure.reason,
        exit_code=failure.exit_code if line.exit_code is None else line.exit_code,
        detail=line.detail or failure.detail,
        log=line.log or failure.log,
        node=line.host or failure.node,
        state=line.state,
    )


def complete_lines(path: Path, offset: int) -> Iterator[bytes]:
    """Complete lines of a log from a byte offset on; nothing if there is no log."""
    try:
        file = reading.opened(path)
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        rest = b""
        while chunk := file.read(_CHUNK):
            lines = (rest + chunk).splitlines(keepends=True) if b"\r" not in chunk else _split(rest + chunk)
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            yield from lines


def _split(data: bytes) -> list[bytes]:
    """Cut at newlines only: `bytes.splitlines` takes a carriage return for one, too."""
    parts = [part + b"\n" for part in data.split(b"\n")]
    last = parts.pop()[:-1]
    return [*parts, last] if last else parts
