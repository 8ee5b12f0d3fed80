"""One snapshot of code a digest, linked into runs: shared, whole whoever comes at the same moment, gone when nothing needs it."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import msgspec
import pytest

from esap_wf.runs import removal, snapshots
from esap_wf.runs.folders import delete_tree
from esap_wf.runs.processes import Holder
from esap_wf.runs.store import Store

from .conftest import Maker, mounted, unmount

DIGEST = "ab" * 32


def write(folder: Path) -> None:
    (folder / "w/deep").mkdir(parents=True)
    for name in ("w/a.py", "w/deep/b.py"):
        (folder / name).write_text(name)
        (folder / name).chmod(0o444)
    (folder / "w/link").symlink_to("deep")


def intact(folder: Path) -> bool:
    return all((folder / n).read_text() == n for n in ("w/a.py", "w/deep/b.py")) and (
        folder / "w/link"
    ).readlink() == Path("deep")


def give(store: Store, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    snapshots.give(store, DIGEST, target, write, intact)
    return target


def test_runs_share_the_files_and_can_not_write_them(store: Store, tmp_path: Path) -> None:
    first, second = give(store, tmp_path / "1/code"), give(store, tmp_path / "2/code")
    kept = snapshots.path_of(store, DIGEST)
    assert len({(p / "w/deep/b.py").stat().st_ino for p in (first, second, kept)}) == 1
    assert intact(first) and intact(second)
    for path in [kept, *kept.rglob("*"), *first.rglob("*")]:
        if not path.is_symlink():
            assert not stat.S_IMODE(path.stat().st_mode) & 0o222, path
    assert not list((store.root / "tmp").iterdir())


def test_without_hard_links_a_run_has_a_copy(store: Store, tmp_path: Path) -> None:
    if not mounted(tmp_path / "other", "size=1m"):
        pytest.skip("needs to mount a file system")
    try:
        copy = give(store, tmp_path / "other/code")
        assert intact(copy)
        assert (copy / "w/a.py").stat().st_ino != (snapshots.path_of(store, DIGEST) / "w/a.py").stat().st_ino
        assert stat.S_IMODE((copy / "w/a.py").stat().st_mode) == 0o444
    finally:
        unmount(tmp_path / "other")


def test_what_was_written_through_a_link_is_not_given_on(store: Store, tmp_path: Path) -> None:
    first = give(store, tmp_path / "1/code")
    (first / "w/a.py").chmod(0o644)
    (first / "w/a.py").write_text("changed by a step that runs as root")
    assert intact(give(store, tmp_path / "2/code"))
    assert (first / "w/a.py").read_text().startswith("changed"), "the run that did it keeps what it has"


def test_content_that_is_not_that_of_the_digest_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(snapshots.OtherContentError):
        snapshots.give(store, DIGEST, tmp_path / "code", write, lambda _: False)
    assert not snapshots.path_of(store, DIGEST).exists()
    assert not list((store.root / "tmp").iterdir())


def test_starts_and_a_collector_at_the_same_moment(store: Store, tmp_path: Path) -> None:
    """Who makes a run needs the snapshot until it has its links; a collector that comes between only costs writing it again."""
    wrong: list[BaseException] = []
    until = time.monotonic() + 1.5

    def start(number: int) -> None:
        try:
            for turn in range(1000):
                if time.monotonic() > until:
                    return
                run = give(store, tmp_path / f"{number}-{turn}")
                assert intact(run)
                delete_tree(run)
        except BaseException as error:
            wrong.append(error)

    def collect() -> None:
        while time.monotonic() < until:
            snapshots.collect(store)
            time.sleep(0.003)

    threads = [threading.Thread(target=start, args=(i,)) for i in range(3)] + [
        threading.Thread(target=collect)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    snapshots.collect(store)
    assert not list((store.root / "code").glob("*/*"))
    assert not list((store.root / "tmp").iterdir())


def test_a_snapshot_that_goes_while_it_is_linked_is_not_taken_for_a_small_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector that is always just there: its half-deleted folder can be read without an error."""
    delete_tree(give(store, tmp_path / "1/code"))
    link_tree = snapshots.link_tree

    def collected(source: Path, target: Path, shared: bool = False) -> None:
        if source == snapshots.path_of(store, DIGEST):
            assert snapshots.collect(store) == [DIGEST]
            target.mkdir(parents=True)
        else:
            link_tree(source, target, shared)

    monkeypatch.setattr(snapshots, "link_tree", collected)
    run = give(store, tmp_path / "2/code")
    assert intact(run)
    assert (run / "w/a.py").samefile(snapshots.path_of(store, DIGEST) / "w/a.py")
    assert snapshots.collect(store) == [], "it has links since it is there"
    assert not list((store.root / "tmp").iterdir())


def test_a_writer_that_was_killed_is_no_hindrance(store: Store, tmp_path: Path, gone: Holder) -> None:
    left = store.staging(DIGEST[:16])
    (left / "tree/w").mkdir(parents=True)
    (left / ".staged.json").write_bytes(
        b'{"schema_version": 1, "holder": ' + msgspec.json.encode(gone) + b"}"
    )
    half = snapshots.path_of(store, DIGEST)
    (half / "w").mkdir(parents=True)  # of a machine that lost its power
    assert intact(give(store, tmp_path / "code"))
    os.utime(left, (1, 1))
    assert left.name in store.collect_garbage()[0]


def test_a_snapshot_goes_with_the_last_run_that_uses_it(store: Store, make: Maker) -> None:
    runs = [make(), make()]
    for run in runs:
        give(store, run.dir / "code" / DIGEST[:16])
        removal.bury(store, run.id)  # it is at an end, as far as removing is concerned
    store.remove(runs[0])
    assert snapshots.path_of(store, DIGEST).is_dir()
    assert store.collect_garbage() == ([runs[1].id, DIGEST], []), (
        "what a crash has left of a removal goes with what it used"
    )


def test_old_stores_have_no_snapshots_and_need_none(store: Store, make: Maker) -> None:
    (store.root / "code").rmdir()
    run = make()
    removal.bury(store, run.id)
    store.remove(run)
    assert store.collect_garbage() == ([], [])
