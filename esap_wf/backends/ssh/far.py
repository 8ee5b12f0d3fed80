"""Questions to ``far.sh`` at a host: it is put there by its content, and asked again where that may help."""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from esap_wf.backends.launcher import OutageError
from esap_wf.backends.ssh import failures
from esap_wf.backends.ssh.answer import Answer, CutOffError, NoAnswerError
from esap_wf.backends.ssh.channel import Channel, Feed, Sink, StalledError
from esap_wf.backends.ssh.connection import Connection
from esap_wf.backends.ssh.settings import Address

Got = TypeVar("Got")
#: Bytes of an answer in lines.
LINES = 64 * 1024 * 1024
#: How often a question is asked: the program was missing, a channel was refused, the master had gone.
_TRIES = 8
#: Exit codes of a shell that can't open a script.
_NO_SCRIPT = (2, 126, 127)
_REFUSED = ("refused by peer", "open failed", "administratively prohibited")


@cache
def program() -> bytes:
    """What runs there."""
    return Path(__file__).with_name("far.sh").read_bytes()


@cache
def digest() -> str:
    """Under which name it runs there."""
    return hashlib.sha256(program()).hexdigest()[:16]


class Far:
    """
    The folder of pieces at a host.

    Parameters
    ----------
    address : Address
    folder : str
        Of pieces; absolute, or below the user's home there. Packed environments lie beside it.
    connection : Connection, optional
    """

    def __init__(self, address: Address, folder: str, connection: Connection | None = None) -> None:
        self.address, self.folder = address, folder
        self.connection = connection or Connection(address)

    def lines(self, *question: str, told: bytes = b"") -> tuple[Answer, list[str]]:
        """
        A question that is answered in lines.

        Parameters
        ----------
        question : str
            The verb, and words that no shell changes.
        told : bytes
            Sent along.

        Raises
        ------
        OutageError, NeedsPersonError
        """
        return self.ask(question, lambda sink: _all(sink, told), lambda answer: (answer, answer.lines()))

    def ask(
        self,
        question: tuple[str, ...],
        feed: Feed,
        take: Callable[[Answer], Got],
        *,
        transfer: bool = False,
        limit: int = LINES,
    ) -> Got:
        """
        Ask, and take the answer.

        Parameters
        ----------
        question : tuple of str
        feed : Feed
            May be called again, if nothing has been answered.
        take : callable
            Gets the answer once it begins, and reads it.
        transfer : bool
            It may take long.
        limit : int
            Bytes of the answer.

        Raises
        ------
        OutageError, NeedsPersonError
        """
        where = f"{self.folder}/.far/{digest()}.sh"
        return self._asked(
            lambda nonce: ("sh", where, question[0], nonce, *question[1:]), feed, take, transfer, limit
        )

    def ask_script(self, script: bytes, take: Callable[[Answer], Got], nonce: str) -> Got:
        """Run a script that is not put there, and takes its answer's nonce from its text."""
        return self._asked(lambda _: ("sh", "-s"), lambda sink: _all(sink, script), take, False, LINES, nonce)

    def _asked(
        self,
        words: Callable[[str], tuple[str, ...]],
        feed: Feed,
        take: Callable[[Answer], Got],
        transfer: bool,
        limit: int,
        fixed: str = "",
    ) -> Got:
        told = OutageError(f"{self.address.host}: it can't be reached")
        for attempt in range(_TRIES):
            nonce = fixed or os.urandom(8).hex()
            with self.connection.channel(words(nonce), feed, transfer) as channel:
                try:
                    answer = Answer(channel, nonce, limit)
                    self._check(answer)
                    got = take(answer)
                    answer.read()
                    return got
                except StalledError:
                    stalled = True
                except CutOffError:
                    raise failures.outage(self.address, "the connection was cut off") from None
                except OverflowError:
                    raise self._strange("it sends more than was to be expected") from None
                except NoAnswerError as error:
                    stalled = False
                    told = self._why(channel, error.text)
            if stalled:
                self.connection.suspect()
                raise failures.outage(self.address, "it does not answer in time")
            self._before_next(attempt, told, installs=not fixed)
        raise told

    def _before_next(self, attempt: int, told: OutageError, installs: bool) -> None:
        """What makes a further try worthwhile."""
        if isinstance(told, _ScriptMissingError):
            if not installs:
                raise told
            self._install()
        elif attempt:
            time.sleep(min(2.0, 0.05 * 2**attempt))

    def _why(self, channel: Channel, instead: str) -> OutageError:
        """
        Why there was no answer, if another try may help.

        Raises
        ------
        OutageError, NeedsPersonError
            It may not.
        """
        code, said = channel.close()
        if code in _NO_SCRIPT:
            return _ScriptMissingError(f"{self.address.host}: {said.strip()[-200:] or 'no answer'}")
        if code == 255:
            # ssh's own: the master has gone, or takes no more; or nobody knows
            if any(word in said for word in _REFUSED):
                return failures.outage(self.address, "it takes no more sessions now", said)
            return failures.outage(self.address, "the connection was lost", said)
        error = failures.understood(f"{said}\n{instead}", self.address, "")
        if not isinstance(error, OutageError):
            raise error
        raise self._strange("it does not run commands as other hosts do", f"{instead}\n{said}")

    def _strange(self, what: str, text: str = "") -> Exception:
        hint = f"`{self.address.by_hand} sh -c true` has to end without an error"
        return failures.for_person(self.address, what, hint, text)

    def _check(self, answer: Answer) -> None:
        if answer.strange_base:
            hint = "set `folder` in the profile to a path of letters, digits and . _ @ + -"
            raise failures.for_person(self.address, f"pieces can't work in {answer.base[:200]!r}", hint)

    def _install(self) -> None:
        """Put the program there, whole or not at all: it is read as one command."""
        nonce = os.urandom(8).hex()
        script = Path(__file__).with_name("install.sh").read_text("utf-8")
        values = {
            "NONCE": nonce,
            "FOLDER": self.folder,
            "DIGEST": digest(),
            "PROGRAM": program().decode().removesuffix("\n"),
        }
        for name, value in values.items():
            script = script.replace(f"@{name}@", value)

        def take(answer: Answer) -> str:
            return answer.line()

        said = self.ask_script(script.encode(), take, nonce)
        if said != "installed":
            error = failures.understood(said, self.address, "")
            if not isinstance(error, OutageError):
                raise error
            hint = f"choose another `folder` in the profile, or make {shlex.quote(self.folder)} usable there"
            raise failures.for_person(self.address, f"nothing can be put into {self.folder}", hint, said)


class _ScriptMissingError(OutageError):
    """The program is not there (any more)."""


def _all(sink: Sink, data: bytes) -> None:
    sink.write(data)
