"""
A basket, fetched from an ESAP gateway.

What is asked for is the list of user profiles: it holds the profile of whose token it is, and that holds the
basket. The list of items is not asked for: a gateway gives those of all users there (ESAP API gateway,
accounts/api/views). A profile also holds the user's own tokens, so nothing but the items is taken from it.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from esap_wf import credentials
from esap_wf.datalakes import DeniedError
from esap_wf.errors import EsapError, Problem, RefusedError, UsageError
from esap_wf.formats import reading
from esap_wf.formats.printing import clipped, one_line
from esap_wf.transfers import addresses, hops, web
from esap_wf.transfers.addresses import Address, UnsafeAddressError, WebOutageError
from esap_wf.transfers.hops import Answer, BadAnswerError, LeadsAwayError, NoAddressError, Way

#: Where the token is if no file is named; where the gateway's address is.
TOKEN, GATEWAY = "ESAP_WF_GATEWAY_TOKEN", "ESAP_WF_GATEWAY"
#: Bytes of all pages together, pages, and seconds for them.
MOST_BYTES, MOST_PAGES, LONGEST = 100_000_000, 1000, 600.0
#: Levels of an item; json itself gives up at about a thousand.
_DEEP = 100
_MOST_OF_A_TOKEN = 100_000
_ROOT, _PROFILES = "/esap-api", "/accounts/user-profiles"
_WRITE = "write https://HOST/esap-api/"
_GIVE = f"log in at the gateway, copy the token that it shows, and give it by --token-file FILE or {TOKEN}"
_AGAIN = "log in at the gateway again, and put the new token in its place"
_RENEW = f"has your token expired? {_AGAIN}"


@dataclass(frozen=True)
class Pulled:
    """
    A basket that was fetched.

    Parameters
    ----------
    items : list
        As the gateway gave them, unchecked (`esap_wf.basket.wire`).
    pages : int
        Answers that it came in.
    """

    items: list[Any]
    pages: int

    @property
    def text(self) -> str:
        """JSON in ASCII, a line for each item, without a newline at its end."""
        lines = ",\n".join(json.dumps(item) for item in self.items)
        return f'{{"shopping_cart": [\n{lines}\n]}}' if lines else '{"shopping_cart": []}'


def address(text: str) -> Address:
    """
    Where a gateway has its user profiles.

    Parameters
    ----------
    text : str
        The gateway, with or without the ``/esap-api`` of its interface; or a page below its ``accounts/``,
        which is asked as it stands.

    Raises
    ------
    UsageError
        It is no address.
    """
    try:
        found = addresses.address_of(text)
    except (UsageError, UnsafeAddressError) as error:
        problems = [Problem(p.where, p.what, p.hint or _WRITE) for p in error.problems]
        raise UsageError("the gateway's address can't be used", problems) from None
    if "?" in found.target:
        problem = Problem(str(found), "something follows a ?", _WRITE)
        raise UsageError("the gateway's address can't be used", [problem])
    path = found.target.rstrip("/")
    if "/accounts/" not in path:
        path = (path or _ROOT) + _PROFILES
    return replace(found, target=f"{path}/")


def token(file: Path | None) -> str:
    """
    The user's token, from a file or else from the environment; empty if there is none.

    Raises
    ------
    RefusedError
        Others can read the file, or the token has expired.
    UsageError
        There is no such file, or what it holds is no token.
    """
    if file is None:
        found, where = os.environ.get(TOKEN, "").strip(), TOKEN
        if not found:
            return ""
    else:
        data, where = reading.read_bytes(file, limit=_MOST_OF_A_TOKEN), str(file)
        if file.stat().st_mode & 0o077:
            hint = f"chmod 600 {file}; if somebody may have read it, get a new one"
            raise RefusedError("the token isn't safe", [Problem(where, "others can read the file", hint)])
        found = data.decode("utf-8-sig", "replace").strip()
    # nothing of it is repeated in an error
    if not re.fullmatch(r"[\x21-\x7e]+", found):
        what = "is empty, or holds spaces, line ends or letters outside of ASCII"
        raise UsageError("the token can't be used", [Problem(where, what, "put the token there, alone")])
    ends = credentials.expiry(found)
    if ends is not None and ends <= time.time():
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(max(ends, 0.0)))
        raise DeniedError("the token has expired", [Problem(where, f"it ended at {when}", _AGAIN)])
    return found


def pull(start: Address, token: str) -> Pulled:
    """
    All items of the user's basket.

    Parameters
    ----------
    start : Address
        See `address`. Its server may be anywhere, because the user names it; no other one is asked.
    token : str
        Empty if there is none.

    Raises
    ------
    DeniedError
        The gateway doesn't know the user, or the token would be sent for everybody to read.
    NoAddressError, BadAnswerError, UnsafeAddressError
        What is there is no gateway, or it doesn't come to an end.
    WebOutageError
        It can't be asked at present.
    """
    way = Way(_hosts(start, token), (lambda: token) if token else None, away=False)
    end, left = time.monotonic() + LONGEST, MOST_BYTES
    rows: list[Any] = []
    last: list[Any] = []
    here, seen = start, {start}
    for number in range(1, MOST_PAGES + 1):
        text = _page(here, way, left, end)
        left -= len(text)
        data = _value(text, here)
        found = _rows(data)
        following = _following(data, start, here, number)
        # a gateway that knows nothing of pages gives its first one for each
        if following in seen or (found and found == last):
            raise _endless(here, "it leads to a page that was read before")
        rows += found
        if following is None:
            return Pulled(_items(rows, start, token), number)
        here, last = following, found
        seen.add(following)
    raise _endless(here, f"is page {MOST_PAGES}, and there are more")


def _hosts(start: Address, token: str) -> Sequence[str]:
    """The gateway's own server, which is named; a token goes unencrypted only to what is near."""
    server = f"[{start.host}]" if ":" in start.host else start.host
    hosts = (f"{server}:{start.port}",)
    if token and start.scheme != "https":
        ips = [] if Way().proxy(start) else addresses.machines(start, hosts)
        if not ips or not all(map(addresses.unfit, ips)):
            problem = Problem(str(start), "is http://, and others could read it on the way", _WRITE)
            raise DeniedError("the token is not sent without encryption", [problem])
    return hosts


