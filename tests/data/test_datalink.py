"""Inputs at addresses where a DataLink document says where the file is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.links import MEDIA, page
from helpers.websites import File, Site, leads_to, status

from .gathering import Gathering

pytestmark = pytest.mark.integration
ONE = {"ETag": '"one"', "Accept-Ranges": "bytes"}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        made.pages["/a.dat"] = File(b"one", ONE)
        made.pages["/b.dat"] = File(b"two", {"ETag": '"two"', "Accept-Ranges": "bytes"})
        yield made


@pytest.fixture
def place(place: Gathering, site: Site) -> Gathering:
    (place.root / "config.toml").write_text(f"[web]\nhosts = {json.dumps(site.hosts)}\n")
    return place


def this(site: Site, path: str, **more: object) -> dict[str, object]:
    return {"ID": "ivo://x?1", "access_url": site.url(path), "semantics": "#this", **more}


def refs(place: Gathering, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((place.run(run).dir / "plan.json").read_text())["inputs"][
        "files"
    ]
    return found


def test_the_files_that_a_document_stands_for_are_the_input_and_have_their_own_addresses(
    place: Gathering, site: Site
) -> None:
    failed = {"semantics": "#preview", "error_message": "TransientFault: later"}
    site.pages["/links"] = page([this(site, "/a.dat", content_length=99), failed, this(site, "/b.dat")])
    done = place(*place.given([site.url("/links?ID=ivo://x%3f1")]), "--json")
    assert done.code == 0, done.err
    assert place.result(done.json["run"]) == b"onetwo"
    assert "the server has no #preview TransientFault: later" in done.out + done.err
    assert [(r["uri"], r["bytes"]) for r in refs(place, done.json["run"])] == [
        (site.url("/a.dat"), 3),  # as its own server says
        (site.url("/b.dat"), 3),
    ]
    # their content is known now
    named = place.ok(*place.given([site.url("/a.dat"), site.url("/b.dat")]))
    again = place.ok(*place.given([site.url("/links")]))
    assert (again["run"], again["reused"]) == (named["run"], True), "the same data, however it is named"
    place.sound()


def test_an_item_of_a_basket_may_lead_to_a_document(place: Gathering, site: Site) -> None:
    site.pages["/links"] = page([this(site, "/a.dat")])
    row = {"access_url": site.url("/links"), "access_format": MEDIA, "obs_id": "first"}
    basket = place.basket({"archive": "apertif", "record": row})
    folder = place.workflow("rows", basket=[{"archive": ["apertif"]}])
    done = place.ok("run", str(folder), "--basket", str(basket))
    assert place.result(done["run"]) == b"one"


def test_a_checksum_that_is_given_with_a_document_is_that_of_its_file(place: Gathering, site: Site) -> None:
    site.pages["/links"] = page([this(site, "/a.dat")])
    right = hashlib.sha256(b"one").hexdigest()
    done = place.ok(*place.given([f"{site.url('/links')}#sha256={right}"]))
    assert [r["checksum"] for r in refs(place, done["run"])] == [f"sha256:{right}"]
    site.pages["/links"] = page([this(site, "/a.dat"), this(site, "/b.dat")])
    refused = place.inside(*place.given([f"{site.url('/links')}#sha256={right}"]))
    assert refused.code == 2
    assert "it stands for 2 files, and one checksum is given" in refused.err


def test_an_input_that_takes_one_file_is_told_the_names_of_several(place: Gathering, site: Site) -> None:
    site.pages["/links"] = page([this(site, "/a.dat"), this(site, "/b.dat")])
    place.workflow("one", many=False)
    done = place.inside(*place.given([site.url("/links")], workflow="one"))
    assert done.code == 2
    assert f"name one of them: {site.url('/a.dat')}, {site.url('/b.dat')}" in done.err


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"access_url": "https://example.org/p.png", "semantics": "#preview"}], "it has #preview"),
        ([{"error_message": "NotFoundFault: no x"}], "the server says of it: NotFoundFault: no x"),
        ([{"semantics": "#this", "service_def": "cutout"}], "made by a service on request"),
        ([{"semantics": "#this", "access_url": "http://169.254.169.254/a.dat"}], "link-local"),
        ([{"semantics": "#this", "access_url": "file:///etc/passwd"}], "file: is not read from the web"),
    ],
    ids=["none", "error", "service", "private", "a file here"],
)
def test_a_document_without_a_file_that_can_be_had_is_told_before_the_start(
    place: Gathering, site: Site, rows: list[dict[str, object]], words: str
) -> None:
    site.pages["/links"] = page(rows)
    done = place.inside(*place.given([site.url("/links")]))
    assert done.code == 2
    assert words in done.err, done.err


def test_what_is_wrong_with_its_file_is_told_with_that_files_address(place: Gathering, site: Site) -> None:
    site.pages["/links"] = page([this(site, "/c.dat")])
    for there, words in (
        (status(404), "404"),
        (leads_to("http://169.254.169.254/a.dat"), "169.254.169.254"),
        (page([this(site, "/a.dat")]), "a DataLink document again"),
    ):
        site.pages["/c.dat"] = there
        done = place.inside(*place.given([site.url("/links")]))
        assert done.code == 2
        assert f"it stands for {site.url('/c.dat')}: " in done.err
        assert words in done.err


def test_a_length_that_only_the_document_knows_is_held_to(place: Gathering, site: Site) -> None:
    def unsaid(handler: Any) -> None:
        """As services do that make files as they send them."""
        handler.send_response(200)
        handler.send_header("ETag", '"one"')
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(b"3\r\none\r\n0\r\n\r\n")

    site.pages["/u.dat"] = unsaid
    site.pages["/links"] = page([this(site, "/u.dat", content_length=3)])
    done = place.ok(*place.given([site.url("/links")]))
    assert [r["bytes"] for r in refs(place, done["run"])] == [3]
    site.pages["/v.dat"] = unsaid
    site.pages["/links"] = page([this(site, "/v.dat", content_length=4)])
    wrong = place(*place.given([site.url("/links")]), "--json")
    assert wrong.code == 1
    (failure,) = place.status(wrong.json["run"])["failures"]
    assert (failure["step"], failure["reason"]) == ("input", "STAGE_IN")
    assert "4 were promised" in failure["detail"]
