"""Data that lies in a lake: its name, what a catalogue says of it, where copies are."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

from esap_wf.models import Model

#: What a scope and a name consist of. Names with slashes are Rucio's habit; a part of dots alone, an empty
#: part or a leading ``-`` would mean something to a file system or to a program.
SCOPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}", re.ASCII)
NAME = re.compile(r"(?!.*(?:^|/)(?:\.{0,2})(?:/|$))[A-Za-z0-9_][A-Za-z0-9_.+=@/-]{0,249}", re.ASCII)
#: What isn't quoted in an address.
_PLAIN = re.compile(r"[A-Za-z0-9_./~-]*", re.ASCII)
_URI = re.compile(r"rucio://([^/?#]*)/([^/?#]+)/([^?#]+)")
#: Of the last part: file systems have names of at most so many bytes, and temporary ones are a little longer.
MOST_OF_A_PART = 200


class Did(Model, frozen=True, order=True, gc=False):
    """A data identifier (DID): ``scope:name``, as in Rucio. It never stands for anything else."""

    scope: str
    name: str

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}"

    def uri(self, lake: str) -> str:
        """``rucio://LAKE/scope/name``."""
        if _PLAIN.fullmatch(self.scope) and _PLAIN.fullmatch(self.name):
            return f"rucio://{lake}/{self.scope}/{self.name}"
        return f"rucio://{lake}/{quote(self.scope)}/{quote(self.name)}"

    def wrong(self) -> str:
        """What is wrong with its letters; empty if nothing is."""
        if not SCOPE.fullmatch(self.scope):
            return f"{self.scope[:60]!r} is no scope: letters, digits and _ . -, at most 50, not - or . first"
        long = len(self.name) > MOST_OF_A_PART  # else none of its parts is
        if not NAME.fullmatch(self.name) or (
            long and any(len(p) > MOST_OF_A_PART for p in self.name.split("/"))
        ):
            return (
                f"{self.name[:60]!r} is no name of data: letters, digits and _ . + = @ / -, at most 250 "
                f"(between two / at most {MOST_OF_A_PART}), no empty part, no . or .., not - first"
            )
        return ""


def did_of(text: str) -> Did:
    """
    The DID of ``scope:name``.

    Raises
    ------
    ValueError
        It is none; says why.
    """
    scope, colon, name = text.partition(":")
    if not colon:
        raise ValueError(f"{text[:80]!r} is no data identifier: write scope:name")
    did = Did(scope, name)
    if why := did.wrong():
        raise ValueError(why)
    return did


def lake_and_did(uri: str) -> tuple[str, Did]:
    """
    The lake and the DID of ``rucio://LAKE/scope/name``.

    Raises
    ------
    ValueError
        It is no such address; says why.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValueError("an address in a data lake is rucio://LAKE/scope/name")
    lake, scope, name = map(unquote, match.groups()) if "%" in uri else match.groups()
    if not SCOPE.fullmatch(lake):
        raise ValueError(f"{lake[:60]!r} is no name of a data lake")
    did = Did(scope, name)
    if why := did.wrong():
        raise ValueError(why)
    return lake, did


class Content(StrEnum):
    """What a DID stands for. A dataset holds files, a container holds datasets and containers."""

    FILE = "file"
    DATASET = "dataset"
    CONTAINER = "container"


class Tier(StrEnum):
    """How quickly a copy can be read: at once, or after a recall (from tape)."""

    HOT = "HOT"
    COLD = "COLD"


class Entry(Model, frozen=True, kw_only=True, gc=False):
    """
    What a catalogue says of a DID.

    Parameters
    ----------
    did : Did
    content : Content
    bytes : int, optional
        Of a file; of a dataset or container the sum, if the catalogue keeps it.
    checksums : dict
        ``sha256``, ``md5``, ``adler32`` → hexadecimal digits; of a file.
    created : str
        RFC 3339.
    account : str
        Whose it is.
    metadata : dict
        Whatever else was said of it.
    expires : str, optional
        When its last rule ends (RFC 3339): it may vanish from then on.
    """

    did: Did
    content: Content = Content.FILE
    bytes: int | None = None
    checksums: dict[str, str] = {}
    created: str = ""
    account: str = ""
    metadata: dict[str, Any] = {}
    expires: str | None = None


class Replica(Model, frozen=True, kw_only=True):
    """
    A copy of a file.

    Parameters
    ----------
    rse : str
        The storage element that has it.
    url : str
        Where it is read, once it is there: ``file://``, ``https://`` …
    tier : Tier
    ready : bool
        Whether it can be read now; False of one that is to be recalled, or lost.
    seconds : float, optional
        How long a recall is expected to take.
    """

    rse: str
    url: str
    tier: Tier = Tier.HOT
    ready: bool = True
    seconds: float | None = None


class Recall(Model, frozen=True, kw_only=True):
    """How far files are that were asked for from a cold tier."""

    ready: list[Did] = []
    waiting: list[Did] = []
    failed: dict[str, str] = {}
