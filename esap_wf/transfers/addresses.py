"""
Addresses in the web: what is understood of one, and which machines may be asked.

An address may come from a stranger: a basket, a workflow, the answer of a server. It must not make this
machine ask what only this machine can reach: its own services, those of its network, the credentials that a
cloud gives out at a link-local address. A name says nothing of where it leads, so a name is resolved first,
each address that it has is checked, and who connects does so to one of those and resolves nothing again.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import string
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from esap_wf.datalakes import LakeOutageError
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats.printing import clipped, one_line
from esap_wf.models.data import MOST_OF_A_PART

PORTS = {"http": 80, "https": 443}
#: A name of a machine, or an IPv4 address in any of its spellings; ASCII, because libraries differ in what
#: they make of other letters.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
#: Addresses of one family that are tried: a name may have thousands, each worth a time-out.
_TRIED = 3
#: Longest address; servers take about as much.
_LONGEST = 8000
#: Besides what `ipaddress` knows in every Python: protocol assignments, relays of 6to4, documentation.
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
#: Where IPv6 has addresses for everybody, and the addresses that a gateway (NAT64) turns into IPv4.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class UnsafeAddressError(RefusedError):
    """An address that isn't asked: its scheme, where it leads, or who answers there."""


class WebOutageError(LakeOutageError):
    """
    A server can't be asked, or its answer broke off; trying again may help.

    Attributes
    ----------
    seconds : float, optional
        How long it wants to be left alone (``Retry-After``), if it said so.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = (), seconds: float | None = None) -> None:
        super().__init__(message, list(problems))
        self.seconds = seconds


@dataclass(frozen=True)
class Address:
    """
    An address in the web. As text it is fit for people: what follows ``?``, which may be a secret, is left
    out.

    Parameters
    ----------
    scheme : str
        ``http`` or ``https``.
    host : str
        In small letters; of an IPv6 address without brackets.
    port : int
    target : str
        Path and query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def server(self) -> str:
        """``host``, or ``host:port`` if it isn't the usual port: the header ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whom a secret may be told that was meant for this address."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """All of it."""
        return f"{self.scheme}://{self.server}{self.target}"

    def __str__(self) -> str:
        path, mark, _ = self.target.partition("?")
        return clipped(f"{self.scheme}://{self.server}{path}", 200) + (f"{mark}…" if mark else "")

    def is_one_of(self, hosts: Sequence[str]) -> bool:
        """Whether its server is in a list of ``name`` and ``name:port``."""
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        own = {self.host, bracketed, f"{bracketed}:{self.port}"}
        return any(name.lower() in own for name in hosts)


def address_of(text: str) -> Address:
    """
    What an address says.

    Raises
    ------
    UsageError
        It isn't one; what it holds before an ``@`` is not repeated.
    UnsafeAddressError
        It is of another scheme.
    """

    # neither credentials nor what follows ? is repeated
    where = one_line(clipped(text.rpartition("@")[2].partition("?")[0], 200))

    def wrong(what: str, hint: str = "") -> UsageError:
        return UsageError("that isn't the address of a file in the web", [Problem(where, what, hint)])

    # urlsplit leaves out some of these in silence, and `\` is read as `/` by some
    if not text.isascii() or not text.isprintable() or set(text) & set(" \\"):
        raise wrong(
            "it holds spaces, control characters, \\ or letters outside of ASCII",
            "write them percent-encoded (%20), a host's name as xn--…",
        )
    if len(text) > _LONGEST:
        raise wrong(f"it is longer than {_LONGEST} characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise wrong(str(error)) from None
    if parts.scheme not in PORTS:
        raise UnsafeAddressError(
            f"{parts.scheme or 'no scheme'}: is not read from the web",
            [Problem(where, "only https:// and http:// are")],
        )
    if "@" in parts.netloc:
        raise wrong("it holds credentials", "addresses are written down: give a token in another way")
    if parts.netloc.startswith("["):
        try:
            # a zone (%eth0) means something on one machine only; urlsplit ignores what stands behind the ]
            if "%" in host or not re.search(r"\](:[0-9]*)?\Z", parts.netloc):
                raise ValueError
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise wrong(f"{parts.netloc[:60]!r} is no IPv6 address") from None
    else:
        host = host.removesuffix(".")
        if not _HOST.fullmatch(host):
            raise wrong(f"{host[:60]!r} is no name of a machine")
    if port == 0:
        raise wrong("there is no port 0")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, host, port or PORTS[parts.scheme], target)


def ascii_location(header: str) -> str:
    """A header ``Location`` as an address may be written; servers send spaces and UTF-8 in it."""
    # headers are decoded as Latin-1, so these are the bytes that were sent
    return quote(header.strip().encode("latin-1", "replace"), safe=string.punctuation.replace("\\", ""))


def name_in(address: Address) -> str:
    """
    The name of the file at an address: the last part of its path, decoded; empty if the path ends in a
    slash.

    Raises
    ------
    UsageError
        It is no name for a file here.
    """
    last = address.target.partition("?")[0].rpartition("/")[2]
    try:
        name = unquote(last, errors="strict")
    except UnicodeDecodeError:
        name = "\0"
    if (
        not name.isprintable()
        or set(name) & set("/\\")
        or name.startswith((".", "-", "~"))
        or name != name.strip()
        or len(name.encode()) > MOST_OF_A_PART
    ):
        what = (
            f"{clipped(last, 60)!r} is no name for a file: it is longer than {MOST_OF_A_PART} bytes, begins "
        )
        what += "with . - or ~, or holds a slash, spaces at an end, control characters or what isn't UTF-8"
        raise UsageError("a file in the web has a name that isn't used", [Problem(str(address), what)])
    return name


def unfit(ip: str) -> str:
    """
    Why an IP address is not asked for a stranger; empty if it is an address for everybody.

    Parameters
    ----------
    ip : str
        IPv4 or IPv6. An IPv6 address that stands for one of IPv4 is judged as that.

    References
    ----------
    RFC 6890 and the registries of IANA that it set up; RFC 4291 (mapped), RFC 3056 (6to4), RFC 6052 (NAT64).
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return "unknown"
    unicast = True
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            address = inside
        else:
            unicast = address in _UNICAST
    kinds = {
        "loopback": address.is_loopback,
        "unspecified": address.is_unspecified,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "reserved": address.is_reserved or not (unicast or address.is_private),
        "private": not address.is_global or any(address in network for network in _SPECIAL),
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "")


