"""How a piece that is a job is said to be, when Slurm has ended it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from esap_wf.backends import Condition, NeedsPersonError, OutageError, Part, Piece, Profile
from esap_wf.backends.launcher import BatchJob
from esap_wf.backends.slurm import questions
from esap_wf.backends.slurm.there import ThereLauncher
from esap_wf.testing.pieces import NEEDS

KEY = "0123456789abcdef.1.whole.1"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ThereLauncher:
    """A piece was submitted, and has begun as job 7; Slurm has nothing in its queue."""
    (tmp_path / "bundle").mkdir()
    # where links lead, a folder may be called anything
    (tmp_path / "it's a $(place)").mkdir()
    (tmp_path / "place").symlink_to("it's a $(place)")
    settings = {"way": "there", "folder": str(tmp_path / "place"), "latency": 1}
    made = ThereLauncher(Profile(name="cluster", kind="slurm", settings=settings), tmp_path / "cache")
    made.sandboxes.make(Piece(KEY, tmp_path / "bundle", ("true",), NEEDS), [], {}, "")
    box = made.sandboxes.of(KEY)
    box.keep_job("7")
    (box.path / "started").mkdir()
    (box.path / "started/by").write_text("7 n1\n")
    (box.path / "missed").touch()
    os.utime(box.path / "missed", (0, 0))
    monkeypatch.setattr(questions, "active", lambda _: [])
    return made


@pytest.mark.parametrize(
    ("state", "condition", "kind"),
    [
        ("TIMEOUT", Condition.ENDED, "TIMEOUT"),
        ("OUT_OF_MEMORY", Condition.ENDED, "OUT_OF_MEMORY"),
        ("NODE_FAIL", Condition.GONE, "NODE_FAIL"),
        ("BOOT_FAIL", Condition.GONE, "BOOT_FAIL"),
        ("PREEMPTED", Condition.GONE, "PREEMPTED"),
        ("DEADLINE", Condition.GONE, "PLACE"),
        ("CANCELLED", Condition.GONE, "CANCELLED"),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_what_slurm_has_ended_says_why_whether_its_engine_told_its_end_or_not(
    there: ThereLauncher,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    condition: Condition,
    kind: str,
    told: bool,
) -> None:
    job = BatchJob("7", f"ewf-{KEY}", condition, state, reason="why", node="n1", signal=9)
    monkeypatch.setattr(questions, "known", lambda *_: {"7": job})
    if told:
        over = there.sandboxes.of(KEY).path / "over"
        over.mkdir()
        (over / "exit").write_text("143 10.0 12.5 n1 0m1.0s 0m0.5s\n")
    seen = there.look({KEY: None})[KEY]
    assert (seen.condition, seen.kind) == (Condition.ENDED if told else condition, kind)
    assert seen.exit_code == (143 if told else None)
    assert "why" in seen.reason
    # Slurm forgets it
    monkeypatch.setattr(questions, "known", lambda *_: {})
    assert there.look({KEY: None})[KEY] == seen


@pytest.mark.parametrize("error", [OutageError("it is away"), NeedsPersonError("it refuses you")])
def test_what_a_sandbox_tells_is_known_although_nobody_can_be_asked_for_others(
    there: ThereLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(_: object) -> list[BatchJob]:
        raise error

    other = KEY.replace(".whole.", ".other.")
    there.sandboxes.make(Piece(other, tmp_path / "bundle", ("true",), NEEDS), [], {}, "")
    over = there.sandboxes.of(other).path / "over"
    over.mkdir()
    (over / "exit").write_text("0 10.0 12.5 n1 0m1.0s 0m0.5s\n")
    monkeypatch.setattr(questions, "active", refuse)
    seen = there.look({KEY: None, other: None})
    assert (seen[other].condition, seen[other].exit_code) == (Condition.ENDED, 0)
    assert seen[KEY].condition is Condition.UNKNOWN
    assert str(error) in seen[KEY].reason


def test_an_end_is_awaited_by_the_clock_of_who_writes_it(
    there: ThereLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = BatchJob("7", f"ewf-{KEY}", Condition.ENDED, "COMPLETED", node="n1")
    monkeypatch.setattr(questions, "known", lambda *_: {"7": job})
    (there.sandboxes.of(KEY).path / "missed").unlink()
    # a file server whose clock is an hour behind this machine's
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert there.look({KEY: None})[KEY].condition is Condition.RUNNING


def test_the_job_finds_its_folder_whatever_that_is_called(there: ThereLauncher, tmp_path: Path) -> None:
    script = there.script(Piece(KEY, tmp_path / "bundle", ("true",), NEEDS))
    first = next(line for line in script.splitlines() if line.startswith("dir="))
    said = subprocess.run(
        ["bash", "-c", f'{first}; printf %s "$dir"'], capture_output=True, text=True, check=True
    )
    assert said.stdout == str(there.sandboxes.of(KEY).path)


def test_links_that_lead_out_of_a_piece_are_not_followed(there: ThereLauncher, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("hush")
    box = there.sandboxes.of(KEY)
    made = box.root / "outputs"
    made.mkdir()
    (made / "good").write_text("good")
    (made / "again").symlink_to("good")
    (made / "key").symlink_to(tmp_path / "secret/key")
    (made / "folder").symlink_to(tmp_path / "secret")
    (box.root / "logs").rmdir()
    (box.root / "logs").symlink_to(tmp_path / "secret")
    work = box.root / "work/a/b"
    work.mkdir(parents=True)
    (work / ".command.log").symlink_to(tmp_path / "secret/key")
    (work / "one.jsonl").symlink_to(tmp_path / "secret/key")
    wanted = ("outputs", "work/a/b/*.jsonl", "outputs/key", "outputs/folder")
    for part in (Part.RESULTS, Part.RECORD):
        there.pull(KEY, None, tmp_path / "home", part, wanted)
    found = {p.relative_to(tmp_path / "home") for p in (tmp_path / "home").rglob("*") if p.is_file()}
    assert found == {Path("outputs/good"), Path("outputs/again")}
    assert (tmp_path / "home/outputs/again").read_text() == "good"
