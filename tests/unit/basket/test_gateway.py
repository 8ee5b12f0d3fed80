"""Baskets from gateways: real servers that answer as one does, refuse, lead away, lie, or never end."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.websites import Handler, Page, Site, leads_to, send, status

from esap_wf.basket import gateway, items
from esap_wf.basket.gateway import Pulled
from esap_wf.datalakes import DeniedError
from esap_wf.errors import EsapError, ExitCode, NotFoundError, RefusedError, UnavailableError, UsageError
from esap_wf.transfers.addresses import UnsafeAddressError, WebOutageError
from esap_wf.transfers.hops import BadAnswerError, NoAddressError

TOKEN = "header.a-token-that-nobody-may-see.signature"
PATH = "/esap-api/accounts/user-profiles/"
RUCIO = {"archive": "rucio", "record": {"scope": "CTA_SCOPE", "name": "gps_110380.fits", "bytes": 5466000}}
ZOO = {"archive": "zooniverse", "catalog": "project", "project_id": 1104, "category": "subjects"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither proxies nor a gateway of who runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("ESAP_WF_GATEWAY"):
            monkeypatch.delenv(name)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


def carried(item: Any, user: str = "gareth") -> dict[str, Any]:
    """An item as a gateway gives it: a text that holds JSON."""
    return {"item_data": json.dumps(item), "user_profile": user}


def profile(*cart: Any, user: str = "gareth") -> dict[str, Any]:
    """As a gateway gives it, with the tokens of its user."""
    return {
        "user_name": user,
        "full_name": "Gareth H",
        "user_email": "gareth@example.org",
        "oidc_id_token": "an-id-token",
        "oidc_access_token": TOKEN,
        "query_schema": None,
        "software_repositories": [],
        "shopping_cart": list(cart),
    }


def envelope(*results: Any, **more: Any) -> dict[str, Any]:
    """A list as a gateway gives it; its count is not to be trusted."""
    about = {"description": "ESAP API Gateway", "requested_page": "1", "default_page_size": 50}
    return {**about, "count": 0, "pages": 1, "results": list(results), **more}


def answers(data: Any, kind: str = "application/json") -> Page:
    """Always this document."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return lambda handler: send(handler, 200, body, Content_Type=kind)


def for_token(page: Page, wanted: str = TOKEN, code: int = 401) -> Page:
    """Only for who has the token."""

    def answer(handler: Handler) -> None:
        given = handler.headers.get("Authorization")
        (page if given == f"Bearer {wanted}" else status(code))(handler)

    return answer


def by_page(pages: Callable[[int], Any]) -> Page:
    """A document for each ``?page=``."""

    def answer(handler: Handler) -> None:
        answers(pages(int(handler.path.partition("page=")[2] or 1)))(handler)

    return answer


def pull(site: Site, token: str = TOKEN, path: str = "") -> Pulled:
    return gateway.pull(gateway.address(site.url(path)), token)


# --- what is fetched


def test_the_basket_of_the_tokens_profile_is_fetched_and_read_as_it_was(site: Site) -> None:
    site.pages[PATH] = for_token(answers(envelope(profile(carried(RUCIO), carried(ZOO)))))
    pulled = pull(site)
    assert (pulled.items, pulled.pages) == ([carried(RUCIO), carried(ZOO)], 1)
    (question,) = site.asked
    assert question.headers["accept"] == "application/json"
    basket = items.read(pulled.text, "", "lake")
    assert [item.archive for item in basket.items] == ["rucio", "zooniverse"]
    assert basket.items[0].uri == "rucio://lake/CTA_SCOPE/gps_110380.fits"


def test_of_a_profile_nothing_but_the_items_is_kept(site: Site) -> None:
    site.pages[PATH] = answers(envelope(profile(carried(RUCIO))))
    text = pull(site).text
    assert TOKEN not in text and "an-id-token" not in text and "gareth@example.org" not in text
    assert list(json.loads(text)) == ["shopping_cart"]


