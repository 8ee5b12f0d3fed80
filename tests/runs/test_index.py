from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import esap_wf.running.productions
from esap_wf import files
from esap_wf.errors import UsageError
from esap_wf.models.run import Phase, State, encode
from esap_wf.runs import journal, productions
from esap_wf.runs.index import Index, Row, names
from esap_wf.runs.index import cache as cache_module
from esap_wf.runs.lease import Lease
from esap_wf.runs.processes import Holder
from esap_wf.runs.run import Run
from esap_wf.runs.store import Store

from .conftest import Maker, mounted, program, unmount
from .test_store import finish, orphan


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index" / "i.sqlite"


@pytest.fixture
def index(store: Store, path: Path) -> Iterator[Index]:
    with Index.open(store, path) as index:
        yield index


def truth(store: Store) -> dict[str, tuple[str, int]]:
    return {run.id: (run.state().phase.value, run.state().rev) for run in store.runs()}


def shown(index: Index) -> dict[str, tuple[str, int]]:
    return {row.id: (row.phase, row.rev) for row in index.page(limit=1000)[0]}


def test_it_follows(store: Store, make: Maker, index: Index, path: Path) -> None:
    assert index.page() == ([], None)
    run = make(name="x", tags=["t1", "t2"], identity="ab" * 32, science="cd" * 32, workflow="toy", owner="me")
    assert index.catch_up() == 1
    assert index.catch_up() == 0
    for rows in (
        index.page()[0],
        index.page(phase="pending")[0],
        index.page(workflow="toy")[0],
        index.page(tag="t2")[0],
        index.page(owner="me")[0],
        index.page(phase="PENDING", workflow="toy", tag="t1", owner="me", since="2000-01-01")[0],
        index.by_identity("ab" * 32),
        index.by_science("cd" * 32),
        index.by_name("x"),
        index.by_prefix(run.id[:4]),
    ):
        assert [row.id for row in rows] == [run.id]
    for rows in (
        index.page(phase="ERROR")[0],
        index.page(workflow="no")[0],
        index.page(tag="t3")[0],
        index.page(since="2999-01-01")[0],
        index.by_identity(""),
        index.by_identity("00"),
        index.by_name("y"),
        index.by_prefix("%"),
        index.by_prefix(""),
    ):
        assert rows == []
    finish(run)
    index.catch_up()
    assert index.page(tag="t1")[0][0].phase == "COMPLETED"
    store.remove(run)
    index.catch_up()
    assert index.page() == index.page(tag="t1") == ([], None)
    assert index.count() == 0


def test_pages(make: Maker, index: Index) -> None:
    ids = [
        make(created=f"2026-01-01T00:00:{n // 2:02}.000Z", tags=["t"] if n % 2 else []).id for n in range(25)
    ]
    index.catch_up()
    for filters in (
        {},
        {"tag": "t"},
        {"phase": "PENDING"},
        {"workflow": "toy", "phase": "PENDING", "since": "2026-01-01T00:00:03"},
    ):
        seen: list[tuple[str, str]] = []
        cursor = None
        while True:
            rows, cursor = index.page(limit=4, cursor=cursor, **filters)
            seen += [(row.created, row.id) for row in rows]
            if cursor is None:
                break
        assert seen == sorted(set(seen), reverse=True)
        assert len(seen) == (
            25 if len(filters) < 1 or filters == {"phase": "PENDING"} else 12 if "tag" in filters else 19
        )
    assert len({i for _, i in seen} - set(ids)) == 0
    for bad in (
        {"cursor": "x"},
        {"cursor": "zzz_zzz"},
        {"cursor": "2026-01-01T00:00:00Z_zzz"},
        {"limit": 0},
        {"phase": "TIRED"},
    ):
        with pytest.raises(UsageError):
            index.page(**bad)


def test_unknown_is_asked_for(make: Maker, index: Index, gone: Holder) -> None:
    lost = [make() for _ in range(3)]
    make()
    for run in lost:
        Lease.acquire(run)
        orphan(run, gone)
    index.catch_up()
    rows, cursor = index.page(phase="UNKNOWN", limit=2)
    more, end = index.page(phase="UNKNOWN", limit=2, cursor=cursor)
    assert {r.id for r in [*rows, *more]} == {r.id for r in lost}
    assert end is None
    assert {r.phase for r in index.live(index.page()[0])} == {"UNKNOWN", "PENDING"}


