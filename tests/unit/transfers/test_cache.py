"""The cache gives only what it was given, whatever happens to its files, and to those who fetch them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esap_wf import files
from esap_wf.errors import StoppedError
from esap_wf.transfers import cache as caches
from esap_wf.transfers import learned
from esap_wf.transfers.cache import Cache, link
from esap_wf.transfers.fetching import Fetched, Wanted, fetch
from esap_wf.transfers.sources import RunSource

WHOLE = b"0123456789" * 1000
SHA256 = hashlib.sha256(WHOLE).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def source(tmp_path: Path) -> RunSource:
    path = tmp_path / "there.dat"
    path.write_bytes(WHOLE)
    return RunSource(path)


def get(cache: Cache, source: RunSource, known: str | None = None, **more: object) -> Fetched:
    wanted = Wanted("run:there", **{"bytes": len(WHOLE), **more})  # type: ignore[arg-type]
    return fetch(source, wanted, cache, lambda: known)


def shorter(path: Path) -> None:
    os.truncate(path, 10)


def other(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"x" * len(WHOLE))


@pytest.mark.parametrize("spoil", [shorter, other, Path.unlink])
def test_an_entry_that_somebody_has_changed_is_fetched_again(
    cache: Cache, source: RunSource, spoil: Callable[[Path], None]
) -> None:
    spoil(get(cache, source).path)
    again = get(cache, source, SHA256)
    assert not again.hit
    assert again.path.read_bytes() == WHOLE
    assert get(cache, source, SHA256).hit


def test_an_entry_that_was_changed_is_not_kept_for_one_of_the_same_content(
    cache: Cache, source: RunSource
) -> None:
    """Whose content is known only when it has come."""
    shorter(get(cache, source).path)
    assert get(cache, source).path.read_bytes() == WHOLE
    assert cache.drop(SHA256) is None
    assert not [p for p in cache.folder.rglob("*") if not p.is_dir()], "nothing is left of it"


def test_what_was_only_touched_or_is_of_an_earlier_version_is_read_once_and_kept(
    cache: Cache, source: RunSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = get(cache, source).path
    os.utime(path, (1, 2))
    assert get(cache, source, SHA256).hit
    for mark in cache.folder.rglob("*.kept"):
        mark.unlink()
    assert get(cache, source, SHA256).hit
    monkeypatch.setattr("esap_wf.formats.digests.of_file", None)  # it is not read again
    assert get(cache, source, SHA256).hit


def test_a_collection_leaves_nothing_of_an_entry(cache: Cache, source: RunSource) -> None:
    get(cache, source)
    assert [one.sha256 for one in cache.collect(0)] == [SHA256]
    assert not [p for p in cache.folder.rglob("*") if not p.is_dir()]


def test_a_file_that_got_no_name_because_there_was_no_space_gets_it_later(
    cache: Cache, source: RunSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rights are those of a whole file then; who isn't root could not open it for writing."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(files.NoSpaceError):
        get(cache, source)
    monkeypatch.undo()
    (part,) = (p for p in (cache.folder / "parts").iterdir() if p.suffix != ".lock")
    assert part.stat().st_mode & 0o777 == 0o444
    with cache.part(part.name) as path:
        assert path.stat().st_mode & 0o777 == 0o600
    source.path.write_bytes(b"y" * len(WHOLE))  # what has come is not fetched again
    assert get(cache, source).path.read_bytes() == WHOLE


def test_nobody_writes_into_a_file_that_has_its_name(cache: Cache, source: RunSource) -> None:
    """Who fetched it was killed when it had got its name, and was still called a part."""
    path = get(cache, source, bytes=None).path
    key = Wanted("run:there").key
    os.link(path, cache.folder / "parts" / key)
    source.path.write_bytes(WHOLE + b"more")
    assert get(cache, source, bytes=None).path.read_bytes() == WHOLE + b"more"
    assert path.read_bytes() == WHOLE


@pytest.fixture
def held(cache: Cache) -> Iterator[str]:
    """Somebody else has the lock of a file, and gets nothing."""
    key = Wanted("run:there", len(WHOLE)).key
    with cache.part("0" * 64):
        pass
    lock = cache.folder / "parts" / f"{key}.lock"
    lock.touch()
    other = subprocess.Popen(["flock", str(lock), "sleep", "60"], start_new_session=True)
    with lock.open() as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                break
            fcntl.flock(file, fcntl.LOCK_UN)
            time.sleep(0.01)
    yield key
    os.killpg(other.pid, 9)
    other.wait()


def test_who_waits_for_another_one_can_be_stopped(cache: Cache, source: RunSource, held: str) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()

    def come(size: int) -> None:
        if stop.is_set():
            raise StoppedError("enough")

    began = time.monotonic()
    with pytest.raises(StoppedError):
        fetch(source, Wanted("run:there", len(WHOLE)), cache, lambda: None, progress=come)
    assert time.monotonic() - began < 5


def test_who_gets_nothing_is_not_waited_for_for_ever(
    cache: Cache, source: RunSource, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that was stopped holds the lock as long as it lives."""
    monkeypatch.setattr(caches, "STILL", 0.3)
    assert get(cache, source).path.read_bytes() == WHOLE
    assert [p.name for p in (cache.folder / "parts").iterdir()] == [f"{held}.lock"]


def test_a_link_may_have_the_longest_name_that_there_is(tmp_path: Path, source: RunSource) -> None:
    target = tmp_path / ("ä" * 127)
    link(source.path, target)
    assert target.read_bytes() == WHOLE


def test_between_two_file_systems_a_file_is_copied(tmp_path: Path, source: RunSource) -> None:
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        there = Cache(Path(folder))
        path = get(there, source, modified="2020-01-01T00:00:00Z").path
        link(path, tmp_path / "run/one.dat")
        two = tmp_path / "run/one.dat"
        assert (two.read_bytes(), two.stat().st_nlink) == (WHOLE, 1)
        assert (two.stat().st_mtime, two.stat().st_mode & 0o222) == (path.stat().st_mtime, 0)
        assert [p.name for p in two.parent.iterdir()] == ["one.dat"], "nothing half is left"


def test_what_was_learned_is_written_again_if_it_can_not_be_read(tmp_path: Path) -> None:
    """A machine that lost its power leaves empty files."""
    wanted = Wanted("rucio://local/toy/one.dat", 3, {"adler32": "00000001"})
    learned.keep(tmp_path, wanted, SHA256, 3, None)
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(b"")
    assert learned.known(tmp_path, wanted) is None
    learned.keep(tmp_path, wanted, SHA256, 3, None)
    assert learned.known(tmp_path, wanted) == SHA256
