"""Inputs at addresses: what a server says and does, and tokens that end."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time

import pytest
from helpers.waiting import until
from helpers.websites import File, Handler, Page, Site, leads_to, send, status

from esap_wf.models.run import Phase

from .gathering import Gathering

pytestmark = pytest.mark.integration
WHOLE = b"0123456789" * 300_000


@pytest.fixture
def place(place: Gathering, site: Site) -> Gathering:
    allow(place, site)
    return place


def allow(place: Gathering, site: Site, more: str = "") -> None:
    (place.root / "config.toml").write_text(f"[web]\nhosts = {json.dumps(site.hosts)}\n{more}")


def test_a_file_that_breaks_off_is_read_on_and_is_whole(place: Gathering, site: Site) -> None:
    headers = {"ETag": '"one"', "Accept-Ranges": "bytes"}
    site.pages["/a.dat"] = File(WHOLE, headers, breaks=[1_000_000, 500_000])
    done = place.ok(*place.given([site.url("/a.dat")]))
    assert place.result(done["run"]) == WHOLE
    starts = [q.headers["range"] for q in site.asked if "range" in q.headers]
    assert starts == ["bytes=1000000-", "bytes=1500000-"], "from where it was"
    place.sound()


def test_a_server_without_ranges_gives_it_again_from_the_start(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = File(WHOLE, {"ETag": '"one"'}, ranges=False, breaks=[1_000_000])
    done = place.ok(*place.given([site.url("/a.dat")]))
    assert place.result(done["run"]) == WHOLE


def told_only(page: Page, otherwise: Page) -> Page:
    """What is said of it at first is right; after that it is another matter."""
    asked: list[int] = []

    def answer(handler: Handler) -> None:
        (otherwise if asked else page)(handler)
        asked.extend([1] if handler.command == "HEAD" else [])

    return answer


def test_a_server_that_is_away_is_waited_for(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = told_only(File(b"one", {"ETag": '"one"', "Accept-Ranges": "bytes"}), status(503))
    run = place.ok(*place.given([site.url("/a.dat")]), "--detach")["run"]
    until(lambda: "waiting for localhost" in place.run(run).observe().reason, what="the reason")
    site.pages["/a.dat"] = File(b"one", {"ETag": '"one"'})
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)


def test_a_file_that_was_changed_after_the_plan_is_no_input(place: Gathering, site: Site) -> None:
    one, two = (
        File(text, {"ETag": f'"{text.decode()}"', "Accept-Ranges": "bytes"}) for text in (b"one", b"two")
    )
    site.pages["/a.dat"] = told_only(one, two)
    done = place(*place.given([site.url("/a.dat")]), "--json")
    assert done.code == 1
    (failure,) = place.status(done.json["run"])["failures"]
    assert (failure["step"], failure["reason"]) == ("input", "STAGE_IN")
    assert "was changed" in failure["detail"]


def test_a_plan_whose_input_was_changed_is_stale(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = File(b"one", {"ETag": '"one"'})
    plan = place.root / "plan.json"
    assert place.inside("plan", *place.given([site.url("/a.dat")])[1:], "-o", plan).code == 0
    site.pages["/a.dat"] = File(b"two", {"ETag": '"two"'})
    done = place.inside("run", "--plan", plan)
    assert done.code == 3
    assert "its content changed since the plan was made" in done.err


def test_the_content_may_be_said_with_the_address(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = File(b"one")
    right = hashlib.sha256(b"one").hexdigest()
    done = place.ok(*place.given([f"{site.url('/a.dat')}#sha256={right}"]))
    (place.root / "same.dat").write_bytes(b"one")
    again = place.ok(*place.given([str(place.root / "same.dat")]))
    assert (again["run"], again["reused"]) == (done["run"], True)
    wrong = place(*place.given([f"{site.url('/a.dat')}#sha256={'0' * 64}"]), "--json")
    assert wrong.code == 1
    (failure,) = place.status(wrong.json["run"])["failures"]
    assert "sha256" in failure["detail"]


def test_what_was_learned_of_an_address_is_its_identity_later(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = File(b"one", {"ETag": '"one"'})
    first = place.ok(*place.given([site.url("/a.dat")]))
    second = place.ok(*place.given([site.url("/a.dat")], "--seconds", "0.1"))
    refs = [
        json.loads((place.run(r["run"]).dir / "plan.json").read_text())["inputs"]["files"][0]["checksum"]
        for r in (first, second)
    ]
    assert refs[0].startswith("address:")
    assert refs[1] == f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    # the first run is found by what it was called then, and the second by its content, wherever that lies
    again = place.ok(*place.given([site.url("/a.dat")]))
    assert (again["run"], again["reused"]) == (first["run"], True)
    planned = place.inside("plan", *place.given([site.url("/a.dat")])[1:], "--json").json
    assert planned["duplicates"] == [first["run"]]
    (place.root / "mine.dat").write_bytes(b"one")
    mine = place.ok(*place.given([str(place.root / "mine.dat")], "--seconds", "0.1"))
    assert (mine["run"], mine["reused"]) == (second["run"], True)
    rerun = place.ok(*place.given([site.url("/a.dat")]), "--if-exists", "rerun")
    assert rerun["run"] != first["run"]


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    if handler.command != "HEAD":
        for _ in range(1000):
            handler.wfile.write(b"x" * 100_000)
    handler.close_connection = True


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (status(404), "404"),
        (status(403), "403"),
        (leads_to("file:///etc/passwd"), "file"),
        (leads_to("http://169.254.169.254/a.dat"), "169.254.169.254"),
        (leads_to("/a.dat"), "redirect"),
    ],
    ids=["not there", "forbidden", "to a file", "to a private address", "loop"],
)
def test_what_a_server_refuses_or_leads_to_is_told_before_the_start(
    place: Gathering, site: Site, page: Page, words: str
) -> None:
    site.pages["/a.dat"] = page
    done = place.inside(*place.given([site.url("/a.dat")]))
    assert done.code != 0
    assert words in done.err, done.err
    assert "passwd" not in "".join(str(p.read_bytes()) for p in place.cached())


def test_a_server_on_a_private_address_must_be_named(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = File(b"one")
    (place.root / "config.toml").write_text("")
    done = place.inside(*place.given([site.url("/a.dat")]))
    assert done.code != 0
    assert str(site.port) in done.err
    assert site.asked == []


def test_a_server_that_sends_more_than_it_says_gives_no_input(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = endless
    done = place(*place.given([site.url("/a.dat")]), "--json")
    # of an HTTP answer only so much is read as it has by its own word
    assert done.code == 0
    assert place.result(done.json["run"]) == b"x" * 10


def token(seconds: float) -> str:
    """One that says when it ends."""
    parts = [{"alg": "none"}, {"exp": time.time() + seconds}]
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return f"{encoded[0]}.{encoded[1]}.sig"


def guarded(good: set[str]) -> Page:
    """Gives its file to who has a token."""

    def page(handler: Handler) -> None:
        if handler.headers.get("Authorization", "").removeprefix("Bearer ") in good:
            File(b"one", {"ETag": '"one"', "Accept-Ranges": "bytes"})(handler)
        else:
            send(handler, 401)

    return page


def test_a_run_is_held_by_a_token_that_has_ended_and_goes_on_with_a_new_one(
    place: Gathering, site: Site
) -> None:
    old, new, ended = token(3600), token(7200), token(-5)
    file = place.root / "token"
    good, asked = {old, new}, list[int]()

    def page(handler: Handler) -> None:
        guarded(good)(handler)
        if not asked:  # when it was planned
            asked.append(1)
            file.write_text(ended)

    site.pages["/a.dat"] = page
    more = f'[web.credentials]\n"localhost:{site.port}" = "archive"\n[credentials.archive]\nfile = "token"\n'
    allow(place, site, more)
    file.write_text(ended)
    file.chmod(0o600)
    assert "has expired" in place.inside(*place.given([site.url("/a.dat")])).err
    file.write_text(old)
    run = place.ok(*place.given([site.url("/a.dat")]), "--detach")["run"]
    until(lambda: place.run(run).observe().phase is Phase.HELD, what="the run to be held")
    reason = place.run(run).observe().reason
    assert "held by the credential archive since" in reason
    assert "has expired" in reason
    file.write_text(new)
    until(lambda: place.run(run).observe().phase is Phase.COMPLETED, what="the run to go on")
    for path in [*place.run(run).dir.rglob("*"), *(place.store / "cache").rglob("*")]:
        if path.is_file():
            text = path.read_bytes()
            assert not any(t.encode() in text for t in (old, new, ended)), path


def test_a_token_that_others_can_read_is_refused(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = guarded(set())
    allow(place, site, '[web.credentials]\nlocalhost = "archive"\n[credentials.archive]\nfile = "token"\n')
    (place.root / "token").write_text("abc")
    (place.root / "token").chmod(0o644)
    done = place.inside(*place.given([site.url("/a.dat")]))
    assert done.code != 0
    assert "others can read" in done.err
    assert "chmod 600" in done.err


def test_an_address_of_which_nothing_is_said_is_fetched_anew(place: Gathering, site: Site) -> None:
    """Neither a mark nor a time says that it is what it was: what it was once is no answer."""
    site.pages["/a.dat"] = File(b"one")
    assert place.result(place.ok(*place.given([site.url("/a.dat")]))["run"]) == b"one"
    site.pages["/a.dat"] = File(b"two")
    again = place.ok(*place.given([site.url("/a.dat")], "--seconds", "0.1"))
    assert place.result(again["run"]) == b"two"


def test_a_half_file_of_which_nothing_is_said_is_not_read_on(place: Gathering, site: Site) -> None:
    site.pages["/a.dat"] = File(WHOLE, breaks=[1_000_000])
    done = place.ok(*place.given([site.url("/a.dat")]))
    assert place.result(done["run"]) == WHOLE
    assert [q for q in site.asked if q.headers.get("range", "").startswith("bytes=1000000")] == []


def test_a_run_whose_server_says_nothing_more_is_cancelled_within_seconds(
    place: Gathering, site: Site
) -> None:
    silent = threading.Event()

    def half(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in (
            ("Content-Length", str(len(WHOLE))),
            ("ETag", '"one"'),
            ("Accept-Ranges", "bytes"),
        ):
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(WHOLE[:2_000_000])
            handler.wfile.flush()
            silent.wait(50)

    site.pages["/a.dat"] = half
    run = str(place.ok(*place.given([site.url("/a.dat")]), "--detach")["run"])
    until(lambda: any(p.stat().st_size for p in (place.store / "cache").glob("*/parts/*")), what="the half")
    began = time.monotonic()
    place.ok("cancel", run)
    assert place.ended(run).phase is Phase.ABORTED
    assert time.monotonic() - began < 20
    silent.set()
    site.pages["/a.dat"] = File(WHOLE, {"ETag": '"one"', "Accept-Ranges": "bytes"})
    assert place.ok("resume", run)["phase"] == "COMPLETED"
    assert place.result(run) == WHOLE
