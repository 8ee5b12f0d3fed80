"""Packed environments (`esap_wf.software.packed`) that are sent to a host once."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from esap_wf import config as configuration
from esap_wf.backends.launcher import OutageError
from esap_wf.backends.ssh import failures
from esap_wf.backends.ssh.answer import Answer
from esap_wf.backends.ssh.channel import Sink
from esap_wf.backends.ssh.far import Far
from esap_wf.backends.turns import held, private_folder
from esap_wf.models.place import Profile
from esap_wf.software.packed import short_digest

log = logging.getLogger(__name__)
#: Seconds to wait for another process that sends the same.
_TURN = 900.0


def bring(far: Far, profile: Profile, cache: Path, named: Collection[str]) -> str:
    """
    See to it that packed environments are at a host.

    Parameters
    ----------
    far : Far
    profile : Profile
        Names their archives on this machine.
    cache : Path
    named : collection of str
        Digests, as commands name them.

    Returns
    -------
    str
        Absolute path there of the folder in which they lie.

    Raises
    ------
    OutageError, NeedsPersonError
    UsageError
        An archive is not there.
    """
    there, missing = _missing(far, named)
    if missing:
        archives = {short_digest(path, cache): path for path in _archives(profile)}
        for digest in missing:
            if digest not in archives:
                what = "the packed environment of its engine is another one than when the run was planned"
                raise failures.for_person(far.address, what, "run it again, or put the old archive back")
            try:
                # one sends it, the others wait
                with held([private_folder() / f"{far.address.digest}.environment"], _TURN):
                    if digest in _missing(far, [digest])[1]:
                        _send(far, digest, archives[digest])
            except TimeoutError:
                raise failures.outage(far.address, "another process still sends its engine") from None
    return there


def _missing(far: Far, named: Collection[str]) -> tuple[str, list[str]]:
    answer, lines = far.lines("environments", told="".join(f"{d}\n" for d in named).encode())
    there = {line.removeprefix("has ") for line in lines}
    return f"{answer.base.rpartition('/')[0]}/environments", sorted(set(named) - there)


def _send(far: Far, digest: str, archive: Path) -> None:
    log.info("%s is sent to %s", archive, far.address.host)

    def feed(sink: Sink) -> None:
        with archive.open("rb") as file:
            while data := file.read(1 << 20):
                sink.write(data)

    lines = far.ask(("environment", digest), feed, Answer.lines, transfer=True)
    what, _, why = (lines[-1] if lines else "").partition(" ")
    if what == "lacks":
        hint = "pack the engine with the Python that is there, or install one there (software.path)"
        raise failures.for_person(far.address, f"there is no {why}, which {archive.name} needs", hint)
    if what != "here":
        error = failures.understood(why, far.address, f"{archive.name} could not be unpacked")
        raise (
            error if not isinstance(error, OutageError) else failures.outage(far.address, error.message, why)
        )


def _archives(profile: Profile) -> list[Path]:
    """On this machine; relative ones are taken from the configuration's folder."""
    named = [e.environment for e in profile.engines.values() if e.environment is not None]
    if not named:
        return []
    folder = configuration.load().source.parent
    return [(folder / Path(name).expanduser()).absolute() for name in named]