@pytest.mark.parametrize("damage", ["delete", "empty", "garbage", "middle", "version", "store", "tables"])
def test_it_makes_itself_anew(store: Store, make: Maker, path: Path, damage: str, tmp_path: Path) -> None:
    for _ in range(50):
        make(name="n" * 200)
    Index.open(store, path).close()
    if damage == "delete":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "garbage":
        path.write_bytes(os.urandom(50_000))
    elif damage == "middle":
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)
    elif damage == "version":
        sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.close()
    elif damage == "store":
        other = Store.open(tmp_path / "other", create=True)
        Maker(other)()
        Index.open(other, path).close()
    else:
        sqlite3.connect(path).executescript("DROP TABLE runs").connection.close()
    with Index.open(store, path) as index:
        assert shown(index) == truth(store)
        assert len(index.by_name("n" * 200)) == 50
        assert index.path in (path, None)
    with Index.open(store, path) as index:
        assert shown(index) == truth(store)


def test_a_crash_between_announcement_and_write_leaves_nothing_stale(
    store: Store, make: Maker, index: Index
) -> None:
    run = make()
    journal.announce(store.root / "journal", run.id, 2)
    assert index.catch_up() == 1
    assert shown(index)[run.id] == ("PENDING", 1)
    state = msgspec.structs.replace(run.state(), phase=Phase.QUEUED, rev=2)
    files.write_atomic(run.dir / "state.json", encode(state))
    assert index.catch_up() == 1, "nothing new in the journal, but it was unsettled"
    assert shown(index)[run.id] == ("QUEUED", 2)
    assert index.catch_up() == 0


def test_a_run_that_appears_after_its_announcement(store: Store, make: Maker, index: Index) -> None:
    run_id = store.new_id()
    journal.announce(store.root / "journal", run_id, 1)
    index.catch_up()
    assert index.page()[0] == []
    make(id=run_id)
    index.catch_up()
    assert [r.id for r in index.page()[0]] == [run_id]