@pytest.mark.parametrize("path", ["", "/", "/esap-api", "/esap-api/", PATH, PATH.rstrip("/")])
def test_a_gateway_is_named_with_or_without_the_path_of_its_interface(site: Site, path: str) -> None:
    site.pages[PATH] = answers(envelope(profile()))
    pulled = pull(site, path=path)
    assert (pulled.items, pulled.text) == ([], '{"shopping_cart": []}')


def test_a_gateway_below_another_path_and_a_single_profile_are_asked_as_named(site: Site) -> None:
    site.pages["/test/esap-api/accounts/user-profiles/"] = answers(envelope(profile(carried(ZOO))))
    site.pages[PATH + "gareth/"] = answers(profile(carried(RUCIO)))
    assert pull(site, path="/test/esap-api/").items == [carried(ZOO)]
    assert pull(site, path=PATH + "gareth").items == [carried(RUCIO)]


def test_items_that_were_packed_again_and_hostile_ones_pass_unchanged_and_are_judged_by_who_reads(
    site: Site,
) -> None:
    nested = carried({"item_data": json.dumps(RUCIO), "user_profile": "gareth"})
    hostile = [
        carried({"archive": "rucio", "record": {"scope": "x", "name": "../../etc/passwd"}}),
        carried({"archive": "rucio", "record": {"scope": "x", "name": "a\x1b]0;owned\x07"}}),
        {"item_data": {"archive": "\ud800\u202e"}},
        {"item_data": "no JSON"},
        "; rm -rf ~",
        [[[]]],
        7,
    ]
    site.pages[PATH] = answers(envelope(profile(nested, *hostile)))
    text = pull(site).text
    assert text.isascii() and "\x1b" not in text
    assert json.loads(text)["shopping_cart"] == [nested, *hostile]
    basket = items.read(text, "", "lake")
    assert [item.name for item in basket.items] == ["gps_110380.fits"]
    assert [one.index for one in basket.refused] == [2, 3, 4, 5, 6, 7, 8]


# --- pages


def test_pages_are_read_by_number_whatever_their_count_says(site: Site) -> None:
    carts = {1: [carried(RUCIO)], 2: [carried(ZOO)], 3: [carried(RUCIO)]}
    site.pages[PATH] = for_token(by_page(lambda n: envelope(*carts[n], pages=3)))
    pulled = pull(site)
    assert (pulled.items, pulled.pages) == ([*carts[1], *carts[2], *carts[3]], 3)
    assert [q.path for q in site.asked] == [PATH, f"{PATH}?page=2", f"{PATH}?page=3"]


def test_pages_are_read_by_address_on_the_same_server(site: Site) -> None:
    following = {1: f"{PATH}?page=2", 2: site.url(f"{PATH}?page=3"), 3: None}
    site.pages[PATH] = for_token(by_page(lambda n: envelope(carried([n]), next=following[n])))
    pulled = pull(site)
    assert (pulled.items, pulled.pages) == ([carried([n]) for n in (1, 2, 3)], 3)


def test_a_next_page_at_another_server_is_not_asked(site: Site) -> None:
    with Site() as other:
        site.pages[PATH] = answers(envelope(carried(ZOO), next=other.url(PATH)))
        with pytest.raises(UnsafeAddressError, match="from its gateway only"):
            pull(site)
        assert other.asked == []


@pytest.mark.parametrize("loop", [1, 2])
def test_a_next_page_that_was_read_before_is_an_error(site: Site, loop: int) -> None:
    following = {1: f"{PATH}?page=2", 2: f"{PATH}?page={loop}" if loop > 1 else PATH}
    site.pages[PATH] = by_page(lambda n: envelope(carried([n]), next=following[n]))
    with pytest.raises(BadAnswerError, match="no end"):
        pull(site)
    assert len(site.asked) == 2


