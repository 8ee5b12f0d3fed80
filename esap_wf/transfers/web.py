"""
Files from the web: what a server says of one, and its bytes, in parts and from where a reading broke off.

What is written is what the server has: nothing is unpacked on the way. Trying again is the caller's, who
knows how long to have patience: each error says by its class whether that is of use.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import BinaryIO

from urllib3.exceptions import HTTPError

from esap_wf.datalakes import DeniedError
from esap_wf.errors import Problem, UnavailableError
from esap_wf.formats.printing import clipped
from esap_wf.models import Model
from esap_wf.transfers import hops
from esap_wf.transfers.addresses import Address, UnsafeAddressError, WebOutageError, address_of, name_in
from esap_wf.transfers.hops import Answer, BadAnswerError, NoAddressError, Way

__all__ = [
    "BadAnswerError",
    "ChangedError",
    "DeniedError",
    "NoAddressError",
    "RestartError",
    "TooLongError",
    "UnsafeAddressError",
    "WebEntry",
    "WebOutageError",
    "describe",
    "fetch",
    "written",
]

#: Bytes after which is told how many were written; of a slow server it is told every so many seconds.
PART, TELL = 1024 * 1024, 1.0
_READ = 256 * 1024
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class RestartError(UnavailableError):
    """A file can't be read on from where it was: it is to be described again, and read from its beginning."""


class ChangedError(UnavailableError):
    """A file is another one than it was when it was described."""


class TooLongError(BadAnswerError):
    """A server sends more than a file has, or may have."""


class WebEntry(Model, frozen=True):
    """
    What a server says of a file.

    Parameters
    ----------
    host : str
        Which has it, after all redirects.
    name : str
        Of the file: the last part of the path of the address that was asked for; empty if there is none.
        What a server says of a name counts for nothing.
    bytes : int, optional
        Its length.
    etag : str
        The server's mark for this content, as it writes it; empty if it has none.
    modified : str
        RFC 3339; empty if the server doesn't say.
    ranges : bool
        Whether the server gives a file from another byte on than the first.
    media : str
        What kind of file it is by the server's word (``Content-Type``); empty if it doesn't say.
    """

    host: str
    name: str = ""
    bytes: int | None = None
    etag: str = ""
    modified: str = ""
    ranges: bool = False
    media: str = ""


def describe(
    url: str,
    *,
    hosts: Sequence[str] = (),
    token: Callable[[], str] | None = None,
    proxies: Mapping[str, str] | None = None,
) -> WebEntry:
    """
    What is known of a file before it is read.

    A server that refuses the question (``HEAD``), or leaves out the length or whether it gives ranges, is
    asked for the first byte: then one has seen it.

    Parameters
    ----------
    url : str
        ``https://`` or ``http://``.
    hosts : sequence of str
        ``name`` or ``name:port`` of servers that may have addresses which are not for everybody.
    token : callable, optional
        Gives a token for the server of `url`, and for no other that this one leads to.
    proxies : mapping, optional
        ``http``, ``https``, ``all``, ``no``; None: the environment's.

    Raises
    ------
    UsageError, NoAddressError, UnsafeAddressError, DeniedError, BadAnswerError
        Trying again is of no use.
    WebOutageError
        Trying again may be; `WebOutageError.seconds` later if the server says so.
    """
    address, way = address_of(url), Way(hosts, token, proxies)
    name, length = name_in(address), None
    with hops.asked("HEAD", address, {}, way) as answer:
        if answer.status == 200:
            length, takes = answer.length, answer.header("Accept-Ranges").lower()
            if length is not None and takes in ("bytes", "none"):
                return _entry(answer, name, length, takes == "bytes")
        elif answer.status not in (403, 405, 501):
            raise answer.refusal()
    with hops.asked("GET", address, {"Range": "bytes=0-0"}, way) as answer:
        # an empty file has no first byte
        if answer.status == 416 and answer.header("Content-Range") == "bytes */0":
            return _entry(answer, name, 0, True)
        if answer.status == 206:
            _, total = _span(answer, 0)
            return _entry(answer, name, length if total is None else total, True)
        if answer.status == 200:
            return _entry(answer, name, length if answer.length is None else answer.length, False)
        raise answer.refusal()