def machines(address: Address, hosts: Sequence[str] = ()) -> list[str]:
    """
    The IP addresses to connect to, the most promising first; no other may be taken.

    Parameters
    ----------
    address : Address
    hosts : sequence of str
        ``name`` or ``name:port`` of servers that may be anywhere.

    Raises
    ------
    UnsafeAddressError
        Of what the name stands for, not all is for everybody.
    WebOutageError
        Nobody knows the name, at present.
    """
    allowed = address.is_one_of(hosts)
    if not allowed and f".{address.host}".endswith(".localhost"):
        raise _unsafe(address, "loopback")
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise WebOutageError(
            f"{address.host} is not known", [Problem(str(address), why, "is its name right?")]
        ) from None
    ips = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allowed:
        for ip in ips:
            if kind := unfit(ip):
                raise _unsafe(address, kind, ip)
    families = [[ip for ip in ips if (":" in ip) is six][:_TRIED] for six in (False, True)]
    return [ip for ip in ips if ip in families[0] or ip in families[1]]


def _unsafe(address: Address, kind: str, ip: str = "") -> UnsafeAddressError:
    via = f" ({ip})" if ip and ip != address.host else ""
    what = f"{address.host}{via} is a {kind} address, where only machines near it can ask"
    hint = f"if it is to be read, the lake's profile has to name {address.server}"
    return UnsafeAddressError(f"{address.host} is not asked", [Problem(str(address), what, hint)])
