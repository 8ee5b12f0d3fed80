"""
Whether the nodes see a folder of this machine, and may write there, and whether they have what a profile says
of them: found out by a job that does it.

It is never left behind: what has not begun in some seconds is cancelled, and Slurm itself drops it after a
deadline.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from esap_wf import files
from esap_wf.backends.launcher import Condition
from esap_wf.backends.slurm import options, questions, states, submission
from esap_wf.backends.slurm.commands import Commands
from esap_wf.errors import EsapError
from esap_wf.formats import digests
from esap_wf.models import Model
from esap_wf.models.place import Profile
from esap_wf.models.run import encode

logger = logging.getLogger(__name__)

#: Seconds for which it counts that they see it; after which anything else is asked again.
DAY, AGAIN = 86_400.0, 900.0
#: Seconds for the job: until it has begun, and from then to its end.
PATIENCE, WORKS = 6.0, 15.0
_PAUSE = 0.2
#: What the job ends with if it doesn't find what stands in the folder, or can't write there.
_BLIND, _SHUT = 3, 4
#: What a job ends with that doesn't find the first of some paths, and how many it is asked for at most.
_FIRST, _MOST = 10, 100
_SUBMITTED = re.compile(r"^(\d+)(?:;\S*)?$", re.MULTILINE)


class Kept(Model, frozen=True, kw_only=True):
    """``sees.json``: profile and folder → answer, and when it was given."""

    answers: dict[str, tuple[bool | None, float]] = {}


def sees(profile: Profile, folder: Path, cache: Path) -> bool | None:
    """
    Whether jobs of a profile see a folder and may write there; None: it can't be found out now.

    Parameters
    ----------
    profile : Profile
    folder : Path
        Of one that isn't there yet, the next one above it that is.
    cache : Path
    """
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    path = cache / "places" / profile.name / "sees.json"
    key = digests.of_data([options.where(profile), profile.settings.get("conf"), str(folder)])
    kept, now = _read(path), time.time()
    if key in kept.answers:
        answer, asked = kept.answers[key]
        if 0 <= now - asked < (DAY if answer else AGAIN):
            return answer
    answer = _ask(profile, folder)
    fresh = {k: v for k, v in kept.answers.items() if 0 <= now - v[1] < DAY}
    with contextlib.suppress(EsapError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, encode(Kept(answers={**fresh, key: (answer, now)})))
    return answer


def _read(path: Path) -> Kept:
    try:
        return files.read_json(path, Kept)
    except (EsapError, OSError):
        return Kept()


def _ask(profile: Profile, folder: Path) -> bool | None:
    try:
        with _token(folder) as token:
            code = _probed(Commands(profile), profile, script(token), answer(token).exists)
    except (EsapError, OSError) as error:
        logger.info("whether %s sees %s can't be found out: %s", profile.name, folder, error)
        return None
    return {0: True, _BLIND: False, _SHUT: False}.get(code) if code is not None else None


def lacking(profile: Profile, paths: Sequence[str]) -> list[str] | None:
    """
    The first of some files and folders that jobs of a profile don't find, if there is one; None: it can't be
    found out now.

    Parameters
    ----------
    profile : Profile
    paths : sequence of str
        Absolute; this machine need not have them.
    """
    looks = [f"[ -r {shlex.quote(path)} ] || exit {_FIRST + n}" for n, path in enumerate(paths[:_MOST])]
    try:
        code = _probed(Commands(profile), profile, "\n".join(["#!/bin/sh", *looks, "exit 0"]) + "\n")
    except (EsapError, OSError) as error:
        logger.info("what the nodes of %s have can't be found out: %s", profile.name, error)
        return None
    if code is None or (code and not _FIRST <= code < _FIRST + len(looks)):
        return None
    return [paths[code - _FIRST]] if code else []


@contextlib.contextmanager
def _token(folder: Path) -> Iterator[Path]:
    """A file that nobody else has; it and the job's answer beside it are removed."""
    token = folder / f".esap-wf-{secrets.token_hex(12)}"
    handle = os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(handle, token.name.encode())
    os.close(handle)
    try:
        yield token
    finally:
        for path in (token, answer(token)):
            path.unlink(missing_ok=True)


def answer(token: Path) -> Path:
    """What the job writes."""
    return token.with_name(f"{token.name}.seen")


def script(token: Path) -> str:
    """The job."""
    # a node that reads an old copy of the folder gets two seconds
    at, seen = shlex.quote(str(token)), shlex.quote(str(answer(token)))
    return (
        "#!/bin/sh\n"
        f"for i in 1 2; do [ -f {at} ] && break; sleep 1; done\n"
        f'[ "$(cat {at})" = {token.name} ] || exit {_BLIND}\n'
        f": > {seen} || exit {_SHUT}\n"
    )


def _probed(
    commands: Commands, profile: Profile, given: str, early: Callable[[], bool] = lambda: False
) -> int | None:
    """Exit code of a short job; 0 as soon as `early` says so. None: it hasn't ended by itself."""
    if objection := options.objection(profile):
        logger.info("%s is not tried out: %s", profile.name, objection)
        return None
    name = f"esap-wf-probe-{secrets.token_hex(12)}"
    submitted: list[str] = []
    try:
        said = commands.run(
            "sbatch",
            *options.where(profile),
            *("--parsable", f"--job-name={name}", "--output=/dev/null", "--chdir=/", "--no-requeue"),
            *("--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--mem=50M", "--time=1"),
            "--deadline=now+3minutes",
            given=given,
            environment=submission.environment(commands.environment),
        )
        found = _SUBMITTED.search(said.out)
        if said.code or not found:
            logger.info("%s takes no job: %s", profile.name, said.said)
            return None
        submitted.append(found[1])
        return _followed(commands, found[1], early)
    finally:
        _removed(commands, name, submitted)


def _followed(commands: Commands, job: str, early: Callable[[], bool]) -> int | None:
    end = time.monotonic() + PATIENCE
    began = False
    while time.monotonic() < end:
        if early():
            return 0
        now = questions.known(commands, [job]).get(job)
        if now is None:
            return None
        if now.condition is Condition.RUNNING and not began:
            began, end = True, time.monotonic() + WORKS
        if now.condition in states.OVER:
            return 0 if now.state == "COMPLETED" else now.exit_code
        time.sleep(_PAUSE)
    return None


def _removed(commands: Commands, name: str, submitted: list[str]) -> None:
    """Nothing of it is left; one whose id was never heard is found by its name."""
    with contextlib.suppress(EsapError):
        left = submitted or [job.id for job in questions.active(commands) if job.name == name]
        if left:
            questions.cancel(commands, left)
