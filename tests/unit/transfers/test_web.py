"""Files from servers that keep their word, break off, lead elsewhere, or lie."""

from __future__ import annotations

import io
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.websites import File, Handler, Page, Site, certificate, leads_to, send, status

from esap_wf.datalakes import LakeOutageError
from esap_wf.errors import EsapError, UsageError
from esap_wf.transfers import hops, web
from esap_wf.transfers.web import (
    BadAnswerError,
    ChangedError,
    DeniedError,
    NoAddressError,
    RestartError,
    TooLongError,
    UnsafeAddressError,
    WebEntry,
    WebOutageError,
    describe,
    fetch,
)

DATA = os.urandom(2_500_000)
MARK = {"ETag": '"v1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT", "Accept-Ranges": "bytes"}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tests run there may be proxies; they are tested with one of their own."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates")
    folder = tmp_path_factory.mktemp("certificates")
    certificate(folder, "localhost")
    certificate(folder, "data.example")
    return folder


@pytest.fixture
def secure(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site at ``https://localhost``, whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "localhost.pem"))
    with Site(certificates / "localhost.pem") as made:
        yield made


def read(site: Site, path: str, start: int = 0, *, before: bytes = b"", **options: Any) -> bytes:
    """All that is there after one call."""
    target = io.BytesIO(before)
    target.seek(start)
    for _ in fetch(site.url(path), target, start, **{"hosts": site.hosts, **options}):
        pass
    return target.getvalue()


def went(name: str, *sites: Site) -> list[list[str]]:
    return [[q.headers.get(name, "") for q in s.asked] for s in sites]


# --- what is said of a file


def test_a_file_is_described_without_being_read(site: Site) -> None:
    site.pages["/a/x%20y.fits"] = File(DATA, MARK)
    assert describe(site.url("/a/x%20y.fits?v=1"), hosts=site.hosts) == WebEntry(
        host="localhost",
        name="x y.fits",
        bytes=len(DATA),
        etag='"v1"',
        modified="2015-10-21T07:28:00Z",
        ranges=True,
    )
    (question,) = site.asked
    assert question.method == "HEAD" and question.headers["accept-encoding"] == "identity"
    assert question.headers["host"] == f"localhost:{site.port}" and "authorization" not in question.headers


@pytest.mark.parametrize("refused", [403, 405, 501])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_refuses_head_is_asked_for_the_first_byte(
    site: Site, refused: int, ranges: bool
) -> None:
    site.pages["/x"] = File(DATA, {"ETag": '"v1"'}, ranges=ranges, head=refused)
    entry = describe(site.url("/x"), hosts=site.hosts)
    assert (entry.bytes, entry.etag, entry.ranges) == (len(DATA), '"v1"', ranges)
    assert [(q.method, q.headers.get("range")) for q in site.asked] == [("HEAD", None), ("GET", "bytes=0-0")]


@pytest.mark.parametrize("ranges", [True, False])
def test_whether_a_server_gives_ranges_is_tried_if_it_does_not_say(site: Site, ranges: bool) -> None:
    site.pages["/x"] = File(DATA, ranges=ranges)
    assert describe(site.url("/x"), hosts=site.hosts) == WebEntry(
        host="localhost", name="x", bytes=len(DATA), ranges=ranges
    )


def test_an_empty_file_has_no_bytes(site: Site) -> None:
    site.pages["/x"] = File(b"")
    assert describe(site.url("/x"), hosts=site.hosts).bytes == 0
    assert read(site, "/x") == b""


def test_a_length_that_nobody_says_is_unknown(site: Site) -> None:
    site.pages["/x"] = chunked([b"abc", b"def"])
    entry = describe(site.url("/x"), hosts=site.hosts)
    assert (entry.bytes, entry.ranges) == (None, False)
    assert read(site, "/x", expected=entry) == b"abcdef"


@pytest.mark.parametrize("name", ["ETag", "Last-Modified", "Content-Disposition"])
def test_headers_that_say_nothing_sensible_say_nothing(site: Site, name: str) -> None:
    site.pages["/x"] = File(
        DATA, {"Accept-Ranges": "bytes", name: '../../etc/passwd; filename="y" Thu, 99 Foo'}
    )
    assert describe(site.url("/x"), hosts=site.hosts) == WebEntry(
        host="localhost", name="x", bytes=len(DATA), ranges=True
    )


def test_a_hostile_name_is_refused_before_anything_is_asked(site: Site) -> None:
    with pytest.raises(UsageError, match="is no name for a file"):
        describe(site.url("/a/..%2F..%2F.bashrc"), hosts=site.hosts)
    assert site.asked == []


# --- its bytes


def test_a_file_is_read_in_parts_and_unpacked_by_nobody(site: Site) -> None:
    site.pages["/x"] = File(DATA, {**MARK, "Content-Encoding": "gzip"})
    target = io.BytesIO()
    parts = list(
        fetch(site.url("/x"), target, expected=describe(site.url("/x"), hosts=site.hosts), hosts=site.hosts)
    )
    assert target.getvalue() == DATA and sum(parts) == len(DATA)
    assert len(parts) == 3 and min(parts[:2]) >= web.PART


def test_a_connection_that_breaks_is_continued_where_it_broke(site: Site) -> None:
    site.pages["/x"] = File(DATA, MARK, breaks=[1_700_000, 300_000])
    entry = describe(site.url("/x"), hosts=site.hosts)
    target, there, breaks = io.BytesIO(), 0, 0
    while there < len(DATA):
        try:
            for part in fetch(site.url("/x"), target, there, expected=entry, hosts=site.hosts):
                there += part
        except LakeOutageError:
            breaks += 1
        assert there == target.tell()
    assert (breaks, target.getvalue()) == (2, DATA)
    assert [(q.headers.get("range"), q.headers.get("if-range")) for q in site.asked if q.method == "GET"] == [
        (None, None),
        ("bytes=1700000-", '"v1"'),
        ("bytes=2000000-", '"v1"'),
    ]


def test_a_file_that_is_all_there_is_not_asked_for(site: Site) -> None:
    assert read(site, "/x", 3, before=b"abc", expected=WebEntry(host="localhost", bytes=3)) == b"abc"
    assert site.asked == []


def test_chunks_that_stop_are_an_outage(site: Site) -> None:
    site.pages["/x"] = chunked([b"abc", b"def"], whole=False)
    target = io.BytesIO()
    parts = fetch(site.url("/x"), target, hosts=site.hosts)
    assert next(parts) == 6
    with pytest.raises(WebOutageError):
        next(parts)
    assert target.getvalue() == b"abcdef"


def test_a_body_without_a_length_that_stops_early_is_an_outage(site: Site) -> None:
    site.pages["/x"] = until_closed(b"abc")
    assert read(site, "/x") == b"abc"
    with pytest.raises(WebOutageError, match="ended after 3 bytes of 6"):
        read(site, "/x", expected=WebEntry(host="localhost", bytes=6))


def test_a_server_that_gives_less_than_the_rest_is_asked_again(site: Site) -> None:
    site.pages["/x"] = lambda h: send(h, 206, b"d", Content_Range="bytes 3-3/6")
    with pytest.raises(WebOutageError, match="ended after 4 bytes of 6"):
        read(site, "/x", 3, before=b"abc")


@pytest.mark.parametrize("entry", [WebEntry(host="localhost", etag='"v1"'), None])
def test_a_server_without_ranges_is_read_from_the_beginning(site: Site, entry: WebEntry | None) -> None:
    site.pages["/x"] = File(DATA, MARK, ranges=False)
    with pytest.raises(RestartError):
        read(site, "/x", 100, before=DATA[:100], expected=entry)
    assert read(site, "/x") == DATA


def test_a_file_that_changed_between_two_parts_is_never_mixed(site: Site) -> None:
    site.pages["/x"] = File(DATA, MARK, breaks=[1000])
    entry = describe(site.url("/x"), hosts=site.hosts)
    target = io.BytesIO()
    with pytest.raises(WebOutageError):
        list(fetch(site.url("/x"), target, expected=entry, hosts=site.hosts))
    site.pages["/x"] = File(DATA[::-1], {**MARK, "ETag": '"v2"'})
    with pytest.raises(RestartError, match="from the beginning"):
        list(fetch(site.url("/x"), target, 1000, expected=entry, hosts=site.hosts))
    assert target.getvalue() == DATA[:1000]


@pytest.mark.parametrize(
    "headers, total",
    [
        ({"ETag": 'W/"v2"'}, 6),
        ({"Last-Modified": "Wed, 21 Oct 2015 07:28:01 GMT"}, 6),
        ({}, 7),
    ],
)
def test_without_a_strong_mark_a_change_is_seen_in_what_else_is_said(
    site: Site, headers: dict[str, str], total: int
) -> None:
    entry = WebEntry(host="localhost", bytes=6, etag='W/"v1"', modified="2015-10-21T07:28:00Z")
    said = {name.replace("-", "_"): value for name, value in headers.items()}
    site.pages["/x"] = lambda h: send(h, 206, b"def", Content_Range=f"bytes 3-5/{total}", **said)
    with pytest.raises(RestartError, match="it has changed"):
        read(site, "/x", 3, before=b"abc", expected=entry)
    assert went("if-range", site) == [[""]]
    site.pages["/x"] = lambda h: send(h, 206, b"def", Content_Range="bytes 3-5/6", Etag='W/"v1"')
    assert read(site, "/x", 3, before=b"abc", expected=entry) == b"abcdef"


def test_a_server_that_ignores_the_condition_is_seen_through(site: Site) -> None:
    entry = WebEntry(host="localhost", bytes=6, etag='"v1"', modified="2015-10-21T07:28:00Z")
    later = "Wed, 21 Oct 2015 07:28:01 GMT"
    for said in ({"ETag": '"v2"'}, {"Last_Modified": later}):
        site.pages["/x"] = lambda h, said=said: send(h, 206, b"def", Content_Range="bytes 3-5/6", **said)  # type: ignore[misc]
        with pytest.raises(RestartError, match="it has changed"):
            read(site, "/x", 3, before=b"abc", expected=entry)
    # one content, copied to a second machine a second later
    site.pages["/x"] = lambda h: send(
        h, 206, b"def", Content_Range="bytes 3-5/6", ETag='"v1"', Last_Modified=later
    )
    assert read(site, "/x", 3, before=b"abc", expected=entry) == b"abcdef"


def test_a_file_that_has_become_shorter_is_read_from_the_beginning(site: Site) -> None:
    site.pages["/x"] = File(b"abc")
    with pytest.raises(RestartError, match="nothing from byte 5 on"):
        read(site, "/x", 5, before=b"abcde")
    with pytest.raises(RestartError, match="of a file of 3"):
        read(site, "/x", 5, before=b"abcde", expected=WebEntry(host="localhost", bytes=3))


@pytest.mark.parametrize(
    "said",
    [
        "bytes 0-2/6",
        "bytes 3-2/6",
        "bytes 3-9/6",
        "bytes 3-7/8",
        "bytes 3-5/0",
        "bytes 3-5/5",
        "items 3-5/6",
        "",
    ],
)
def test_another_part_than_was_asked_for_is_an_error(site: Site, said: str) -> None:
    site.pages["/x"] = lambda h: send(h, 206, b"def", Content_Range=said)
    with pytest.raises(BadAnswerError, match="another part"):
        read(site, "/x", 3, before=b"abc")


def test_a_file_of_another_length_than_expected_is_not_begun(site: Site) -> None:
    site.pages["/x"] = File(b"abcd")
    with pytest.raises(ChangedError, match="has 4 bytes, 3 are expected"):
        read(site, "/x", expected=WebEntry(host="localhost", bytes=3))


@pytest.mark.parametrize("start", [0, 1000])
def test_an_endless_server_is_stopped_where_the_file_should_end(site: Site, start: int) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{10**15}/*")
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    site.pages["/x"] = endless
    for options in ({"expected": WebEntry(host="localhost", bytes=200_000)}, {"most": 200_000}):
        target = io.BytesIO()
        with pytest.raises(TooLongError, match="200000 bytes are expected at most"):
            list(fetch(site.url("/x"), target, start, hosts=site.hosts, **options))
        assert len(target.getvalue()) <= 200_000


def test_a_file_that_says_it_is_too_long_is_not_begun(site: Site) -> None:
    site.pages["/x"] = File(DATA)
    target = io.BytesIO()
    with pytest.raises(TooLongError, match=f"1000 bytes are expected at most, and it has {len(DATA)}"):
        list(fetch(site.url("/x"), target, most=1000, hosts=site.hosts))
    assert target.getvalue() == b""
    assert read(site, "/x", most=len(DATA)) == DATA


def test_whoever_stops_reading_ends_the_connection(site: Site) -> None:
    ended: list[float] = []

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            ended.append(time.monotonic())

    site.pages["/x"] = endless
    parts = fetch(site.url("/x"), io.BytesIO(), hosts=site.hosts)
    assert isinstance(parts, Iterator) and next(parts) >= web.PART
    parts.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while not ended and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended


def test_a_slow_server_is_told_of_before_a_part_is_full(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TELL", 0)
    site.pages["/x"] = chunked([b"abc"] * 3)
    assert list(fetch(site.url("/x"), io.BytesIO(), hosts=site.hosts)) == [3, 3, 3]


def test_a_full_disk_is_not_the_servers_fault(site: Site) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    site.pages["/x"] = File(DATA)
    with pytest.raises(OSError, match="No space left"):
        list(fetch(site.url("/x"), Full(), hosts=site.hosts))


# --- what servers refuse


@pytest.mark.parametrize(
    "code, kind",
    [
        (404, NoAddressError),
        (410, NoAddressError),
        (401, DeniedError),
        (403, DeniedError),
        (418, BadAnswerError),
        (204, BadAnswerError),
        (206, BadAnswerError),
        (429, WebOutageError),
        (500, WebOutageError),
        (502, WebOutageError),
        (503, WebOutageError),
        (504, WebOutageError),
    ],
)
def test_an_answer_says_whether_trying_again_is_of_use(site: Site, code: int, kind: type[EsapError]) -> None:
    site.pages["/x"] = status(code)
    with pytest.raises(kind) as caught:
        read(site, "/x")
    assert str(code) in str(caught.value)
    assert isinstance(caught.value, LakeOutageError) is (kind is WebOutageError)
    if code != 206:
        with pytest.raises(kind):
            describe(site.url("/x"), hosts=site.hosts)


@pytest.mark.parametrize(
    "text, least, most",
    [
        ("7", 7, 7),
        ("in two hours", 7000, 7200),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("9" * 18, 86400, 86400),
        ("9" * 5000, None, None),
        ("soon", None, None),
        ("-1", None, None),
    ],
    ids=["seconds", "in two hours", "long ago", "far", "no number", "no time", "negative"],
)
def test_a_server_says_when_to_try_again(
    site: Site, text: str, least: float | None, most: float | None
) -> None:
    if text == "in two hours":  # from now, not from when the tests were collected
        text = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    site.pages["/x"] = status(429, Retry_After=text)
    with pytest.raises(WebOutageError) as caught:
        read(site, "/x")
    seconds = caught.value.seconds
    assert (
        seconds is None if least is None or most is None else seconds is not None and least <= seconds <= most
    )


def test_nobody_there_is_an_outage(site: Site) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(WebOutageError, match="refused"):
            describe(f"http://127.0.0.1:{port}/x", hosts=("127.0.0.1",))


@pytest.mark.parametrize("where", ["before", "within"])
def test_a_silent_server_is_an_outage(site: Site, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hops, "READ", 0.2)

    def silent(handler: Handler) -> None:
        if where == "within":
            handler.send_response(200)
            handler.send_header("Content-Length", "6")
            handler.end_headers()
            handler.wfile.write(b"abc")
        time.sleep(1)

    site.pages["/x"] = silent
    target = io.BytesIO()
    with pytest.raises(WebOutageError, match=r"nothing came for 0\.2 seconds"):
        list(fetch(site.url("/x"), target, hosts=site.hosts))
    assert target.getvalue() == (b"abc" if where == "within" else b"")


def test_what_is_no_http_is_an_outage(site: Site) -> None:
    site.pages["/x"] = chatty
    with pytest.raises(WebOutageError):
        read(site, "/x")


# --- redirects


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_the_name_stays(site: Site, code: int) -> None:
    site.pages |= {
        "/name.fits": leads_to("b/donn\u00c3\u00a9es x?y=1", code),
        "/b/donn%C3%A9es%20x": File(DATA, MARK),
    }
    entry = describe(site.url("/name.fits"), hosts=site.hosts)
    assert (entry.name, entry.bytes) == ("name.fits", len(DATA))
    assert read(site, "/name.fits", 10, before=DATA[:10], expected=entry) == DATA
    assert [q.path for q in site.asked] == ["/name.fits", "/b/donn%C3%A9es%20x?y=1"] * 2


def test_a_circle_of_redirects_ends_and_lists_them(site: Site) -> None:
    site.pages |= {"/a": leads_to("/b?secret=1"), "/b": leads_to("/c#x"), "/c": leads_to("/a")}
    with pytest.raises(BadAnswerError, match="in a circle") as caught:
        read(site, "/a")
    at = f"http://localhost:{site.port}"
    assert [p.where for p in caught.value.problems] == [f"{at}/a", f"{at}/b?…", f"{at}/c", f"{at}/a"]


def test_ten_redirects_are_followed_and_no_more(site: Site) -> None:
    site.pages |= {f"/{n}": leads_to(f"/{n + 1}") for n in range(11)} | {"/11": File(b"abc")}
    assert read(site, "/1") == b"abc"
    with pytest.raises(BadAnswerError, match="too many redirects") as caught:
        read(site, "/0")
    assert len(caught.value.problems) == 12


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "FILE:///etc/passwd", "ftp://a.example/x", "data:,x", "javascript:1"]
)
def test_a_redirect_out_of_the_web_is_refused(site: Site, address: str) -> None:
    site.pages["/x"] = leads_to(address)
    with pytest.raises(UnsafeAddressError, match="is not read from the web"):
        read(site, "/x")


@pytest.mark.parametrize(
    "address", ["", "http://", "http://[", "http://a b.example", "//me:pw@a.example/x", "http:\\\\a"]
)
def test_a_redirect_to_nothing_is_an_error(site: Site, address: str) -> None:
    site.pages["/x"] = leads_to(address)
    with pytest.raises((BadAnswerError, UsageError)):
        read(site, "/x")


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.5",
        "192.168.1.1",
        "169.254.169.254",
        "[fd00::1]",
        "[::ffff:10.0.0.5]",
        "[64:ff9b::a00:5]",
        "0",
        "0x0a000005",
    ],
)
def test_a_redirect_to_a_private_address_is_refused(site: Site, host: str) -> None:
    site.pages["/x"] = leads_to(f"http://{host}/latest/meta-data/")
    with pytest.raises(UnsafeAddressError, match="is not asked"):
        read(site, "/x")


def test_a_redirect_to_this_machine_is_refused_unless_a_profile_names_it(site: Site) -> None:
    site.pages |= {"/x": leads_to(f"http://127.0.0.1:{site.port}/y"), "/y": File(b"abc")}
    with pytest.raises(UnsafeAddressError, match="loopback"):
        read(site, "/x", hosts=site.hosts[:1])
    assert [q.path for q in site.asked] == ["/x"]
    assert read(site, "/x") == b"abc"


def test_this_machine_is_not_asked_unless_a_profile_names_it(site: Site) -> None:
    for call in (lambda: describe(site.url("/x")), lambda: read(site, "/x", hosts=())):
        with pytest.raises(UnsafeAddressError, match=f"the lake's profile has to name localhost:{site.port}"):
            call()
    assert site.asked == []


# --- names


def resolver(monkeypatch: pytest.MonkeyPatch, *turns: str) -> list[str]:
    """
    What ``data.example`` stands for, one answer after the other; other names are looked up as always. No name
    server of a test could be asked by the C library without rights on this machine.
    """
    real, asked = socket.getaddrinfo, []

    def lookup(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host == "data.example":
            asked.append(host)
            host = turns[min(len(asked), len(turns)) - 1]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_a_name_that_leads_into_a_private_network_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver(monkeypatch, "127.0.0.1")
    with pytest.raises(UnsafeAddressError, match=r"data\.example \(127\.0\.0\.1\) is a loopback address"):
        describe(site.url("/x", "data.example"), hosts=site.hosts)
    site.pages["/x"] = leads_to(site.url("/y", "data.example"))
    with pytest.raises(UnsafeAddressError):
        read(site, "/x")
    assert [q.path for q in site.asked] == ["/x"]


def test_a_name_is_looked_up_once_so_that_the_address_that_was_checked_is_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolver(monkeypatch, "127.0.0.1", "10.255.255.1")
    site.pages["/x"] = File(b"abc", MARK)
    describe(site.url("/x", "data.example"), hosts=("data.example",))
    assert asked == ["data.example"]
    assert went("host", site) == [[f"data.example:{site.port}"]]


def test_the_second_address_of_a_name_is_asked_if_nobody_is_at_the_first(site: Site) -> None:
    """``localhost`` is ``::1`` too where there is IPv6, and the server listens at the other one only."""
    site.pages["/x"] = File(b"abc")
    assert read(site, "/x") == b"abc"


def test_a_server_with_ipv6_is_asked() -> None:
    try:
        made = Site(address="::1").__enter__()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        made.pages["/x"] = File(b"abc", MARK)
        address = made.url("/x", "[::1]")
        assert describe(address, hosts=(f"[::1]:{made.port}",)).host == "::1"
        assert went("host", made) == [[f"[::1]:{made.port}"]]
        with pytest.raises(UnsafeAddressError):
            describe(address)
    finally:
        made.__exit__()


# --- encryption


def test_a_server_proves_who_it_is(secure: Site) -> None:
    secure.pages["/x"] = File(DATA, MARK)
    assert read(secure, "/x", expected=describe(secure.url("/x"), hosts=secure.hosts)) == DATA


def test_a_certificate_for_another_name_is_refused(secure: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver(monkeypatch, "127.0.0.1")
    secure.pages["/x"] = File(DATA, MARK)
    for host in ("data.example", "127.0.0.1"):
        with pytest.raises(UnsafeAddressError, match="can't prove who it is"):
            describe(secure.url("/x", host), hosts=("data.example", "127.0.0.1"))


def test_a_certificate_that_nobody_vouches_for_is_refused(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "data.example.pem"))
    with Site(certificates / "localhost.pem") as made, pytest.raises(UnsafeAddressError, match="certificate"):
        describe(made.url("/x"), hosts=made.hosts)


def test_encryption_is_not_given_up_by_a_redirect(secure: Site, site: Site) -> None:
    secure.pages["/x"] = leads_to(site.url("/y"))
    site.pages["/y"] = File(b"abc")
    with pytest.raises(UnsafeAddressError, match="gives up encryption"):
        read(secure, "/x", hosts=(*secure.hosts, *site.hosts))
    assert site.asked == []


def test_encryption_may_be_taken_up_by_a_redirect(secure: Site, site: Site) -> None:
    site.pages["/x"] = leads_to(secure.url("/y"))
    secure.pages["/y"] = File(b"abc")
    assert read(site, "/x", hosts=(*secure.hosts, *site.hosts)) == b"abc"


# --- tokens


def test_a_token_is_told_to_the_server_that_was_asked_and_to_no_other(site: Site) -> None:
    with Site() as other:
        hosts = (*site.hosts, *other.hosts)
        # home again, to a page of the other's choice
        site.pages |= {"/x": leads_to("/y"), "/y": leads_to(other.url("/z")), "/w": File(b"abc", MARK)}
        other.pages["/z"] = leads_to(site.url("/w"))
        assert read(site, "/x", hosts=hosts, token=lambda: "s3cret\n") == b"abc"
        assert describe(site.url("/x"), hosts=hosts, token=lambda: "s3cret").bytes == 3
    assert went("authorization", site, other) == [["Bearer s3cret", "Bearer s3cret", ""] * 2, ["", ""]]


def test_another_name_of_the_same_machine_is_another_server(site: Site) -> None:
    site.pages |= {"/x": leads_to(site.url("/y", "127.0.0.1")), "/y": File(b"abc")}
    assert read(site, "/x", token=lambda: "s3cret") == b"abc"
    assert went("authorization", site) == [["Bearer s3cret", ""]]


def test_a_token_is_not_sent_for_all_to_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: pytest.fail("a server was looked up before the token was refused"),
    )
    with pytest.raises(DeniedError, match="not sent without encryption"):
        describe("http://data.example/x", token=lambda: "s3cret")


@pytest.mark.parametrize("token", ["", "s3cret\r\nX-Evil: 1", "s3cret s3cret", "s3cr\u00e9t"])
def test_a_token_that_is_none_is_not_sent_and_not_repeated(site: Site, token: str) -> None:
    with pytest.raises(DeniedError, match="a token can't be sent") as caught:
        read(site, "/x", token=lambda: token)
    assert "s3cr" not in str(caught.value) and site.asked == []


def test_a_secret_is_in_no_error_and_in_no_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "esap_wf")
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
    texts = []
    site.pages |= {
        "/a": status(401),
        "/b": status(503),
        "/c": leads_to("/d?signature=s3cret"),
        "/d": leads_to("file:///s"),
    }
    for path in ("/a", "/b", "/c", "/none"):
        with pytest.raises(EsapError) as caught:
            read(site, f"{path}?key=t0psecret", token=lambda: "s3cret")
        texts.append(str(caught.value) + repr(caught.value.as_dict()))
    records = [r.getMessage() for r in caplog.records]
    assert any("leads to" in r for r in records)
    # urllib3 writes whole addresses to a log of its own that nothing of esap-wf shows; of the header it knows nothing
    texts += [r.getMessage() for r in caplog.records if r.name.startswith("esap_wf")]
    assert not [t for t in texts if "s3cret" in t or "t0psecret" in t]
    assert not [r for r in records if "Bearer" in r]


# --- proxies


def test_the_proxy_of_the_environment_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:pa%20ss@127.0.0.1:{site.port}")
    monkeypatch.setenv("no_proxy", "localhost")
    unknown = "http://data.invalid/x"
    site.pages |= {unknown: File(DATA, MARK), "/x": File(b"abc")}
    # only the proxy knows the name
    target = io.BytesIO()
    assert sum(fetch(unknown, target, expected=describe(unknown))) == len(DATA)
    assert {q.path for q in site.asked} == {unknown}
    assert set(went("host", site)[0]) == {"data.invalid"}
    assert set(went("proxy-authorization", site)[0]) == {"Basic bWU6cGEgc3M="}
    assert read(site, "/x") == b"abc" and "proxy-authorization" not in site.asked[-1].headers


def test_a_proxy_is_not_asked_for_what_lies_in_this_network(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{site.port}")
    resolver(monkeypatch, "10.0.0.5")
    for host in ("10.0.0.5", "169.254.169.254", "localhost", "[::1]", "data.example"):
        with pytest.raises(UnsafeAddressError):
            describe(f"http://{host}/x")
    assert site.asked == []


def test_through_a_proxy_a_server_proves_who_it_is(
    site: Site, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{site.port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "data.example.pem"))
    resolver(monkeypatch, "188.184.100.1")
    with Site(certificates / "data.example.pem") as there:
        site.behind = there.port
        there.pages["/x"] = File(b"abc", MARK)
        target = io.BytesIO()
        list(fetch("https://data.example/x", target, token=lambda: "s3cret"))
        assert target.getvalue() == b"abc"
        assert [(q.method, q.path) for q in site.asked] == [("CONNECT", "data.example:443")]
        assert went("authorization", site, there) == [[""], ["Bearer s3cret"]]
        with pytest.raises(UnsafeAddressError, match="can't prove who it is"):
            describe("https://other.invalid/x")


def test_a_proxy_that_refuses_says_so(site: Site) -> None:
    with pytest.raises(DeniedError, match="the proxy doesn't let you ask"):
        describe("https://data.invalid/x", proxies={"https": f"http://127.0.0.1:{site.port}"})


@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@127.0.0.1:1", "http://me:hunter2@[", "http://"])
def test_what_is_no_proxy_is_an_error_that_keeps_its_password(proxy: str) -> None:
    with pytest.raises(UsageError, match="a proxy can't be used") as caught:
        describe("https://data.invalid/x", proxies={"all": proxy})
    assert "hunter2" not in str(caught.value)


def test_a_proxy_that_is_not_there_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(WebOutageError, match=r"through the proxy: .*refused"):
            describe(
                "https://data.invalid/x", proxies={"https": f"http://127.0.0.1:{unused.getsockname()[1]}"}
            )


# --- bodies


def chatty(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9\r\n")


def chunked(parts: list[bytes], *, whole: bool = True) -> Page:
    def page(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if handler.command == "HEAD":
            return
        for part in parts:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if whole:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return page


def until_closed(body: bytes) -> Page:
    def page(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body)

    return page