def test_an_announced_run_that_never_appears_is_given_up(
    store: Store, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.announce(store.root / "journal", store.new_id(), 1)
    assert index.catch_up() == 1
    monkeypatch.setattr(cache_module, "GIVE_UP", -1.0)
    assert index.catch_up() == 1
    assert index.catch_up() == 0


def test_a_damaged_journal(store: Store, make: Maker, index: Index) -> None:
    first = make()
    segment = next((store.root / "journal").iterdir())
    with segment.open("ab") as file:
        file.write(b"\xff\x00garbage\n[]\n" + b'{"run":"../../../etc","rev":1,"at":0}\n' + b'{"run": "torn')
    index.catch_up()
    second = make()
    index.catch_up()
    assert set(shown(index)) == {first.id, second.id}
    reading = journal.read_segment(store.root / "journal", segment.stem)
    assert reading.garbage == 4
    with segment.open("ab") as file:
        file.write(b'{"run": "aa')
    assert journal.read_segment(store.root / "journal", segment.stem).offset == reading.offset


def test_late_writers_of_yesterday_are_seen(store: Store, make: Maker, index: Index) -> None:
    run = make()
    index.catch_up()
    yesterday = journal.segment_of(time.time() - 86_400)
    state = msgspec.structs.replace(run.state(), phase=Phase.QUEUED, rev=2)
    files.write_atomic(run.dir / "state.json", encode(state))
    files.append_line(
        store.root / "journal" / f"{yesterday}.jsonl",
        msgspec.json.encode(journal.Change(run=run.id, rev=2, at=time.time())),
    )
    index.catch_up()
    assert shown(index) == truth(store)


def test_a_folder_that_cannot_be_written(store: Store, make: Maker, tmp_path: Path) -> None:
    make()
    (tmp_path / "file").touch()
    with Index.open(store, tmp_path / "file" / "i.sqlite") as index:
        assert index.path is None
        assert shown(index) == truth(store)
        make()
        index.catch_up()
        assert shown(index) == truth(store)


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_cache_on_a_bad_disk(store: Store, make: Maker, tmp_path: Path, fault: str) -> None:
    disk = tmp_path / "disk"
    if not mounted(disk, "size=512k"):
        pytest.skip("needs root: mounts a small file system")
    try:
        if fault == "read-only":
            Index.open(store, disk / "i.sqlite").close()
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for _ in range(30):
            make(name="n" * 2000)
        with Index.open(store, disk / "i.sqlite") as index:
            assert shown(index) == truth(store)
            for _ in range(100):
                make(name="n" * 2000)
            index.catch_up()
            assert shown(index) == truth(store)
            assert index.path is None
    finally:
        unmount(disk)


@pytest.mark.parametrize("letters", [True, False], ids=["by triples of letters", "without"])
def test_names_that_hold_a_text_are_found(
    store: Store, make: Maker, index: Index, monkeypatch: pytest.MonkeyPatch, letters: bool
) -> None:
    if not letters:
        monkeypatch.setattr(cache_module, "LETTERS", "CREATE VIRTUAL TABLE letters USING nothing(name)")
        index.rebuild()
    runs = [
        make(name=name, tags=["odd"] * (n % 2))
        for n, name in enumerate(["Crab Nebula", "crab 50%_x", 'a "b" c', "Größe", "x" * 200])
    ]
    index.catch_up()

    def found(text: str, **more: Any) -> set[int]:
        return {
            n for n, run in enumerate(runs) if run.id in {row.id for row in index.page(name=text, **more)[0]}
        }

    assert (found("CRAB"), found("ra"), found("b neb"), found("50%_"), found("5_%")) == (
        {0, 1},
        {0, 1},
        {0},
        {1},
        set(),
    )
    assert (
        found('"b"'),
        found('" OR "crab'),
        found("Größe"),
        found("crab*"),
        found("öß"),
        found("a\0b"),
    ) == (
        {2},
        set(),
        {3},
        set(),
        {3},
        set(),
    )
    assert (found("crab", tag="odd"), found("crab", tag="even"), found("xxx", workflow="toy"), found("")) == (
        {1},
        set(),
        {4},
        {0, 1, 2, 3, 4},
    )
    pages, cursor = [], None
    while True:
        rows, cursor = index.page(name="a", limit=1, cursor=cursor)
        pages += [row.id for row in rows]
        if cursor is None:
            break
    assert pages == [row.id for row in index.page()[0] if "a" in (row.name or "").lower()], (
        "page by page, newest first"
    )


def test_a_name_that_is_gone_is_found_no_more(store: Store, make: Maker, index: Index) -> None:
    run = make(name="the first name")
    index.catch_up()
    names.replace(index._cache._db, run.id, {"another one": "2026-01-01T00:00:00.000Z"})
    assert [len(index.page(name=text)[0]) for text in ("first", "another")] == [0, 1]
    index._cache._forget(run.id)
    assert index.page(name="another")[0] == [] == index._cache.named_like("another", 50)


def test_looking_for_a_name_reads_neither_all_runs_nor_all_names(index: Index) -> None:
    """Neither of a rare text nor of one that all have: steps of the database's machine, for 30 times as many runs."""
    db = index._cache._db

    def steps(text: str) -> int:
        taken = [0]
        db.set_progress_handler(lambda: taken.__setitem__(0, taken[0] + 1), 10)
        index.page(name=text)
        db.set_progress_handler(None, 0)
        return taken[0] * 10

    used = {}
    for count in (100, 3000):
        db.execute("BEGIN")
        for n in range(count):
            values = Row(
                f"{n:016x}",
                1,
                "",
                "w",
                "1",
                "COMPLETED",
                f"2026-{n:06}",
                None,
                None,
                "me",
                "",
                None,
                "l",
                "s",
                "{}",
            )
            db.execute(cache_module._UPSERT, values)
            names.replace(index._cache._db, values.id, {f"night {n:06}": "2026"})
        db.execute("COMMIT")
        used[count] = [steps("night 000050"), steps("nobody"), steps("night")]
    assert all(large < 3 * small + 500 for small, large in zip(used[100], used[3000], strict=True)), used


def test_every_question_has_its_index(store: Store, make: Maker, index: Index) -> None:
    """No question scans or sorts all runs."""
    make()
    index.catch_up()
    asked: list[str] = []
    db = index._cache._db
    db.set_trace_callback(asked.append)
    for phase in (None, "ERROR"):
        for workflow in (None, "w"):
            for tag in (None, "t"):
                for owner in (None, "o"):
                    for since in (None, "2026"):
                        for cursor in (None, "2026-01-01T00:00:00.000Z_00112233445566aa"):
                            index.page(
                                phase=phase,
                                workflow=workflow,
                                tag=tag,
                                owner=owner,
                                since=since,
                                cursor=cursor,
                            )
    index.by_identity("a"), index.by_science("a"), index.by_name("a"), index.by_prefix("a")
    db.set_trace_callback(None)
    questions = [sql for sql in asked if any(f"FROM {table}" in sql for table in ("runs", "tags", "names"))]
    assert len(questions) == 68
    for sql in questions:
        plan = " | ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}"))
        assert "TEMP B-TREE" not in plan, (sql, plan)
        assert "SCAN" not in plan or "SCAN r USING INDEX by_created" in plan, (sql, plan)


