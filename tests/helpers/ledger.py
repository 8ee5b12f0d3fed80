"""A place that is a ledger in a file: it starts nothing, counts every question, and knows how many pieces were there at a time."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from esap_wf.backends import Condition, Launcher, Part, Piece, Refusal, Seen, Signal


class Ledger(Launcher):
    """
    Parameters
    ----------
    folder : Path
    lasts : float
        Seconds for which a piece works.
    latency : float
        Seconds that an answer takes.
    """

    def __init__(self, folder: Path, lasts: float = 1e9, latency: float = 0.0) -> None:
        self.folder, self.lasts, self.latency = folder, lasts, latency
        folder.mkdir(exist_ok=True)

    @contextmanager
    def _book(self) -> Iterator[dict[str, Any]]:
        """All that is known; written back."""
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "book.json"
            book = (
                json.loads(path.read_text()) if path.exists() else {"pieces": {}, "questions": 0, "most": 0}
            )
            yield book
            part = self.folder / "part"
            part.write_text(json.dumps(book))
            part.replace(path)

    def read(self) -> dict[str, Any]:
        """`pieces` (key → when it began and ends), `questions`, `most` at a time."""
        with self._book() as book:
            return book

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        for piece in pieces:
            time.sleep(self.latency)
            with self._book() as book:
                now = time.monotonic()
                book["pieces"].setdefault(piece.key, {"began": now, "end": now + self.lasts})
                living = sum(p["end"] > now for p in book["pieces"].values())
                book["most"] = max(book["most"], living)
        return {piece.key: f"handle of {piece.key}" for piece in pieces}

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        with self._book() as book:
            book["questions"] += 1
            now, known = time.monotonic(), dict(book["pieces"])
        time.sleep(self.latency)
        return {
            key: Seen(
                Condition.GONE
                if key not in known
                else Condition.RUNNING
                if known[key]["end"] > now
                else Condition.ENDED,
                exit_code=0 if key in known and known[key]["end"] <= now else None,
                where=f"asked by {os.getpid()}",
            )
            for key in pieces
        }

    def survivors(self, run: str) -> Sequence[str] | None:
        known = self.read()["pieces"]
        return [k for k, p in known.items() if k.startswith(f"{run}.") and p["end"] > time.monotonic()]

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        with self._book() as book:
            for key in pieces.keys() & book["pieces"].keys():
                book["pieces"][key]["end"] = min(book["pieces"][key]["end"], time.monotonic())

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        raise LookupError(key)

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        pass
