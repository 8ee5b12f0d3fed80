"""
One question to a server in the web, through redirects and proxies.

Redirects are followed here and not by urllib3, because each leads to an address from a stranger: it is
checked and resolved as the first was (`addresses`), and connected to at the IP address that was checked.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import unquote, urljoin
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3
from urllib3 import exceptions
from urllib3.util import make_headers, parse_url

from esap_wf import __version__
from esap_wf.datalakes import DeniedError
from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.formats.printing import clipped, one_line
from esap_wf.transfers import addresses
from esap_wf.transfers.addresses import Address, UnsafeAddressError, WebOutageError

_Pool = urllib3.HTTPConnectionPool | urllib3.PoolManager

logger = logging.getLogger(__name__)

#: Seconds for a connection to an address, and for the next bytes of an answer.
CONNECT, READ = 15.0, 60.0
#: Redirects that are followed.
HOPS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
#: Answers that are others a little later.
_LATER = {408, 425, 429, 500, 502, 503, 504}
#: Seconds that a server may ask to be left alone for; more is taken for this.
_LONGEST_PAUSE = 86_400.0


class NoAddressError(UsageError):
    """A server says that there is nothing at an address."""

    code = "not-found"


class BadAnswerError(UnavailableError):
    """A server answers what nothing can be made of; trying again is of no use."""


class LeadsAwayError(BadAnswerError):
    """
    A server leads to another one, and who asked wants no answer from there.

    Attributes
    ----------
    address : Address
        Where to.
    """

    def __init__(self, message: str, problems: Sequence[Problem], address: Address) -> None:
        super().__init__(message, list(problems))
        self.address = address


@dataclass(frozen=True)
class Way:
    """
    How the web is asked.

    Parameters
    ----------
    hosts : tuple of str
        ``name`` or ``name:port`` of servers that may be anywhere; others have addresses for everybody.
    token : callable, optional
        Gives what the server that is asked first gets as ``Authorization: Bearer``; asked for each time,
        because tokens end.
    proxies : mapping, optional
        ``http``, ``https``, ``all`` → address; ``no`` → names without. None: the environment's.
    away : bool
        Whether redirects to other servers are followed.
    """

    hosts: Sequence[str] = ()
    token: Callable[[], str] | None = field(default=None, repr=False)
    proxies: Mapping[str, str] | None = field(default=None, repr=False)
    away: bool = True

    def proxy(self, address: Address) -> str | None:
        """The proxy for an address."""
        known = dict(getproxies_environment() if self.proxies is None else self.proxies)
        if proxy_bypass_environment(f"{address.host}:{address.port}", known):
            return None
        return known.get(address.scheme) or known.get("all")


@dataclass(frozen=True)
class Answer:
    """
    An answer whose body isn't read yet.

    Parameters
    ----------
    address : Address
        Who has answered, after all redirects.
    response : urllib3.BaseHTTPResponse
        What is read from it is what was sent, without any decoding.
    """

    address: Address
    response: urllib3.BaseHTTPResponse

    @property
    def status(self) -> int:
        """Of HTTP."""
        return self.response.status

    def header(self, name: str) -> str:
        """A header's value; empty if there is none."""
        return self.response.headers.get(name, "").strip()

    @property
    def length(self) -> int | None:
        """Bytes of the body, if the server says so."""
        text = self.header("Content-Length")
        # with Transfer-Encoding it counts for nothing (RFC 9112, 6.3)
        return (
            int(text) if re.fullmatch(r"[0-9]{1,18}", text) and not self.header("Transfer-Encoding") else None
        )

    def refusal(self) -> Exception:
        """The error that a status is which isn't the wanted one."""
        where, host = str(self.address), self.address.host
        what = (
            f"the server answers {self.status} {one_line(clipped(self.response.reason or '', 80))}".rstrip()
        )
        if self.status in (404, 410):
            return NoAddressError(f"{host} has no such file", [Problem(where, what)])
        if self.status in (401, 403):
            hint = "is a token missing, or too old?"
            return DeniedError(f"{host} doesn't give this file to you", [Problem(where, what, hint)])
        if self.status in _LATER:
            seconds = _pause(self.header("Retry-After"))
            return WebOutageError(f"{host} can't give a file at present", [Problem(where, what)], seconds)
        return BadAnswerError(f"{host} doesn't answer as a server of files does", [Problem(where, what)])


