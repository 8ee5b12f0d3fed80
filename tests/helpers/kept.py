"""What bare engines and long calculations made of the workflows here, kept between sessions by content: it is made once.

The tests of a workflow that make the same anew compare with it; nobody changes anything in it. ``ESAP_WF_RENEW_BARE=1`` makes it anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.paths import CACHE

_renewed: set[Path] = set()


def made(name: str, of: list[object], make: Callable[[Path], object]) -> Path:
    """
    A folder with what `make` leaves in it.

    Parameters
    ----------
    name : str
        For people.
    of : list
        All that decides what comes out: files and folders (their content), and what has a text.
    make : callable
        Gets the empty folder; raises if it fails.
    """
    place = CACHE / "made" / f"{name}-{_digest(of)}"
    place.mkdir(parents=True, exist_ok=True)
    folder, ready = place / "folder", place / "ready"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or (os.environ.get("ESAP_WF_RENEW_BARE") and place not in _renewed):
            ready.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            ready.touch()
            _renewed.add(place)
    return folder


def value(name: str, of: list[object], calculate: Callable[[Path], Any]) -> Any:
    """The same for a value that is plain data: what `calculate` gives, which gets an empty folder to work in."""
    folder = made(name, of, lambda work: (work / "value.json").write_text(json.dumps(calculate(work))))
    return json.loads((folder / "value.json").read_text())


def _digest(of: list[object]) -> str:
    found = hashlib.sha256()
    for part in of:
        files = (
            [part]
            if isinstance(part, Path) and part.is_file()
            else sorted(part.rglob("*"))
            if isinstance(part, Path)
            else []
        )
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.update(
                    f"{file.name if file == part else file.relative_to(str(part))}\0{content}\n".encode()
                )
        if not isinstance(part, Path):
            found.update(f"{part!r}\n".encode())
    return found.hexdigest()[:16]
