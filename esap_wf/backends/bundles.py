"""What a piece needs at a place that does not see the run store: its folder, and what starts it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from esap_wf.backends.launcher import Piece, Refusal
from esap_wf.formats.quantities import human_bytes, to_bytes
from esap_wf.models.place import Profile
from esap_wf.software.packed import MENTION

#: How a piece, and a run, may be called: names of folders and jobs are made of it.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,199}")
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,149}")
#: Files at the top of a folder in which a packed environment may be named.
SCRIPTS = ("piece.sh", "command.sh")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def checked(key: str) -> str:
    """
    A key as it is.

    Raises
    ------
    ValueError
        It is no key of a piece.
    """
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a piece")
    return key


@dataclass(frozen=True, slots=True)
class Item:
    """
    One name of a bundle.

    Parameters
    ----------
    name : str
        Relative to the folder.
    path : Path
        What is read.
    link : str
        Where a symbolic link leads; empty if it is none.
    """

    name: str
    path: Path
    link: str = ""


def items(folder: Path, shared: Sequence[str]) -> Iterator[Item]:
    """
    All that is sent of a folder. A link that leads out of it stands for what it leads to, unless that is seen
    there, too; one that leads nowhere, and what is neither file nor folder, is left out.
    """
    root = Path(os.path.realpath(folder))
    yield from _below(root, "", root, shared, (str(root),))


def _below(
    folder: Path, prefix: str, root: Path, shared: Sequence[str], above: tuple[str, ...]
) -> Iterator[Item]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        name, path = f"{prefix}{entry.name}", Path(entry.path)
        real = Path(os.path.realpath(path))
        if entry.is_symlink() and real.exists():
            if any(real.is_relative_to(one) for one in shared):
                yield Item(name, path, str(real))
                continue
            if path.parent.is_relative_to(root) and real.is_relative_to(root):
                yield Item(name, path, os.path.relpath(real, path.parent))
                continue
        if real.is_dir():
            if str(real) not in above:  # else a circle
                yield Item(name, real)
                yield from _below(real, f"{name}/", root, shared, (*above, str(real)))
        elif real.is_file():
            yield Item(name, real)


def size(found: Sequence[Item]) -> int:
    """Bytes of all files."""
    return sum(item.path.stat().st_size for item in found if not item.link and item.path.is_file())


def environments(piece: Piece) -> set[str]:
    """Digests of the packed environments that a piece names."""
    return {d for text in (*scripts(piece), *piece.command) for d in MENTION.findall(text)}


def scripts(piece: Piece) -> Iterator[str]:
    """Texts in which a packed environment may be named."""
    for name in SCRIPTS:
        path = piece.folder / name
        if path.is_file():
            yield path.read_text("utf-8", errors="surrogateescape")


def placed(text: str, environments: str) -> str:
    """A text with the packed environments that it names at their place, a folder there."""
    return MENTION.sub(lambda m: f"{environments}/{m[1]}", text)


def start(piece: Piece, environments: str) -> str:
    """``start.sh``: sets the variables of a piece, and its command as ``"$@"``."""
    variables = {n: placed(v, environments) for n, v in piece.environment.items()}
    command = " ".join(shlex.quote(placed(word, environments)) for word in piece.command)
    return f"{exports(variables | {'ESAP_WF_PIECE': piece.key})}set -- {command}\n"


def exports(variables: Mapping[str, str]) -> str:
    """Lines of a shell that set variables."""
    assert all(_VARIABLE.fullmatch(name) for name in variables), sorted(variables)
    return "".join(f"export {n}={shlex.quote(v)}\n" for n, v in variables.items())


def too_large(size: int, profile: Profile) -> Refusal | None:
    """Why so many bytes are not sent to a place; None if they are."""
    if profile.bundle is None or size <= to_bytes(profile.bundle):
        return None
    most = human_bytes(to_bytes(profile.bundle))
    return Refusal(f"{human_bytes(size)} would have to be sent, and {profile.name} takes {most}")