def test_processes_share_it(store: Store, make: Maker, path: Path) -> None:
    for _ in range(20):
        make()
    followers = [program("follow", str(store.root), str(path)) for _ in range(4)]
    for _ in range(20):
        make()
    for follower in followers:
        told = follower.communicate(timeout=300)
        assert follower.returncode == 0, told
    with Index.open(store, path) as index:
        assert shown(index) == truth(store)
        assert index.path == path


def random_step(store: Store, make: Maker, owners: dict[str, Lease], chance: random.Random) -> None:
    runs = sorted(store.runs(), key=lambda r: r.id)
    run: Run | None = chance.choice(runs) if runs else None
    what = chance.choice(["make", "write", "write", "write", "crash", "remove"])
    if what == "make" or run is None:
        make(tags=[chance.choice("ab")])
        return
    state = run.state()
    if what == "remove":
        if state.phase in (Phase.COMPLETED, Phase.ERROR):
            owners.pop(run.id).release()
            store.remove(run)
        return
    if run.id not in owners:
        owners[run.id] = Lease.acquire(run)
    following = {Phase.PENDING: Phase.QUEUED, Phase.QUEUED: Phase.EXECUTING, Phase.ERROR: Phase.QUEUED}
    new = following.get(state.phase) or chance.choice([Phase.EXECUTING, Phase.COMPLETED, Phase.ERROR])
    if state.phase is Phase.COMPLETED:
        return
    if what == "crash":
        journal.announce(store.root / "journal", run.id, state.rev + 1)
        return
    run.write_state(State(phase=new), owners[run.id])


