"""What appeared where a pipeline worked that was not written for esap-wf: its results, if nobody says which
they are. Reads only.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from esap_wf.runs.trees import Tree

#: A pipeline's copy in the run directory, in which it works; without one it works in the run directory
#: itself.
PROJECT = "project"
#: So much is taken as results that nobody named; there may be intermediate files of any size among them.
MOST_FILES, MOST_BYTES = 5_000, 20_000_000_000
#: What else is written into a run directory, beside the files that its plan names.
_STORE = {
    "run.json",
    "state.json",
    "events.jsonl",
    "outputs.json",
    "lease.json",
    "stop.json",
    "report.html",
    "epochs",
    "engine",
    "logs",
    "work",
    "code",
    "requests.jsonl",
    "revision",
    "pieces",
    PROJECT,
}
_KEPT_PLAN = re.compile(r"plan\.\d+\.json|pieces\.\d+")
#: Names of what is no result: hidden files, logs, what is only there for a while.
_PASSING = re.compile(r"\..*|logs?|te?mp|.*(\.tmp|\.part|\.bak|~)|core\.\d+|nohup\.out", re.I)


def is_of_store(name: str) -> bool:
    """Whether something of this name in a run directory is written by a run's owner, not rendered for it."""
    return name in _STORE - {"code", PROJECT} or bool(_KEPT_PLAN.fullmatch(name))


class Workplace:
    """
    Where a pipeline worked.

    Parameters
    ----------
    run : Path
        Run directory.
    home : Path
        The pipeline's folder in the snapshot: its files as they were.
    entry : Path, optional
        The engine's file there: what lies beside it may have been put beside the run's own files
        (`Interface.beside`).
    written : iterable of str
        What `render` wrote into the run directory.
    """

    def __init__(self, run: Path, home: Path, written: Iterable[str] = (), entry: Path | None = None) -> None:
        self.run, self.homes = run, [home, *([entry.parent] if entry else [])]
        copy = run / PROJECT
        self.folder = copy if copy.is_dir() else run
        try:
            self._began = (run / "epochs" / "1").stat().st_mtime_ns
        except OSError:
            self._began = 0
        self._ours = _STORE | {Path(name).parts[0] for name in written}

    def is_own(self, path: Path) -> bool:
        """
        Whether a file came with the pipeline and is as it came: not written again, be it with the same
        content.
        """
        if not path.is_relative_to(self.folder):
            return False
        try:
            if not path.is_file() or path.stat().st_mtime_ns > self._began:
                return False
            originals = (home / path.relative_to(self.folder) for home in self.homes)
            return any(o.is_file() and filecmp.cmp(o, path, shallow=False) for o in originals)
        except OSError:
            return False

    def appeared(self, tree: Tree, taken: Collection[Path] = ()) -> list[Path]:
        """
        Files and empty folders, neither `taken` nor given nor the pipeline's own nor an engine's nor passing;
        too many are told.
        """
        found: list[Path] = []
        size = 0
        for path in self._candidates(tree):
            if path in taken:
                continue
            size += path.stat().st_size if path.is_file() else 0
            if len(found) >= MOST_FILES or size > MOST_BYTES:
                tree.pass_over(
                    f"more appeared in {self.folder} and were left out: of undeclared results, "
                    f"at most {MOST_FILES} files and 20 GB are kept"
                )
                break
            found.append(path)
        return found

    def _candidates(self, tree: Tree) -> Iterator[Path]:
        base = os.path.realpath(self.run)

        def is_wanted(path: Path) -> bool:
            if path.parent == self.run and (path.name in self._ours or _KEPT_PLAN.fullmatch(path.name)):
                return False
            leads_out = path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(base)
            # a link to an input
            return not _PASSING.fullmatch(path.name) and not (leads_out and not tree.wrong_with(path))

        folders = (self.folder, self.run / "outputs") if self.folder != self.run else (self.run,)
        for folder in folders:
            for path in tree.below(folder, is_wanted) if folder.is_dir() else ():
                if not self.is_own(path) and path != self.run / "outputs":
                    yield path