@contextmanager
def asked(method: str, address: Address, headers: Mapping[str, str], way: Way) -> Iterator[Answer]:
    """
    The answer to a question, after all redirects; the connection ends with the context.

    Raises
    ------
    UnsafeAddressError
        An address on the way isn't asked, or its certificate isn't valid.
    BadAnswerError
        Redirects without end.
    LeadsAwayError
        A redirect to another server, if `Way.away` is false.
    DeniedError
        A token would be readable by others.
    WebOutageError
        Nobody answers.
    """
    first, hops = address, [address]
    while True:
        sent = {"User-Agent": f"esap-wf/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
        sent |= {"Host": address.server, **headers}
        # a server elsewhere that leads back could choose what is read with this token
        if way.token is not None and all(hop.origin == first.origin for hop in hops):
            sent["Authorization"] = _bearer(way.token, address, way)
        response, pool = _sent(method, address, sent, way)
        try:
            if response.status not in _REDIRECTS:
                yield Answer(address, response)
                return
            location = response.headers.get("Location", "")
        finally:
            response.close()
            _close(pool)
        address = _next(hops, location)
        if not way.away and address.origin != first.origin:
            problem = Problem(str(first), f"leads to {address}")
            raise LeadsAwayError(f"{first.host} leads to another server", [problem], address)
        logger.info("%s leads to %s", hops[-1], address)
        hops.append(address)


def _next(hops: list[Address], location: str) -> Address:
    last = hops[-1]
    problems = [Problem(str(hop), "leads on") for hop in hops]
    if not location:
        raise BadAnswerError("a redirect leads nowhere", problems)
    try:
        address = addresses.address_of(urljoin(last.url, addresses.ascii_location(location)))
    except (UsageError, UnsafeAddressError) as error:
        error.problems = [*problems, *error.problems]
        raise
    except ValueError:
        raise BadAnswerError("a redirect leads nowhere", problems) from None
    if address in hops:
        raise BadAnswerError(
            "redirects lead in a circle", [*problems, Problem(str(address), "was there before")]
        )
    if len(hops) > HOPS:
        what = f"is redirect number {len(hops)}; {HOPS} are followed"
        raise BadAnswerError("there are too many redirects", [*problems, Problem(str(address), what)])
    if (last.scheme, address.scheme) == ("https", "http"):
        what = "would be read without encryption, and the address before it was encrypted"
        raise UnsafeAddressError("a redirect gives up encryption", [*problems, Problem(str(address), what)])
    return address


def _bearer(token: Callable[[], str], address: Address, way: Way) -> str:
    if address.scheme != "https" and not address.is_one_of(way.hosts):
        raise DeniedError(
            "a token is not sent without encryption", [Problem(str(address), "is http://", "write https://")]
        )
    text = token().strip()
    # the header's own check would repeat it in its error
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise DeniedError(
            "a token can't be sent", [Problem(str(address), "it is empty, or has spaces or line ends")]
        )
    return f"Bearer {text}"


def _sent(
    method: str, address: Address, headers: dict[str, str], way: Way
) -> tuple[urllib3.BaseHTTPResponse, _Pool]:
    """One hop: the answer, and what holds its connection."""
    proxy = way.proxy(address)
    if proxy:
        # what a name is here says what it is to the proxy; if it is nothing here, only the proxy knows it
        with suppress(WebOutageError):
            addresses.machines(address, way.hosts)
        ways: list[Callable[[], _Pool]] = [lambda: _through(proxy)]
    else:
        ways = [partial(_straight, address, ip) for ip in addresses.machines(address, way.hosts)]
    for number, make in enumerate(ways, 1):
        pool = make()
        try:
            target = address.url if proxy else address.target
            response = pool.urlopen(
                method,
                target,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=CONNECT, read=READ),
            )
            return response, pool
        except exceptions.ConnectTimeoutError as error:  # also that a connection is refused
            _close(pool)
            if number == len(ways):
                raise outage(address, error) from None
        except (exceptions.HTTPError, OSError) as error:
            _close(pool)
            raise outage(address, error) from None
    raise WebOutageError(f"{address.host} has no address", [Problem(str(address), "its name leads nowhere")])


