"""
What places have said of themselves, kept in ``<cache>/places/<name>/survey.json``.

A place is asked where it is named (``--backend``, ``backends show``, ``backends check``); else what it said
the last time counts.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.backends.base import BackendBase
from esap_wf.backends.launcher import NeedsPersonError, OutageError
from esap_wf.errors import EsapError, Problem, UnavailableError
from esap_wf.formats import digests
from esap_wf.formats.quantities import human_seconds
from esap_wf.models import Model
from esap_wf.models.place import Profile, Survey
from esap_wf.models.run import encode

logger = logging.getLogger(__name__)

#: Seconds for which a place is not asked again.
FRESH = 15 * 60


class Kept(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``survey.json``: what was said, under which profile."""

    schema_version: int = 1
    profile: str
    survey: Survey


@dataclass(frozen=True)
class Answer:
    """
    What a place says.

    Parameters
    ----------
    survey : Survey
    warning : str
        Why it is an old one; empty if it isn't.
    """

    survey: Survey
    warning: str = ""


def known(profile: Profile, cache: Path) -> Survey | None:
    """What a place said the last time, however long ago; None if it was never asked under this profile."""
    try:
        kept = files.read_json(_path(profile, cache), Kept)
    except (EsapError, OSError):
        return None
    return kept.survey if kept.profile == _digest(profile) else None


def ask(backend: BackendBase, profile: Profile, cache: Path) -> Answer:
    """
    What a place says; one that was asked a short while ago is not asked again, and of one that is away what
    it said before counts.

    Raises
    ------
    UnavailableError
        It can't be asked, and has never been; or its plug-in fails.
    """
    old = known(profile, cache)
    if old and 0 <= age(old) <= FRESH:
        return Answer(old)
    try:
        return Answer(ask_now(backend, profile, cache))
    except (OutageError, NeedsPersonError) as error:
        why = "; ".join([error.message, *(str(p) for p in error.problems)])
        logger.info("%s can't be asked: %s", profile.name, why)
        if old is None:
            problem = Problem(f"backend {profile.name}", why, _advice(error, profile.name))
            raise UnavailableError(f"{profile.name} can't be asked what it has", [problem]) from None
        what = f"{profile.name} can't be asked now ({why}); what it said {human_seconds(age(old))} ago counts"
        return Answer(old, what)


def ask_now(backend: BackendBase, profile: Profile, cache: Path) -> Survey:
    """
    What a place says now; it is kept.

    Raises
    ------
    OutageError, NeedsPersonError
        As `BackendBase.survey`.
    UnavailableError
        Its plug-in fails.
    """
    try:
        survey = backend.survey(profile, cache)
        if not isinstance(survey, Survey):
            raise TypeError(f"its survey is of the type {type(survey).__name__}")
        data = encode(Kept(profile=_digest(profile), survey=survey))
    except EsapError:
        raise
    except Exception as error:  # a plug-in may raise anything
        logger.info("the plug-in of %s fails", profile.name, exc_info=True)
        problem = Problem(f"backend {profile.name}", failing(profile, error))
        raise UnavailableError(f"backend {profile.name} can't be asked", [problem]) from error
    # a cache that can't be written costs a question the next time
    with contextlib.suppress(EsapError, OSError):
        path = _path(profile, cache)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, data)
    return survey


def age(survey: Survey) -> float:
    """Seconds since a survey; negative if it can't be told."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(survey.asked)).total_seconds()
    except (ValueError, TypeError):
        return -1.0


def failing(profile: Profile, error: Exception) -> str:
    """That a plug-in has raised what it may not."""
    return f"the plug-in {profile.kind!r} failed: {type(error).__name__}: {error}"


def _advice(error: EsapError, name: str) -> str:
    again = f"esap-wf backends check {name} asks again"
    return f"it needs you: see to that, then {again}" if isinstance(error, NeedsPersonError) else again


def _path(profile: Profile, cache: Path) -> Path:
    return cache / "places" / profile.name / "survey.json"


def _digest(profile: Profile) -> str:
    """Of all that a profile says but what is for people."""
    return digests.of_data(msgspec.structs.replace(profile, title=""))
