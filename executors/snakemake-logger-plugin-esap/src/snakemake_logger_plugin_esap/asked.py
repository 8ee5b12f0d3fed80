"""
What a run was asked for: files of its targets, as Snakemake has evaluated them; and files that it must not
write.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

#: Files in one line.
PART = 1000


def workflow() -> Any:
    """
    Snakemake's workflow, if its main process tells something just now: records don't carry it, the caller has
    it.
    """
    frame = sys._getframe()
    while frame is not None:
        found = frame.f_locals.get("self")
        if type(found).__name__ == "Workflow" and type(found).__module__ == "snakemake.workflow":
            mode = getattr(found, "exec_mode", None)
            return found if getattr(mode, "name", "DEFAULT") == "DEFAULT" else None
        frame = frame.f_back  # type: ignore[assignment]
    return None


def targets(found: Any) -> Iterator[dict[str, Any]]:
    """
    Lines of `targets`: files that were asked for, outputs of the rules that were, inputs of those that have
    none.

    Checkpoints may change it: the last word is that of the end.
    """
    dag = found.dag
    files = dict.fromkeys(sorted(dag.targetfiles, key=str))
    for job in sorted(dag.targetjobs, key=lambda job: str(job.rule)):
        if job.rule in dag.targetrules:
            files |= dict.fromkeys(job.output or job.input)
    names = [_name(file) for file in files]
    for first in range(0, max(1, len(names)), PART):
        yield {"event": "targets", "files": names[first : first + PART]}


def _name(file: Any) -> str:
    """Path, or where it is stored."""
    return str(file.storage_object.query) if getattr(file, "is_storage", False) else str(file)


class Guard:
    """
    Keeps jobs from writing over what a run was given.

    Parameters
    ----------
    path
        JSON: `files`, `folders`, and `before`, a time: what a folder held before it is kept. None keeps
        nothing.
    """

    def __init__(self, path: str | None) -> None:
        said = json.loads(Path(path).read_bytes()) if path else {}
        self._files = {os.path.realpath(p) for p in said.get("files", [])}
        self._folders = [os.path.realpath(p) for p in said.get("folders", [])]
        self._before = said.get("before", 0.0)

    def confirm(self, rule: str, outputs: Iterable[Any]) -> None:
        """
        Look at a job before it runs.

        Raises
        ------
        WorkflowError
            It would write over such a file.
        """
        if not self._files and not self._folders:
            return
        for output in map(str, outputs):
            place = Path(os.path.realpath(Path(output).parent), Path(output).name)
            if str(place) in self._files or (self._kept(place) and any(place.is_relative_to(f) for f in self._folders)):
                hint = "nothing was written; name another place, or remove it"
                raise WorkflowError(f"rule {rule} would write over {place}, which this run was given: {hint}")

    def _kept(self, place: Path) -> bool:
        try:
            return bool(place.stat().st_mtime < self._before)
        except OSError:
            return False
