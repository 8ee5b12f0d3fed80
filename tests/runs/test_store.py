from __future__ import annotations

import getpass  # noqa: F401  (used in children that may not read the standard library)
import os
import shutil
import stat
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from esap_wf import files
from esap_wf.errors import NotFoundError, RefusedError, UsageError
from esap_wf.models.run import Event, OutputFile, Outputs, Phase, RunRecord, State, encode, now
from esap_wf.runs import claims, lease, states
from esap_wf.runs.lease import FencedError, Lease
from esap_wf.runs.processes import Holder
from esap_wf.runs.store import Run, Store

from .conftest import Maker, mounted, unmount


def finish(run: Run, phase: Phase = Phase.COMPLETED) -> None:
    owner = Lease.acquire(run)
    run.write_state(State(phase=Phase.QUEUED), owner)
    run.write_state(State(phase=Phase.EXECUTING), owner)
    run.write_state(State(phase=phase), owner)
    owner.release()


def orphan(run: Run, holder: Holder) -> None:
    """Make it look as if a process had owned the run and vanished."""
    epoch = lease.latest_epoch(run)
    epoch_file = msgspec.structs.replace(
        files.read_json(run.dir / "epochs" / str(epoch), lease.Epoch), holder=holder
    )
    (run.dir / "epochs" / str(epoch)).write_bytes(encode(epoch_file))
    (run.dir / "lease.json").unlink(missing_ok=True)


def test_a_private_store_is_private(store: Store) -> None:
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700
    assert Store.open(store.root).id == store.id


def test_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run store"):
        Store.open(tmp_path / "none")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").touch()
    with pytest.raises(RefusedError, match="not empty"):
        Store.open(tmp_path / "data", create=True)


def test_a_newer_store_is_refused(store: Store) -> None:
    (store.root / "store.json").write_bytes(b'{"schema_version": 2, "id": "x", "layout": "flat"}')
    with pytest.raises(UsageError, match="newer esap-wf"):
        Store.open(store.root)


def test_a_stored_state_of_the_first_version_still_reads(store: Store, make: Maker) -> None:
    run = make()
    (run.dir / "state.json").write_bytes(b'{"schema_version": 1, "phase": "ERROR", "rev": 3}')
    assert run.observe().phase is Phase.ERROR


def test_publish_and_find(store: Store, make: Maker) -> None:
    a = make(id="abcdef0000000001", name="first night")
    b = make(id="abcdef0000000002", name="second")
    assert store.run(a.id).record().name == "first night"
    assert store.find("second").id == b.id
    assert store.find("abcdef0000000002").id == b.id
    assert store.find(a.id[:4] if a.id[:4] != b.id[:4] else a.id).id == a.id
    with pytest.raises(UsageError, match="2 runs match") as caught:
        store.find("abcdef")
    assert {p.where for p in caught.value.problems} == {a.id, b.id}
    for text in ("abc", "third", "../../etc", "ffffffffffffffff"):
        with pytest.raises(NotFoundError):
            store.find(text)
    c = make(name="second")
    with pytest.raises(UsageError):
        store.find("second")
    assert {r.id for r in store.runs()} == {a.id, b.id, c.id}
    assert store.find("second", named=[b.id]).id == b.id


def test_a_name_that_looks_like_the_beginning_of_an_id(store: Store, make: Maker) -> None:
    a = make(id="beef000000000001")
    b = make(id="0000000000000002", name="beef")
    with pytest.raises(UsageError, match="ambiguous"):
        store.find("beef")
    assert store.find("beef0").id == a.id
    assert store.find("0000").id == b.id


def test_observers_see_who_is_gone(make: Maker, gone: Holder, far: Holder) -> None:
    run = make()
    assert run.observe().phase is Phase.PENDING
    orphan(run, gone)
    assert run.observe().phase is Phase.PENDING, "the supervisor may be starting"
    os.utime(run.dir / "state.json", (time.time() - 60, time.time() - 60))
    seen = run.observe()
    assert seen.phase is Phase.UNKNOWN
    assert seen.reason == "the command that created it is gone, and no supervisor has started"
    owner = Lease.acquire(run)
    run.write_state(State(phase=Phase.QUEUED), owner)
    assert run.observe().phase is Phase.QUEUED
    orphan(run, far)
    assert run.observe().phase is Phase.QUEUED, "who cannot be asked counts as alive in a list"
    orphan(run, gone)
    assert run.observe().phase is Phase.UNKNOWN
    assert str(gone.pid) in run.observe().reason
    assert run.state().phase is Phase.QUEUED, "an observer writes nothing"


