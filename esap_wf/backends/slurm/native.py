"""Engines on this machine that submit the jobs of their steps to Slurm."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from esap_wf.backends.launcher import BatchJob, OutageError, Piece, Refusal, Served
from esap_wf.backends.local.launcher import LocalLauncher
from esap_wf.backends.queue import run_of
from esap_wf.backends.slots import clock
from esap_wf.backends.slurm import questions, surveying, wrapper
from esap_wf.backends.slurm.commands import DEFAULTS, Commands
from esap_wf.backends.slurm.shared import Active
from esap_wf.formats.quantities import human_count
from esap_wf.models.place import Profile

logger = logging.getLogger(__name__)

#: Seconds between two questions for jobs that are to be gone.
LOOK = 0.5
#: Seconds beyond the grace for which ended jobs may stay in Slurm: it waits for their processes.
ENDING = 60.0
#: Variables of a user that would change how and where jobs are submitted, and what is asked: an engine and
#: `Commands` must mean the same cluster.
_DEFAULTS = (*DEFAULTS, "SLURM_JOB", "SLURM_STEP", "SLURM_TASK")


class NativeLauncher(LocalLauncher):
    """
    See `esap_wf.backends.Launcher`. An engine is one of this machine; what else works for a run are jobs,
    which are known by their name or comment alone (`esap_wf.backends.queue`), never by a pid.

    Parameters
    ----------
    profile : Profile
    cache : Path
    """

    def __init__(self, profile: Profile, cache: Path) -> None:
        super().__init__()
        self.profile, self.commands = profile, Commands(profile)
        #: What was heard before may lack what the last engine has submitted.
        self._born = clock()
        self._active = Active(self.commands, cache / "places" / profile.name)
        #: Seconds for which an answer that another run has heard is good enough.
        self._age = profile.poll or 5.0

    def serve(self, run: Served) -> None:
        """As of this machine."""
        super().serve(run)
        self._runs = frozenset({run.run})

    # --- start

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        """As on this machine; what stands for ``sbatch`` marks the jobs of the run."""
        sbatch = self.commands.where("sbatch")
        folder = wrapper.write(
            self._run.run, self._run.folder, sbatch, self._run.mode, self.profile.caps.submissions
        )
        return super().start([self._with(piece, folder) for piece in pieces])

    def _with(self, piece: Piece, folder: Path) -> Piece:
        kept = {k: v for k, v in piece.environment.items() if not k.startswith(_DEFAULTS)}
        if conf := self.commands.environment.get("SLURM_CONF"):
            kept["SLURM_CONF"] = conf
        kept["PATH"] = os.pathsep.join([str(folder), kept.get("PATH", os.defpath)])
        return msgspec.structs.replace(piece, environment=kept)

    # --- look

    def quiet(self, key: str, handle: str | None) -> float | None:
        """An engine whose jobs wait or work has nothing to do but to wait, too."""
        last = self._active.last()
        if last is None or self._of_run(last):
            return None
        return super().quiet(key, handle)

    def batch_jobs(self, run: str, ended: Sequence[str] = ()) -> Sequence[BatchJob] | None:
        """Of all the user's jobs those of the run, by an answer that may be as old as a poll."""
        try:
            found = self._of_run(self._active.jobs(max(self._born, clock() - self._age)))
            there = {job.id for job in found}
            others = [i for i in ended if i not in there]
            known = questions.known(self.commands, others).values() if others else ()
            return [*found, *filter(self._is_mine, known)]
        except OutageError:
            logger.info("the jobs of run %s can't be asked for", run, exc_info=True)
            return None

    def _is_mine(self, job: BatchJob) -> bool:
        """
        An id alone says nothing: a controller that has lost its latest state gives it to another job. An
        accounting may keep no comments.
        """
        by_folder = not job.comment and Path(job.folder).is_relative_to(self._run.folder.resolve())
        return bool(self._of_run([job])) or by_folder

    def silent_nodes(self) -> Sequence[str]:
        """By ``sinfo``."""
        return surveying.silent(self.commands)

    def _of_run(self, jobs: Sequence[BatchJob]) -> list[BatchJob]:
        return [job for job in jobs if run_of(job.name, job.comment, self._runs)]

    def _now(self) -> list[BatchJob]:
        """Jobs of the run that wait or work, as Slurm says from now on."""
        return self._of_run(self._active.jobs(clock()))

    # --- what is left

    def clear(self, run: str, grace: float, told: Callable[[str], None]) -> None:
        """Processes on this machine first, so that nothing submits any more; then all jobs of the run."""
        super().clear(run, grace, told)
        left = self._now()
        if not left:
            return
        what = f"ending {human_count(len(left), 'job')} at {self.profile.name}: {_listed(left)}"
        logger.info(what)
        told(what)
        end = time.monotonic() + grace + ENDING
        asked: set[str] = set()
        while left:
            if new := [job.id for job in left if job.id not in asked]:
                questions.cancel(self.commands, new)
                asked.update(new)
            if time.monotonic() > end:
                raise OutageError(f"{self.profile.name} does not end jobs of the run: {_listed(left)}")
            self.wait(LOOK)
            left = self._now()


def _listed(jobs: Sequence[BatchJob]) -> str:
    rest = len(jobs) - 10
    return ", ".join(job.id for job in jobs[:10]) + (f" and {rest} more" if rest > 0 else "")
