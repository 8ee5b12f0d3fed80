"""
The pieces of a run that works elsewhere, as the run directory records them: ``pieces/<slice>/<attempt>/``.

A slice is ``whole``, ``1`` … ``n`` or ``join``. Each has one slot, ``pieces/<slice>/end``, that is filled
once, with the attempt whose results count: so results are accepted exactly once, however often a piece was
started. What of an attempt is written before it is started is enough to find it at its place.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from esap_wf import files
from esap_wf.errors import EsapError, NotFoundError
from esap_wf.formats import reading
from esap_wf.models import Model
from esap_wf.models.run import encode
from esap_wf.runs.layout import Layout

FOLDER = "pieces"
WHOLE, JOIN = "whole", "join"
#: Where what was pulled of an attempt lies, below its folder: it mirrors the run directory.
PULLED = "run"
_SLICE = re.compile(r"whole|join|[1-9]\d*")


class Attempt(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    ``piece.json``, written and synced before a piece is started.

    Parameters
    ----------
    key : str
        ``run.epoch.slice.attempt``.
    slice : str
    attempt : int
        From 1.
    plan : str
        Checksum of the plan that it was made by: with another one, its results are nobody's.
    started : str
        When it was written.
    why : str
        Why a further attempt was needed.
    """

    schema_version: int = 1
    key: str
    slice: str
    attempt: int
    plan: str
    started: str
    why: str = ""


