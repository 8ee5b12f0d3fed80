"""What an engine is asked for in a stage of a run that is cut into slices (`Implementation.map`)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from esap_wf.engines.job import Job, JobInput
from esap_wf.models.manifest import Stage
from esap_wf.models.request import DataRef


def stage_job(
    job: Job, stage: Stage, slice: int | None, slices: int, given: Mapping[str, Sequence[str]]
) -> Job:
    """
    The job of a stage: that of the whole run, at another file or another part of it.

    Parameters
    ----------
    job : Job
        Of the whole run.
    stage : Stage
        Its stage `map` or `join`.
    slice : int, optional
        Which slice, from 1: the parameters `slice` and `slices` are added. None: of the join stage.
    slices : int
    given : mapping
        What the slices gave to the join stage: names of `Stage.gives` → paths relative to the run directory.
    """
    file = stage.file or posixpath.relpath(job.entry, job.folder)
    cut = {} if slice is None else {"slice": slice, "slices": slices}
    return replace(
        job,
        entry=posixpath.join(job.folder, file),
        # a part of another file is not the part of this one
        item=stage.item if stage.item or stage.file else job.item,
        source=_beside(job, file),
        parameters={**job.parameters, **cut},
        inputs={**job.inputs, **{name: _made(paths) for name, paths in given.items()}},
    )


def _beside(job: Job, file: str) -> Path | None:
    """Another file of the folder in which the engine's file is now."""
    if job.source is None:
        return None
    depth = len(Path(posixpath.relpath(job.entry, job.folder)).parts)
    return job.source.parents[depth - 1] / file


def _made(paths: Sequence[str]) -> JobInput:
    return JobInput(tuple(DataRef(uri=path, path=path) for path in paths), many=True)
