"""Items of a basket, by archive: where their data is, and what is known of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from esap_wf.basket import wire
from esap_wf.models.basket import Basket, Item, Refused
from esap_wf.models.data import Did

#: Bytes of a basket.
MOST = 1_000_000_000
_URL = re.compile(r"https?://[^\s\"'<>\\^`{|}\x00-\x1f\x7f-\x9f]+", re.IGNORECASE)
#: Columns, in the order in which they are looked for: ObsCore's, then those of the archives themselves.
_URLS = ("access_url", "url", "accessurl", "access_reference", "accref")
_NAMES = ("obs_id", "obs_publisher_did", "name", "datasetID", "sas_id")
_PRODUCTS = ("dataproduct_type", "dataProductType")
_RA, _DEC = ("s_ra", "ra", "RA"), ("s_dec", "dec", "DEC")
_BEGIN, _END = ("t_min", "startTime"), ("t_max", "endTime")
#: ObsCore's times are MJD (IVOA ObsCore 1.1, 4.1.2); those of the archives are texts.
_MJD = datetime(1858, 11, 17, tzinfo=UTC)
_ON_REQUEST = "its data is made on request: export it there, and give the file as an input"


def read(text: str, where: str, lake: str) -> Basket:
    """
    A basket.

    Parameters
    ----------
    text : str
        JSON, in any of the shapes of `esap_wf.basket.wire`.
    where : str
        Where it is from, for messages.
    lake : str
        The configured data lake that ``rucio`` items are in.

    Returns
    -------
    Basket
        Items that are wrong are among `refused`, each with its place and why.

    Raises
    ------
    UsageError
        It is no basket at all.
    """
    items, refused = [], []
    for index, part in enumerate(wire.parts(text, where), 1):
        try:
            items.append(item(index, wire.checked(part), lake))
        except ValueError as error:
            refused.append(Refused(index=index, what=str(error)[:500]))
    return Basket(items=items, refused=refused)


def item(index: int, found: wire.Known | wire.Other, lake: str) -> Item:
    """
    One item.

    Raises
    ------
    ValueError
        Its name could do harm.
    """
    if isinstance(found, wire.Rucio):
        return _of_rucio(index, found.record, lake)
    if isinstance(found, wire.Zooniverse):
        named = {"project_id": found.project_id, "workflow_id": found.workflow_id, "catalog": found.catalog}
        kept = {key: value for key, value in named.items() if value not in (None, "")}
        return Item(
            index=index, archive="zooniverse", product=found.category.lower(), metadata=kept, why=_ON_REQUEST
        )
    if isinstance(found, wire.Registry) and isinstance(found.record, list):
        return _of_values(index, found.record)
    if isinstance(found, wire.Other):
        why = "nobody knows this archive here: download its data, and give the file as an input"
        return Item(index=index, archive=found.archive, why=why)
    assert isinstance(found.record, dict)
    return _of_row(index, found.archive, found.record)


def _of_rucio(index: int, record: wire.RucioRecord, lake: str) -> Item:
    did = Did(record.scope, record.name)
    if why := did.wrong():
        raise ValueError(why)
    sums = {"adler32": record.adler32, "md5": record.md5}
    return Item(
        index=index,
        archive="rucio",
        uri=did.uri(lake),
        scope=did.scope,
        name=did.name,
        product=(record.type or "").lower(),
        bytes=record.bytes,
        checksums={kind: digits.lower() for kind, digits in sums.items() if digits},
        metadata=_scalars(record.model_extra or {}),
    )


def _of_values(index: int, values: list[Any]) -> Item:
    """Without the names of their columns; the first address among them is taken for that of the data."""
    url = next((str(v) for v in values if isinstance(v, str) and _URL.fullmatch(v)), "")
    why = "" if url else "its columns have no names, and none of its values is an address"
    return Item(index=index, archive="vo_reg", uri=url, why=why, name=url.rpartition("/")[2][:200])


def _of_row(index: int, archive: str, row: Mapping[str, Any]) -> Item:
    url = _text(row, _URLS)
    why = ""
    if url and not _URL.fullmatch(url):
        raise ValueError(f"{url[:100]!r} is no http(s) address")
    if not url:
        why = "it names no address of its data"
        if archive == "lofar":
            why += ": stage it at the long-term archive, and give the file as an input"
    return Item(
        index=index,
        archive=archive,
        uri=url,
        why=why,
        name=_text(row, _NAMES),
        product=_text(row, _PRODUCTS).lower(),
        begin=_time(row, _BEGIN),
        end=_time(row, _END),
        ra=_angle(row, _RA, 0.0, 360.0),
        dec=_angle(row, _DEC, -90.0, 90.0),
        metadata=_scalars(row),
    )


def _scalars(row: Mapping[str, Any]) -> dict[str, Any]:
    """What can be compared: texts, numbers and truth; what is longer than any name is left out."""
    return {
        str(key)[:100]: value
        for key, value in row.items()
        if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 500)
    }


def _text(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    found = next((row[n] for n in names if isinstance(row.get(n), str) and row[n].strip()), "")
    return str(wire.plain(found.strip()[:2000])) if found else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and value != "" else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _angle(row: Mapping[str, Any], names: tuple[str, ...], least: float, most: float) -> float | None:
    found = next((n for name in names if (n := _number(row.get(name))) is not None), None)
    return found if found is not None and least <= found <= most else None


def _time(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """ObsCore's MJD, or what the archive writes as ISO 8601, which is UTC."""
    for name in names:
        value = row.get(name)
        number = _number(value)
        try:
            if number is not None and 0 < number < 200_000:
                moment = _MJD + timedelta(days=number)
            elif isinstance(value, str) and number is None and value.strip():
                moment = datetime.fromisoformat(value.strip())
                moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            else:
                continue
        except (ValueError, OverflowError):
            continue
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    return ""
