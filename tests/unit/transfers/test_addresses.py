"""Addresses of strangers: what is understood, which machines are asked, what a file is called."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.errors import UsageError
from esap_wf.transfers.addresses import (
    UnsafeAddressError,
    WebOutageError,
    address_of,
    ascii_location,
    machines,
    name_in,
    unfit,
)

#: IANA's registries of special-purpose addresses (RFC 6890 and later), multicast, and what was never given out.
SPECIAL_4 = [
    *(
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
    ),
    *(
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
    ),
    *("224.0.0.0/4", "240.0.0.0/4"),
]
SPECIAL_6 = [
    *(
        "::/128",
        "::1/128",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2001:2::/48",
        "2001:db8::/32",
        "3fff::/20",
    ),
    *("5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/3", "8000::/3", "e000::/4"),
]


def within(networks: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(networks).flatmap(lambda n: st.ip_addresses(network=n)).map(str)


special = within(SPECIAL_4)
public = st.ip_addresses(v=4).filter(lambda ip: not any(ip in ip_network(n) for n in SPECIAL_4)).map(str)


def disguises(ip: str) -> list[str]:
    """The same IPv4 address as IPv6 has it: mapped, 6to4, behind a gateway."""
    number = int(IPv4Address(ip))
    return [
        str(IPv6Address(n))
        for n in (0xFFFF << 32 | number, 0x2002 << 112 | number << 80, 0x64FF9B << 96 | number)
    ]


@given(st.one_of(special, within(SPECIAL_6)))
def test_an_address_that_is_not_for_everybody_is_unfit(ip: str) -> None:
    assert unfit(ip)
    assert unfit(f"{ip}%eth0")


@given(special)
def test_an_unfit_address_stays_so_in_the_guise_of_ipv6(ip: str) -> None:
    assert all(map(unfit, disguises(ip)))
    # spellings that were given up: compatible, translated
    assert unfit(f"::{ip}") and unfit(f"::ffff:0:{ip}")


@given(public)
def test_an_address_for_everybody_is_asked_in_each_guise(ip: str) -> None:
    assert [unfit(a) for a in (ip, *disguises(ip))] == [""] * 4


@pytest.mark.parametrize(
    "ip, kind",
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("239.1.2.3", "multicast"),
        ("240.0.0.1", "reserved"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("2606:4700::1111", ""),
        ("188.184.100.1", ""),
    ],
)
def test_the_reason_is_named(ip: str, kind: str) -> None:
    assert unfit(ip) == kind


@given(st.ip_addresses())
def test_what_python_calls_local_is_never_fit(ip: IPv4Address | IPv6Address) -> None:
    fit = not unfit(str(ip))
    assert not (fit and (ip.is_private and not getattr(ip, "sixtofour", None)) and not disguised(ip))


def disguised(ip: IPv4Address | IPv6Address) -> bool:
    return ip.version == 6 and (ip in ip_network("::ffff:0:0/96") or ip in ip_network("64:ff9b::/96"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:7f00:1]",
        "localhost",
        "a.localhost",
        "localhost.",
    ],
)
def test_no_spelling_of_this_machine_is_asked(host: str) -> None:
    with pytest.raises(UnsafeAddressError, match="is a loopback address"):
        machines(address_of(f"http://{host}:8080/x"))


def test_a_server_that_a_profile_names_may_be_anywhere() -> None:
    address = address_of("http://LOCALHOST:8080/x")
    assert "127.0.0.1" in machines(address, ["localhost:8080"])
    assert "127.0.0.1" in machines(address, ["localhost"])
    assert machines(address_of("http://[::1]:80/"), ["[::1]:80"]) == ["::1"]
    for other in ("localhost:80", "ocalhost:8080", "localhost:8080/", "", "127.0.0.1:8080"):
        with pytest.raises(UnsafeAddressError):
            machines(address, [other])


def answers(monkeypatch: pytest.MonkeyPatch, *ips: str) -> None:
    """No name server is needed, and none could be trusted to say this: the lookup is what a stranger rules."""
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *a, **k: [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, 1, 6, "", (ip, 443)) for ip in ips
        ],
    )


def test_a_name_that_stands_for_a_private_address_too_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "188.184.100.1", "10.0.0.5")
    with pytest.raises(UnsafeAddressError, match=r"data\.example \(10\.0\.0\.5\) is a private address"):
        machines(address_of("https://data.example/x"))


def test_of_a_name_with_many_addresses_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, *(f"2606::{n:x}" for n in range(1, 90)), *(f"188.184.1.{n}" for n in range(1, 90)))
    assert machines(address_of("https://data.example/x")) == [
        *("2606::1", "2606::2", "2606::3"),
        *("188.184.1.1", "188.184.1.2", "188.184.1.3"),
    ]


def test_a_name_that_nobody_knows_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WebOutageError, match="not known"):
        machines(address_of("https://data.example/x"))


@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "ftp://a.example/x", "gopher://a/x", "/etc/passwd", "", "data:,x"]
)
def test_only_the_web_is_read(text: str) -> None:
    with pytest.raises(UnsafeAddressError, match="only https:// and http:// are"):
        address_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/x y",
        "https://a.example/x\ny",
        "https://a.example\\@b.example/",
        "https://a.exämple/x",
        "https://①②⑦.⓪.⓪.①/x",
        "https:///x",
        "https://:80/x",
        "https://a.example:0/x",
        "https://a.example:99999/x",
        "https://a.example:x/x",
        "https://[::1/x",
        "https://[fe80::1%25eth0]/x",
        "https://[2606::1]a.example/x",
        "https://a.example[2606::1]/x",
        "https://a..example/x",
        "https://-a.example/x",
        "https://%31.example/x",
        f"https://{'a' * 64}.example/x",
        f"https://a.example/{'x' * 9000}",
    ],
)
def test_what_may_be_understood_in_two_ways_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        address_of(text)


@pytest.mark.parametrize(
    "text", ["https://me:hunter2@a.example/x", "https://me:hunter2@a .example/", "ftp://me:hunter2@a/"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises((UsageError, UnsafeAddressError)) as caught:
        address_of(text)
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_every_text_is_an_address_or_an_error(text: str) -> None:
    for whole in (text, f"https://{text}", f"https://a.example/{text}"):
        try:
            address = address_of(whole)
        except (UsageError, UnsafeAddressError):
            continue
        assert address_of(address.url) == address


@given(st.binary(max_size=60))
def test_every_redirect_is_an_address_or_an_error(sent: bytes) -> None:
    location = ascii_location(sent.decode("latin-1"))
    assert location.isascii() and " " not in location


def test_what_follows_the_question_mark_is_not_shown() -> None:
    address = address_of("https://A.Example:443/x?signature=secret#part")
    assert str(address) == "https://a.example/x?…"
    assert address.url == "https://a.example/x?signature=secret"


@pytest.mark.parametrize(
    "path, name",
    [
        ("/a/image.fits.gz", "image.fits.gz"),
        ("/a%2Cb%20(1).fits", "a,b (1).fits"),
        ("/donn%C3%A9es.csv?x=/y", "données.csv"),
        ("/a/", ""),
        ("", ""),
        ("/%252e%252e", "%2e%2e"),
    ],
)
def test_a_file_is_called_as_its_address_ends(path: str, name: str) -> None:
    assert name_in(address_of(f"https://a.example{path}")) == name


@pytest.mark.parametrize(
    "last",
    [
        *(
            "..",
            "%2e%2e",
            ".bashrc",
            "-rf",
            "~",
            "a%2Fb",
            "a%5Cb",
            "..%2F..%2Fx",
            "a%00b",
            "a%0Ab",
            "a%1b[2Jb",
        ),
        *("%FF", "%E2%80%AEsfit.exe", "%20a", "a%20", "x" * 201, "%C3%A9" * 101, "%ED%A0%80"),
    ],
)
def test_a_name_that_would_mean_more_than_a_file_is_refused(last: str) -> None:
    with pytest.raises(UsageError, match="is no name for a file"):
        name_in(address_of(f"https://a.example/x/{last}"))


@given(st.text(min_size=1).filter(lambda s: s.isprintable()))
def test_a_name_is_one_part_of_a_path(text: str) -> None:
    from urllib.parse import quote

    try:
        name = name_in(address_of(f"https://a.example/{quote(text, safe='')}"))
    except UsageError:
        return
    assert name == text and "/" not in name and name not in (".", "..") and "\0" not in name
