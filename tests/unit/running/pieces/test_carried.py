"""What shards of a lost attempt had finished."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from esap_wf.models.plan import Sharding
from esap_wf.running.pieces import bringing, carried

SHARDING = Sharding(step="unit", job="unit_shard", size=2, shards=2)


@pytest.fixture
def pulled(tmp_path: Path) -> Path:
    made = tmp_path / "1" / "run"
    (made / "work/shards/unit").mkdir(parents=True)
    (made / "outputs").mkdir()
    (made / "logs").mkdir()
    return made


def journal(pulled: Path, name: str, *lines: dict[str, Any], root: str | None = None) -> None:
    begin = {"kind": "begin", "root": str(pulled) if root is None else root}
    text = "".join(json.dumps(line) + "\n" for line in (begin, *lines))
    (pulled / f"work/shards/unit/{name}.jsonl").write_text(text)


def done(pulled: Path, unit: str, content: bytes | None = None, path: str = "") -> dict[str, Any]:
    """A line of a unit that is done, and its result."""
    text = unit.encode()
    place = path or f"outputs/{unit}.dat"
    if content != b"":
        (pulled / place).write_bytes(text if content is None else content)
    (pulled / f"logs/{unit}.log").write_text("said")
    digest = hashlib.sha256(text).hexdigest()
    return {"kind": "done", "unit": unit, "results": [[place, len(text), digest]], "log": f"logs/{unit}.log"}


FIRST, SECOND = "0000001-0000002.1", "0000001-0000002.2"


def test_journals_and_what_is_done_go_along(pulled: Path) -> None:
    journal(pulled, FIRST, done(pulled, "u1"), {"kind": "start", "unit": "u2"})
    (pulled / "outputs/u2.dat").write_text("half")
    assert set(carried.finished(pulled, SHARDING)) == {
        *(f"work/shards/unit/{FIRST}.jsonl", "outputs/u1.dat", "logs/u1.log")
    }


@pytest.mark.parametrize("content", [b"", b"half a", b"U1"], ids=["missing", "longer", "changed"])
def test_a_result_that_is_not_as_its_journal_says_is_done_again(pulled: Path, content: bytes) -> None:
    journal(pulled, FIRST, done(pulled, "u1", content), done(pulled, "u2"))
    found = carried.finished(pulled, SHARDING)
    assert "outputs/u1.dat" not in found
    assert "outputs/u2.dat" in found


def test_a_unit_that_was_begun_again_is_not_done(pulled: Path) -> None:
    journal(pulled, FIRST, done(pulled, "u1"), {"kind": "start", "unit": "u1"})
    assert "outputs/u1.dat" not in carried.finished(pulled, SHARDING)


@pytest.mark.parametrize("root", ["", "relative", "/", "/etc", "/somewhere/else"])
def test_a_journal_that_names_files_elsewhere_carries_none(pulled: Path, root: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("u1")
    lines = [done(pulled, "u1"), {**done(pulled, "u2"), "results": [["../../secret", 2, "0" * 64]]}]
    journal(pulled, FIRST, *lines, root=root)
    assert set(carried.finished(pulled, SHARDING)) == {f"work/shards/unit/{FIRST}.jsonl"}


def test_a_torn_or_hostile_journal_carries_what_can_be_read(pulled: Path) -> None:
    journal(pulled, FIRST, done(pulled, "u1"))
    path = pulled / f"work/shards/unit/{FIRST}.jsonl"
    path.write_bytes(path.read_bytes() + b'[1]\n{"kind":"done","results":7}\n{"kind": "done", "uni')
    assert "outputs/u1.dat" in carried.finished(pulled, SHARDING)


def test_without_shards_nothing_is_carried(pulled: Path) -> None:
    journal(pulled, FIRST, done(pulled, "u1"))
    assert carried.finished(pulled, Sharding()) == {}
    assert carried.folders(Sharding()) == []


def test_what_was_given_is_the_attempts_own_although_it_did_not_change_there(
    pulled: Path, tmp_path: Path
) -> None:
    journal(pulled, FIRST, done(pulled, "u1"))
    finished = carried.finished(pulled, SHARDING)
    attempt = tmp_path / "2"
    sent, back = attempt / "sent/run", attempt / "run"
    for name, source in finished.items():
        (sent / name).parent.mkdir(parents=True, exist_ok=True)
        (sent / name).symlink_to(source)
    (back / "outputs").mkdir(parents=True)
    (back / "outputs/u2.dat").write_text("u2")
    carried.keep(attempt, finished)
    given = carried.names(attempt)
    carried.complete(back, sent, given)
    made = bringing.made(back, sent, lambda: None, given)
    assert set(made) == {"outputs/u1.dat", "outputs/u2.dat", "logs/u1.log"}
    assert not (back / "outputs/u1.dat").is_symlink()
    assert carried.names(tmp_path) == frozenset()
