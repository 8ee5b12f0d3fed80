"""Errors that say what, where, why and what next. Standard library only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line (docs/commands.md)."""

    DONE = 0
    RUN_FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNAVAILABLE = 4
    INTERNAL = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing that is wrong.

    Parameters
    ----------
    where : str
        File, line, path inside the document, or option.
    what : str
        What is wrong and why.
    hint : str
        What to do next; empty if nothing helps.
    """

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


class EsapError(Exception):
    """
    Base of all errors that a user may see.

    Parameters
    ----------
    message : str
        One sentence.
    problems : sequence of Problem
        All that was found, not only the first.
    """

    code = "internal"
    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, problems: list[Problem] | tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = list(problems)

    def __str__(self) -> str:
        # a problem that only says the message again adds its hint
        again = self.message.rstrip(".")
        lines = [p.hint if p.what.rstrip(".") == again else str(p) for p in self.problems]
        return "\n".join([self.message, *(f"  {line}" for line in lines if line)])

    def as_dict(self) -> dict[str, object]:
        """The error as the JSON answer of every verb carries it."""
        return {"code": self.code, "message": self.message, "problems": [asdict(p) for p in self.problems]}


class UsageError(EsapError):
    """The request, a document or the command line is wrong."""

    code = "invalid"
    exit_code = ExitCode.USAGE


class NotFoundError(UsageError):
    """Something named by the user does not exist."""

    code = "not-found"


class RefusedError(EsapError):
    """Valid, but not allowed: permission, quota, no place fits, a stale plan."""

    code = "refused"
    exit_code = ExitCode.REFUSED


class UnavailableError(EsapError):
    """An engine, a backend or a service is not there."""

    code = "unavailable"
    exit_code = ExitCode.UNAVAILABLE


class StoppedError(EsapError):
    """Whoever waited for something wants it no more."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


class RunFailedError(EsapError):
    """The run ended in ERROR or ABORTED."""

    code = "run-failed"
    exit_code = ExitCode.RUN_FAILED