def test_a_run_that_ends_while_it_is_observed_is_not_lost(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make()
    owner = Lease.acquire(run)
    run.write_state(State(phase=Phase.QUEUED), owner)
    alive = lease.alive

    def late(seen: Run) -> bool | None:  # between reading the state and looking for the owner
        monkeypatch.setattr(lease, "alive", alive)
        run.write_state(State(phase=Phase.ERROR), owner)
        owner.release()
        return False

    monkeypatch.setattr(lease, "alive", late)
    assert run.observe().phase is Phase.ERROR


def test_observers_fold_the_tail(make: Maker) -> None:
    run = make()
    owner = Lease.acquire(run)
    run.write_state(State(phase=Phase.QUEUED), owner)
    files.append_line(run.events_path, msgspec.json.encode(Event(t=1, kind="done", step="sim", unit="1")))
    assert run.observe().progress.jobs_done == 1
    assert run.state().progress.jobs_done == 0


def test_states_are_checked_and_fenced(make: Maker) -> None:
    run = make()
    first = Lease.acquire(run)
    with pytest.raises(states.IllegalTransitionError):
        run.write_state(State(phase=Phase.COMPLETED), first)
    assert run.write_state(State(phase=Phase.QUEUED), first).rev == 2
    first.release()
    second = Lease.acquire(run)
    with pytest.raises(FencedError):
        run.write_state(State(phase=Phase.EXECUTING), first)
    with pytest.raises(FencedError):
        first.renew()
    assert run.write_state(State(phase=Phase.EXECUTING), second).epoch == 2


def outputs(run: Run, name: str = "a") -> Outputs:
    file = OutputFile(name=name, path=f"outputs/{name}", bytes=1, sha256="0", media_type="text/plain")
    return Outputs(run=run.id, epoch=0, accepted=now(), outputs=[file])


def test_results_are_accepted_once(make: Maker) -> None:
    run = make()
    first = Lease.acquire(run)
    second = Lease.acquire(run, msgspec.structs.replace(first.holder))
    with pytest.raises(FencedError):
        run.accept(outputs(run, "late"), first)
    assert run.accepted() is None
    assert run.accept(outputs(run, "good"), second).epoch == 2
    assert run.accept(outputs(run, "again"), second).outputs[0].name == "good"
    third = Lease.acquire(run, first.holder)
    assert run.accept(outputs(run, "resumed"), third).outputs[0].name == "good"
    assert run.outputs() == run.accepted()


def test_an_owner_that_slept_through_its_successor_accepts_nothing(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make()
    first = Lease.acquire(run)

    def asleep(self: Lease) -> None:  # it was valid when it looked; then it slept, and somebody took over
        monkeypatch.undo()
        Lease.acquire(run, first.holder)

    monkeypatch.setattr(Lease, "require", asleep)
    with pytest.raises(FencedError):
        run.accept(outputs(run), first)
    assert run.outputs() is None
    assert not (run.dir / "outputs.json").exists()


def test_remove(store: Store, make: Maker) -> None:
    run = make(name="x")
    with pytest.raises(RefusedError, match="is PENDING"):
        store.remove(run)
    finish(run)
    code = run.dir / "code" / "digest"
    code.mkdir(parents=True)
    (code / "Snakefile").touch()
    code.chmod(0o555)
    store.remove(run)
    assert not run.dir.exists()
    assert list((store.root / "tmp").iterdir()) == []
    assert store.tombstone_path(run.id).is_file()
    assert list(store.runs()) == []
    assert run.observe().phase is Phase.ARCHIVED
    store.remove(run)
    for text in (run.id, run.id[:6], "x"):
        with pytest.raises(NotFoundError):
            store.find(text)
    with pytest.raises(NotFoundError, match="was removed"):
        store.find(run.id)


def test_remove_and_resume_at_once(store: Store, make: Maker) -> None:
    run = make()
    finish(run, Phase.ERROR)
    owner = Lease.acquire(run)
    with pytest.raises(RefusedError):
        store.remove(run)
    assert run.exists()
    owner.release()
    store.remove(run)


def test_garbage(store: Store, make: Maker, gone: Holder) -> None:
    kept = make()
    mine, left, half = store.staging(store.new_id()), store.staging(store.new_id()), make()
    (left / ".staged.json").write_bytes(
        b'{"schema_version": 1, "holder": ' + msgspec.json.encode(gone) + b"}"
    )
    young = store.staging(store.new_id())
    for path in (mine, left):
        os.utime(path, (1, 1))
    finish(half, Phase.ERROR)
    files.write_atomic(
        store.make_folder(store.tombstone_path(half.id).parent) / f"{half.id}.json",
        b'{"run": "", "removed": "", "by": ""}',
    )
    assert store.collect_garbage() == ([half.id, left.name], [])
    assert mine.is_dir()
    assert young.is_dir()
    assert not half.dir.exists()
    assert [r.id for r in store.runs()] == [kept.id]


def test_records_outlive_runs_and_torn_lines(store: Store) -> None:
    store.record("toy", {"science": "a", "run": "1"})
    path = store.root / "records" / "toy.jsonl"
    path.write_bytes(path.read_bytes() + b'{"science": "b", "ru')
    store.record("toy", {"science": "c", "run": "3"})
    assert [e["science"] for e in store.records("toy")] == ["a", "c"]
    assert store.records("other") == []
    with pytest.raises(UsageError):
        store.record("../escape", {})


@pytest.mark.faults
def test_a_full_disk_still_takes_the_last_state(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not mounted(disk, "size=2m"):
        pytest.skip("needs root: mounts a small file system")
    try:
        store = Store.open(disk / "store", create=True)
        run = Maker(store)()
        owner = Lease.acquire(run)
        run.write_state(State(phase=Phase.QUEUED), owner)
        run.write_state(State(phase=Phase.EXECUTING), owner)
        with pytest.raises(OSError), (disk / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(files.NoSpaceError, match="no space left"):
            files.write_atomic(run.dir / "big", b"x" * 10_000)
        log = run.dir / "log"
        log.touch()
        with pytest.raises(files.NoSpaceError):
            files.append_line(log, b"y" * 10_000)
        assert log.read_bytes() == b"", "all or nothing"
        owner.renew()
        assert (run.dir / ".reserve").exists(), "a heartbeat is not worth the reserve"
        run.write_state(State(phase=Phase.ERROR, reason="disk full"), owner)
        owner.release()
        assert run.observe().phase is Phase.ERROR
        assert not (run.dir / ".reserve").exists()
        assert lease.alive(run) is False
        store.remove(run)  # what frees space must work without any
        assert not run.dir.exists()
    finally:
        unmount(disk)


@pytest.mark.faults
def test_a_read_only_store_is_read(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    root = os.geteuid() == 0
    if root and not mounted(disk, "size=4m"):
        pytest.skip("root without the right to mount: chmod is no barrier")
    disk.mkdir(exist_ok=True)
    store = Store.open(disk / "store", create=True)
    run = Maker(store)(name="x")
    finish(run)
    try:
        if root:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        else:
            for folder in [store.root, *(p for p in store.root.rglob("*") if p.is_dir())]:
                folder.chmod(0o500)
        again = Store.open(disk / "store")
        assert again.find("x").observe().phase is Phase.COMPLETED
        with pytest.raises(RefusedError, match="cannot write"):
            again.staging(again.new_id())
        with pytest.raises(RefusedError, match="cannot write"):
            again.remove(run)
        with pytest.raises(RefusedError, match="cannot write"):
            again.record("toy", {})
    finally:
        unmount(disk)
        if not root:
            for folder in store.root.rglob("*"):
                folder.chmod(0o700)


def as_user(uid: int, gid: int, action: Callable[[], None]) -> None:
    """Do something in a child that is another user with a closed umask. No exec: others may not read this interpreter's files."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([gid])
            os.setgid(gid)
            os.setuid(uid)
            os.umask(0o077)
            action()
            code = 0
        except BaseException:
            os.write(writer, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    assert os.waitpid(child, 0)[1] == 0, text


@pytest.mark.faults
def test_two_users_share_a_store() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: becomes two other users")
    folder = Path(tempfile.mkdtemp())  # pytest's own folder is closed to other users

    def first() -> None:
        store = Store.create(folder / "store", shared=True)
        run = Maker(store)(name="first")
        store.record("toy", {"run": run.id})

    def second() -> None:
        store = Store.open(folder / "store")
        finish(store.find("first"), Phase.ERROR)
        claim = claims.claim(store, "cd" * 16, store.new_id())
        Maker(store)(name="second", id=claim.run_id)
        store.record("toy", {"run": claim.run_id})
        store.remove(Run(store, store.find("first").id))

    def third() -> None:
        with pytest.raises(RefusedError, match="cannot read"):
            Store.open(folder / "store")

    try:
        folder.chmod(0o777)
        as_user(31001, 31000, first)
        as_user(31002, 31000, second)
        as_user(31003, 31999, third)
        store = Store.open(folder / "store")
        assert store.shared
        assert len(store.records("toy")) == 2
        assert [r.record().name for r in store.runs()] == ["second"]
        assert list((store.root / "tmp").iterdir()) == []
        for path in store.root.rglob("*"):
            about = path.stat()
            mode = stat.S_IMODE(about.st_mode)
            assert about.st_gid == 31000, path
            assert mode == (0o2770 if path.is_dir() else 0o640 if path.name == "store.json" else 0o660), (
                f"{path}: {mode:o}"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_newer_run_is_refused_and_others_are_not_hidden(store: Store, make: Maker) -> None:
    newer, fine = make(), make()
    data = (newer.dir / "run.json").read_bytes().replace(b'"schema_version": 1', b'"schema_version": 9')
    (newer.dir / "run.json").write_bytes(data)
    with pytest.raises(UsageError, match=r"newer esap-wf \(version 9"):
        store.find(newer.id).record()
    assert fine.record().id == fine.id


def test_record_reads_back(make: Maker) -> None:
    run = make(tags=["a", "b"], identity="ab" * 32)
    assert isinstance(run.record(), RunRecord)
    assert run.record().tags == ["a", "b"]