def fetch(
    url: str,
    target: BinaryIO,
    start: int = 0,
    *,
    expected: WebEntry | None = None,
    most: int | None = None,
    hosts: Sequence[str] = (),
    token: Callable[[], str] | None = None,
    proxies: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """
    Write a file's bytes from `start` on. Gives the number of bytes of each part that was written, also of the
    last one before a connection breaks: so who calls knows from where to go on.

    Parameters
    ----------
    url : str
    target : file
        Stands where the next byte belongs. What it raises is passed on.
    start : int
        Bytes of the file that are there. With an `etag` that is a strong one, or else by length and time, it
        is made sure that the rest belongs to them.
    expected : WebEntry, optional
        What `describe` said. From the beginning on only the length has to be the same: servers that share an
        address may have marks of their own for one file.
    most : int, optional
        Bytes that the whole file may have.
    hosts, token, proxies
        As for `describe`.

    Raises
    ------
    RestartError
        What is there is not the beginning of what the server has, or it can't read on.
    ChangedError
        From its beginning on, the file has another length than expected.
    TooLongError
        There are more bytes than expected, or than `most`; none of those is written.
    UsageError, NoAddressError, UnsafeAddressError, DeniedError, BadAnswerError
        Trying again is of no use.
    WebOutageError
        Going on may be.
    """
    address, way = address_of(url), Way(hosts, token, proxies)
    length = expected.bytes if expected else None
    limit = min((n for n in (length, most) if n is not None), default=None)
    headers = {}
    if start:
        if length is not None and start >= length:
            if start == length:
                return
            raise _restart(address, f"{start} bytes are there, of a file of {length}")
        headers["Range"] = f"bytes={start}-"
        if expected and _is_strong(expected.etag):
            headers["If-Range"] = expected.etag
    with hops.asked("GET", address, headers, way) as answer:
        coming, whole = _begun(answer, start, expected)
        if limit is not None and coming is not None and start + coming > limit:
            raise _too_long(answer, limit, f"has {start + coming}")
        yield from written(answer, target, start, coming, limit, whole)


def _begun(answer: Answer, start: int, expected: WebEntry | None) -> tuple[int | None, int | None]:
    """Whether an answer is what was asked for; how many bytes it has and the file has, if that is known."""
    length = expected.bytes if expected else None
    if not start:
        if answer.status != 200:
            raise answer.refusal()
        if None not in (length, answer.length) and length != answer.length:
            what = f"the server has {answer.length} bytes, {length} are expected"
            raise ChangedError(
                f"a file at {answer.address.host} has changed", [Problem(str(answer.address), what)]
            )
        return answer.length, answer.length if length is None else length
    if answer.status == 200:
        raise _restart(
            answer.address, "the server gives it from the beginning: it has changed, or has no ranges"
        )
    if answer.status == 416:
        raise _restart(answer.address, f"the server has nothing from byte {start} on")
    if answer.status != 206:
        raise answer.refusal()
    coming, total = _span(answer, start)
    if expected:
        # servers without a strong mark, and those that know no If-Range
        there = _entry(answer, "", total, True)
        is_same = _is_strong(expected.etag) and there.etag == expected.etag
        for name in ("bytes",) if is_same else ("bytes", "etag", "modified"):
            was, now = getattr(expected, name), getattr(there, name)
            if was not in (None, "") and now not in (None, "") and was != now:
                raise _restart(answer.address, f"it has changed: {name} is {now}, was {was}")
    # a server may give less than the rest
    return coming, next((n for n in (length, total) if n is not None), start + coming)


def written(
    answer: Answer, target: BinaryIO, start: int, coming: int | None, limit: int | None, whole: int | None
) -> Iterator[int]:
    """
    Write the body of an answer; gives the numbers of bytes that were written, as `fetch` does.

    Parameters
    ----------
    answer : Answer
    target : file
    start, coming : int
        Where the body begins, and how many bytes it has (None: until it ends).
    limit, whole : int, optional
        Bytes that the file may have, and has.
    """
    fault: Exception | None = None
    there, part, told = start, 0, time.monotonic()
    while coming is None or there < start + coming:
        try:
            data = answer.response.read1(_READ if coming is None else min(_READ, start + coming - there))
        except (HTTPError, OSError) as error:
            fault = hops.outage(answer.address, error)
            break
        if not data:
            break
        if limit is not None and there + len(data) > limit:
            raise _too_long(answer, limit, "goes on")
        target.write(data)
        there, part = there + len(data), part + len(data)
        if part >= PART or time.monotonic() - told >= TELL:
            yield part
            part, told = 0, time.monotonic()
    if part:
        yield part
    if fault is None and whole is not None and there < whole:
        what = f"the answer ended after {there} bytes of {whole}"
        problem = Problem(str(answer.address), what)
        fault = WebOutageError(f"reading from {answer.address.host} broke off", [problem])
    if fault is not None:
        raise fault


def _span(answer: Answer, start: int) -> tuple[int, int | None]:
    """How many bytes an answer with a part has, from `start` on, and the whole file."""
    text = answer.header("Content-Range")
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", text)
    first, last = (int(found[1]), int(found[2])) if found else (-1, -1)
    total = int(found[3]) if found and found[3] != "*" else None
    coming = last - first + 1
    beyond = total is not None and total <= last
    if first != start or coming < 1 or beyond or answer.length not in (None, coming):
        what = f"it was asked for the bytes from {start} on, and says that it gives {text[:80]!r}"
        raise BadAnswerError(
            f"{answer.address.host} gives another part of a file", [Problem(str(answer.address), what)]
        )
    return coming, total


def _is_strong(etag: str) -> bool:
    """Whether a mark stands for the same bytes, not for about the same content (RFC 9110, 8.8.1)."""
    return bool(_ETAG.fullmatch(etag)) and not etag.startswith("W/")


def _entry(answer: Answer, name: str, length: int | None, ranges: bool) -> WebEntry:
    etag = answer.header("ETag")
    return WebEntry(
        host=answer.address.host,
        name=name,
        bytes=length,
        etag=etag if _ETAG.fullmatch(etag) else "",
        modified=_moment(answer.header("Last-Modified")),
        ranges=ranges,
        media=clipped(answer.header("Content-Type"), 200),
    )


def _moment(text: str) -> str:
    try:
        moment = parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _restart(address: Address, what: str) -> RestartError:
    return RestartError("a file has to be read from its beginning", [Problem(str(address), what)])


def _too_long(answer: Answer, limit: int, found: str) -> TooLongError:
    what = f"{limit} bytes are expected at most, and it {found}"
    return TooLongError(f"{answer.address.host} sends too much", [Problem(str(answer.address), what)])
