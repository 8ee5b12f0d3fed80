"""
DataLink documents (IVOA DataLink 1.1): an address at which a server says where a file is, in place of it.

Such a document is from a stranger, and astropy fetches what a VOTable names (``<STREAM href=…>``), cuts texts
at the length of their column, and makes room for as much as a column says. So it is read here first, and what
astropy and pyvo get is written anew: the table of links alone, all its cells as texts of any length.
"""

from __future__ import annotations

import io
import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from esap_wf.errors import Problem, UsageError
from esap_wf.formats.printing import clipped, one_line
from esap_wf.formats.quantities import human_count
from esap_wf.transfers.addresses import Address, UnsafeAddressError, WebOutageError, address_of
from esap_wf.transfers.hops import BadAnswerError
from esap_wf.transfers.sources import WebSource

#: Bytes of a document, files that one may stand for, and seconds that it may take to come.
LARGEST, MOST, PATIENCE = 10_000_000, 1000, 120.0
#: What a table is made of; how many rows and cells there may be, and of the rest.
_INSIDE = {
    "": ("VOTABLE",),
    "VOTABLE": ("RESOURCE", "INFO"),
    "RESOURCE": ("TABLE", "INFO"),
    "TABLE": ("FIELD", "DATA", "INFO"),
    "DATA": ("TABLEDATA",),
    "TABLEDATA": ("TR",),
    "TR": ("TD",),
}
_CELLS, _PARTS = 500_000, 1000
_KEPT = {"INFO": ("name", "value"), "FIELD": ("name",)}
#: Other ways to write a table: each may lie elsewhere, or be packed.
_OTHERWISE = ("BINARY", "BINARY2", "FITS", "PARQUET", "STREAM")
_THIS = ("#this", "http://www.ivoa.net/rdf/datalink/core#this")


class NoFileError(UsageError):
    """A DataLink document names no file, or one that can't be had."""


@dataclass(frozen=True)
class Link:
    """
    A file that a document names.

    Parameters
    ----------
    address : Address
    bytes : int, optional
        As the document says.
    """

    address: Address
    bytes: int | None = None


@dataclass(frozen=True)
class Links:
    """
    What a document stands for.

    Parameters
    ----------
    files : list of Link
        At least one.
    faults : list of str
        What the server could not link to; none of it is a file that is asked for.
    """

    files: list[Link]
    faults: list[str]


def is_one(media: str) -> bool:
    """Whether a ``Content-Type`` is that of a DataLink document (DataLink 1.1, 3.3)."""
    kind, *parameters = (part.strip().lower() for part in media.split(";"))
    said = {
        name.strip(): value.strip().strip('"') for name, _, value in (p.partition("=") for p in parameters)
    }
    return kind in ("application/x-votable+xml", "text/xml", "application/xml") and (
        said.get("content") == "datalink"
    )


def links(source: WebSource) -> Links:
    """
    The files of a document in the web.

    Raises
    ------
    NoFileError
        It names none, or one that can't be had.
    BadAnswerError
        It is no such document, or too large.
    UsageError
        pyvo is not installed.
    DeniedError, WebOutageError, …
        As `esap_wf.transfers.web.fetch`.
    """
    from esap_wf.transfers import web

    address, target, until = address_of(source.url), io.BytesIO(), time.monotonic() + PATIENCE
    for _ in web.fetch(source.url, target, most=LARGEST, hosts=source.hosts, token=source.token):
        if time.monotonic() > until:
            what = f"it has not come after {PATIENCE:g} seconds"
            raise WebOutageError("a DataLink document is too slow", [Problem(str(address), what)])
    return read(target.getvalue(), address)


def read(data: bytes, address: Address) -> Links:
    """
    The files of a document: its rows with semantics ``#this`` that have an address and need no service.

    Parameters
    ----------
    data : bytes
    address : Address
        Where it is from.

    Raises
    ------
    NoFileError, BadAnswerError, UsageError
        As `links`.
    """
    rows, files, faults, broken = _rows(data, address), list[Link](), list[str](), list[str]()
    services = 0
    for row in rows:
        meaning, error = row.get("semantics", ""), row.get("error_message", "")
        # rows of DataLink 1.0 say nothing but what went wrong
        is_this = meaning in _THIS or bool(error and not meaning)
        if error:
            (broken if is_this else faults).append(one_line(clipped(f"{meaning} {error}".strip(), 200)))
        elif is_this and row.get("service_def"):
            services += 1
        elif is_this and row.get("access_url"):
            files.append(Link(_file_at(row["access_url"], address), _length(row.get("content_length", ""))))
    files = list({link.address: link for link in files}.values())
    if broken:
        raise _no_file(address, f"the server says of it: {'; '.join(broken[:5])}")
    if not files:
        raise _no_file(address, _none(rows, services, faults), "give the address of a file itself")
    if len(files) > MOST:
        raise _no_file(address, f"it stands for {human_count(len(files), 'file')}, and {MOST} are the most")
    return Links(files, faults)


