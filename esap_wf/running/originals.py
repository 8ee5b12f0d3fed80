"""What the user gave a run, looked at again when it ends: an engine, a step or somebody else may have written
there.

Reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from esap_wf.formats import digests
from esap_wf.formats.quantities import human_count
from esap_wf.models.plan import Plan
from esap_wf.runs.trees import SHOWN

#: Clocks of file systems may be behind by so many seconds.
_BEHIND = 2.0


def changed(plan: Plan, cache: Path, beat: Callable[[], None] = lambda: None) -> list[str]:
    """
    Inputs that are no longer what they were when the run was planned, as warnings.

    Only what was touched since then is read again.

    Parameters
    ----------
    plan : Plan
    cache : Path
        Of file hashes.
    beat : callable, optional
        Called between files; may raise to stop.
    """
    since = datetime.fromisoformat(plan.created).timestamp() - _BEHIND
    found = []
    for name, path, identity in _given(plan):
        beat()
        try:
            if not _touched(path, since):
                continue
            if _same(path, identity, cache, since):
                continue
            what = "was changed since the run was planned"
        except FileNotFoundError:
            what = "no longer exists"
        except OSError:  # what can't be read now can't be compared
            continue
        found.append(f"input {name}: {path} {what}; the results may come from different data")
    return (
        [*found[:SHOWN], f"and {human_count(len(found) - SHOWN, 'more input file')}"]
        if len(found) > SHOWN
        else found
    )


def _given(plan: Plan) -> Iterator[tuple[str, Path, str]]:
    """Name, path and identity of every file and folder that was given from outside of the run."""
    for name, refs in plan.inputs.items():
        for ref in refs:
            pairs = list(ref.beside.items())
            # of a pattern the files that it means are beside, and it is none itself
            if ref.path and ref.checksum and (not pairs or Path(ref.path).exists()):
                pairs.append((ref.path, ref.checksum))
            yield from ((name, Path(path), identity) for path, identity in pairs if Path(path).is_absolute())


def _touched(path: Path, since: float) -> bool:
    if not path.is_dir():
        return path.stat().st_ctime > since
    return any(p.stat().st_ctime > since for p in (path, *path.rglob("*")) if p.exists())


def _same(path: Path, identity: str, cache: Path, since: float) -> bool:
    """
    By content, where that was the identity; else by times. Rights and links, which change a file's ctime, are
    no sign.
    """
    kind = identity.partition(":")[0]
    if path.is_dir():
        return kind != "stat" or digests.of_input(path, cache)[0] == identity
    if kind == "sha256":
        return f"sha256:{digests.of_file(path)}" == identity
    return path.stat().st_mtime <= since
