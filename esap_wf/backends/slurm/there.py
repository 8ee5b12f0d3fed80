"""Pieces that are jobs of Slurm, each in a sandbox that this machine and the nodes see."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from esap_wf.backends import arriving, bundles
from esap_wf.backends.launcher import (
    BatchJob,
    Condition,
    Launcher,
    NeedsPersonError,
    OutageError,
    Part,
    Piece,
    Refusal,
    Seen,
    Signal,
)
from esap_wf.backends.slurm import environments, options, pulling, questions, submission
from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.judging import Judge
from esap_wf.backends.slurm.sandbox import OUTPUT, Sandbox, Void
from esap_wf.backends.slurm.sandboxes import Sandboxes
from esap_wf.backends.slurm.settings import of
from esap_wf.backends.turns import held, private_folder
from esap_wf.errors import EsapError, Problem, UnavailableError
from esap_wf.formats import digests
from esap_wf.formats.printing import one_line
from esap_wf.models.place import Profile

logger = logging.getLogger(__name__)
#: Seconds for which another process that submits the same piece is waited for.
_TURN = 90.0


@cache
def program() -> str:
    """What each job runs."""
    return Path(__file__).with_name("there.sh").read_text("utf-8")


class ThereLauncher(Launcher):
    """
    See `esap_wf.backends.Launcher`.

    Parameters
    ----------
    profile : Profile
    cache : Path
    """

    def __init__(self, profile: Profile, cache: Path) -> None:
        settings = of(profile)
        if settings.folder is None:
            what = "pieces need a folder that is seen by this machine and by the nodes"
            hint = "set `folder` in the profile"
            raise UnavailableError(
                f"{profile.name}: {what}", [Problem(f"backend {profile.name}", what, hint)]
            )
        self.profile, self.cache, self.commands = profile, cache, Commands(profile)
        self.sandboxes = Sandboxes(Path(os.path.realpath(settings.folder)), profile.name)
        self._judge = Judge(self.commands, self.sandboxes, settings.latency)

    # --- start

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        """Make a sandbox for each, by a name that only one can have, and submit its job."""
        given: dict[str, str | Refusal] = {}
        failed: OutageError | None = None
        self.waiting_for = ""
        for piece in pieces:
            try:
                answer = self._start(piece)
            except OutageError as error:
                failed = error
                break
            if isinstance(answer, submission.Later):
                self.waiting_for = answer.reason
                break
            given[piece.key] = answer
        if failed:
            self.waiting_for = " ".join(str(failed).split("\n"))
            if not given:
                raise failed
        return given

    def _start(self, piece: Piece) -> str | Refusal | submission.Later:
        sandbox = self.sandboxes.of(piece.key)
        with self.sandboxes.explained():
            if not sandbox.exists and (refusal := self._make(piece)):
                return refusal
            with self._turn(piece.key):
                if sandbox.job:
                    return sandbox.job
                if sandbox.end() is not None or sandbox.started is not None:
                    return (sandbox.started or ("",))[0] or piece.key
                return self._submit(piece, sandbox)

    def _make(self, piece: Piece) -> Refusal | None:
        try:
            found = list(bundles.items(piece.folder, self.profile.shared))
            size = bundles.size(found)
        except OSError as error:
            what = f"{error.filename or 'a file'} can't be read, which is to be copied"
            hint = f"{error.strerror or error}: make it readable"
            raise NeedsPersonError(
                f"{self.profile.name}: {what}", [Problem(str(error.filename), what, hint)]
            ) from None
        if refusal := bundles.too_large(size, self.profile):
            return refusal
        values = {name: os.environ[name] for name in piece.secrets if name in os.environ}
        named = bundles.environments(piece)
        there = environments.bring(self.sandboxes, self.profile, self.cache, named) if named else ""
        self.sandboxes.make(piece, found, values, there)
        return None

    def _submit(self, piece: Piece, sandbox: Sandbox) -> str | Refusal | submission.Later:
        if sandbox.tried:  # somebody died while it was submitted, or nobody heard the answer
            for job in submission.find(self.commands, [piece.key]).get(piece.key, []):
                sandbox.keep_job(job.id)
                return job.id
        sandbox.try_()
        answer = submission.submit(
            self.commands, self.profile, self._request(piece, sandbox, self.script(piece))
        )
        if isinstance(answer, str):
            sandbox.keep_job(answer)
            logger.info("%s is job %s of %s", piece.key, answer, self.profile.name)
        elif isinstance(answer, Refusal):
            self.sandboxes.remove(piece.key)
        return answer

    def _request(self, piece: Piece, sandbox: Sandbox, script: str) -> submission.Request:
        return submission.Request(
            key=piece.key,
            folder=sandbox.path,
            script=script,
            output=OUTPUT,
            needs=options.piece(self.profile, piece.needs),
        )

    @contextlib.contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """One process of this machine submits a piece at a time; of two machines, one job begins with it."""
        # a few locks for all pieces, which stay: one that is removed may be held by two
        name = digests.of_data([str(self.sandboxes.mine), key])[0]
        try:
            with held([private_folder() / f"submission-{name}"], _TURN):
                yield
        except TimeoutError:
            raise OutageError(f"another process has been submitting {key} for long") from None

    def script(self, piece: Piece) -> str:
        """The job's script; only the key and the folder are those of the piece."""
        sandbox = self.sandboxes.of(piece.key)
        request = self._request(piece, sandbox, "")
        asked = one_line(shlex.join(["sbatch", *submission.arguments(self.profile, request)]))
        # where links lead, a folder may be called anything; a key is checked
        path = shlex.quote(str(sandbox.path))
        # what defines `module` is read by a login shell only
        shell = "#!/bin/bash -l" if self.profile.software.modules else "#!/bin/bash"
        return f"{shell}\n# {asked}\ndir={path} key={piece.key}\n{program()}"

    # --- look

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        """By their sandboxes, and one question for all of which those don't say that they have ended."""
        try:
            with self.sandboxes.explained():
                return self._judge.look(list(pieces))
        except (OutageError, UnavailableError) as error:
            unknown = Seen(Condition.UNKNOWN, reason=" ".join(str(error).split("\n")))
            return dict.fromkeys(pieces, unknown)

    def survivors(self, run: str) -> Sequence[str] | None:
        """Those that are in the queue, or may yet come there, and have not written down their end."""
        if not bundles.RUN.fullmatch(run):
            return ()
        try:
            with self.sandboxes.explained():
                working = {k for k in self._queued() if k.startswith(f"{run}.")}
                working |= {k for k in self.sandboxes.keys(run) if self._judge.may_come(k)}
                return sorted(k for k in working if self.sandboxes.of(k).end() is None)
        except (EsapError, OSError) as error:
            logger.warning("who of %s lives can't be asked: %s", run, error)
            return None

    def _queued(self) -> dict[str, list[BatchJob]]:
        return self._judge.queued()

    # --- stop, forget

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        """A signal to engines or their groups; None, and of what has not begun any signal, is the end."""
        if not pieces:
            return
        try:
            with self.sandboxes.explained():
                self._stop(pieces, signal)
        except (OutageError, UnavailableError) as error:
            logger.warning("stop: %s", error)

    def _stop(self, pieces: Iterable[str], sent: Signal | None) -> None:
        queued = self._queued()
        ends, signals = list[str](), list[str]()
        for key in pieces:
            sandbox = self.sandboxes.of(key)
            jobs = {job.id: job.condition for job in queued.get(key, ())}
            begun = sandbox.exists and sandbox.started is not None
            if sent is not None and begun and sandbox.end() is None:
                if sent.to_jobs:
                    sandbox.ask_all(_name(sent.number))
                signals += [job for job, condition in jobs.items() if condition is Condition.RUNNING]
                continue
            if sent is not None and Condition.RUNNING in jobs.values():
                continue  # it is about to begin: it is asked again
            self.sandboxes.refuse(key)
            if sandbox.exists:
                if sandbox.bar():
                    sandbox.give_up(Void("it was stopped before it began"))
                else:
                    sandbox.ask_end()
            ends += jobs
        if signals and sent is not None:
            questions.tell(self.commands, signals, _name(sent.number))
        if ends:
            questions.cancel(self.commands, ends)

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        """Remove the sandboxes of those that are over."""
        if not pieces:
            return
        with self.sandboxes.explained():
            for key, seen in self._judge.look(list(pieces)).items():
                if seen.condition in (Condition.ENDED, Condition.GONE):
                    self.sandboxes.remove(key)
                elif seen.condition is Condition.UNKNOWN:
                    raise OutageError(f"whether {key} still works can't be asked: {seen.reason}")
                else:
                    logger.warning("%s is not forgotten: it works", key)
            self.sandboxes.leave()

    # --- pull

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        """Copies of its files."""
        sandbox = self.sandboxes.of(key)
        with self.sandboxes.explained():
            if not sandbox.exists:
                if self.sandboxes.arriving(key):
                    return
                raise LookupError(f"{self.profile.name} has nothing of {key}")
        try:
            pulling.pull(sandbox, into, part, wanted)
        except arriving.StrangeError as error:
            what = f"{self.profile.name}: what {key} has made can't be taken"
            hint = "look at it there"
            raise NeedsPersonError(what, [Problem(str(sandbox.root), str(error), hint)]) from None


def _name(number: int) -> str:
    """``TERM``: numbers differ between systems."""
    return signal.Signals(number).name.removeprefix("SIG")
