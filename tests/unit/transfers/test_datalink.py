"""DataLink documents: which files they stand for, and what a stranger may write into one."""

from __future__ import annotations

import gzip
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
from helpers.links import MEDIA, document, page
from helpers.websites import File, Site, status

from esap_wf.errors import UsageError
from esap_wf.transfers import datalink
from esap_wf.transfers.addresses import UnsafeAddressError, address_of
from esap_wf.transfers.datalink import NoFileError, links
from esap_wf.transfers.hops import BadAnswerError
from esap_wf.transfers.sources import WebSource
from esap_wf.transfers.web import DeniedError, TooLongError, WebOutageError

WHERE = address_of("https://example.org/links?ID=ivo://x%3f1")
A, B = "https://example.org/a.fits", "https://data.example.org/b.fits?token=1"
FILE = {"ID": "ivo://x?1", "access_url": A, "semantics": "#this", "content_length": 12}
PREVIEW = {"ID": "ivo://x?1", "access_url": "https://example.org/a.png", "semantics": "#preview"}
CUTOUT = {"ID": "ivo://x?1", "service_def": "cutout", "semantics": "#cutout"}


def read(text: str | bytes) -> datalink.Links:
    return datalink.read(text if isinstance(text, bytes) else text.encode(), WHERE)


def found(text: str | bytes) -> list[tuple[str, int | None]]:
    return [(link.address.url, link.bytes) for link in read(text).files]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


def source(site: Site, path: str = "/links") -> WebSource:
    return WebSource(site.url(path), site.hosts, None)


# --- which files


@pytest.mark.parametrize("this", ["#this", "http://www.ivoa.net/rdf/datalink/core#this"])
def test_the_row_that_is_the_data_itself_is_the_file(this: str) -> None:
    known = read(document([PREVIEW, {**FILE, "semantics": this}, CUTOUT]))
    assert [(link.address.url, link.bytes) for link in known.files] == [(A, 12)]
    assert known.faults == []


def test_several_such_rows_are_several_files_each_once_in_their_order() -> None:
    second = {**FILE, "access_url": B, "content_length": ""}
    assert found(document([second, FILE, second])) == [(B, None), (A, 12)]


@pytest.mark.parametrize("length", ["", "0", "-1", "many", "1.5", "9" * 30])
def test_a_length_that_is_none_is_not_promised(length: str) -> None:
    assert found(document([{**FILE, "content_length": length}])) == [(A, None)]


def test_what_a_stranger_writes_behind_the_address_is_not_its_checksum() -> None:
    assert found(document([{**FILE, "access_url": f" {A}#sha256={'0' * 64}\n"}])) == [(A, 12)]


def test_a_service_is_no_file() -> None:
    made = {**CUTOUT, "semantics": "#this"}
    assert found(document([made, FILE])) == [(A, 12)]
    with pytest.raises(NoFileError, match="its #this is made by a service on request"):
        read(document([made, PREVIEW]))
    with pytest.raises(NoFileError, match="made by a service"):
        read(document([{**FILE, "service_def": "cutout"}]))


def test_without_a_file_it_is_told_what_there_is() -> None:
    with pytest.raises(NoFileError, match=r"none of its rows is a file .*; it has #cutout, #preview, none"):
        read(document([PREVIEW, CUTOUT, {"ID": "x", "access_url": A}]))
    with pytest.raises(NoFileError, match="it has no rows"):
        read(document([]))


@pytest.mark.parametrize("semantics", ["#this", ""])
def test_a_file_that_the_server_cannot_link_to_is_told_also_beside_others(semantics: str) -> None:
    error = {"ID": "ivo://x?2", "semantics": semantics, "error_message": "NotFoundFault: no \x85 such data"}
    with pytest.raises(NoFileError, match=r"the server says of it: .*NotFoundFault: no \\x85 such data"):
        read(document([FILE, error]))


def test_other_links_that_failed_are_told_and_do_no_harm() -> None:
    error = {"semantics": "#preview", "error_message": "TransientFault: later"}
    assert read(document([FILE, error])).faults == ["#preview TransientFault: later"]
    with pytest.raises(NoFileError, match="the server says: #preview TransientFault"):
        read(document([error]))


def test_a_document_that_is_an_error_or_was_cut_off_names_no_files() -> None:
    with pytest.raises(NoFileError, match="the server says: said of it"):
        read(document([FILE], status="ERROR"))
    with pytest.raises(NoFileError, match="the server has cut it off: said of it"):
        read(document([FILE], status="OVERFLOW"))


def test_more_files_than_anybody_means_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datalink, "MOST", 3)
    with pytest.raises(NoFileError, match="stands for 4 files, and 3 are the most"):
        read(document([{**FILE, "access_url": f"{A}{n}"} for n in range(4)]))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "http://example.org/a.fits"])
def test_a_file_is_at_an_address_in_the_web_and_encrypted_if_the_document_is(url: str) -> None:
    with pytest.raises(UnsafeAddressError):
        read(document([{**FILE, "access_url": url}]))


