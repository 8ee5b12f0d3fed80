"""
Baskets as ESAP sends them, unwrapped and checked. Only here their shapes are known; what comes is untrusted.

A basket is a paginated list of profiles or of items, one profile, ``{"shopping_cart": […]}``, a bare list, or
one item. The gateway gives ``item_data`` as a string that holds JSON, and who reads and writes a basket back
nests it once more each time (ESAP API gateway, accounts/shopping-items, accounts/user-profiles).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from esap_wf.errors import Problem, UsageError

#: So often an item may be packed into another one.
DEEP = 8
#: Items of a basket.
MOST = 1_000_000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """
    A text that may be shown.

    Raises
    ------
    ValueError
    """
    if _CONTROL.search(text):
        raise ValueError("it holds control characters")
    return text


Text = Annotated[str, Field(max_length=2000), AfterValidator(plain)]
Named = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(plain)]


class _Open(BaseModel):
    """What else stands there is metadata."""

    model_config = ConfigDict(extra="allow", frozen=True)


class RucioRecord(_Open):
    """A row of a Rucio answer: of DIDs, files or replicas; only scope and name are always there."""

    scope: Named
    name: Named
    bytes: Annotated[int, Field(ge=0)] | None = None
    adler32: Annotated[str, Field(pattern="^[0-9a-fA-F]{1,8}$")] | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-fA-F]{32}$")] | None = None
    type: Text | None = None


class Rucio(_Open):
    """What lies in a Rucio data lake."""

    archive: Literal["rucio"]
    record: RucioRecord


class Row(_Open):
    """A row of a table of an archive, by the names of its columns."""

    archive: Literal["apertif", "astron_vo", "samp", "lofar"]
    record: dict[str, Any]


class Registry(_Open):
    """A row of a service of the VO registry: the values alone, without the names of the columns."""

    archive: Literal["vo_reg"]
    record: list[Any] | dict[str, Any]


class Zooniverse(_Open):
    """Classifications or subjects of a project or of a workflow of a citizen-science project."""

    archive: Literal["zooniverse"]
    catalog: Text = ""
    project_id: int
    workflow_id: int | None = None
    category: Text = ""


class Other(_Open):
    """Of an archive that nobody knows here."""

    archive: Named


Known = Rucio | Row | Registry | Zooniverse
_known: TypeAdapter[Known] = TypeAdapter(Annotated[Known, Field(discriminator="archive")])
_other: TypeAdapter[Other] = TypeAdapter(Other)
ARCHIVES = frozenset({"rucio", "apertif", "astron_vo", "samp", "lofar", "vo_reg", "zooniverse"})


def parts(text: str, where: str) -> list[Any]:
    """
    What a document holds that are to be items, still unchecked.

    Parameters
    ----------
    text : str
        JSON.
    where : str
        Where it is from, for messages.

    Raises
    ------
    UsageError
        It is no JSON, no basket, or larger than any.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("the basket can't be read", [Problem(where, f"it is no JSON: {error}")]) from None
    found = list(_parts(data, where))
    if len(found) > MOST:
        raise UsageError("the basket can't be used", [Problem(where, f"it has more than {MOST} items")])
    return found


def _parts(data: Any, where: str) -> Iterator[Any]:
    if isinstance(data, list):
        yield from data
        return
    if isinstance(data, dict) and isinstance(data.get("results"), list):
        for one in data["results"]:
            yield from _parts(one, where) if isinstance(one, dict) and "shopping_cart" in one else [one]
        return
    if isinstance(data, dict) and isinstance(data.get("shopping_cart"), list):
        yield from data["shopping_cart"]
        return
    if isinstance(data, dict) and ("archive" in data or "item_data" in data):
        yield data
        return
    hint = "a list of items, a user profile, or an answer of the gateway that holds one"
    raise UsageError("the basket can't be read", [Problem(where, "it is no shopping basket", hint)])


def checked(part: Any) -> Known | Other:
    """
    One item, unwrapped.

    Raises
    ------
    ValueError
        It is none; says why.
    """
    for _ in range(DEEP):
        if isinstance(part, str):
            try:
                part = json.loads(part)
            except (ValueError, RecursionError):
                raise ValueError("item_data is a text that is no JSON") from None
        elif isinstance(part, dict) and "archive" not in part and "item_data" in part:
            part = part["item_data"]
        else:
            break
    else:
        raise ValueError(f"it is packed more than {DEEP} times into itself")
    if not isinstance(part, dict):
        raise ValueError("an item is an object with the member archive")
    archive = part.get("archive")
    kind: TypeAdapter[Any] = _known if isinstance(archive, str) and archive in ARCHIVES else _other
    try:
        found: Known | Other = kind.validate_python(part)
    except ValidationError as error:
        raise ValueError(_told(error)) from None
    return found


def _told(error: ValidationError) -> str:
    """All that is wrong with one item, in a line."""
    told = []
    for one in error.errors(include_url=False, include_input=False)[:5]:
        where = ".".join(str(part) for part in one["loc"] if part not in ARCHIVES)
        told.append(f"{where}: {one['msg']}" if where else one["msg"])
    return "; ".join(told)
