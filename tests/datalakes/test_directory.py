"""A folder as a data lake: what is asked of every lake, and what is its own."""

from __future__ import annotations

import io
import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from esap_wf.config import Config
from esap_wf.datalakes import Did, Lake, LakeOutageError, LakeProfile, NoEntryError, lake, names
from esap_wf.datalakes.directory import Rse, Settings
from esap_wf.datalakes.directory.lake import DirectoryLake
from esap_wf.errors import UsageError
from esap_wf.models.data import Content, Tier
from esap_wf.testing import LakeSuite

RSES = {"disk": Rse(), "tape": Rse(tier=Tier.COLD, recall=0.3)}


@pytest.fixture
def profile(tmp_path: Path) -> LakeProfile:
    settings = Settings(folder="lake", rses=RSES, account="alice")
    return LakeProfile(name="here", kind="directory", settings=settings, folder=tmp_path)


def by(profile: LakeProfile, account: str) -> DirectoryLake:
    settings = msgspec.structs.replace(profile.settings, account=account)
    return DirectoryLake(replace(profile, settings=settings))


class TestAsEveryLake(LakeSuite):
    patience = 5.0

    @pytest.fixture
    def lake(self, profile: LakeProfile) -> Lake:
        return by(profile, "alice")

    @pytest.fixture
    def scope(self) -> str:
        return "cta"

    @pytest.fixture
    def other(self, profile: LakeProfile) -> Lake:
        return by(profile, "bob")

    @pytest.fixture
    def embargoed(self, profile: LakeProfile) -> str:
        by(profile, "alice").allow("cta.private", [], [])
        return "cta.private"

    @pytest.fixture
    def cold(self) -> str:
        return "tape"


