"""Items of an ESAP shopping basket, as a workflow's inputs are chosen from them."""

from __future__ import annotations

from typing import Any

from esap_wf.models import Model


class Item(Model, frozen=True, kw_only=True, gc=False):
    """
    One thing in a basket.

    Parameters
    ----------
    index : int
        Its place in the basket, from 1.
    archive : str
        Where it was found: ``rucio``, ``astron_vo`` …
    uri : str
        Where its data is: ``rucio://LAKE/scope/name`` or ``https://…``; empty if it names none.
    why : str
        Why it names none, and what to do.
    scope, name : str
        As the archive calls it; empty if it doesn't.
    product : str
        Its data-product type, in lower case (``image``, ``event``, ``file``, ``dataset``); empty: not known.
    bytes : int, optional
    checksums : dict
        ``adler32``, ``md5``, ``sha256`` → hexadecimal digits.
    begin, end : str
        Of its observation (RFC 3339, UTC); empty: not known.
    ra, dec : float, optional
        Of its observation (ICRS), degrees.
    metadata : dict
        Whatever else was said of it.
    """

    index: int
    archive: str
    uri: str = ""
    why: str = ""
    scope: str = ""
    name: str = ""
    product: str = ""
    bytes: int | None = None
    checksums: dict[str, str] = {}
    begin: str = ""
    end: str = ""
    ra: float | None = None
    dec: float | None = None
    metadata: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """What people call it."""
        named = ":".join(part for part in (self.scope, self.name) if part) or self.uri
        return f"{self.archive}:{named}" if named else self.archive


class Refused(Model, frozen=True, kw_only=True):
    """What stands in a basket and can't be an item."""

    index: int
    what: str


class Basket(Model, frozen=True, kw_only=True):
    """A basket that was read: what it holds, and what of it can't be used."""

    items: list[Item] = []
    refused: list[Refused] = []
