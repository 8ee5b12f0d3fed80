"""
The folder of a user's pieces at a Slurm, seen by this machine and by the nodes. Each has a sandbox there.

Two names in it decide, each made once for ever: ``started``, by the job that begins with the piece or by who
sees to it that none does; ``over``, by the job that has written down how it ended or by who gives it up.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from esap_wf.backends import bundles
from esap_wf.backends.bundles import SCRIPTS, Item
from esap_wf.backends.launcher import NeedsPersonError, OutageError, Piece
from esap_wf.backends.slurm.sandbox import Sandbox, age, claim, remove
from esap_wf.errors import EsapError, Problem
from esap_wf.runs import processes
from esap_wf.runs.processes import Holder

#: Seconds for which what another machine puts there is waited for.
ARRIVES = 3600.0
_TICK = 0.02
_FULL = (errno.ENOSPC, errno.EDQUOT)
_AWAY = (errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.EREMOTEIO)


class Sandboxes:
    """
    All sandboxes of this user in a folder.

    Parameters
    ----------
    folder : Path
        The profile's.
    place : str
        For people.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self.folder, self.place = folder, place
        self.mine = folder / _me()
        self.coming = self.mine / ".in"

    def of(self, key: str) -> Sandbox:
        """The sandbox of a key, be it there or not."""
        return Sandbox(self.mine / bundles.checked(key))

    def keys(self, run: str) -> list[str]:
        """Keys of a run's sandboxes, also of those that are being made."""
        names = [*_names(self.mine), *(name.rpartition("~")[0] for name in _names(self.coming))]
        return sorted({n for n in names if n.startswith(f"{run}.") and bundles.KEY.fullmatch(n)})

    def ready(self) -> None:
        """
        See to it that sandboxes can be made.

        Raises
        ------
        OutageError, NeedsPersonError
        """
        with self.explained():
            if not self.folder.is_dir():
                raise self._person(
                    "the folder for pieces is not there",
                    str(self.folder),
                    "this machine and the nodes must see it: make it, or set `folder` in the profile",
                )
            with contextlib.suppress(FileExistsError):
                self.mine.mkdir(mode=0o700)
            about = self.mine.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
                raise self._person(
                    "your folder for pieces can't be trusted",
                    str(self.mine),
                    "it must be yours, and nobody else may write there: remove it, or have it removed",
                )
            self.coming.mkdir(mode=0o700, exist_ok=True)

    def make(self, piece: Piece, found: Sequence[Item], values: dict[str, str], environments: str) -> None:
        """
        Make a sandbox, whole or not at all; one that is there already stays as it is.

        Parameters
        ----------
        piece : Piece
        found : sequence of Item
            What its folder holds.
        values : dict
            Of its secrets.
        environments : str
            Absolute path of packed environments there.
        """
        self.ready()
        half = self.coming / f"{piece.key}~{secrets.token_hex(6)}"
        with self.explained():
            try:
                half.mkdir(mode=0o700)
                (half / "by").write_bytes(msgspec.json.encode(processes.me()))
                (half / "run").mkdir(mode=0o755)
                for item in found:
                    _copy(item, half / "run" / item.name, environments)
                (half / "run" / "logs").mkdir(mode=0o755, exist_ok=True)
                (half / "signals").mkdir()
                (half / "start.sh").write_text(bundles.start(piece, environments), "utf-8", "surrogateescape")
                if values:
                    _write_secretly(half / "secrets.sh", bundles.exports(values))
                # what is changed from now on was made there; the clock of a file system has ticks
                (half / "whole").touch()
                time.sleep(_TICK)
                with contextlib.suppress(FileExistsError):
                    claim(half, self.of(piece.key).path)
            finally:
                if half.exists():
                    remove(half)

    def arriving(self, key: str) -> bool:
        """Whether a sandbox is being made; what is left of one that isn't goes."""
        arrives = False
        for half in self._halves(key):
            if self._comes(half):
                arrives = True
            else:
                self._away(half)
        return arrives

    def _halves(self, key: str) -> list[Path]:
        return [self.coming / name for name in _names(self.coming) if name.rpartition("~")[0] == key]

    def _comes(self, half: Path) -> bool:
        try:
            by = msgspec.json.decode((half / "by").read_bytes(), type=Holder)
            alive = processes.alive(by)
        except (OSError, msgspec.MsgspecError):
            alive = None
        # of another machine nobody here knows it
        return alive if alive is not None else age(half) < ARRIVES

    def refuse(self, key: str) -> None:
        """What of a piece is still being put there never becomes one."""
        for half in self._halves(key):
            self._away(half)

    def remove(self, key: str) -> None:
        """Remove a sandbox; what a node still holds open there goes later."""
        self.refuse(key)
        path = self.of(key).path
        if path.exists():
            self._away(path)

    def _away(self, path: Path) -> None:
        gone = self.coming / f".away-{secrets.token_hex(6)}"
        with contextlib.suppress(FileNotFoundError):
            self.coming.mkdir(mode=0o700, exist_ok=True)
            path.rename(gone)
            remove(gone)

    def leave(self) -> None:
        """When no piece is left, neither is what was made for them."""
        for name in _names(self.coming):
            if name.startswith(".away-"):
                remove(self.coming / name)
        with contextlib.suppress(OSError):
            self.coming.rmdir()
            self.mine.rmdir()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """
        What the file system says of this folder, as an outage or as something for a person.

        Raises
        ------
        OutageError, NeedsPersonError
        """
        try:
            yield
        except OSError as error:
            where = str(error.filename or self.folder)
            what = error.strerror or str(error)
            if error.errno in _FULL:
                hint = f"free some space below {self.folder}, or set another `folder` in the profile"
                raise self._person("the disk of its folder for pieces is full", where, hint, what) from None
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP):
                hint = "make it writable for you, or set another `folder` in the profile"
                raise self._person("its folder for pieces can't be used", where, hint, what) from None
            if error.errno in _AWAY:
                raise OutageError(f"{self.place}: {where}: {what}") from None
            raise OutageError(f"{self.place}: {where}: {what}") from error

    def _person(self, what: str, where: str, hint: str, said: str = "") -> EsapError:
        return NeedsPersonError(f"{self.place}: {what}", [Problem(where, said or what, hint)])


def _me() -> str:
    """Name of this user, as a folder is called."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = ""
    return name if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}", name) else str(os.getuid())


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _write_secretly(path: Path, text: str) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _copy(item: Item, target: Path, environments: str) -> None:
    if item.link:
        target.symlink_to(item.link)
        return
    about = item.path.stat()
    if stat.S_ISDIR(about.st_mode):
        target.mkdir(mode=0o755, exist_ok=True)
        return
    if item.name in SCRIPTS:
        text = item.path.read_text("utf-8", errors="surrogateescape")
        target.write_text(bundles.placed(text, environments), "utf-8", "surrogateescape")
    else:
        shutil.copyfile(item.path, target)
    target.chmod(0o755 if about.st_mode & 0o111 else 0o644)
    os.utime(target, (about.st_mtime, about.st_mtime))