@pytest.mark.parametrize("url", ["a.fits", "https://user:secret@example.org/a", "https://exa mple.org/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises((UsageError, UnsafeAddressError)):
        read(document([{**FILE, "access_url": url}]))


# --- how services write it


def test_columns_may_be_too_short_or_of_one_letter_and_cut_nothing() -> None:
    text = document([FILE])
    assert found(text.replace("arraysize='*'", "arraysize='5'")) == [(A, 12)]
    assert found(text.replace("arraysize='*'", "")) == [(A, 12)]


def test_prefixes_and_other_letters_and_encodings_are_read() -> None:
    text = document([{**FILE, "content_type": "é", "access_url": f"{A}?x=1&y=2"}])
    expected = [(f"{A}?x=1&y=2", 12)]
    assert found(text.replace("UTF-8", "ISO-8859-1").encode("latin-1")) == expected
    prefixed = text.replace("</", "</v:").replace("<", "<v:").replace("<v:/v:", "</v:")
    assert found(prefixed.replace("<v:?", "<?").replace("xmlns=", "xmlns:v=")) == expected
    assert found(text.replace("UTF-8", "UTF-16").encode("utf-16")) == expected


def test_reading_says_nothing_on_the_side(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    assert found(document([FILE]).replace("datatype='char'", "datatype='text' ucd='?'")) == [(A, 12)]
    assert list(recwarn) == []


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (MEDIA, True),
        ('Application/X-VOTable+XML; charset=utf-8; Content="datalink"', True),
        ("text/xml;content=datalink", True),
        ("application/x-votable+xml", False),
        ("application/fits;content=datalink", False),
        ("application/x-votable+xml;content=other", False),
        ("", False),
    ],
)
def test_what_it_is_is_said_by_the_server(media: str, expected: bool) -> None:
    assert datalink.is_one(media) is expected


# --- what a stranger may write


def entity(number: int) -> str:
    return f"&a{number};"


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a0 "aaaaaaaaaa">'
    + "".join(f"<!ENTITY a{n} '{entity(n - 1) * 10}'>" for n in range(1, 9))
    + "]><VOTABLE>&a8;</VOTABLE>"
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><VOTABLE>&a;</VOTABLE>'
BY_HREF = '<DATA><BINARY><STREAM href="file:///etc/passwd" encoding="gzip"/></BINARY></DATA>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "it declares a document type"),
        (OUTSIDE, "it declares a document type"),
        (document([FILE])[:600], "no element found|unclosed token"),
        ("", "no element found"),
        ("\x00\xff", "syntax error|not well-formed"),
        ("<html><body>log in</body></html>", "it is no VOTable: it begins with <html>"),
        ("<VOTABLE/>", "results table"),
        ('<?xml version="1.0" encoding="rot13"?><VOTABLE/>', "encoding"),
        (f"<VOTABLE><RESOURCE><TABLE>{BY_HREF}</TABLE></RESOURCE></VOTABLE>", "written as BINARY"),
        (f"<VOTABLE>{'<RESOURCE/>' * 100_000}</VOTABLE>", "1000 columns and other parts"),
        (document([]).replace("</TABLEDATA>", "<TR/>" * 500_001 + "</TABLEDATA>"), "500000 rows and cells"),
        (document([FILE]).replace("<TR>", "<TR><TD/>"), "columns"),
    ],
    ids=[
        "bomb",
        "outside",
        "half",
        "empty",
        "no text",
        "page",
        "no table",
        "codec",
        "href",
        "many",
        "rows",
        "cells",
    ],
)
def test_what_is_no_document_or_could_do_harm_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises((BadAnswerError, NoFileError), match=words):
        read(text)


def test_what_could_be_fetched_allocated_or_unpacked_is_not_even_looked_at() -> None:
    text = document([FILE])
    other = f"<TABLE nrows='10'><FIELD name='x' datatype='char'/>{BY_HREF}</TABLE>"
    huge = "<PARAM name='p' datatype='double' arraysize='100000000000' value='1'/>"
    deep = f"<RESOURCE>{'<GROUP>' * 50_000}{'</GROUP>' * 50_000}</RESOURCE>"
    inside = text.replace("<TABLE>", f"{huge}<RESOURCE>{other}</RESOURCE><TABLE nrows='100000000000'>")
    assert found(inside.replace("</RESOURCE>\n<R", f"</RESOURCE>{deep}<R")) == [(A, 12)]
    assert found(text.replace("arraysize='*'", "arraysize='100000000000'")) == [(A, 12)]
    with pytest.raises(BadAnswerError):
        read(gzip.compress(text.encode()))


# --- from a server


def test_a_document_is_read_from_its_server(site: Site) -> None:
    site.pages["/links"] = page([{**FILE, "access_url": site.url("/a.fits")}])
    (link,) = links(source(site)).files
    assert (link.address.url, link.bytes) == (site.url("/a.fits"), 12)
    assert [q.path for q in site.asked] == ["/links"], "pyvo asks nobody"


def test_no_more_is_read_than_a_document_may_have(site: Site) -> None:
    site.pages["/links"] = File(b" " * (datalink.LARGEST + 1), {"Content-Type": MEDIA})
    with pytest.raises(TooLongError, match="10000000 bytes are expected at most"):
        links(source(site))


def test_a_document_of_almost_that_size_is_read(site: Site) -> None:
    row = {"ID": "x" * 200, "access_url": A, "semantics": "#preview"}
    text = document([FILE, *[row] * 20_000])
    site.pages["/links"] = File(text.encode())
    assert 6_000_000 < len(text) < datalink.LARGEST
    assert [link.address.url for link in links(source(site)).files] == [A]


def test_what_a_server_refuses_is_told_and_a_slow_one_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/links"] = status(403)
    with pytest.raises(DeniedError):
        links(source(site))
    site.pages["/links"] = page([FILE])
    monkeypatch.setattr(datalink, "PATIENCE", -1.0)
    with pytest.raises(WebOutageError, match="too slow"):
        links(source(site))


# --- what is needed for it


def test_where_pyvo_is_missing_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyvo", "pyvo.dal", "pyvo.dal.adhoc"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'esap-wf\[vo\]'"):
        read(document([FILE]))


def test_nothing_heavy_is_loaded_before_there_is_a_document() -> None:
    code = (
        "import sys, esap_wf.transfers.datalink as d, esap_wf.request.addressed; d.is_one('text/xml'); "
        "print([m for m in ('pyvo', 'astropy', 'numpy', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