def _none(rows: list[dict[str, str]], services: int, faults: list[str]) -> str:
    """Why there is no file, with what there is."""
    there = sorted({row.get("semantics") or "none" for row in rows})
    named = one_line(clipped(", ".join(there[:20]), 300))
    what = f"none of its rows is a file with semantics #this; it has {named}" if rows else "it has no rows"
    if services:
        what += "; its #this is made by a service on request"
    return f"{what}; the server says: {'; '.join(faults[:5])}" if faults else what


def _no_file(address: Address, what: str, hint: str = "") -> NoFileError:
    return NoFileError("a DataLink document names no file", [Problem(str(address), what, hint)])


def _file_at(text: str, document: Address) -> Address:
    """Where a file is; what a stranger writes behind # is not its checksum."""
    address = address_of(text.partition("#")[0])
    if (document.scheme, address.scheme) == ("https", "http"):
        what = "would be read without encryption, and the document that names it was encrypted"
        hint = "if that is right, give this address itself"
        raise UnsafeAddressError(
            "a DataLink document gives up encryption", [Problem(str(address), what, hint)]
        )
    return address


def _length(text: str) -> int | None:
    """Services write 0 or -1 for what they don't know."""
    return int(text) or None if re.fullmatch("[0-9]{1,18}", text) else None


def _rows(data: bytes, address: Address) -> list[dict[str, str]]:
    """The table of links."""
    text = _written_anew(data, address)
    try:
        from pyvo.dal.adhoc import DatalinkResults
        from pyvo.dal.exceptions import DALAccessError
    except ImportError:
        what = "it is a DataLink document, and pyvo, which reads those, is not installed"
        raise UsageError(
            "a DataLink document can't be read", [Problem(str(address), what, "pip install 'esap-wf[vo]'")]
        ) from None
    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # a function: what is given as a file may be unpacked
            results = DatalinkResults(votable.parse(io.BytesIO(text).read, verify="ignore"))
            status, said = results.status[0], results.status[1]
            rows = [{name: _cell(row.get(name)) for name in row} for row in results]
        except DALAccessError as error:
            raise _no_file(address, f"the server says: {one_line(clipped(str(error), 300))}") from None
        except Exception as error:  # whatever these two make of a stranger's table
            raise _broken(address, str(error)) from None
    if status.lower() == "overflow":
        # files would be missing
        raise _no_file(address, f"the server has cut it off: {one_line(clipped(said or status, 200))}")
    return rows


def _cell(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _broken(address: Address, what: str) -> BadAnswerError:
    what = one_line(clipped(what, 200))
    return BadAnswerError(
        f"{address.host} gives a DataLink document that can't be read", [Problem(str(address), what)]
    )


def _written_anew(data: bytes, address: Address) -> bytes:
    """
    The table of links alone, without anything that could be fetched, unpacked, expanded or cut.

    Raises
    ------
    BadAnswerError
        It is no XML, has entities, or holds its table in another way than as text.
    """
    copy = _Copy()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = copy.begin
    parser.EndElementHandler = copy.end
    parser.CharacterDataHandler = copy.text
    parser.StartDoctypeDeclHandler = _doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise _broken(address, str(error)) from None
    return "".join(copy.out).encode()


def _doctype(*_: object) -> None:
    raise ValueError("it declares a document type, which may hold entities")


class _Copy:
    """Writes the elements that are known in their place; others are left out with all that is in them."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._open = [""]
        self._skipped, self._cells, self._parts = 0, 0, 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        name = name.rpartition(":")[2]
        if self._skipped or name not in _INSIDE.get(self._open[-1], ()) or _is_meta(name, attributes):
            if not self._skipped and self._open[-1] == "DATA" and name in _OTHERWISE:
                raise ValueError(f"its table is written as {name}, and only TABLEDATA is read")
            if len(self._open) == 1:
                raise ValueError(f"it is no VOTable: it begins with <{name}>")
            self._skipped += 1
            return
        self._open.append(name)
        if name in ("TR", "TD"):
            self._cells += 1
        else:
            self._parts += 1
        if self._cells > _CELLS or self._parts > _PARTS:
            raise ValueError(f"it has more than {_CELLS} rows and cells, or {_PARTS} columns and other parts")
        kept = {key: attributes[key] for key in _KEPT.get(name, ()) if key in attributes}
        if name == "RESOURCE":
            kept = {"type": attributes.get("type", "results")}
        elif name == "FIELD":
            kept |= {"datatype": "unicodeChar", "arraysize": "*"}
        elif name == "VOTABLE":
            kept = {"version": "1.4", "xmlns": "http://www.ivoa.net/xml/VOTable/v1.3"}
        self.out.append(f"<{name}{''.join(f' {key}={quoteattr(kept[key])}' for key in kept)}>")

    def end(self, _: str) -> None:
        if self._skipped:
            self._skipped -= 1
        else:
            self.out.append(f"</{self._open.pop()}>")

    def text(self, text: str) -> None:
        if not self._skipped and self._open[-1] in ("TD", "INFO"):
            self.out.append(escape(text))


def _is_meta(name: str, attributes: Mapping[str, str]) -> bool:
    """Whether it describes a service."""
    return name == "RESOURCE" and attributes.get("type", "").lower() == "meta"
