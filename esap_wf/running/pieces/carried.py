"""
What the shards of a lost attempt had finished, for the attempt that takes its place: their journals, and the
results and logs of units that are done. The runner there does the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.errors import EsapError, NotFoundError
from esap_wf.formats import digests, reading
from esap_wf.models.plan import Sharding
from esap_wf.running import shards
from esap_wf.running.pieces import bringing
from esap_wf.runs import event_lines


class _Results(msgspec.Struct, gc=False):
    """Of a line of a journal, the results."""

    results: list[tuple[str, int, str]] = []


_results = msgspec.json.Decoder(_Results).decode
#: In an attempt's folder: what of its results it was given.
_LIST = "carried.json"


def folders(sharding: Sharding) -> list[str]:
    """What of scratch is brought home, relative to the run directory; nothing without shards."""
    return [f"{shards.FOLDER}/{sharding.step}"] if sharding.size else []


def records(sharding: Sharding) -> list[str]:
    """The journals, as `Launcher.pull` is asked for them; nothing without shards."""
    return [f"{folder}/*.jsonl" for folder in folders(sharding)]


def named(pulled: Path, sharding: Sharding) -> list[str]:
    """Where results lie that the journals name which were brought home: also in scratch."""
    found: dict[str, None] = {}
    for name in journals(pulled, sharding):
        for raw in event_lines.complete_lines(pulled / name, 0):
            try:
                results = _results(raw).results
            except files.BROKEN:
                continue
            for path in (PurePosixPath(result[0]) for result in results):
                if path.parts[:1] == ("work",) and ".." not in path.parts:
                    found[f"{path.parent}/*{path.suffix}" if path.suffix else str(path)] = None
    return list(found)


def journals(pulled: Path, sharding: Sharding) -> list[str]:
    """The journals that were brought home of an attempt, relative to the run directory."""
    found = (path for folder in folders(sharding) for path in (pulled / folder).glob("*.jsonl"))
    return sorted(path.relative_to(pulled).as_posix() for path in found)


def finished(pulled: Path, sharding: Sharding) -> dict[str, Path]:
    """
    What an attempt had finished, as far as it was brought home.

    Parameters
    ----------
    pulled : Path
        It mirrors the run directory.
    sharding : Sharding

    Returns
    -------
    dict
        Path relative to the run directory → where it is now. Only whole files: size and SHA-256 are those
        of the journal.
    """
    found: dict[str, Path] = {}
    for name in journals(pulled, sharding):
        found[name] = pulled / name
        for path in _of(pulled / name, pulled):
            found[path.relative_to(pulled).as_posix()] = path
    return found


def _of(journal: Path, pulled: Path) -> Iterator[Path]:
    """Files of the units that are done, by one journal."""
    root = ""
    done: dict[str, dict[str, Any]] = {}
    for raw in event_lines.complete_lines(journal, 0):
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if not isinstance(line, dict):
            continue
        if line.get("kind") == "begin":
            root = str(line.get("root", ""))
        elif line.get("kind") == "start":
            done.pop(str(line.get("unit")), None)
        elif line.get("kind") == "done":
            done[str(line.get("unit"))] = line
    for line in done.values():
        named = line.get("results")
        results = [_inside(pulled, root, r) for r in named] if isinstance(named, list) else []
        if results and all(results):
            yield from (path for path in results if path)
            if log := _path(pulled, root, line.get("log")):
                yield log


def _inside(pulled: Path, root: str, result: Any) -> Path | None:
    """A result that is whole; None if it isn't."""
    if not (isinstance(result, list) and len(result) == 3):
        return None
    path, (_, size, digest) = _path(pulled, root, result[0]), result
    whole = path is not None and path.stat().st_size == size and digests.of_file(path) == digest
    return path if whole else None


def _path(pulled: Path, root: str, name: Any) -> Path | None:
    """A file that a journal names, if it lies where pieces have theirs."""
    if not isinstance(name, str) or not name or not Path(root).is_absolute():
        return None
    place = os.path.relpath(Path(root, name), pulled)
    try:
        files.inside(pulled, place)
    except EsapError:
        return None
    path = pulled / place
    return path if path.is_file() and not path.is_symlink() else None


def keep(attempt: Path, names: Collection[str]) -> None:
    """Write down what an attempt was given, in its folder."""
    files.write_atomic(attempt / _LIST, json.dumps(sorted(names)).encode())


def names(attempt: Path) -> frozenset[str]:
    """What it was given."""
    try:
        return frozenset(json.loads(reading.read_bytes(attempt / _LIST)))
    except NotFoundError:
        return frozenset()


def complete(pulled: Path, sent: Path, given: Collection[str]) -> None:
    """Results that an attempt was given are its own, although they were not changed there."""
    for name in given:
        if not (pulled / name).exists() and (sent / name).is_file():
            bringing.link((sent / name).resolve(), pulled / name)
