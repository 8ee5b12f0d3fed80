"""A disk that gives out while inputs come, and a store on another file system than what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faults.conftest import end, tmpfs  # noqa: F401
from faults.test_full_disk import fill, use_up_names
from helpers.waiting import until
from helpers.websites import Handler, Site

from esap_wf.config import Config
from esap_wf.models.run import Phase

from .gathering import Gathering

pytestmark = [pytest.mark.integration, pytest.mark.faults]


class Apart(Gathering):
    """The lake has a disk of its own."""

    def config(self) -> Config:
        table = {"local": {"kind": "directory", "folder": str(self.root / "lake")}}
        return replace(super().config(), datalakes=table)


@pytest.fixture
def small(tmpfs: Path, tmp_path: Path) -> Iterator[Gathering]:  # noqa: F811
    """A small disk with the store; the lake lies elsewhere."""
    made = Apart(tmp_path, store_at=tmpfs / "store")
    made.ok("store", "init")
    table = f'[datalakes.local]\nkind = "directory"\nfolder = "{tmp_path / "lake"}"\n'
    (tmp_path / "config.toml").write_text(table)
    yield made
    end(made)


def ended_for_space(place: Gathering, run: str) -> None:
    assert place.ended(run).phase is Phase.ERROR, place.explain(run)
    (failure, *_) = place.status(run)["failures"]
    assert failure["reason"] == "NO_SPACE", place.explain(run)
    assert "no space left" in str(place.run(run).observe().reason)


def test_a_disk_that_fills_up_while_a_file_comes(small: Gathering) -> None:
    whole = b"0123456789" * 3_000_000
    uri = small.put("one.dat", whole)
    copy = next((small.root / "lake/files").rglob("one.dat"))
    copy.rename(small.root / "aside")
    run = str(small.ok(*small.given([uri]), "--detach")["run"])
    until(lambda: "waiting for local since" in small.run(run).observe().reason, what="the reason")
    filler = fill(small.store.parent, 20_000_000)
    (small.root / "aside").rename(copy)
    ended_for_space(small, run)
    assert small.cached() == []
    assert not list((small.run(run).dir / "inputs").rglob("*.dat")), "nothing half is there"
    filler.unlink()
    assert small.resume_until_completed(run) == 1
    assert small.result(run) == whole
    small.sound()


@pytest.mark.parametrize("leave", [0, 1, 2, 3, 4, pytest.param(6, marks=pytest.mark.soak)])
def test_names_that_give_out_while_files_get_theirs(small: Gathering, leave: int) -> None:
    """The folder of the cache, the link, the record of what has come: each needs one."""
    uris, whole = small.many(2)
    copies = sorted((small.root / "lake/files").rglob("*.dat"))
    for copy in copies:
        copy.rename(small.root / copy.name)
    run = str(small.ok(*small.given(uris), "--detach")["run"])
    until(lambda: "waiting for local since" in small.run(run).observe().reason, what="the reason")
    made = use_up_names(small.store.parent, leave)
    for copy in copies:
        (small.root / copy.name).rename(copy)
    ended_for_space(small, run)
    for path in made:
        path.unlink()
    small.sound()
    assert small.resume_until_completed(run) == 1
    assert small.result(run) == whole
    small.sound()


def endless(handler: Handler) -> None:
    """Sends for ever, and never says how long it is."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    while handler.command != "HEAD":
        handler.wfile.write(b"x" * 1_000_000)


def test_a_server_that_sends_for_ever_does_not_fill_the_disk(small: Gathering) -> None:
    with Site() as site:
        site.pages["/a.dat"] = endless
        (small.root / "config.toml").write_text(f"[web]\nhosts = {list(site.hosts)!r}\n")
        run = str(small.ok(*small.given([site.url("/a.dat")]), "--detach")["run"])
        ended_for_space(small, run)
        assert "nobody says how large it is" in str(small.status(run)["failures"])
    taken = sum(p.stat().st_size for p in (small.store / "cache").rglob("*") if p.is_file())
    assert taken == 0, "what is worth nothing takes no space"
