"""``stage.py``: it brings what is missing, whole and as it was promised, and says what it can't bring."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.websites import File, Handler, Page, Site, leads_to, status

from esap_wf.models.run import encode
from esap_wf.running.by_hand import stage
from esap_wf.running.by_hand.listing import Entry, Listing

WHOLE = b"0123456789" * 300_000
SHA256 = hashlib.sha256(WHOLE).hexdigest()
PROGRAM = Path(stage.__file__)
Stage = Callable[..., list[str]]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "it's a run"
    made.mkdir()
    return made


@pytest.fixture
def staged(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    """Bring entries, without pauses; what was told, without `ends` a success is expected."""
    monkeypatch.setattr(stage, "PAUSES", (0.0,) * 4)
    monkeypatch.setattr(stage, "LONGEST", 0.01)
    monkeypatch.setattr(stage, "__file__", str(folder / "stage.py"))

    def bring(*entries: Entry, ends: int = 0) -> list[str]:
        (folder / "stage.json").write_bytes(encode(Listing(files=list(entries))))
        assert stage.main([]) == ends
        assert not list(folder.rglob(".*.part")) or ends
        return capsys.readouterr().err.splitlines()

    return bring


def entry(*urls: str, path: str = "inputs/files/0/a.dat", **more: Any) -> Entry:
    return Entry(path=path, uri="rucio://lake/s/a.dat", urls=list(urls), **more)


def whole(*urls: str, **more: Any) -> Entry:
    return entry(*urls, bytes=len(WHOLE), checksums={"sha256": SHA256}, **more)


def test_it_needs_no_newer_python_than_it_says() -> None:
    tree = ast.parse(PROGRAM.read_text(), feature_version=(3, 6))
    names = [
        *(a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names),
        *(n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)),
    ]
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names) - {"__future__"}


def test_a_file_gets_its_time_and_is_read_only(staged: Stage, site: Site, folder: Path) -> None:
    site.pages["/a"] = File(WHOLE)
    assert staged(whole(site.url("/a"), modified=1_600_000_000.5)) == []
    path = folder / "inputs/files/0/a.dat"
    about = path.stat()
    assert path.read_bytes() == WHOLE
    assert (about.st_mtime, about.st_mode & 0o777) == (1_600_000_000.5, 0o444)
    asked = len(site.asked)
    assert staged(whole(site.url("/a"))) == []
    assert len(site.asked) == asked, "what is there is not asked for"


def test_a_copy_of_this_machine_keeps_its_time(staged: Stage, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "a b%.dat"
    source.write_bytes(WHOLE)
    os.utime(source, (1, 1_500_000_000))
    assert staged(whole(source.as_uri())) == []
    path = folder / "inputs/files/0/a.dat"
    assert (path.read_bytes(), path.stat().st_mtime) == (WHOLE, 1_500_000_000.0)
    assert path.stat().st_ino != source.stat().st_ino, "who writes into it spoils nobody else's"


def test_what_breaks_off_goes_on_from_there(staged: Stage, site: Site, folder: Path) -> None:
    site.pages["/a"] = File(WHOLE, {"ETag": '"one"'}, breaks=[1_000_000, 500_000])
    assert staged(entry(site.url("/a"))) == []
    assert (folder / "inputs/files/0/a.dat").read_bytes() == WHOLE
    assert [q.headers.get("range") for q in site.asked] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert site.asked[1].headers["if-range"] == '"one"'


def test_what_a_killed_one_has_left_is_used_if_a_checksum_vouches_for_it(
    staged: Stage, site: Site, folder: Path
) -> None:
    site.pages["/a"] = File(WHOLE)
    target = folder / "inputs/files/0/a.dat"
    for promised, ranges in ((whole(site.url("/a")), ["bytes=1000000-"]), (entry(site.url("/a")), [None])):
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(stage.beside(str(target))).write_bytes(WHOLE[:1_000_000])
        site.asked.clear()
        assert staged(promised) == []
        assert target.read_bytes() == WHOLE
        assert [q.headers.get("range") for q in site.asked] == ranges
        target.unlink()


def test_a_wrong_beginning_is_fetched_again(staged: Stage, site: Site, folder: Path) -> None:
    site.pages["/a"] = File(WHOLE)
    target = folder / "inputs/files/0/a.dat"
    target.parent.mkdir(parents=True)
    Path(stage.beside(str(target))).write_bytes(b"x" * 1_000_000)
    assert staged(whole(site.url("/a"))) == []
    assert target.read_bytes() == WHOLE


def test_a_server_without_ranges_gives_it_again_from_the_start(
    staged: Stage, site: Site, folder: Path
) -> None:
    site.pages["/a"] = File(WHOLE, {"ETag": '"one"'}, ranges=False, breaks=[1_000_000])
    assert staged(whole(site.url("/a"))) == []
    assert (folder / "inputs/files/0/a.dat").read_bytes() == WHOLE


def test_a_server_that_always_breaks_off_at_the_same_place_is_given_up(staged: Stage, site: Site) -> None:
    site.pages["/a"] = File(WHOLE, ranges=False, breaks=[1_000_000] * 50)
    (told,) = staged(whole(site.url("/a")), ends=1)
    assert told.endswith("a.dat: localhost has sent 1000000 of 3000000 bytes")
    assert len(site.asked) == 5


def test_a_server_that_is_away_for_a_moment_is_asked_again(staged: Stage, site: Site, folder: Path) -> None:
    answers: list[Page] = [status(503, Retry_After="7"), status(429), File(WHOLE)]
    site.pages["/a"] = lambda handler: answers.pop(0)(handler)
    assert staged(whole(site.url("/a"))) == []
    assert (folder / "inputs/files/0/a.dat").read_bytes() == WHOLE


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        ({"sha256": "0" * 64}, f"its sha256 is {SHA256}, but {'0' * 64} was promised"),
        ({"md5": "0" * 32}, f"its md5 is {hashlib.md5(WHOLE).hexdigest()}"),
        ({"adler32": "00000000"}, f"its adler32 is {zlib.adler32(WHOLE):08x}"),
    ],
)
def test_what_is_not_as_promised_gets_no_name(
    sums: dict[str, str], words: str, staged: Stage, site: Site, folder: Path
) -> None:
    site.pages["/a"] = File(WHOLE)
    (told,) = staged(entry(site.url("/a"), bytes=len(WHOLE), checksums=sums), ends=1)
    assert told.startswith("inputs/files/0/a.dat: what came from localhost is not what was promised, twice: ")
    assert words in told
    assert [p for p in folder.rglob("*") if p.is_file()] == [folder / "stage.json"]


def test_weak_sums_that_are_right_are_right(staged: Stage, site: Site) -> None:
    site.pages["/a"] = File(WHOLE)
    sums = {"md5": hashlib.md5(WHOLE).hexdigest().upper(), "adler32": f"{zlib.adler32(WHOLE):08x}"}
    assert staged(entry(site.url("/a"), checksums=sums)) == []


def endless(handler: Handler) -> None:
    """No length, no end."""
    handler.close_connection = True
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65536)


def test_a_server_that_sends_for_ever_is_left(staged: Stage, site: Site) -> None:
    site.pages["/a"] = endless
    (told,) = staged(entry(site.url("/a"), bytes=1_000_000), ends=1)
    assert told.endswith("localhost sends more than 1000000 bytes")


def test_a_file_that_is_too_large_is_not_begun(staged: Stage, site: Site, folder: Path) -> None:
    site.pages["/a"] = File(WHOLE)
    (told,) = staged(entry(site.url("/a"), bytes=10), ends=1)
    assert told.endswith("localhost has 3000000 bytes of it, and at most 10 are taken")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://localhost/a", "gopher://x/", "data:,x"])
def test_redirects_lead_to_the_web_only(to: str, staged: Stage, site: Site, folder: Path) -> None:
    site.pages["/a"] = leads_to(to)
    (told,) = staged(entry(site.url("/a")), ends=1)
    assert f"leads to {to.partition(':')[0]}://, which is not followed" in told
    assert not (folder / "inputs/files/0/a.dat").exists()


def test_redirects_that_never_end_are_left(staged: Stage, site: Site) -> None:
    site.pages["/a"] = leads_to("/a")
    (told,) = staged(entry(site.url("/a")), ends=1)
    assert told.endswith("localhost leads on and on")


def test_a_token_goes_to_its_server_only(
    staged: Stage, site: Site, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    url = site.url("/a")
    mine = whole(url, tokens={url: "ESAP_WF_TOKEN_MINE"})
    with Site() as other:
        other.pages["/a"] = File(WHOLE)
        site.pages["/a"] = leads_to("/b")
        site.pages["/b"] = leads_to(other.url("/a"))
        monkeypatch.delenv("ESAP_WF_TOKEN_MINE", raising=False)
        told = staged(mine, ends=1)
        assert told == ["inputs/files/0/a.dat: needs a token: put it into the variable ESAP_WF_TOKEN_MINE"]
        assert site.asked == []
        monkeypatch.setenv("ESAP_WF_TOKEN_MINE", "canary\r\nX: y")
        (said,) = staged(mine, ends=1)
        assert "canary" not in said
        monkeypatch.setenv("ESAP_WF_TOKEN_MINE", "canary")
        assert staged(mine) == []
        assert [q.headers.get("authorization") for q in site.asked] == ["Bearer canary"] * 2
        assert [q.headers.get("authorization") for q in other.asked] == [None]
    assert not any(b"canary" in p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_a_token_that_is_refused_is_named(staged: Stage, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESAP_WF_TOKEN_MINE", "canary")
    site.pages["/a"] = status(401)
    (told,) = staged(entry(site.url("/a"), tokens={site.url("/a"): "ESAP_WF_TOKEN_MINE"}), ends=1)
    assert told.endswith("localhost answers 401 Unauthorized: is the token in ESAP_WF_TOKEN_MINE too old?")


def test_what_a_server_says_stays_in_its_line(staged: Stage, site: Site) -> None:
    def rude(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 418 no\x1b[2Jx\xc2\x9b\r\nContent-Length: 0\r\n\r\n")

    site.pages["/a"] = rude
    (told,) = staged(entry(site.url("/a")), ends=1)
    assert told.isprintable()


def test_a_file_that_was_changed_since_the_plan_is_not_taken(staged: Stage, site: Site, folder: Path) -> None:
    site.pages["/a"] = File(b"new", {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})
    site.pages["/b"] = File(b"new", {"ETag": '"two"'})
    same = entry(site.url("/a"), version="2015-10-21T07:28:00Z")
    assert staged(same) == []
    older = entry(site.url("/a"), version="2015-10-21T07:27:59Z", path="inputs/files/1/a.dat")
    marked = entry(site.url("/b"), version='"one"', path="inputs/files/2/a.dat")
    told = staged(same, older, marked, ends=1)
    assert [line.partition(":")[0] for line in told] == ["inputs/files/1/a.dat", "inputs/files/2/a.dat"]
    assert all("was of " in line and "when the run was planned" in line for line in told)


def test_one_address_after_the_other_is_tried(
    staged: Stage, site: Site, folder: Path, tmp_path: Path
) -> None:
    site.pages["/a"] = File(WHOLE)
    gone = (tmp_path / "gone.dat").as_uri()
    assert staged(whole(gone, site.url("/none"), site.url("/a"))) == []
    (told,) = staged(whole(gone, site.url("/none"), path="inputs/files/1/a.dat"), ends=1)
    assert "gone.dat: No such file or directory" in told
    assert "localhost answers 404" in told


def test_what_has_no_address_is_told_and_the_others_are_brought(
    staged: Stage, site: Site, folder: Path
) -> None:
    site.pages["/a"] = File(WHOLE)
    told = staged(entry(), whole(site.url("/a"), path="inputs/files/1/b.dat"), ends=1)
    assert told == [
        "inputs/files/0/a.dat: rucio://lake/s/a.dat has no address that can be read from here: esap-wf resume brings it"
    ]
    assert (folder / "inputs/files/1/b.dat").read_bytes() == WHOLE


@pytest.mark.parametrize(
    "path", ["../a.dat", "/etc/a.dat", "inputs/../../a.dat", "inputs//a.dat", "link/a.dat"]
)
def test_nothing_is_written_outside_of_the_folder(
    path: str, staged: Stage, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "source").write_bytes(b"x")
    (told,) = staged(entry((tmp_path / "source").as_uri(), path=path), ends=1)
    assert told.endswith("leads out of the folder")
    assert {p.name for p in tmp_path.iterdir()} == {folder.name, "outside", "source"}
    assert list((tmp_path / "outside").iterdir()) == []


def test_what_is_no_file_is_not_read(staged: Stage, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (told,) = staged(entry((tmp_path / "pipe").as_uri()), ends=1)
    assert told.endswith("pipe is no file")
    (told,) = staged(entry("file:///dev/zero"), ends=1)
    assert told.endswith("/dev/zero is no file")


def test_what_is_there_and_can_not_be_it_is_told_and_left(staged: Stage, folder: Path) -> None:
    target = folder / "inputs/files/0/a.dat"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    (told,) = staged(whole(), ends=1)
    assert told.endswith("has 4 bytes, but 3000000 were promised: remove it, and start again")
    assert target.read_bytes() == b"mine"


def test_a_folder_gets_its_name_when_it_is_whole(staged: Stage, folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    members = [
        Entry(path="deep/a", uri="run:x", urls=[(tmp_path / "a").as_uri()], bytes=1),
        Entry(path="b", uri="run:x", urls=[(tmp_path / "b").as_uri()], bytes=1),
        Entry(path="empty", uri="run:x", folder=True),
    ]
    one = Entry(path="inputs/folder/0/f", uri="run:x", folder=True, files=members)
    (tmp_path / "b").rename(tmp_path / "aside")
    (told,) = staged(one, ends=1)
    assert told.startswith("inputs/folder/0/f/b: ")
    assert not (folder / "inputs/folder/0/f").exists()
    (tmp_path / "aside").rename(tmp_path / "b")
    assert staged(one) == []
    made = folder / "inputs/folder/0/f"
    assert sorted(p.relative_to(made).as_posix() for p in made.rglob("*")) == ["b", "deep", "deep/a", "empty"]
    (made / "b").unlink()
    assert staged(one) == []
    assert (made / "b").read_bytes() == b"b"
    (told,) = staged(Entry(path="inputs/folder/1/f", uri="run:x", folder=True, known=False), ends=1)
    assert "esap-wf resume brings it" in told


def test_a_disk_that_is_full_is_a_problem_of_the_file(
    staged: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"x" * 100)
    monkeypatch.setattr(stage, "beside", lambda target: "/dev/full")
    (told,) = staged(entry(source.as_uri()), ends=1)
    assert told == "inputs/files/0/a.dat: No space left on device"


def test_it_is_a_program_of_its_own(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    program = folder / "stage.py"
    program.write_bytes(PROGRAM.read_bytes())

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", str(program), *words], capture_output=True, text=True, cwd="/", check=False
        )

    assert call().returncode == 2
    (folder / "stage.json").write_text("[]")
    assert call().returncode == 2
    made = Listing(files=[entry((tmp_path / "a").as_uri())])
    (folder / "stage.json").write_bytes(encode(made))
    (tmp_path / "other").mkdir()
    done = call(str(tmp_path / "other"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "other/inputs/files/0/a.dat").read_bytes() == b"a"
    assert not (folder / "inputs").exists()
    assert call().returncode == 0
    assert (folder / "inputs/files/0/a.dat").exists()
    for words in (["-x"], ["a", "b"]):
        wrong = call(*words)
        assert (wrong.returncode, wrong.stderr) == (2, "usage: python3 stage.py [FOLDER]\n")
    assert json.loads((folder / "stage.json").read_text())["files"][0]["tokens"] == {}
