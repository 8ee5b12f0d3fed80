"""Who brings inputs is killed: nothing half fetched is ever used, and nothing that was whole is fetched again."""

from __future__ import annotations

import random
import sys
import time

import psutil
import pytest
from faults.place import HERE
from helpers.waiting import until
from helpers.websites import File, Handler, Site

from esap_wf.models.run import Phase

from .gathering import Gathering

pytestmark = [pytest.mark.integration, pytest.mark.faults]
ARMED = [sys.executable, str(HERE / "armed.py")]
FILES, SIZE = 12, 300_000


@pytest.mark.parametrize("point", ["input-fetched", "input-fetched:3", "inputs-brought"])
def test_a_supervisor_that_is_killed_at_a_point_is_succeeded(point: str, place: Gathering) -> None:
    uris, whole = place.many(5)
    began = place(point, *place.given(uris), "--detach", "--json", command=ARMED)
    assert began.code == 0, began
    run = str(began.json["run"])
    assert place.ended(run).phase is Phase.UNKNOWN
    place.sound()
    before = {p: p.stat().st_mtime_ns for p in place.cached()}
    inodes = {p: p.stat().st_ino for p in place.cached()}
    again = place.ok(*place.given(uris))
    assert again["run"] == run
    assert place.result(run) == whole
    assert {p: p.stat().st_ino for p in inodes} == inodes, "what was whole is not fetched again"
    assert {p: p.stat().st_mtime_ns for p in before} == before
    place.sound()


class Slowly(File):
    """Sends a file in pieces, and counts how often each byte was sent."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, {"ETag": '"one"'})
        self.sent = 0

    def __call__(self, handler: Handler) -> None:
        if handler.command != "HEAD" and handler.headers.get("Range") != "bytes=0-0":
            original = handler.wfile.write

            def write(data: bytes) -> int:
                for start in range(0, len(data), 20_000):
                    original(data[start : start + 20_000])
                    self.sent += len(data[start : start + 20_000])
                    time.sleep(0.01)
                return len(data)

            handler.wfile.write = write  # type: ignore[method-assign]
        super().__call__(handler)


def _killed_at_random(place: Gathering, site: Site, seed: int) -> None:
    chance = random.Random(seed)
    contents = [bytes([65 + n]) * SIZE for n in range(FILES)]
    pages = [Slowly(content) for content in contents]
    for n, page in enumerate(pages):
        site.pages[f"/{n:02}.dat"] = page
    (place.root / "config.toml").write_text(f"[web]\nhosts = {list(site.hosts)!r}\n")
    words = place.given([site.url(f"/{n:02}.dat") for n in range(FILES)])
    run = str(place.ok(*words, "--detach")["run"])
    for _ in range(chance.randint(1, 3)):
        time.sleep(chance.uniform(0, 1.5))
        if (pid := place.supervisor(run)) and psutil.pid_exists(pid):
            psutil.Process(pid).kill()
        if place.ended(run).phase is Phase.COMPLETED:
            break
        place.sound()
        there = {p: p.stat().st_ino for p in place.cached()}
        place.ok("resume", run, "--detach")
        assert {p: p.stat().st_ino for p in there} == there
    place.resume_until_completed(run)
    assert place.result(run) == b"".join(contents)
    place.sound()
    assert not list((place.store / "cache").glob("*/parts/*")), "nothing is left half"
    again = sum(page.sent for page in pages) - FILES * SIZE
    print(f"seed {seed}: {again} bytes were sent twice")
    # of each file that was on its way when its reader was killed, what had been sent and not been read
    assert again <= 3 * 4 * SIZE


@pytest.mark.parametrize("seed", range(8))
def test_it_is_killed_at_random(seed: int, place: Gathering) -> None:
    with Site() as site:
        _killed_at_random(place, site, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8, 60))
def test_it_is_killed_at_random_often(seed: int, place: Gathering) -> None:
    with Site() as site:
        _killed_at_random(place, site, seed)


def test_two_runs_that_want_one_file_fetch_it_once(place: Gathering) -> None:
    with Site() as site:
        page = Slowly(b"x" * 1_000_000)
        site.pages["/a.dat"] = page
        (place.root / "config.toml").write_text(f"[web]\nhosts = {list(site.hosts)!r}\n")
        runs = [
            place.ok(*place.given([site.url("/a.dat")], "--seconds", str(n / 10), "--detach"))["run"]
            for n in range(2)
        ]
        for run in runs:
            until(lambda run=run: place.run(run).observe().phase is Phase.COMPLETED, what=run)  # type: ignore[misc]
        assert page.sent < 1_100_000, "once, and what is said of it"
        first, second = (place.run(run).dir / "inputs/files/0/a.dat" for run in runs)
        assert first.samefile(second)


def test_an_input_that_was_changed_before_a_kill_is_still_found_out(place: Gathering) -> None:
    uri = place.put("one.dat", b"one")
    spoil = "chmod u+w inputs/files/0/one.dat && echo more >> inputs/files/0/one.dat && sleep 5"
    place.workflow("spoils", spoil)
    run = str(place.ok(*place.given([uri], workflow="spoils"), "--detach")["run"])
    there = place.run(run).dir / "inputs/files/0/one.dat"
    until(lambda: there.exists() and b"more" in there.read_bytes(), what="the change")
    pid = place.supervisor(run)
    assert pid
    psutil.Process(pid).kill()
    assert place.ended(run).phase is Phase.UNKNOWN
    place.ok("resume", run, "--detach")
    assert place.ended(run).phase is Phase.ERROR
    (failure,) = place.status(run)["failures"]
    assert failure["reason"] == "INVALID_INPUT"
