"""A chain: several workflows, whose inputs are results of others."""

from __future__ import annotations

from typing import Annotated

import msgspec

from esap_wf.models import Model
from esap_wf.models.request import Request

#: By which an input names a result of another link: ``link:NAME/OUTPUT``.
LINK = "link:"
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$", description="letters, digits, _ and -, a letter first"
    ),
]


class Chain(Model, frozen=True, kw_only=True):
    """
    Requests by the name of their link. An input that is ``link:NAME/OUTPUT`` is a result of that link.

    The order follows from that; each link is an ordinary run.
    """

    schema_version: int = 1
    title: str = ""
    links: dict[Name, Request]


class Link(Model, frozen=True, kw_only=True):
    """The run that a link had last, and the digest of what was asked for."""

    run: str
    asked: str


class Links(Model, frozen=True, kw_only=True):
    """``chains/<id>.json`` in the store: the runs of a chain, by the name of their link."""

    schema_version: int = 1
    links: dict[str, Link] = {}
