"""One file from where it lies into the cache: once, whole, and with the content that was promised."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import queue
import shutil
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from esap_wf import files
from esap_wf.datalakes import LakeOutageError
from esap_wf.errors import Problem, RefusedError
from esap_wf.formats import digests
from esap_wf.formats.quantities import human_bytes
from esap_wf.transfers.cache import Cache
from esap_wf.transfers.sources import AgainError, Source

#: Bytes from which on sums are made beside the reading, by a thread.
_LARGE = 8_000_000
_CHUNK = 1 << 20
#: Bytes of a file whose size nobody says.
MOST = 100_000_000_000


class BadContentError(RefusedError):
    """A file is not what its catalogue says, however often it is read."""

    code = "bad-content"


@dataclass(frozen=True)
class Wanted:
    """
    A file and what is known of it.

    Parameters
    ----------
    uri : str
    bytes : int, optional
    checksums : mapping
        ``sha256``, ``md5``, ``adler32`` → hexadecimal digits.
    modified : str
        RFC 3339; empty if nobody knows.
    """

    uri: str
    bytes: int | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    modified: str = ""

    @property
    def key(self) -> str:
        """The same only of the same file with the same content, as far as that is known."""
        return digests.of_data([self.uri, self.bytes, sorted(self.checksums.items()), self.modified])


@dataclass(frozen=True)
class Fetched:
    """A file that is in the cache; `hit`: it was there before."""

    path: Path
    sha256: str
    bytes: int
    hit: bool = False


#: Told of bytes that have come; may raise to stop.
Progress = Callable[[int], None]
Known = Callable[[], str | None]
Learn = Callable[[Fetched], None]


def fetch(
    source: Source,
    wanted: Wanted,
    cache: Cache,
    known: Known,
    learn: Learn = lambda fetched: None,
    progress: Progress = lambda n: None,
) -> Fetched:
    """
    Get a file; of one that is there, or half there, only what is missing is read.

    Parameters
    ----------
    source : Source
    wanted : Wanted
    cache : Cache
    known : callable
        Gives the SHA-256 of this file if somebody has found it out; asked again after another one has been
        waited for, who has.
    learn : callable, optional
        Told of a file that was fetched, before anybody else may fetch it.
    progress : callable, optional

    Raises
    ------
    BadContentError
        Size or checksum are not those of the catalogue, twice.
    NoEntryError, DeniedError
        Who runs this may not have it, or it is gone.
    LakeOutageError
        It can't be read now: what has come stays, and the next call goes on from there.
    EsapError
        The disk is full, say.
    """
    sha256 = wanted.checksums.get("sha256") or known()
    if hit := _here(source, cache, sha256, progress):
        return hit
    with cache.part(wanted.key, lambda: progress(0)) as part:
        sha256 = sha256 or known()
        if hit := _here(source, cache, sha256, progress):  # somebody else was quicker
            return hit
        for last in (False, True):
            try:
                sums = _into(part, source, wanted, progress)
            except AgainError:
                part.unlink(missing_ok=True)
                sums = _into(part, source, wanted, progress)
            if not (wrong := _wrong(sums, wanted, sha256)):
                break
            part.unlink(missing_ok=True)
            if last:
                hint = "tell who keeps this data; it was fetched twice"
                raise BadContentError(
                    f"{wanted.uri} is not what its catalogue says", [Problem(wanted.uri, wrong, hint)]
                )
        found = sums.of("sha256") or ""
        fetched = Fetched(cache.keep(part, found, _seconds(wanted.modified)), found, sums.bytes)
        learn(fetched)
        return fetched


def _here(source: Source, cache: Cache, sha256: str | None, progress: Progress) -> Fetched | None:
    """A file that is there, if who runs this may have it; None if it isn't."""
    path = cache.find(sha256) if sha256 else None
    if sha256 is None or path is None:
        return None
    source.confirm_allowed()
    size = path.stat().st_size
    progress(size)
    return Fetched(path, sha256, size, hit=True)


def _seconds(modified: str) -> float | None:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(modified).timestamp() if modified else None
    return None


def _into(part: Path, source: Source, wanted: Wanted, progress: Progress) -> Sums:
    """The rest of a file behind what is there of it; the sums of all of it."""
    try:
        with part.open("a+b") as file:
            start = file.tell()
            if wanted.bytes is not None and start > wanted.bytes:
                file.truncate(0)
                start = 0
            with summing(wanted) as sums:
                _read_again(file, sums, progress)
                if wanted.bytes is None or start < wanted.bytes or not start:
                    _append(file, source, wanted, start, sums, progress)
            file.flush()
            os.fsync(file.fileno())
        return sums
    except OSError as error:
        raise files.explain(error, part) from error


