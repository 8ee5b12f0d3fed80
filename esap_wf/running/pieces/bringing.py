"""What comes back of pieces: brought into the run directory, as if the run had worked here."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from esap_wf import files
from esap_wf.errors import EsapError, Problem
from esap_wf.formats import digests
from esap_wf.running import shards
from esap_wf.runs.folders import delete_tree
from esap_wf.runs.pieces import Attempt, Pieces

#: What of a piece's folder is no result: its engine's records and memory, and what was put there.
_ASIDE = ("engine", "code", "inputs", "plan.json", "piece.sh", ".snakemake", ".nextflow", ".command")
_LOGS, _ENGINE_LOG = "logs", "engine.log"


def relocate(pulled: Path, root: str, records: Sequence[str]) -> None:
    """
    Put this machine's path in the place of the other one's, in what an engine's plug-in reads.

    Parameters
    ----------
    pulled : Path
        What was pulled of a piece.
    root : str
        The folder there in which it worked.
    records : sequence of str
        Records of the engine that don't lie below ``engine/``.
    """
    if not root or root == str(pulled):
        return
    old, new = os.fsencode(root), os.fsencode(pulled)
    for path in [*_files(pulled / "engine"), *(pulled / name for name in records)]:
        if path.is_file() and not path.is_symlink() and old in (data := path.read_bytes()):
            files.write_atomic(path, data.replace(old, new), sync=False)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(p for p in folder.rglob("*") if p.is_file())


def made(pulled: Path, sent: Path, beat: Callable[[], None], given: Collection[str] = ()) -> dict[str, str]:
    """
    SHA-256 of all that a piece has made, by path relative to the run directory.

    Parameters
    ----------
    pulled, sent : Path
        What came back, and what was sent: what is the same in both was not made there.
    beat : callable
        Called while files are read; may raise to stop.
    given : collection of str
        What was made by an earlier attempt at the same slice, and sent along.
    """
    found = {}
    for path in sorted(pulled.iterdir()):
        if path.name in _ASIDE:
            continue
        for file in [path] if path.is_file() else _files(path):
            name = file.relative_to(pulled)
            if name.is_relative_to(shards.FOLDER):
                continue
            if name.as_posix() in given or not _is_same(file, sent / name):
                found[name.as_posix()] = digests.of_file(file, beat)
    return found


def _is_same(file: Path, original: Path) -> bool:
    return original.is_file() and filecmp.cmp(file, original, shallow=False)


def given(
    pieces: Pieces, patterns: dict[str, str], accepted: Sequence[Attempt]
) -> dict[str, dict[str, Path]]:
    """
    What slices give the one that joins them.

    Parameters
    ----------
    pieces : Pieces
    patterns : dict
        Name → pattern of files (`esap_wf.models.manifest.Stage.gives`).
    accepted : sequence of Attempt
        Those that count, in the order of their slices.

    Returns
    -------
    dict
        Name → path relative to the run directory → where it was pulled to.

    Raises
    ------
    EsapError
        Two slices have made the same file.
    """
    found: dict[str, dict[str, Path]] = {name: {} for name in patterns}
    for attempt in accepted:
        end = pieces.accepted(attempt.slice)
        for path in sorted(end.files) if end else ():
            for name, pattern in patterns.items():
                if not _matches(path, pattern):
                    continue
                if path in found[name]:
                    what = f"slice {attempt.slice} and an earlier one have both made {path}"
                    raise EsapError("the slices overlap", [Problem(path, what)])
                found[name][path] = pieces.pulled(attempt) / path
    return found


def _matches(path: str, pattern: str) -> bool:
    parts, wanted = PurePosixPath(path).parts, PurePosixPath(pattern).parts
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def folders_of(patterns: dict[str, str]) -> list[str]:
    """Folders in which the files of patterns lie, as far as they are known."""
    found = []
    for pattern in patterns.values():
        parts = PurePosixPath(pattern).parts
        plain = next((i for i, part in enumerate(parts) if any(c in part for c in "*?[")), len(parts))
        found.append("/".join(parts[:plain]) or ".")
    return list(dict.fromkeys(found))


def bring(pieces: Pieces, accepted: Sequence[Attempt]) -> None:
    """Put the files of accepted slices where a run that works here has them; done again, it is the same."""
    for attempt in accepted:
        end = pieces.accepted(attempt.slice)
        for name in end.files if end else ():
            if not name.startswith(f"{_LOGS}/"):
                link(pieces.pulled(attempt) / name, files.inside(pieces.run, name))


def bring_logs(pieces: Pieces, ended: Sequence[Attempt]) -> None:
    """Put the logs of pieces beside the run's own; what their engines said is one log after the other."""
    said: list[bytes] = []
    for attempt in ended:
        folder = pieces.pulled(attempt) / _LOGS
        for path in _files(folder):
            if path.name == _ENGINE_LOG and path.parent == folder:
                said.append(f"--- slice {attempt.slice}, attempt {attempt.attempt}\n".encode())
                said.append(path.read_bytes())
            else:
                link(path, files.inside(pieces.run, f"{_LOGS}/{path.relative_to(folder).as_posix()}"))
    if said:
        files.write_atomic(pieces.run / _LOGS / _ENGINE_LOG, b"".join(said), sync=False)


def clear(pieces: Pieces) -> None:
    """Remove what was sent and pulled; what is recorded of the pieces stays."""
    for name in pieces.slices():
        for attempt in pieces.attempts(name):
            for folder in (pieces.pulled(attempt), pieces.path(name, attempt.attempt) / "sent"):
                if folder.exists():
                    delete_tree(folder)


def link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where there can be no link."""
    if target.is_symlink() or target.exists():
        if not target.is_symlink() and source.samefile(target):
            return
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise files.explain(error, target) from error
        shutil.copy2(source, target)
