"""
All jobs of this user at one Slurm, asked for once for all runs: one asks, the others read the answer.

A file below the cache holds the last answer; who asks holds a lock, and the others wait for what it hears.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.backends.launcher import BatchJob
from esap_wf.backends.slots import clock
from esap_wf.backends.slurm import questions
from esap_wf.backends.slurm.commands import PATIENCE, Commands
from esap_wf.backends.turns import held
from esap_wf.errors import EsapError
from esap_wf.models import Model
from esap_wf.runs import processes

logger = logging.getLogger(__name__)

#: Bytes of an answer: 10^5 jobs of some hundred bytes.
_LIMIT = 256 * 1024 * 1024


class Answer(Model, frozen=True, kw_only=True):
    """
    What was heard.

    Parameters
    ----------
    boot : str
        Since when `asked` counts.
    asked : float
        When the question was begun (`esap_wf.backends.slots.clock`).
    jobs : list of BatchJob
    """

    schema_version: int = 1
    boot: str
    asked: float
    jobs: list[BatchJob]


class Active:
    """
    The user's jobs that wait or work.

    Parameters
    ----------
    commands : Commands
    folder : Path
        Of the place, in the cache.
    """

    def __init__(self, commands: Commands, folder: Path) -> None:
        self.commands, self.folder = commands, folder
        self._path = folder / "active.json"
        self._boot = processes.me().boot_id

    def jobs(self, since: float) -> Sequence[BatchJob]:
        """
        As Slurm has told after a moment.

        Parameters
        ----------
        since : float
            What was asked before (`esap_wf.backends.slots.clock`) is too old.

        Raises
        ------
        OutageError, NeedsPersonError
            It can't be asked.
        """
        if answer := self._recent(since):
            return answer.jobs
        with self._locked():
            if answer := self._recent(since):
                return answer.jobs
            asked = clock()
            found = questions.active(self.commands)
            self._keep(Answer(boot=self._boot, asked=asked, jobs=found))
            return found

    def last(self) -> Sequence[BatchJob] | None:
        """What was heard last, however long ago; None: nothing."""
        answer = self._recent(0.0)
        return answer.jobs if answer else None

    def _recent(self, since: float) -> Answer | None:
        try:
            answer = files.read_json(self._path, Answer, limit=_LIMIT)
        except EsapError:
            return None
        return answer if answer.boot == self._boot and since <= answer.asked <= clock() else None

    def _keep(self, answer: Answer) -> None:
        try:
            files.write_atomic(self._path, msgspec.json.encode(answer), mode=0o600, sync=False)
        except (EsapError, OSError) as error:
            logger.info("an answer of %s is not kept for other runs: %s", self.commands.name, error)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One question at a time; without a lock, or if who has it stands still, each run asks for itself."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # TimeoutError is one
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held([self.folder / "active.lock"], 2 * PATIENCE))
            yield
