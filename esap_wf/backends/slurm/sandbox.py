"""The sandbox of a piece at a Slurm, and what it tells of it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.backends.launcher import Usage
from esap_wf.errors import EsapError
from esap_wf.formats import reading
from esap_wf.formats.printing import printable

#: Seconds after which a submission that nobody tells the end of is given up.
SUBMITS = 120.0
#: What the job's script and Slurm print; the piece has logs of its own.
OUTPUT = "slurm.log"
_ID = re.compile(r"[1-9][0-9]{0,11}")
_PRINTED = 20_000
_TIMES = re.compile(r"(\d+)m(\d+)[.,](\d+)s")


class Void(msgspec.Struct, frozen=True):
    """Why a piece was given up."""

    reason: str
    kind: str = ""
    where: str = ""


@dataclass(frozen=True)
class Exit:
    """How a piece has ended."""

    code: int
    where: str
    usage: Usage


class Sandbox:
    """
    One piece, as its sandbox tells of it.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        """Whether it is there."""
        return self.path.is_dir()

    @property
    def root(self) -> Path:
        """In which its command works."""
        return self.path / "run"

    # --- its submission

    @property
    def job(self) -> str:
        """Id of the job that was submitted; empty if nobody knows it."""
        text = _text(self.path / "job")
        return text if _ID.fullmatch(text) else ""

    def keep_job(self, job: str) -> None:
        """Keep the id of its job."""
        _put(self.path / "job", job)

    @property
    def tried(self) -> bool:
        """Whether a submission may have been begun."""
        return (self.path / "submitting").exists()

    def try_(self) -> None:
        """Write down that it is about to be submitted."""
        _put(self.path / "submitting", str(os.getpid()))

    @property
    def is_submitted(self) -> bool:
        """Whether somebody may still submit it, whose answer is waited for."""
        return age(self.path / "submitting" if self.tried else self.path) < SUBMITS

    @property
    def printed(self) -> str:
        """The last that its job and Slurm have printed."""
        try:
            return reading.tail(self.path / OUTPUT, _PRINTED)
        except (OSError, EsapError):
            return ""

    # --- its start

    @property
    def started(self) -> tuple[str, str] | None:
        """Id and node of the job that has begun with it; empty ones if it didn't come to say so."""
        if not (self.path / "started").is_dir():
            return None
        job, _, node = _text(self.path / "started" / "by").partition(" ")
        return (job if _ID.fullmatch(job) else ""), printable(node[:255])

    @property
    def again(self) -> bool:
        """Whether the job that has begun with it was started once more."""
        job = self.started[0] if self.started else ""
        return any(line.split()[:1] == [job] for line in _text(self.path / "again").splitlines())

    def bar(self) -> bool:
        """See to it that no job begins with it; whether that is so."""
        try:
            (self.path / "started").mkdir()
        except FileExistsError:
            return (self.path / "barred").exists()
        (self.path / "barred").touch()
        return True

    # --- its end

    def end(self) -> Exit | Void | None:
        """How it has ended, or why it was given up."""
        over = self.path / "over"
        if (text := _text(over / "void")) or (over / "void").exists():
            try:
                return msgspec.json.decode(text, type=Void)
            except msgspec.MsgspecError:
                return Void("nobody knows why it was given up")
        words = _text(over / "exit").split()
        if len(words) < 6 or not re.fullmatch(r"\d{1,3}", words[0]):
            return None
        return Exit(int(words[0]), printable(words[3][:255]), _usage(words))

    def give_up(self, why: Void) -> Exit | Void:
        """Nothing that it may still tell counts any more, unless it was quicker: how it is over."""
        half = self.path / f"void-{secrets.token_hex(6)}"
        half.mkdir()
        (half / "void").write_bytes(msgspec.json.encode(why))
        try:
            claim(half, self.path / "over")
        except FileExistsError:
            remove(half)
        (self.path / "secrets.sh").unlink(missing_ok=True)
        return self.end() or why

    def missed_for(self) -> float:
        """Seconds since it was first noticed that its job is over and its end is not seen."""
        mark = self.path / "missed"
        if not mark.exists():
            mark.touch()
        return age(mark)

    @property
    def said(self) -> Void | None:
        """What Slurm has said of its end."""
        try:
            return msgspec.json.decode((self.path / "said").read_bytes(), type=Void)
        except (OSError, msgspec.MsgspecError):
            return None

    def keep_said(self, said: Void) -> None:
        """Keep it: Slurm forgets it."""
        _put(self.path / "said", msgspec.json.encode(said).decode())

    # --- what it is asked for

    def ask_all(self, signal: str) -> None:
        """A signal that comes next is for all that it has started."""
        (self.path / "signals" / f"{signal}.{secrets.token_hex(4)}").touch()

    def ask_end(self) -> None:
        """A signal that comes next means that all of it ends."""
        (self.path / "kill").touch()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def age(path: Path) -> float:
    """
    Seconds since it was changed, by the clock that has written that: a file server has one of its own. 0 if
    it is not there.
    """
    try:
        changed = path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    return max(0.0, _now(path.parent) - changed)


def _now(folder: Path) -> float:
    """Of the file system of a folder; this machine's, where nothing can be written."""
    try:
        return files.clock(folder)
    except OSError:
        return time.time()


def _put(path: Path, text: str) -> None:
    half = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    half.write_text(text)
    half.rename(path)


def claim(half: Path, name: Path) -> None:
    """
    Give a folder that is not empty a name, if no other has it.

    Raises
    ------
    FileExistsError
    """
    try:
        half.rename(name)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(str(name)) from None
        raise


def remove(path: Path) -> None:
    """Remove a folder, also one that forbids it."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for folder, _, _ in os.walk(path):
            with contextlib.suppress(OSError):
                Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)


def _usage(words: Sequence[str]) -> Usage:
    times = [_TIMES.fullmatch(text) for text in words[4:6]]
    cpu = sum(60 * int(m[1]) + float(f"{m[2]}.{m[3]}") for m in times if m) if all(times) else None
    try:
        wall = max(0.0, float(words[2]) - float(words[1]))
    except ValueError:
        wall = None
    return Usage(cpu_seconds=cpu, wall_seconds=wall)