class Clock:
    """Time that goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(profile: LakeProfile, clock: Clock) -> DirectoryLake:
    return DirectoryLake(profile, clock)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    return path


DID = Did("cta", "events.fits")


def test_what_is_kept_for_a_time_is_gone_after_it(timed: DirectoryLake, clock: Clock, file: Path) -> None:
    timed.store(file, DID, seconds=60)
    copy = timed.local(DID)
    assert copy is not None
    clock.now += 59
    assert timed.describe([DID])
    clock.now += 2
    assert not timed.describe([DID])
    with pytest.raises(NoEntryError):
        timed.local(DID)
    timed.store(file, Did("cta", "another"))
    assert not copy.exists(), "who stores clears what is over"


def test_storing_again_prolongs_and_never_shortens(timed: DirectoryLake, clock: Clock, file: Path) -> None:
    timed.store(file, DID, seconds=60)
    timed.store(file, DID, seconds=10)
    clock.now += 50
    assert timed.describe([DID])
    timed.store(file, DID)
    clock.now += 1e9
    assert timed.describe([DID])


def test_a_recalled_copy_is_hot_for_as_long_as_it_was_asked_for(
    timed: DirectoryLake, clock: Clock, file: Path
) -> None:
    timed.store(file, DID, rse="tape")
    assert timed.recall([DID], 100).waiting == [DID]
    assert timed.replicas([DID])[DID][0].seconds == pytest.approx(1.0)
    clock.now += 1.5
    assert timed.recall([DID], 100).ready == [DID]
    assert [(r.rse, r.ready) for r in timed.replicas([DID])[DID]] == [("disk", True), ("tape", False)]
    clock.now += 101
    assert [(r.rse, r.ready) for r in timed.replicas([DID])[DID]] == [("tape", False)]
    assert timed.recall([DID], 100).waiting == [DID]


def test_a_copy_that_was_removed_behind_the_catalogue_is_an_outage_that_says_so(
    timed: DirectoryLake, file: Path
) -> None:
    timed.store(file, DID)
    copy = timed.local(DID)
    assert copy is not None
    copy.unlink()
    with pytest.raises(LakeOutageError, match=r"events\.fits"):
        list(timed.fetch(DID, io.BytesIO()))
    timed.store(file, DID)
    assert timed.local(DID), "stored again, the same bytes are there again"


def test_what_was_left_by_a_killed_writer_is_not_taken_for_the_file(
    timed: DirectoryLake, file: Path, tmp_path: Path
) -> None:
    timed.store(file, Did("cta", "first"))
    left = DirectoryLake(timed.profile)._view.storage.place("disk", DID)
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of somebody who died")
    timed.store(file, DID)
    target = io.BytesIO()
    list(timed.fetch(DID, target))
    assert target.getvalue() == b"some bytes"
    assert not any((tmp_path / "lake" / "incoming").iterdir())


def test_a_store_that_fails_leaves_nothing(
    timed: DirectoryLake, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    timed.store(file, Did("cta", "first"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="space"):
        timed.store(file, DID)
    assert not timed.describe([DID])
    assert not any((tmp_path / "lake" / "incoming").iterdir())


def test_two_who_store_one_name_at_once_have_stored_one_file(profile: LakeProfile, file: Path) -> None:
    wrong: list[Exception] = []

    def store() -> None:
        try:
            DirectoryLake(profile).store(file, DID)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=store) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(list(DirectoryLake(profile).find("cta"))) == 1


def test_a_broken_catalogue_is_an_outage(timed: DirectoryLake, file: Path, tmp_path: Path) -> None:
    timed.store(file, DID)
    (tmp_path / "lake" / "catalogue.sqlite").write_bytes(b"no database, certainly" * 100)
    with pytest.raises(LakeOutageError, match="here"):
        DirectoryLake(timed.profile).describe([DID])


def test_a_catalogue_of_a_later_version_is_left_alone(
    timed: DirectoryLake, file: Path, tmp_path: Path
) -> None:
    timed.store(file, DID)
    with sqlite3.connect(tmp_path / "lake" / "catalogue.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LakeOutageError, match="99"):
        DirectoryLake(timed.profile).describe([DID])
    with pytest.raises(LakeOutageError, match="99"):
        DirectoryLake(timed.profile).store(file, Did("cta", "other"))


def test_a_container_does_not_hold_itself(timed: DirectoryLake) -> None:
    inner, outer = Did("cta", "inner"), Did("cta", "outer")
    timed.register(inner, Content.CONTAINER)
    timed.register(outer, Content.CONTAINER, [inner])
    for whole, part in ((inner, outer), (inner, inner)):
        with pytest.raises(UsageError, match="hold itself"):
            timed.register(whole, Content.CONTAINER, [part])


def test_a_file_that_is_not_there_is_not_stored(timed: DirectoryLake, tmp_path: Path) -> None:
    for wrong in (tmp_path / "missing", tmp_path):
        with pytest.raises(UsageError, match="no such file"):
            timed.store(wrong, DID)
    assert not (tmp_path / "lake").exists()


def test_nothing_is_made_by_looking(timed: DirectoryLake, tmp_path: Path) -> None:
    assert list(timed.find("cta")) == []
    assert timed.describe([DID]) == {}
    assert not (tmp_path / "lake").exists()


def test_every_store_has_a_lake(tmp_path: Path, file: Path) -> None:
    config = Config(store=tmp_path / "store", cache=tmp_path / "cache", source=tmp_path / "config.toml")
    assert names(config) == ["local"]
    lake(config, "local").store(file, DID)
    assert lake(config, "local").describe([DID])
    assert (tmp_path / "store" / "lake").is_dir()


@pytest.mark.parametrize(
    ("tables", "wanted", "said"),
    [
        ({}, "locale", "did you mean local"),
        ({"x": {"folder": "/x"}}, "x", "kind is missing"),
        ({"x": {"kind": "directori", "folder": "/x"}}, "x", "directory"),
        ({"x": {"kind": "directory"}}, "x", "folder"),
        ({"x": {"kind": "directory", "folder": "/x", "foldr": 1}}, "x", "foldr"),
        ({"x": {"kind": "directory", "folder": "/x", "account": "a b"}}, "x", "account"),
    ],
)
def test_a_lake_that_is_configured_wrongly_says_what_and_where(
    tmp_path: Path, tables: dict[str, dict[str, object]], wanted: str, said: str
) -> None:
    config = Config(store=tmp_path, cache=tmp_path, source=tmp_path / "config.toml", datalakes=tables)
    with pytest.raises(UsageError) as error:
        lake(config, wanted)
    assert said in str(error.value)
