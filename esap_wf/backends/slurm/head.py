"""
Engines as batch jobs of Slurm, in the run directory, which the nodes see. The job itself writes how its
engine has ended (`head.sh`): the record is the run's own (`esap_wf.runs.attempts`), as of an engine here.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGALRM, SIGINT, SIGKILL, SIGPROF, SIGTERM, SIGUSR1, SIGVTALRM

from esap_wf.backends.launcher import (
    BatchJob,
    Condition,
    NeedsPersonError,
    OutageError,
    Piece,
    Refusal,
    Seen,
    Signal,
)
from esap_wf.backends.queue import run_of
from esap_wf.backends.slurm import head_environment, questions, submission, wrapper
from esap_wf.backends.slurm.head_judging import (
    Judge,
    began,
    chosen,
    ended,
    epoch_of,
    handle_of,
    is_engine,
    on_node,
)
from esap_wf.backends.slurm.native import NativeLauncher
from esap_wf.backends.slurm.settings import of
from esap_wf.backends.slurm.submission import Later, Request
from esap_wf.formats.quantities import human_count, to_bytes, to_seconds
from esap_wf.models.place import Profile
from esap_wf.models.plan import Allocation
from esap_wf.models.run import now
from esap_wf.runs import attempts, crashpoints
from esap_wf.runs.attempts import EngineExit, EngineJob

logger = logging.getLogger(__name__)

_SCRIPT = Path(__file__).with_name("head.sh")
#: Seconds between the end of the longest job and that of its head.
SPARE = 120
#: Seconds between two looks at jobs that are ending, and for which the end of one is waited for that has
#: written how its engine ended.
LOOK, ENDING = 1.0, 10.0
#: What the script is sent if a signal is for all that the engine has started.
_FOR_ALL: dict[int, int] = {SIGTERM: SIGALRM, SIGINT: SIGVTALRM, SIGUSR1: SIGPROF}


class HeadLauncher(NativeLauncher):
    """
    See `esap_wf.backends.Launcher`. The key of a piece is that of an engine: run and epoch.

    An engine of an earlier plan may be a process of this machine; it is looked after as such.

    Parameters
    ----------
    profile : Profile
    cache : Path
    """

    is_queue = True
    sees_itself = False

    def __init__(self, profile: Profile, cache: Path) -> None:
        super().__init__(profile, cache)
        self._settings = of(profile)
        self._judge = Judge(profile.name, self._settings.latency)

    # --- start

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        """Each a job; one that Slurm doesn't take now is left out."""
        self.waiting_for = ""
        answers: dict[str, str | Refusal] = {}
        sbatch = self.commands.where("sbatch") if pieces else ""
        for piece in pieces:
            programs = wrapper.write(
                self._run.run, piece.folder, sbatch, self._run.mode, self.profile.caps.submissions
            )
            answer = self._start_job(self._with(piece, programs))
            if isinstance(answer, Later):
                self.waiting_for = answer.reason
            else:
                answers[piece.key] = answer
        return answers

    def _start_job(self, piece: Piece) -> str | Refusal | Later:
        folder, epoch = piece.folder, epoch_of(piece.key)
        if attempts.is_void(folder, epoch):
            return Refusal("this engine was given up")
        known = attempts.job_of(folder, epoch)
        if known and known.job:
            return handle_of(known.job, folder)
        if begun := began(folder, epoch):
            return self._keep(piece, begun[0])
        if known is None:
            attempts.keep_job(folder, self._record(piece), self._run.mode)
        crashpoints.reached("head-recorded")
        head_environment.write(piece, self._settings.conf)
        answer = submission.ensure(self.commands, self.profile, [self.request(piece)])[piece.key]
        crashpoints.reached("head-submitted")
        if not isinstance(answer, str):
            head_environment.remove(folder, epoch)
            return answer
        return self._keep(piece, answer)

    def _record(self, piece: Piece, job: str = "") -> EngineJob:
        return EngineJob(
            epoch=epoch_of(piece.key),
            place=self.profile.name,
            name=submission.name_of(piece.key),
            job=job,
            submitted=now(),
        )

    def _keep(self, piece: Piece, job: str) -> str:
        attempts.keep_job(piece.folder, self._record(piece, job), self._run.mode)
        logger.info("the engine of epoch %d is job %s of %s", epoch_of(piece.key), job, self.profile.name)
        return handle_of(job, piece.folder)

    def request(self, piece: Piece) -> Request:
        """What is handed in for a piece."""
        wall = int(to_seconds(self._settings.head_wall))
        options = []
        if piece.drain is not None:
            # never more than half of its time without starting anything
            options = [f"--signal=B:USR2@{min(piece.lead + SPARE, max(60, wall // 2), 65535)}"]
        return Request(
            key=piece.key,
            folder=piece.folder,
            script=self.script(piece),
            output=f"engine/{epoch_of(piece.key)}.job.log",
            needs=Allocation(
                cores=1,
                memory_bytes=int(to_bytes(self._settings.head_memory)),
                disk_bytes=0,
                wall_seconds=wall,
            ),
            options=options,
        )

    def script(self, piece: Piece) -> str:
        """Values that are a user's stand quoted before a text that is always the same."""
        return (
            "#!/bin/bash\n"
            f"folder={shlex.quote(str(piece.folder))}\n"
            f"epoch={epoch_of(piece.key)}\n"
            f"command=({shlex.join(piece.command)})\n"
            f"drain={'' if piece.drain is None else int(piece.drain)}\n"
            f"{_SCRIPT.read_text('utf-8')}"
        )

    # --- look

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        """By the record of each run, and one question for all jobs that wait or run."""
        seen: dict[str, Seen] = {}
        asked: dict[str, str | None] = {}
        for key, handle in pieces.items():
            folder = self._folder(key, handle)
            end = attempts.end_of(folder, epoch_of(key)) if folder and is_engine(key) else None
            if end and (end.exit_code == 0 or end.drained):
                seen[key] = self._ended(end, None)
            elif folder == self._run.folder and self._is_process(key):
                seen |= super().look({key: handle})
            elif not is_engine(key) or (folder and not self._job(key, folder)):
                seen[key] = Seen(Condition.GONE, reason="was never handed in")
            else:
                asked[key] = handle
        if asked:
            try:
                seen |= self._asked(asked)
            except OutageError as error:
                seen |= {key: self._unasked(key, handle, str(error)) for key, handle in asked.items()}
        return seen

    def _unasked(self, key: str, handle: str | None, why: str) -> Seen:
        """An engine of which nobody could be asked; it may have said itself that it has ended."""
        folder = self._folder(key, handle)
        end = attempts.end_of(folder, epoch_of(key)) if folder else None
        return self._ended(end, None) if end else Seen(Condition.UNKNOWN, reason=why)

    def _is_process(self, key: str) -> bool:
        return is_engine(key) and attempts.of(self._run.folder, epoch_of(key)) is not None

    def _folder(self, key: str, handle: str | None) -> Path | None:
        """The directory of the run that a key belongs to; None if nobody has said it."""
        if key.rpartition(".")[0] == self._run.run:
            return self._run.folder
        folder = (handle or "").partition(" ")[2]
        return Path(folder) if folder.startswith("/") else None

    def _job(self, key: str, folder: Path) -> EngineJob | None:
        return attempts.job_of(folder, epoch_of(key)) if is_engine(key) else None

    def _asked(self, asked: Mapping[str, str | None]) -> dict[str, Seen]:
        active: dict[str, list[BatchJob]] = {}
        for job in questions.active(self.commands):
            if (key := submission.key_of(job)) in asked:
                active.setdefault(str(key), []).append(job)
        rest = [key for key in asked if key not in active]
        over = submission.find(self.commands, rest)
        found = {}
        for key, handle in asked.items():
            jobs = active.get(key) or over.get(key, [])
            folder = self._folder(key, handle) or next((Path(j.folder) for j in jobs if j.folder), None)
            if folder is None:
                found[key] = Seen(Condition.UNKNOWN, reason="nobody has said where its run works")
            else:
                found[key] = self._judge.judged(key, folder, chosen(jobs, began(folder, epoch_of(key))))
        return found

    def _ended(self, end: EngineExit, process: object) -> Seen:
        """Whether its job, and others of it, are gone is asked before anything is accepted."""
        if not isinstance(process, (BatchJob, type(None))):
            return super()._ended(end, process)  # type: ignore[arg-type]
        return ended(end, process, self._run.folder)

    def quiet(self, key: str, handle: str | None) -> float | None:
        """Nobody here can tell."""
        return super().quiet(key, handle) if self._is_process(key) else None

    # --- what is left

    def survivors(self, run: str) -> Sequence[str] | None:
        """Engines whose jobs wait or run, and those that are processes here."""
        here = super().survivors(run)
        try:
            jobs = self._left(run)
        except (OutageError, NeedsPersonError):
            return None
        keys = {key for job in jobs if (key := submission.key_of(job)) and is_engine(key)}
        return None if here is None else sorted({*here, *keys})

    def _left(self, run: str) -> list[BatchJob]:
        """Heads of a run, and the jobs that they have submitted, which wait or work."""
        runs = frozenset({run})
        return [j for j in questions.active(self.commands) if run_of(j.name, j.comment, runs)]

    def clear(self, run: str, grace: float, told: Callable[[str], None]) -> None:
        """Heads first, so that nothing of theirs starts any more; then what they have submitted."""
        self._await_the_ended(run)
        until = None
        while left := self._left(run):
            heads = [j for j in left if submission.key_of(j)] or left
            if until is None:
                until = time.monotonic() + max(grace, ENDING)
                names = ", ".join(f"job {j.id}" for j in left[:10])
                told(f"ending {human_count(len(left), 'job')} of an earlier attempt: {names}")
            questions.cancel(self.commands, [j.id for j in heads])
            if time.monotonic() > until:
                job = left[0]
                raise OutageError(f"job {job.id}{on_node(job)} was asked to end and has not yet: {job.state}")
            time.sleep(LOOK)
        for epoch in attempts.started(self._run.folder):
            head_environment.remove(self._run.folder, epoch)
        super().clear(run, grace, told)

    def _await_the_ended(self, run: str) -> None:
        """A job whose engine has ended ends by itself; it is nothing to speak of."""
        until = time.monotonic() + ENDING
        while time.monotonic() < until:
            left = self._left(run)
            keys = [key for job in left if (key := submission.key_of(job)) and is_engine(key)]
            if not left or len(keys) < len(left):
                return
            if not all(attempts.end_of(self._run.folder, epoch_of(key)) for key in keys):
                return
            time.sleep(LOOK)

    # --- the end

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        """
        A signal goes to the script, which passes it on to the engine; one for its jobs, too, to all of its
        group, and what it has submitted is cancelled. One that waits is cancelled.
        """
        here = {key: handle for key, handle in pieces.items() if self._is_process(key)}
        if here:
            super().stop(here, signal)
        keys = pieces.keys() - here.keys()
        if not keys:
            return
        jobs = [j for j in questions.active(self.commands) if submission.key_of(j) in keys]
        waiting = [j.id for j in jobs if j.condition is Condition.WAITING]
        running = [j.id for j in jobs if j.condition is not Condition.WAITING]
        if signal is None or signal.number == SIGKILL:
            questions.cancel(self.commands, [*waiting, *running])
            return
        questions.cancel(self.commands, waiting)
        if running:
            number = _FOR_ALL.get(signal.number, signal.number) if signal.to_jobs else signal.number
            questions.tell(self.commands, running, str(int(number)))
        if signal.to_jobs:
            runs = {key.rpartition(".")[0] for key in keys}
            mine = [j for run in runs for j in self._left(run) if not submission.key_of(j)]
            questions.cancel(self.commands, [j.id for j in mine])

    def give_up(self, pieces: Mapping[str, str | None]) -> None:
        """A mark in the run's record, for which jobs look; also one that has not begun."""
        super().give_up(pieces)
        for key in pieces:
            head_environment.remove(self._run.folder, epoch_of(key))

    def fenced(self, pieces: Mapping[str, str | None]) -> None:
        """Jobs that were given up; they would see it themselves."""
        super().fenced(pieces)
        void = {k: h for k, h in pieces.items() if attempts.is_void(self._run.folder, epoch_of(k))}
        with contextlib.suppress(OutageError, NeedsPersonError):
            self.stop(void, None)

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        """The run directory stays as it is."""

    def batch_jobs(self, run: str, ended: Sequence[str] = ()) -> Sequence[BatchJob] | None:
        """Without the heads themselves."""
        found = super().batch_jobs(run, ended)
        return None if found is None else [j for j in found if not submission.key_of(j) or j.id in ended]