def _read_again(file: BinaryIO, sums: Sums, progress: Progress) -> None:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        sums.add(chunk)
        progress(len(chunk))


def _append(
    file: BinaryIO, source: Source, wanted: Wanted, start: int, sums: Sums, progress: Progress
) -> None:
    tee = _Tee(file, sums)
    come = start
    for size in source.fetch(cast(BinaryIO, tee), start):
        come += size
        progress(size)
        # a server may send for ever
        if wanted.bytes is None:
            _confirm_room(file, come, wanted)
        elif come > wanted.bytes:
            break  # that the size is wrong is said below
    # who has it to its end and less than was promised, has another file: that is said below, not waited for
    if wanted.bytes is not None and come < wanted.bytes and not source.tells_breaks:
        file.flush()
        raise LakeOutageError(
            f"{source.place} has sent {human_bytes(come)} of {human_bytes(wanted.bytes)} of {wanted.uri}"
        )


def _confirm_room(file: BinaryIO, come: int, wanted: Wanted) -> None:
    """A file of which nobody says how large it is leaves as much space to others as it takes."""
    what = f"nobody says how large it is, and {human_bytes(come)} have come"
    if come > MOST:
        file.truncate(0)
        problem = Problem(wanted.uri, what, "fetch it, and give its path")
        raise BadContentError(f"{wanted.uri} is larger than any file", [problem])
    if come > (free := shutil.disk_usage(file.name).free):
        file.truncate(0)
        what += f"; {human_bytes(free)} are free"
        problem = Problem(wanted.uri, what, "free some space: `esap-wf rm RUN`")
        raise files.NoSpaceError(f"no space left for {wanted.uri}", [problem])


def _wrong(sums: Sums, wanted: Wanted, sha256: str | None) -> str:
    """What is wrong with what has come; empty if nothing is."""
    if wanted.bytes is not None and sums.bytes != wanted.bytes:
        much = "more" if sums.bytes > wanted.bytes else f"{sums.bytes}"
        return f"it has {much} bytes, but {wanted.bytes} were promised"
    expected = {**wanted.checksums, **({"sha256": sha256} if sha256 else {})}
    for kind, value in expected.items():
        found = sums.of(kind)
        if found is not None and found != value.lower():
            return f"its {kind} is {found}, but {value} was promised"
    return ""


class Sums:
    """
    Checksums of bytes that pass by.

    Parameters
    ----------
    kinds : iterable of str
        Beside SHA-256: ``md5``, ``adler32``; others are not made.
    beside : bool
        Whether they are made by a thread of their own.
    """

    def __init__(self, kinds: Iterable[str], beside: bool) -> None:
        self.bytes, self._adler = 0, 1
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if "md5" in kinds else None
        self._has_adler = "adler32" in kinds
        self._waiting: queue.Queue[bytes | None] = queue.Queue(8)
        self._thread = threading.Thread(target=self._work, daemon=True) if beside else None
        if self._thread:
            self._thread.start()

    def _work(self) -> None:
        while (data := self._waiting.get()) is not None:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._sha256.update(data)
        if self._md5:
            self._md5.update(data)
        if self._has_adler:
            self._adler = zlib.adler32(data, self._adler)

    def add(self, data: bytes) -> None:
        """In their order."""
        self.bytes += len(data)
        if self._thread:
            self._waiting.put(bytes(data))
        else:
            self._take(data)

    def end(self) -> None:
        """Until all is summed up."""
        if self._thread:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def of(self, kind: str) -> str | None:
        """Hexadecimal digits; None of a kind that isn't made."""
        if kind == "sha256":
            return self._sha256.hexdigest()
        if kind == "md5":
            return self._md5.hexdigest() if self._md5 else None
        return f"{self._adler:08x}" if kind == "adler32" and self._has_adler else None


@contextlib.contextmanager
def summing(wanted: Wanted) -> Iterator[Sums]:
    """Sums of a file, which can be asked for afterwards."""
    sums = Sums(wanted.checksums, (wanted.bytes or 0) >= _LARGE)
    try:
        yield sums
    finally:
        sums.end()


class _Tee(io.RawIOBase):
    """A file whose bytes are summed up as they are written."""

    def __init__(self, file: BinaryIO, sums: Sums) -> None:
        self._file, self._sums = file, sums

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._file.write(data)
        self._sums.add(data)
        return len(data)