def test_a_gateway_that_gives_the_same_page_for_each_is_an_error(site: Site) -> None:
    site.pages[PATH] = answers(envelope(profile(carried(RUCIO)), pages=3))
    with pytest.raises(BadAnswerError, match="no end"):
        pull(site)
    assert len(site.asked) == 2


def test_pages_without_end_are_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "MOST_PAGES", 5)
    site.pages[PATH] = by_page(lambda n: envelope(carried([n]), next=f"{PATH}?page={n + 1}"))
    with pytest.raises(BadAnswerError, match="page 5, and there are more"):
        pull(site)
    assert len(site.asked) == 5
    site.pages[PATH] = answers(envelope(carried(ZOO), pages=10**9))
    with pytest.raises(BadAnswerError, match="1000000000 pages"):
        pull(site)
    assert len(site.asked) == 6


@pytest.mark.parametrize("following", [7, "http://[", "ftp://x/", "http://a b/", {}])
def test_a_next_page_without_an_address_is_an_error(site: Site, following: Any) -> None:
    site.pages[PATH] = answers(envelope(carried(ZOO), next=following))
    if following:
        with pytest.raises(BadAnswerError, match="as a gateway does"):
            pull(site)
    else:
        assert pull(site).pages == 1


def test_baskets_of_several_users_are_refused_and_their_names_are_harmless(site: Site) -> None:
    other = "o\x1b[2J" + "x" * 500
    for found in (
        [profile(carried(RUCIO)), profile(user=other)],
        [carried(RUCIO), carried(ZOO, other)],
    ):
        site.pages[PATH] = answers(envelope(*found))
        with pytest.raises(RefusedError, match="which basket is yours") as caught:
            pull(site)
        assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 500
        assert "user-profiles/USER/" in str(caught.value)


# --- who asks


@pytest.mark.parametrize("code", [401, 403])
def test_who_has_no_token_or_another_one_is_told_what_to_do(site: Site, code: int) -> None:
    site.pages[PATH] = for_token(answers(envelope(profile())), code=code)
    with pytest.raises(DeniedError, match="--token-file FILE or ESAP_WF_GATEWAY_TOKEN") as caught:
        pull(site, token="")
    assert caught.value.exit_code == ExitCode.REFUSED
    assert "authorization" not in site.asked[-1].headers
    with pytest.raises(DeniedError, match=r"has your token expired\? log in") as caught:
        pull(site, token="another-token")
    assert "another-token" not in str(caught.value)


def test_a_gateway_that_knows_no_profile_says_so_by_an_empty_list(site: Site) -> None:
    site.pages[PATH] = answers(envelope())
    for token, said in (("", "--token-file"), (TOKEN, "expired")):
        with pytest.raises(DeniedError, match=said):
            pull(site, token=token)


def test_a_page_to_log_in_is_told_from_a_basket(site: Site) -> None:
    site.pages["/login"] = answers(b"<html>who are you?</html>", "text/html; charset=utf-8")
    with Site() as other:
        for page in (site.pages["/login"], leads_to("/login"), leads_to(other.url("/authorize?state=s3"))):
            site.pages[PATH] = page
            with pytest.raises(DeniedError, match="log in at the gateway again") as caught:
                pull(site)
            assert "s3" not in str(caught.value)
        assert other.asked == []


def test_a_redirect_on_the_gateway_itself_is_followed_with_the_token(site: Site) -> None:
    site.pages[PATH] = leads_to("/v2/")
    site.pages["/v2/"] = for_token(answers(envelope(profile(carried(ZOO)))))
    assert pull(site).items == [carried(ZOO)]


def test_a_gateway_that_wants_encryption_is_told(site: Site) -> None:
    site.pages[PATH] = leads_to(f"https://localhost:{site.port}{PATH}")
    with pytest.raises(BadAnswerError, match="write https://"):
        pull(site)


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:2800:220:1::1]"])
def test_a_token_is_not_sent_unencrypted_to_a_server_far_away(host: str) -> None:
    with pytest.raises(DeniedError, match="not sent without encryption"):
        gateway.pull(gateway.address(f"http://{host}/"), TOKEN)


