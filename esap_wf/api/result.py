"""What `run`, `resume`, `rerun` and `follow` give back, and how a run is named in a call."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esap_wf import config as configuration
from esap_wf.api.tables import RunSummary
from esap_wf.errors import EsapError, NotFoundError, Problem, UsageError
from esap_wf.formats.printing import one_line
from esap_wf.formats.quantities import human_bytes
from esap_wf.formats.summaries import page
from esap_wf.models.run import OutputFile, Phase, State
from esap_wf.runs.lookup import find_run
from esap_wf.runs.store import Run, Store


@dataclass(frozen=True)
class Result:
    """
    A run that was started or found. Every function that takes a run takes it.

    Parameters
    ----------
    id : str
    dir : Path
        Run directory.
    phase : Phase
        When the call returned; `status` asks again.
    reused : bool
        Whether an identical run was there already.
    notes : tuple of str
        What became of the request otherwise.
    """

    id: str
    dir: Path
    phase: Phase
    reused: bool
    notes: tuple[str, ...] = ()

    def outputs(self) -> list[OutputFile]:
        """The accepted outputs."""
        outputs = self._run().outputs()
        return outputs.outputs if outputs else []

    def values(self) -> dict[str, Any]:
        """What the engine gave back that is no file, by the names of the outputs."""
        outputs = self._run().outputs()
        return outputs.values if outputs else {}

    def path(self, name: str) -> Path:
        """
        Path of an output that is one file or one folder.

        Raises
        ------
        NotFoundError
            There is none of this name.
        """
        for output in self.outputs():
            if output.name == name:
                return self.dir / output.path
        raise NotFoundError(
            f"run {self.id} has no output {name!r}; it has "
            f"{', '.join(sorted({o.name for o in self.outputs()}))}"
        )

    def status(self) -> State:
        """Phase, progress and failures as they are now."""
        return self._run().observe()

    def _run(self) -> Run:
        return Store.open(self.dir.parents[2]).run(self.id)

    def __repr__(self) -> str:
        return one_line(
            f"<Result {self.id}: {self.phase}{', of an identical run' if self.reused else ''}, in {self.dir}>"
        )

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [("run", self.id), ("phase", self.phase), ("folder", self.dir)]
        rows += [("note", note) for note in self.notes]
        try:  # the run may be gone by now
            outputs = self._run().outputs()
        except (EsapError, OSError):
            outputs = None
        rows += [(o.name, f"{o.path} ({human_bytes(o.bytes)})") for o, _ in outputs.tops()] if outputs else []
        rows += list(outputs.values.items()) if outputs else []
        return page(rows, ())


#: How a call names a run: by its id, the beginning of it, its name, or by what a function of this package
#: gave.
RunLike = str | Result | RunSummary


def config_of(store: str | os.PathLike[str] | None, run: object = None) -> configuration.Config:
    """The configuration that applies; a run that was given by a function brings its store."""
    if store is None and isinstance(run, (Result, RunSummary)):
        store = run.dir.parents[2]
    return configuration.load(os.fspath(store) if store else None)


def found(run: RunLike, config: configuration.Config) -> Run:
    """The run that is meant; of several of one name the newest, with a warning."""
    text = run.id if isinstance(run, (Result, RunSummary)) else run
    if not isinstance(text, str):
        raise UsageError(
            "the request is not valid",
            [Problem("run", f"a {type(run).__name__} names no run", "give its id or its name")],
        )
    return find_run(config, text, warn)


def warn(message: str) -> None:
    """Tell the caller, once."""
    warnings.warn(message, stacklevel=_depth())


def _depth() -> int:
    """Calls between `warn` and the code that called this package."""
    import sys

    depth, frame = 1, sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__", "")).startswith("esap_wf"):
        depth, frame = depth + 1, frame.f_back
    return depth
