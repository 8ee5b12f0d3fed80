"""What starts pieces at a host that is reached by SSH, and finds them again."""

from __future__ import annotations

import logging
import os
import posixpath
import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from esap_wf.backends import arriving, bundles
from esap_wf.backends.bundles import checked
from esap_wf.backends.launcher import (
    Condition,
    Launcher,
    NeedsPersonError,
    OutageError,
    Part,
    Piece,
    Refusal,
    Seen,
    Signal,
    Usage,
)
from esap_wf.backends.ssh import environments, failures, packing, settings, unpacking
from esap_wf.backends.ssh.answer import Answer
from esap_wf.backends.ssh.far import Far
from esap_wf.backends.ssh.settings import Address
from esap_wf.errors import EsapError
from esap_wf.models.place import Profile

log = logging.getLogger(__name__)
Got = TypeVar("Got")

#: Bytes of a record, and of results, that are taken at most.
MOST_RECORD, MOST_RESULTS = 4 * 2**30, 2**44
#: How often a piece is sent: who forgets the last piece removes what a new one needs.
_AGAIN = 5
_STATES = {
    "starting": Condition.WAITING,
    "running": Condition.RUNNING,
    "ended": Condition.ENDED,
    "gone": Condition.GONE,
    # the host has several nodes, and another one answers: nobody knows
    "elsewhere": Condition.UNKNOWN,
}
_TIMES = re.compile(r"(\d+)m(\d+)[.,](\d+)s")


class SshLauncher(Launcher):
    """
    See `esap_wf.backends.Launcher`.

    Parameters
    ----------
    profile : Profile
    cache : Path
    """

    def __init__(self, profile: Profile, cache: Path) -> None:
        self.profile, self.cache = profile, cache
        self.far = Far(Address.of(profile), settings.of(profile).folder)

    # --- start

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        """Send each and have it started, in a folder there that only one process can make."""
        given: dict[str, str | Refusal] = {}
        failed: EsapError | None = None
        for piece in pieces:
            try:
                answer = self._start(piece)
            except NeedsPersonError:
                raise
            except OutageError as error:
                failed = error
                break
            given[piece.key] = answer
        self.waiting_for = " ".join(str(failed).split("\n")) if failed else ""
        if failed and not given:
            raise failed
        return given

    def _start(self, piece: Piece) -> str | Refusal:
        checked(piece.key)
        try:
            found = list(bundles.items(piece.folder, self.profile.shared))
            size = bundles.size(found)
        except OSError as error:
            raise self._unreadable(error) from None
        if refusal := bundles.too_large(size, self.profile):
            return refusal
        secrets = {name: os.environ[name] for name in piece.secrets if name in os.environ}
        there = self._environments(piece)

        def take(answer: Answer) -> tuple[Answer, str]:
            return answer, " ".join(answer.lines())

        for _ in range(_AGAIN):
            try:
                answer, said = self.far.ask(
                    ("start", piece.key),
                    lambda sink: packing.send(sink, piece, found, secrets, there),
                    take,
                    transfer=True,
                )
            except OSError as error:
                raise self._unreadable(error) from None
            what, _, why = said.partition(" ")
            if what != "again":
                break
        if what in ("new", "old"):
            log.info("%s: %s is %s", self.far.address.host, piece.key, what)
            return f"{answer.host}:{answer.base}/{piece.key}"
        if what == "lacks":
            return Refusal(f"{self.far.address.host} has no {why}")
        if what == "failed":
            raise failures.understood(why, self.far.address, "what was sent did not arrive as a whole")
        raise failures.outage(self.far.address, "it could not start a piece now")

    def _unreadable(self, error: OSError) -> EsapError:
        what = f"{error.filename or 'a file'} can't be read, which is to be sent there"
        hint = f"{error.strerror or error}: make it readable here"
        return failures.for_person(self.far.address, what, hint)

    def _environments(self, piece: Piece) -> str:
        """Absolute path of the packed environments there; those that a piece names are there."""
        named = bundles.environments(piece)
        return environments.bring(self.far, self.profile, self.cache, named) if named else ""

    # --- look

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        """One question for all."""
        if not pieces:
            return {}
        try:
            answer, lines = self.far.lines("look", told=_told(pieces))
        except OutageError as error:
            unknown = Seen(Condition.UNKNOWN, reason=" ".join(str(error).split("\n")))
            return dict.fromkeys(pieces, unknown)
        seen = dict[str, Seen]()
        for line in lines:
            words = line.split(" ", 9)
            if words[0] == "seen" and len(words) == 10 and words[1] in pieces:
                seen[words[1]] = _seen(words, answer.base)
        missing = Seen(Condition.UNKNOWN, reason=f"{self.far.address.host} has not answered for it")
        return {key: seen.get(key, missing) for key in pieces}

    def survivors(self, run: str) -> Sequence[str] | None:
        """Keys of all pieces of a run that begin with its id."""
        if not bundles.RUN.fullmatch(run):
            return ()
        try:
            _, lines = self.far.lines("survivors", run)
        except (OutageError, NeedsPersonError) as error:
            log.warning("who of %s lives can't be asked: %s", run, error)
            return None
        return [key for line in lines if bundles.KEY.fullmatch(key := line.removeprefix("lives "))]

    # --- stop, forget

    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        """A signal to engines or their groups; None ends all that belongs to them."""
        if signal is None:
            self._try("kill", told=pieces)
        else:
            self._try("signal", _name(signal.number), "group" if signal.to_jobs else "engine", told=pieces)

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        """Remove their folders; when nothing is left there, also what was put there to ask."""
        for line in self._try("forget", told=pieces):
            if line.startswith(("lives ", "stuck ")):
                log.warning("%s: a piece is not forgotten: %s", self.far.address.host, line)

    def _try(self, *question: str, told: Iterable[str]) -> list[str]:
        keys = list(told)
        if not keys:
            return []
        try:
            return self.far.lines(*question, told=_told(keys))[1]
        except OutageError as error:
            log.warning("%s: %s", question[0], error)
            return []

    # --- pull

    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        """A tar of all files; what links lead to comes as files."""
        checked(key)
        expected: Callable[[object], bool] = lambda _: True  # noqa: E731
        names = [posixpath.normpath(name) for name in wanted]
        names = [n for n in names if not n.startswith(("/", "..")) and "\n" not in n]

        def take(answer: Answer) -> None:
            if (what := answer.line()) == "files":
                within = expected if part is Part.RESULTS else (lambda n: _asked_for(n, names))
                unpacking.unpack(answer, into, within)
            elif what == "missing":
                raise LookupError(f"{self.far.address.host} has nothing of {key}")
            elif what != "empty":
                raise arriving.StrangeError(what[:100])

        told = "".join(f"{name}\n" for name in names).encode("utf-8", errors="surrogateescape")
        try:
            self.far.ask(
                ("pull", key, part.value),
                lambda sink: _write(sink.write, told),
                take,
                transfer=part is Part.RESULTS,
                limit=MOST_RECORD if part is Part.RECORD else MOST_RESULTS,
            )
        except arriving.StrangeError as error:
            hint = "it is taken for damaged or hostile: look at the piece there"
            raise failures.for_person(
                self.far.address, f"what it sends of {key} can't be taken", hint, str(error)
            ) from None