def _straight(address: Address, ip: str) -> _Pool:
    """Connections to an IP address that was checked, in the name of the server there."""
    host = f"[{ip}]" if ":" in ip else ip
    if address.scheme == "http":
        return urllib3.HTTPConnectionPool(host, address.port)
    # no `assert_hostname`: with it urllib3 compares names itself, without it OpenSSL does so
    return urllib3.HTTPSConnectionPool(
        host, address.port, server_hostname=address.host, cert_reqs="CERT_REQUIRED"
    )


def _through(proxy: str) -> _Pool:
    """Connections to a proxy: of the environment, so it may be anywhere."""
    try:
        url = parse_url(proxy if "://" in proxy else f"http://{proxy}")
        if not url.host:
            raise ValueError
        secret = make_headers(proxy_basic_auth=unquote(url.auth)) if url.auth else None
        return urllib3.ProxyManager(url._replace(auth=None).url, proxy_headers=secret)
    except (exceptions.HTTPError, ValueError, AssertionError):
        # it may hold a password
        raise UsageError(
            "a proxy can't be used",
            [Problem("https_proxy, http_proxy", "it is no address of a proxy", "write http://HOST:PORT")],
        ) from None


def outage(address: Address, error: Exception) -> Exception:
    """The error that a connection's failure is."""
    where, host = str(address), address.host
    inner: BaseException = error
    while isinstance(inner, exceptions.HTTPError) and isinstance(inner.args[-1], BaseException):
        inner = inner.args[-1]
    if isinstance(inner, ssl.SSLCertVerificationError):
        hint = "if another authority vouches for it, name its certificates in SSL_CERT_FILE"
        return UnsafeAddressError(
            f"{host} can't prove who it is",
            [Problem(where, f"its certificate: {inner.verify_message or inner}", hint)],
        )
    refused = re.search(r"Tunnel connection failed: (40[137])", str(inner))
    if refused:
        what = f"the proxy answers {refused[1]}"
        return DeniedError(f"the proxy doesn't let you ask {host}", [Problem(where, what)])
    if isinstance(inner, exceptions.NewConnectionError):
        cause = inner.__cause__
        what = getattr(cause, "strerror", None) or "there is no connection"
    elif isinstance(inner, exceptions.ConnectTimeoutError):
        what = f"there is no connection after {CONNECT:g} seconds"
    elif isinstance(inner, (exceptions.ReadTimeoutError, TimeoutError)):
        what = f"nothing came for {READ:g} seconds"
    else:
        said = str(inner) if "Tunnel" in str(inner) else getattr(inner, "strerror", None)
        what = f"the connection broke ({said or type(inner).__name__})"
    if isinstance(error, exceptions.ProxyError):
        what = f"through the proxy: {what}"
    return WebOutageError(f"{host} can't be asked at present", [Problem(where, one_line(what))])


def _close(pool: _Pool) -> None:
    if isinstance(pool, urllib3.PoolManager):
        pool.clear()
    else:
        pool.close()


def _pause(text: str) -> float | None:
    """``Retry-After``: seconds or a date."""
    if re.fullmatch(r"[0-9]{1,18}", text):
        return min(float(text), _LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(text)
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_PAUSE)
