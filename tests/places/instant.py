"""A place in this process: pieces do their work in no time, when they are told to, and everything that a place may do wrong happens when it is told to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.backends import (
    Condition,
    Launcher,
    NeedsPersonError,
    OutageError,
    Part,
    Piece,
    Refusal,
    Seen,
    Signal,
)

LIVING = (Condition.WAITING, Condition.RUNNING)


@dataclass
class Job:
    """A piece that the place has, and the folder in which it works."""

    folder: Path
    condition: Condition = Condition.WAITING
    exit_code: int | None = 0

    def work(self) -> None:
        """What the pipelines of `elsewhere.FILES` do."""
        config = json.loads((self.folder / "config.json").read_text())
        outputs = self.folder / "outputs"
        if "slice" in config:
            n, s, k = config["units"], config["slice"], config["slices"]
            (outputs / "units").mkdir(parents=True, exist_ok=True)
            for unit in range((s - 1) * n // k + 1, s * n // k + 1):
                (outputs / f"units/u{unit:03}.dat").write_text(f"unit u{unit:03}\n")
        else:
            parts = sorted(config["inputs"]["unit_files"])
            (outputs / "all.txt").write_text("".join((self.folder / part).read_text() for part in parts))


@dataclass
class Instant(Launcher):
    """
    Parameters
    ----------
    folder : Path
    once : set of str
        What goes wrong with the next call that it concerns: ``twice``, ``busy``, ``cut``, ``deaf``.
    away, wants : bool
        Nobody answers; somebody must act.
    """

    folder: Path
    jobs: dict[str, Job] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    once: set[str] = field(default_factory=set)
    away: bool = False
    wants: bool = False

    def _asked(self) -> None:
        if self.away:
            raise OutageError("it does not answer")
        if self.wants:
            raise NeedsPersonError("your ticket has expired")

    def _now(self, fault: str) -> bool:
        if fault in self.once:
            self.once.discard(fault)
            return True
        return False

    def living(self, slice_: str) -> list[str]:
        """Keys of attempts at a slice that wait or run."""
        return [k for k, job in self.jobs.items() if k.split(".")[2] == slice_ and job.condition in LIVING]

    # --- what happens there

    def begins(self, key: str) -> None:
        job = self.jobs[key]
        if job.condition is Condition.WAITING:
            job.condition = Condition.RUNNING
            self.begun.append(key)

    def ends(self, key: str, exit_code: int | None) -> None:
        self.begins(key)
        if self.jobs[key].condition is Condition.RUNNING:
            self.jobs[key].work()
            self.jobs[key].condition, self.jobs[key].exit_code = Condition.ENDED, exit_code

    def loses(self, key: str) -> None:
        shutil.rmtree(self.jobs.pop(key).folder)

    # --- what it is asked

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        self._asked()
        busy, answers = self._now("busy"), {}
        for piece in pieces[1:] if busy else pieces:
            if piece.key not in self.jobs:
                assert piece.key not in self.begun, "a key is started again when it is over"
                assert not self.living(piece.key.split(".")[2]), "another attempt at the same slice lives"
                folder = self.folder / piece.key
                shutil.copytree(piece.folder, folder)
                self.jobs[piece.key] = Job(folder)
            answers[piece.key] = f"job {piece.key}"
        if self._now("twice"):
            raise OutageError("the connection broke before the answer came")
        return answers

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        if self.wants:
            raise NeedsPersonError("your ticket has expired")
        if self.away:
            return {key: Seen(Condition.UNKNOWN, reason="it does not answer") for key in pieces}
        return {key: self._seen(key) for key in pieces}

    def _seen(self, key: str) -> Seen:
        job = self.jobs.get(key)
        if job is None:
            return Seen(Condition.GONE, reason="no such job")
        ended = job.condition is Condition.ENDED
        return Seen(job.condition, exit_code=job.exit_code if ended else None, root=str(job.folder))

    def survivors(self, run: str) -> Sequence[str] | None:
        return None if self.away or self.wants else [k for k, j in self.jobs.items() if j.condition in LIVING]

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        if pieces and not self.away and not self._now("deaf"):
            for key in pieces.keys() & self.jobs.keys():
                if self.jobs[key].condition in LIVING:
                    self.loses(key)

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        self._asked()
        if key not in self.jobs:
            raise LookupError(key)
        files = sorted(p for p in (self.jobs[key].folder / "outputs").rglob("*") if p.is_file())
        cut = self._now("cut")
        for file in files[: len(files) // 2] if cut else files:
            target = into / file.relative_to(self.jobs[key].folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
        if cut:
            raise OutageError("the connection broke in the middle")

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        self._asked()
        for key in pieces.keys() & self.jobs.keys():
            if self.jobs[key].condition not in LIVING:
                self.loses(key)
