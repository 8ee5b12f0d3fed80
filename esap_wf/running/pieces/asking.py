"""
A place's launcher, as far as its word can be taken: a plug-in may answer anything, and raise anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from esap_wf.backends import (
    LONGEST_HANDLE,
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
from esap_wf.errors import EsapError

T = TypeVar("T")


class FaultError(OutageError):
    """A plug-in does what its contract doesn't allow. It is asked again, but not for ever."""

    code = "plug-in"


class Asking:
    """
    Asks a launcher. What it raises that it may not, and answers that mean nothing, are `FaultError`.

    Parameters
    ----------
    launcher : Launcher
    title : str
        What the place is called.
    """

    def __init__(self, launcher: Launcher, title: str) -> None:
        self._launcher, self._title = launcher, title

    def _asked(self, what: Callable[[], T]) -> T:
        try:
            return what()
        except (OutageError, NeedsPersonError):
            raise
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise FaultError(f"{error.strerror or error}{where}") from error
        except LookupError:
            raise
        except EsapError as error:
            raise FaultError(str(error).replace("\n", " ")) from error
        except Exception as error:  # a plug-in may raise anything
            raise FaultError(self._fault(f"it raised {type(error).__name__}: {error}")) from error

    def _fault(self, what: str) -> str:
        return f"the plug-in of {self._title} is at fault: {what[:300]}"

    def start(self, pieces: Sequence[Piece]) -> dict[str, str | Refusal]:
        """
        See `Launcher.start`. A handle that can't be kept is left out of the account: the key finds the piece.
        """
        answers = self._answers(self._lookup(lambda: self._launcher.start(pieces)))
        found: dict[str, str | Refusal] = {}
        for key in (piece.key for piece in pieces):
            answer = answers.get(key)
            if isinstance(answer, Refusal):
                found[key] = answer
            elif isinstance(answer, str):
                found[key] = answer if len(answer.encode("utf-8", "replace")) <= LONGEST_HANDLE else ""
            elif answer is not None:
                raise FaultError(self._fault(f"its handle of a piece is {type(answer).__name__}"))
        return found

    @property
    def waiting_for(self) -> str:
        """See `Launcher.waiting_for`."""
        return str(self._launcher.waiting_for)

    def look(self, pieces: Mapping[str, str | None]) -> dict[str, Seen]:
        """See `Launcher.look`. What isn't answered is unknown."""
        answers = self._answers(self._lookup(lambda: self._launcher.look(pieces)))
        unknown = Seen(Condition.UNKNOWN, reason=f"{self._title} says nothing of it")
        seen: dict[str, Seen] = {}
        for key in pieces:
            answer = answers.get(key, unknown)
            if not isinstance(answer, Seen):
                raise FaultError(self._fault(f"what it has seen is {type(answer).__name__}"))
            seen[key] = answer
        return seen

    def survivors(self, run: str) -> list[str] | None:
        """See `Launcher.survivors`."""
        found = self._lookup(lambda: self._launcher.survivors(run))
        return None if found is None else [key for key in found if key.startswith(f"{run}.")]

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        """See `Launcher.stop`."""
        if pieces:
            self._lookup(lambda: self._launcher.stop(pieces, signal))

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str]) -> None:
        """See `Launcher.pull`: LookupError if the place has it no more."""
        self._asked(lambda: self._launcher.pull(key, handle, into, part, wanted))

    def forget(self, key: str, handle: str | None) -> None:
        """See `Launcher.forget`."""
        self._lookup(lambda: self._launcher.forget({key: handle}))

    def _lookup(self, what: Callable[[], T]) -> T:
        """Where LookupError is no answer."""
        try:
            return self._asked(what)
        except LookupError as error:
            raise FaultError(self._fault(f"it raised {type(error).__name__}: {error}")) from error

    def _answers(self, found: object) -> Mapping[str, object]:
        if not isinstance(found, Mapping):
            raise FaultError(self._fault(f"it answered with {type(found).__name__}"))
        return found
