"""Pieces for the questions to a launcher: written, started, looked at, brought back; also by others."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

from esap_wf import plugins
from esap_wf.backends import Condition, Launcher, Part, Piece, Profile, Seen
from esap_wf.models.plan import Allocation
from esap_wf.testing.places import PATIENCE, until

NEEDS = Allocation(cores=1, memory_bytes=10**8, disk_bytes=10**8, wall_seconds=3600)
#: That a folder of a piece has, as a run directory.
_FOLDERS = ("outputs", "logs", "engine", "work")


@dataclass
class There:
    """A place, its launcher, and the pieces that a test has put there."""

    root: Path
    profile: Profile
    launcher: Launcher
    environment: dict[str, str] = field(default_factory=dict)
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    handles: dict[str, str | None] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)

    def key(self, slice_: str = "whole", attempt: int = 1, epoch: int = 1, run: str = "") -> str:
        """What a piece is called."""
        return f"{run or self.run}.{epoch}.{slice_}.{attempt}"

    def piece(
        self,
        script: str,
        slice_: str = "whole",
        *,
        attempt: int = 1,
        epoch: int = 1,
        run: str = "",
        words: tuple[str, ...] = (),
        command: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> Piece:
        """A piece that runs a script of bash; its folder is made."""
        key = self.key(slice_, attempt, epoch, run)
        folder = self.root / "bundles" / key
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        (folder / "piece.sh").write_text(script + "\n")
        self.handles[key], self.folders[key] = None, folder
        return Piece(
            key=key,
            folder=folder,
            command=command or ("bash", "piece.sh", *words),
            needs=NEEDS,
            environment=environment or {},
            secrets=secrets,
        )

    def started(self, *pieces: Piece) -> str:
        """Start pieces, however often it takes. The handle of the first."""
        left = list(pieces)

        def all_there() -> bool:
            answers = self.launcher.start(left)
            for key, answer in answers.items():
                assert isinstance(answer, str), answer
                self.handles[key] = answer
            left[:] = [p for p in left if p.key not in answers]
            return not left

        until(all_there, what="pieces to be taken")
        return str(self.handles[pieces[0].key])

    def asked(self, piece: Piece) -> dict[str, str | None]:
        """What a launcher is asked about a piece."""
        return {piece.key: self.handles[piece.key]}

    def seen(self, piece: Piece) -> Seen:
        """How it is."""
        return self.launcher.look(self.asked(piece))[piece.key]

    def running(self, piece: Piece) -> Seen:
        """Until its script has written ``logs/begun``."""
        self.handles.setdefault(piece.key, None)

        def begun() -> Seen | None:
            seen = self.seen(piece)
            assert seen.condition not in (Condition.GONE,), seen
            if seen.condition is Condition.ENDED:
                return seen
            if seen.condition is not Condition.RUNNING:
                return None
            return seen if "logs/begun" in self.record(piece) else None

        return until(begun, what=f"{piece.key} to begin", detail=lambda: self.seen(piece))

    def into(self, piece: Piece) -> Path:
        """Where it is brought."""
        return piece.folder if self.launcher.shares_store else self.root / "pulled" / piece.key

    def record(self, piece: Piece) -> dict[str, bytes]:
        """What it has told so far."""
        return self._pulled(piece, Part.RECORD)

    def results(self, piece: Piece) -> dict[str, bytes]:
        """All that it has made."""
        return self._pulled(piece, Part.RESULTS)

    def _pulled(self, piece: Piece, part: Part) -> dict[str, bytes]:
        into = self.into(piece)
        if not self.launcher.shares_store:
            into.parent.mkdir(parents=True, exist_ok=True)
            self.launcher.pull(piece.key, self.handles[piece.key], into, part)
        return {str(p.relative_to(into)): p.read_bytes() for p in into.rglob("*") if p.is_file()}

    def told(self, piece: Piece) -> object:
        """For a test that fails."""
        return self.seen(piece), sorted(self.results(piece))

    def containing(self, text: str, folders: list[Path]) -> list[Path]:
        """Files that have a text in them, of the place and of this user."""
        mine = [self.root / "bundles", self.root / "pulled", self.root / "cache"]
        sought, found = text.encode(), []
        for path in (p for folder in (*folders, *mine) for p in folder.rglob("*")):
            try:
                if path.is_file() and not path.is_symlink() and sought in path.read_bytes():
                    found.append(path)
            except OSError:
                continue
        own = {folder / "piece.sh" for folder in self.folders.values()}
        return [p for p in found if p not in own]

    def processes(self, piece: Piece) -> dict[int, str]:
        """Its living processes, where the place is on this machine and they can be seen."""
        found = {}
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("ESAP_WF_PIECE") == piece.key
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found[process.pid] = " ".join(process.cmdline())
            except psutil.Error:
                continue
        return found

    def elsewhere(self) -> Launcher:
        """Another launcher of the same place, which knows nothing of this one."""
        made = plugins.one("esap_wf.backends", self.profile.kind).launcher(self.profile, self.root / "cache")
        assert isinstance(made, Launcher)
        return made

    def pause(self, seconds: float) -> None:
        """Let another process work for a moment, so that it is killed at another point."""
        time.sleep(seconds)

    def clear(self) -> None:
        """End and forget all pieces."""

        def all_over() -> bool:
            self.launcher.stop(self.handles, None)
            seen = self.launcher.look(self.handles)
            return all(s.condition in (Condition.ENDED, Condition.GONE) for s in seen.values())

        if self.handles:
            until(all_over, seconds=min(PATIENCE, 60), what="pieces to end")
            self.launcher.forget(self.handles)


def ended(there: There, piece: Piece) -> Seen:
    """How a piece has ended, when it has."""

    def over() -> Seen | None:
        seen = there.seen(piece)
        assert seen.condition is not Condition.GONE, seen
        return seen if seen.condition is Condition.ENDED else None

    return until(over, what=f"{piece.key} to end", detail=lambda: there.seen(piece))


def starting_elsewhere(there: There, piece: Piece) -> subprocess.Popen[str]:
    """Another process that starts a piece and prints its handle, when it has said that it is about to."""
    request = {
        "profile": msgspec.to_builtins(there.profile),
        "cache": str(there.root / "cache"),
        "key": piece.key,
        "folder": str(piece.folder),
        "command": list(piece.command),
        "environment": dict(piece.environment),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "esap_wf.testing.pieces", json.dumps(request)],
        env={**os.environ, **there.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _start(request: dict[str, Any]) -> None:
    profile = msgspec.convert(request["profile"], Profile)
    launcher = plugins.one("esap_wf.backends", profile.kind).launcher(profile, Path(request["cache"]))
    piece = Piece(
        key=request["key"],
        folder=Path(request["folder"]),
        command=tuple(request["command"]),
        needs=NEEDS,
        environment=request["environment"],
    )
    sys.stdout.write("starting\n")
    sys.stdout.flush()
    sys.stdout.write(f"{launcher.start([piece])[piece.key]}\n")


if __name__ == "__main__":
    _start(json.loads(sys.argv[1]))