class AttemptEnd(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    ``end.json`` of an attempt: how it ended, written when all of it was pulled, or when it was given up.

    Parameters
    ----------
    exit_code : int, optional
        None if it was lost or given up.
    lost : bool
        The place had it no more, or it was killed there by something else.
    ran : bool
        It may have begun: another attempt is a second execution.
    kind : str
        Why its place has ended it, as a `Reason`; empty if it hasn't, or nobody knows.
    """

    schema_version: int = 1
    exit_code: int | None = None
    lost: bool = False
    ran: bool = True
    reason: str = ""
    kind: str = ""
    where: str = ""
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    wall_seconds: float | None = None
    ended: str = ""


class SliceEnd(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``end`` of a slice: the attempt whose results count, and their SHA-256 by path relative to the run."""

    schema_version: int = 1
    attempt: int
    files: dict[str, str]
    accepted: str


class Pieces:
    """
    The pieces of one run.

    Parameters
    ----------
    run : Path
        Run directory.
    store : Layout
    """

    def __init__(self, run: Path, store: Layout) -> None:
        self.run, self.store = run, store
        self.folder = run / FOLDER

    def path(self, slice_: str, attempt: int) -> Path:
        """Folder of an attempt."""
        assert _SLICE.fullmatch(slice_)
        return self.folder / slice_ / str(attempt)

    def pulled(self, attempt: Attempt) -> Path:
        """Where what was pulled of an attempt lies; it mirrors the run directory."""
        return self.path(attempt.slice, attempt.attempt) / PULLED

    def slices(self) -> list[str]:
        """Slices of which anything is recorded, in order."""
        try:
            names = [p.name for p in self.folder.iterdir() if _SLICE.fullmatch(p.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(names, key=lambda n: (not n.isdigit(), int(n) if n.isdigit() else 0, n))

    def attempts(self, slice_: str) -> Iterator[Attempt]:
        """All attempts of a slice, oldest first; one that never came to be written is none."""
        try:
            numbers = sorted(int(p.name) for p in (self.folder / slice_).iterdir() if p.name.isdigit())
        except (FileNotFoundError, NotADirectoryError):
            return
        for number in numbers:
            try:
                yield files.read_json(self.path(slice_, number) / "piece.json", Attempt)
            except NotFoundError:
                continue

    def begin(self, attempt: Attempt) -> bool:
        """Write down an attempt, before it is started. False if another owner has begun the same one."""
        for folder in (self.folder, self.folder / attempt.slice):
            self.store.make_folder(folder)
        folder = self.store.make_folder(self.path(attempt.slice, attempt.attempt))
        return files.create_exclusive(folder / "piece.json", encode(attempt), mode=self.store.file_mode)

    def handle(self, attempt: Attempt) -> str | None:
        """What the place calls it; None if that was never heard."""
        try:
            return reading.read_bytes(self.path(attempt.slice, attempt.attempt) / "handle").decode()
        except (NotFoundError, UnicodeDecodeError):
            return None

    def keep_handle(self, attempt: Attempt, handle: str) -> None:
        """Write down what the place calls it."""
        path = self.path(attempt.slice, attempt.attempt) / "handle"
        files.write_atomic(path, handle.encode(), mode=self.store.file_mode)

    def end_of(self, attempt: Attempt) -> AttemptEnd | None:
        """How an attempt ended; None if that isn't known yet."""
        try:
            return files.read_json(self.path(attempt.slice, attempt.attempt) / "end.json", AttemptEnd)
        except NotFoundError:
            return None

    def begun(self, attempt: Attempt) -> str | None:
        """Where an attempt was seen at work; None if it never was."""
        try:
            return reading.read_text(self.path(attempt.slice, attempt.attempt) / "begun").strip()
        except (NotFoundError, UnicodeDecodeError):
            return None

    def keep_begun(self, attempt: Attempt, where: str) -> None:
        """Write down that an attempt was seen at work, and where."""
        path = self.path(attempt.slice, attempt.attempt) / "begun"
        files.create_exclusive(path, f"{where}\n".encode(), mode=self.store.file_mode)

    def keep_end(self, attempt: Attempt, end: AttemptEnd) -> None:
        """Write down how an attempt ended."""
        path = self.path(attempt.slice, attempt.attempt) / "end.json"
        files.write_atomic(path, encode(end), mode=self.store.file_mode)

    def accept(self, attempt: Attempt, end: SliceEnd) -> SliceEnd:
        """
        Fill the slot of a slice, or learn who has: the first one counts, for ever.

        Returns
        -------
        SliceEnd
            What the slot holds.
        """
        slot = self.folder / attempt.slice / "end"
        self.store.claim_file(self.run, slot, encode(end))
        return files.read_json(slot, SliceEnd)

    def accepted(self, slice_: str) -> SliceEnd | None:
        """What the slot of a slice holds."""
        try:
            return files.read_json(self.folder / slice_ / "end", SliceEnd)
        except NotFoundError:
            return None

    def forgotten(self, attempt: Attempt) -> bool:
        """Whether the place was told to forget an attempt, and has."""
        return (self.path(attempt.slice, attempt.attempt) / "forgotten").exists()

    def keep_forgotten(self, attempt: Attempt) -> None:
        """Write down that the place has nothing of it any more."""
        files.create_exclusive(
            self.path(attempt.slice, attempt.attempt) / "forgotten", b"", mode=self.store.file_mode
        )

    def put_away(self) -> None:
        """Nothing that is recorded counts any more: another plan is in force."""
        number = 1
        while (kept := self.run / f"{FOLDER}.{number}").exists():
            number += 1
        self.folder.rename(kept)
        files.sync_folder(self.run)


def not_forgotten(run: Path, store: Layout) -> list[str]:
    """Keys of a run's pieces of which its place may still have something."""
    pieces = Pieces(run, store)
    attempts = (a for name in pieces.slices() for a in pieces.attempts(name))
    return [a.key for a in attempts if not pieces.forgotten(a)]


def under_way(run: Path, store: Layout) -> bool:
    """Whether any piece of a run may be at work."""
    pieces = Pieces(run, store)
    return any(pieces.end_of(a) is None for name in pieces.slices() for a in pieces.attempts(name))


class Counts(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    The pieces of a run in numbers: slices, with what joins them, and `lost` and `second_executions` of their
    attempts.
    """

    total: int
    accepted: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    lost: int = 0
    second_executions: int = 0


def counted(pieces: Pieces, slices: int, at_work: bool) -> Counts:
    """
    The pieces of a run in numbers.

    Parameters
    ----------
    pieces : Pieces
    slices : int
        Of the plan.
    at_work : bool
        False: the run has ended, so nothing is waited for.
    """
    names = [WHOLE] if slices < 2 else [*map(str, range(1, slices + 1)), JOIN]
    accepted = running = failed = lost = 0
    for name in names:
        ends = [(attempt, pieces.end_of(attempt)) for attempt in pieces.attempts(name)]
        lost += sum(end is not None and end.lost for _, end in ends)
        attempt, end = ends[-1] if ends else (None, None)
        if pieces.accepted(name):
            accepted += 1
        elif end is not None:
            failed += not end.lost
        elif attempt is not None:
            running += at_work and pieces.begun(attempt) is not None
    return Counts(
        total=len(names),
        accepted=accepted,
        running=running,
        waiting=len(names) - accepted - running - failed if at_work else 0,
        failed=failed,
        lost=lost,
        second_executions=second_executions(pieces),
    )


def second_executions(pieces: Pieces) -> int:
    """Attempts that may have begun although an earlier one of the same slice had."""
    again = 0
    for slice_ in pieces.slices():
        ran = 0
        # a broken record is told where it is needed
        with contextlib.suppress(EsapError):
            for attempt in pieces.attempts(slice_):
                end = None
                with contextlib.suppress(EsapError):
                    end = pieces.end_of(attempt)
                ran += end is None or end.ran
        again += max(0, ran - 1)
    return again