def test_a_token_goes_through_no_proxy_unencrypted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with Site() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        with pytest.raises(DeniedError, match="not sent without encryption"):
            pull(site)
        assert proxy.asked == site.asked == []


def test_neither_errors_nor_logs_hold_the_token(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(code: int) -> Page:
        def answer(handler: Handler) -> None:
            handler.send_response(code, handler.headers["Authorization"])
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return answer

    for page in (echo(401), echo(500), echo(418), echo(404), leads_to("/elsewhere"), answers(b"{")):
        site.pages[PATH] = page
        with pytest.raises(EsapError) as caught:
            pull(site)
        assert TOKEN not in str(caught.value) and TOKEN not in repr(caught.value.__dict__)
    assert TOKEN not in caplog.text


# --- where the token is


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_is_in_a_file_or_else_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gateway.token(None) == ""
    monkeypatch.setenv("ESAP_WF_GATEWAY_TOKEN", " from-the-environment\n")
    assert gateway.token(None) == "from-the-environment"
    assert gateway.token(write(tmp_path / "token", f"\ufeff{TOKEN}\n")) == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620])
def test_a_file_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path / "token", TOKEN, mode)
    with pytest.raises(RefusedError, match=f"chmod 600 {file}") as caught:
        gateway.token(file)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", f"Bearer {TOKEN}", f"{TOKEN}\nX: y", "ü", "a\0b", "a" * 200_000])
def test_what_is_no_token_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        gateway.token(write(tmp_path / "token", text))
    assert TOKEN not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_token_file_that_is_missing_or_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        gateway.token(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match="pipe"):
        gateway.token(tmp_path / "pipe")


def test_a_token_that_says_that_it_has_ended_is_not_sent(tmp_path: Path) -> None:
    def made(ends: float) -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode().rstrip("=")
        return f"head.{claims}.signature"

    later = made(time.time() + 1000)
    assert gateway.token(write(tmp_path / "token", later)) == later
    for ends in (1_600_000_000, -1e300):
        with pytest.raises(DeniedError, match="has expired"):
            gateway.token(write(tmp_path / "token", made(ends)))


# --- what is no gateway


@pytest.mark.parametrize(
    "text",
    ["", "esap.example.org", "file:///etc/passwd", "ftp://x/", "https://me:secret@x/", "https://x/?a=secret"],
)
def test_what_is_no_address_of_a_gateway_is_refused_and_secrets_in_it_are_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="the gateway's address can't be used") as caught:
        gateway.address(text)
    assert "secret" not in str(caught.value)


def test_nothing_at_the_address_is_told_from_an_outage(site: Site) -> None:
    with pytest.raises(NoAddressError, match="no baskets there") as missing:
        pull(site)
    assert missing.value.exit_code == ExitCode.USAGE
    for code in (429, 502, 503):
        site.pages[PATH] = status(code, Retry_After="7")
        with pytest.raises(WebOutageError, match="at present") as away:
            pull(site)
        assert (away.value.exit_code, away.value.seconds) == (ExitCode.UNAVAILABLE, 7.0)


def test_a_gateway_that_is_away_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(UnavailableError):
        gateway.pull(gateway.address(f"http://127.0.0.1:{port}/"), TOKEN)
    with pytest.raises(WebOutageError, match="is not known"):
        gateway.pull(gateway.address("http://nowhere.invalid/"), TOKEN)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html></html>",
        b'{"results": [',
        b"\xff\xfe\xfd",
        b"null",
        b"7",
        b'"text"',
        b'{"detail": "no"}',
        b"[[]]",
        b'{"results": [{"shopping_cart": null}]}',
        b'{"results": [{"archive": NaN}]}',
        b'{"results": [{"archive": 1e999}]}',
        b'{"results": [{"archive": ' + b"9" * 5000 + b"}]}",
        b'{"results": ' + b"[" * 500 + b"]" * 500 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda data: data[:40].decode(errors="replace"),
)
def test_what_is_no_answer_of_a_gateway_is_told(site: Site, data: bytes) -> None:
    site.pages[PATH] = answers(data)
    with pytest.raises(BadAnswerError, match="doesn't answer as a gateway does") as caught:
        pull(site)
    assert caught.value.exit_code == ExitCode.UNAVAILABLE