def _page(here: Address, way: Way, most: int, end: float) -> bytes:
    """The body of one answer, which is no page for people."""
    known = way.token is not None
    try:
        with hops.asked("GET", here, {"Accept": "application/json"}, way) as answer:
            if answer.status != 200:
                raise _refusal(answer, known)
            if "html" in answer.header("Content-Type").lower():
                what = "it answers with a page for people: to log in, or the gateway's own"
                raise _unknown(answer.address, what, known, f"; the address is that of the API: {_WRITE}")
            body = io.BytesIO()
            for _ in web.written(answer, body, 0, answer.length, most, answer.length):
                if time.monotonic() > end:
                    problem = Problem(str(here), f"it isn't whole after {LONGEST:g} seconds")
                    raise WebOutageError(f"{here.host} gives a basket too slowly", [problem])
    except LeadsAwayError as error:
        if (error.address.host, error.address.scheme) == (here.host, "https") and here.scheme == "http":
            problem = Problem(str(here), f"leads to {error.address}", "write https://")
            raise BadAnswerError(f"{here.host} is asked with encryption", [problem]) from None
        raise _unknown(here, f"it leads to {error.address}, where one logs in", known) from None
    except web.TooLongError:
        problem = Problem(str(here), f"it has more than {MOST_BYTES // 1_000_000} MB")
        raise BadAnswerError("the basket is too large", [problem]) from None
    return body.getvalue()