@given(st.integers(0, 10**9))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_equals_the_truth_after_any_history(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("history")
    chance = random.Random(seed)
    store = Store.open(folder / "store", create=True)
    make = Maker(store)
    owners: dict[str, Lease] = {}
    index = Index.open(store, folder / "i.sqlite")
    try:
        for _ in range(25):
            random_step(store, make, owners, chance)
            if chance.random() < 0.2:
                index.catch_up()
            if chance.random() < 0.05:
                index.close()
                index = Index.open(store, folder / "i.sqlite")
        index.catch_up()
        expected = truth(store)
        # mere progress is announced every few seconds only: phases are exact, revisions of runs at work may lag
        assert {i: p for i, (p, _) in shown(index).items()} == {i: p for i, (p, _) in expected.items()}
        tagged = {t: {r.id for r in index.page(tag=t, limit=1000)[0]} for t in "ab"}
        assert tagged == {t: {r.id for r in store.runs() if t in r.record().tags} for t in "ab"}
        index.rebuild()
        assert shown(index) == expected
    finally:
        index.close()


def test_a_host_whose_clock_is_wrong_hides_nothing(
    store: Store, make: Maker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for day in range(10, 0, -1):
        monkeypatch.setattr(time, "time", lambda day=day: now - day * 86_400)
        make()
    monkeypatch.undo()
    with Index.open(store, path) as index:
        assert index.count() == 10
        for wrong in (-9.5, -400, 300):  # into a segment that is there, an older and a newer one
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda wrong=wrong: now + wrong * 86_400)
                run = make()
                finish(run)
            index.catch_up()
            assert shown(index) == truth(store)
            right = make()
            finish(right, Phase.ERROR)
            index.catch_up()
            assert shown(index) == truth(store)
    with Index.open(store, path) as index:
        assert shown(index) == truth(store)


def test_a_run_announced_by_a_wrong_clock_is_waited_for(
    store: Store, make: Maker, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = store.new_id()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 1_000_000_000.0)
        journal.announce(store.root / "journal", run_id, 1)
    index.catch_up()
    with monkeypatch.context() as patch:
        patch.setattr(journal, "announce", lambda *_, **__: None)
        make(id=run_id)
    index.catch_up()
    assert run_id in shown(index)


def produce(store: Store, run: str, science: str = "aa") -> None:
    store.record(
        "toy",
        {
            "schema_version": 1,
            "run": run,
            "science": science,
            "owner": "me",
            "created": f"2026-{run}",
            "outputs": [],
        },
    )


def test_the_record_of_productions_is_followed(
    store: Store, index: Index, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(index: Index, science: str = "aa") -> list[str]:
        return [p.run for p in index.by_production("toy", science)]

    record = store.root / "records" / "toy.jsonl"
    assert found(index) == []
    produce(store, "1")
    produce(store, "2", "bb")
    assert (found(index), found(index, "bb"), index.by_production("other", "aa")) == (["1"], ["2"], [])
    with record.open("ab") as file:
        file.write(b'\xff\x00 garbage\n[1, 2]\n{"run": 7}\n{"run": "8", "scie')
    assert found(index) == ["1"]
    produce(store, "3")  # after the torn line
    produce(store, "3")  # twice: its supervisor died between the line and its mark
    assert found(index) == ["3", "1"]
    with Index.open(store, path) as other:
        assert found(other) == ["3", "1"]
    index.rebuild()
    assert found(index) == ["3", "1"]
    whole = record.read_bytes()
    record.write_bytes(whole[: whole.index(b"\n") + 1])
    assert found(index) == ["1"], "restored from a backup"
    record.write_bytes(whole)
    assert found(index) == ["3", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(productions, "follow", None)  # what was read is not read again
        assert found(index, "bb") == ["2"]


def test_a_production_is_entered_once_without_reading_the_record(
    store: Store, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(science="aa")
    digest = SimpleNamespace(science="aa", identity="bb", science_values={})
    image = SimpleNamespace(image="toy:1", digest="sha256:cc")
    plan: Any = SimpleNamespace(
        digest=digest,
        workflow="toy",
        version="1",
        parameters={"kind": "wide", "bins": 12},
        selected={"telescopes": 13},
        code="dd",
        inputs={"db": [SimpleNamespace(checksum="sha256:ee")]},
        reference="https://example.org/toy@1",
        engine=SimpleNamespace(name="snakemake", version="9.1"),
        software=SimpleNamespace(route="python", bin_dirs=["/cache/environments/ff/bin"], containers=[image]),
    )
    outputs: Any = SimpleNamespace(accepted="", outputs=[])
    record = store.root / "records" / "toy.jsonl"
    for n in range(3):
        esap_wf.running.productions.enter(run, plan, outputs)
        if n == 1:  # as if the supervisor had died before its mark
            (run.dir / ".recorded").unlink()
    assert record.read_bytes().count(b"\n") == 1
    assert (run.dir / ".recorded").exists()
    monkeypatch.setattr(productions, "TAIL", 0)
    (run.dir / ".recorded").unlink()
    esap_wf.running.productions.enter(run, plan, outputs)
    assert record.read_bytes().count(b"\n") == 2
    (entry,) = store.records("toy")
    assert entry["run"] == run.id, "readers take one a run"
    # enough to make it again when the run is gone
    assert {
        "parameters": plan.parameters,
        "selected": plan.selected,
        "code": "dd",
        "reference": plan.reference,
    }.items() <= entry.items()
    assert entry["engine"] == "snakemake 9.1" and entry["inputs"] == {"db": ["sha256:ee"]}
    assert entry["software"] == {"route": "python", "environments": ["ff"], "images": {"toy:1": "sha256:cc"}}
    assert entry["cpu"] == run.record().cpu and entry["esap_wf"]