def test_a_truncated_answer_is_no_smaller_basket(site: Site) -> None:
    body = json.dumps(envelope(profile(carried(RUCIO)))).encode()

    def cut(handler: Handler) -> None:
        handler.close_connection = True
        send(handler, 200, body, Content_Length=str(len(body) + 10))

    def cut_in_pieces(handler: Handler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    for page in (cut, cut_in_pieces):
        site.pages[PATH] = page
        with pytest.raises(WebOutageError):
            pull(site)


def test_more_than_a_basket_may_have_is_not_read_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "MOST_BYTES", 10_000)
    big = carried("x" * 4000)
    site.pages[PATH] = by_page(lambda n: envelope(big, [n], next=f"{PATH}?page={n + 1}"))
    with pytest.raises(BadAnswerError, match="too large"):
        pull(site)
    assert len(site.asked) == 3


def test_a_gateway_that_drips_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LONGEST", 0.5)

    def drip(handler: Handler) -> None:
        send(handler, 200, b"", Content_Length="1000000")
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.1)

    site.pages[PATH] = drip
    with pytest.raises(WebOutageError, match="too slowly"):
        pull(site)


# --- the verb


def test_the_verb_writes_a_basket_that_map_reads(site: Site, place: Place) -> None:
    site.pages[PATH] = for_token(answers(envelope(profile(carried(RUCIO), carried(ZOO)))))
    file = write(place.root / "token", f"{TOKEN}\n")
    words = ["basket", "pull", "--gateway", site.url("/"), "--token-file", file]
    done = place.inside(*words, "-o", "basket.json", "--json")
    assert done.json == {"items": 2, "pages": 1, "file": str(place.root / "basket.json")}
    written = (place.root / "basket.json").read_text()
    assert json.loads(written) == {"shopping_cart": [carried(RUCIO), carried(ZOO)]}
    mapped = place.inside("basket", "map", "fair", "--basket", "basket.json", "--json")
    assert not mapped.json["refused"] and len(mapped.json["left_over"]) + len(mapped.json["mapped"]) == 2

    env = {"ESAP_WF_GATEWAY": site.url(""), "ESAP_WF_GATEWAY_TOKEN": TOKEN}
    plain = place.inside("basket", "pull", env=env)
    assert (plain.code, plain.out) == (0, written)
    whole = place.inside("basket", "pull", "--json", env=env).json
    assert whole["file"] is None and whole["shopping_cart"] == json.loads(written)["shopping_cart"]
    assert items.read(json.dumps(whole), "", "lake").items


def test_the_verb_tells_what_is_wrong_and_leaves_the_file_that_was_there(site: Site, place: Place) -> None:
    (place.root / "basket.json").write_text("old")
    nothing = place.inside("basket", "pull", "-o", "basket.json")
    assert nothing.code == 2 and "ESAP_WF_GATEWAY" in nothing.err
    site.pages[PATH] = for_token(answers(envelope(profile(carried(RUCIO)))))
    words = ["basket", "pull", "--gateway", site.url("/")]
    for env, code in (({}, 3), ({"ESAP_WF_GATEWAY_TOKEN": "a-wrong-one"}, 3)):
        done = place.inside(*words, "-o", "basket.json", env=env)
        assert done.code == code and "a-wrong-one" not in done.out + done.err
    site.pages[PATH] = status(503)
    assert place.inside(*words, "-o", "basket.json").code == 4
    assert (place.root / "basket.json").read_text() == "old"
    assert place.inside(*words, "-o", "/dev/null").code == 2
    assert not list(place.root.glob(".*.tmp"))