def _refusal(answer: Answer, known: bool) -> Exception:
    """What a status means here; the server's own words are left out, they may repeat what was sent."""
    where, host, what = answer.address, answer.address.host, f"it answers {answer.status}"
    error = answer.refusal()
    if isinstance(error, DeniedError):
        return _unknown(where, what, known)
    if isinstance(error, NoAddressError):
        hint = f"{_WRITE}; a profile that isn't yours is missing, too"
        return NoAddressError(f"{host} has no baskets there", [Problem(str(where), what, hint)])
    if isinstance(error, WebOutageError):
        problem = Problem(str(where), what, "try again later")
        return WebOutageError(f"{host} can't give a basket at present", [problem], error.seconds)
    return BadAnswerError(f"{host} doesn't answer as a gateway does", [Problem(str(where), what, _WRITE)])


def _unknown(where: Address, what: str, known: bool, more: str = "") -> DeniedError:
    hint = (_RENEW if known else _GIVE) + more
    return DeniedError(f"{where.host} doesn't give you a basket", [Problem(str(where), what, hint)])


def _endless(where: Address, what: str) -> BadAnswerError:
    return BadAnswerError("the basket has no end", [Problem(str(where), what)])


def _no_gateway(where: Address, what: str) -> BadAnswerError:
    return BadAnswerError(
        f"{where.host} doesn't answer as a gateway does", [Problem(str(where), what, _WRITE)]
    )


def _value(text: bytes, where: Address) -> Any:
    """What JSON says, if it can be written again."""
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise _no_gateway(where, "what it answers is no JSON, or only a part of one") from None
    level, depth = [value], 0
    while level := [one for held in level for one in _held(held) if isinstance(one, dict | list)]:
        depth += 1
        if depth > _DEEP:
            raise _no_gateway(where, f"its answer is nested more than {_DEEP} times")
    return value


def _held(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _finite(text: str) -> float:
    """NaN and Infinity are no JSON; 1e999 is, and would be written as Infinity."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _rows(data: Any) -> list[Any]:
    if isinstance(data, dict) and isinstance(data.get("results"), list):
        return list(data["results"])
    return list(data) if isinstance(data, list) else [data]


def _following(data: Any, start: Address, here: Address, number: int) -> Address | None:
    """The next page: by its address if the gateway gives one, else by its number; `count` may be wrong."""
    if not isinstance(data, dict) or not isinstance(data.get("results"), list):
        return None
    if "next" not in data:
        pages = data.get("pages")
        if not isinstance(pages, int) or pages <= number:
            return None
        if pages > MOST_PAGES:
            raise _endless(here, f"it has {pages} pages, and {MOST_PAGES} are read")
        return replace(start, target=f"{start.target}?page={number + 1}")
    following = data["next"]
    if not following:
        return None
    try:
        if not isinstance(following, str):
            raise ValueError
        found = addresses.address_of(urljoin(here.url, following))
    except (EsapError, ValueError):
        raise _no_gateway(here, "its next page has no address") from None
    if found.origin != start.origin:
        what = f"it says that the next page is at {found}"
        raise UnsafeAddressError("a basket is read from its gateway only", [Problem(str(here), what)])
    return found


def _items(rows: list[Any], where: Address, token: str) -> list[Any]:
    """The items of one user."""
    items: list[Any] = []
    owners: set[str] = set()
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("shopping_cart"), list):
            items += row["shopping_cart"]
            owner = row.get("user_name")
        elif isinstance(row, dict) and ("archive" in row or "item_data" in row):
            items.append(row)
            owner = row.get("user_profile")
        else:
            raise _no_gateway(where, "its answer holds something else than profiles with a basket")
        owners |= {owner} if isinstance(owner, str) else set()
    if not rows:
        # so a gateway answers whom it doesn't know
        raise _unknown(where, "it knows no profile of yours", bool(token))
    if len(owners) > 1:
        names = ", ".join(one_line(clipped(name, 40)) for name in sorted(owners)[:5])
        hint = f"name yours: --gateway https://HOST{_ROOT}{_PROFILES}/USER/"
        problem = Problem(str(where), f"it gives the baskets of {len(owners)} users: {names}", hint)
        raise RefusedError("it isn't clear which basket is yours", [problem])
    return items