def _asked_for(name: object, wanted: Sequence[str]) -> bool:
    from pathlib import PurePosixPath

    assert isinstance(name, PurePosixPath)
    return arriving.is_record(name) or any(arriving.is_wanted(name, one) for one in wanted)


def _write(write: Callable[[bytes], int], data: bytes) -> None:
    write(data)


def _told(keys: Iterable[str]) -> bytes:
    return "".join(f"{checked(key)}\n" for key in keys).encode()


def _name(number: int) -> str:
    """``TERM``: numbers differ between systems."""
    return signal.Signals(number).name.removeprefix("SIG")


def _seen(words: Sequence[str], base: str) -> Seen:
    _, key, state, code, begun, ended, host, user, system, why = words
    condition = _STATES.get(state, Condition.UNKNOWN)
    return Seen(
        condition=condition,
        exit_code=int(code) if condition is Condition.ENDED and re.fullmatch(r"\d{1,3}", code) else None,
        reason=why[:400],
        where=host[:255] if host != "-" else "",
        root=f"{base}/{key}/run",
        usage=_usage(begun, ended, user, system),
    )


def _usage(begun: str, ended: str, user: str, system: str) -> Usage:
    times = [_TIMES.fullmatch(text) for text in (user, system)]
    cpu = sum(60 * int(m[1]) + float(f"{m[2]}.{m[3]}") for m in times if m) if all(times) else None
    try:
        wall = max(0.0, float(ended) - float(begun))
    except ValueError:
        wall = None
    return Usage(cpu_seconds=cpu, wall_seconds=wall)
