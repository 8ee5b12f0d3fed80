"""How a piece that is a job is said to be, when Slurm has ended it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from esap_wf.backends import Condition, Piece, Profile
from esap_wf.backends.launcher import BatchJob
from esap_wf.backends.slurm import questions
from esap_wf.backends.slurm.there import ThereLauncher
from esap_wf.testing.pieces import NEEDS

KEY = "0123456789abcdef.1.whole.1"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ThereLauncher:
    """A piece was submitted, and has begun as job 7; Slurm has nothing in its queue."""
    (tmp_path / "place").mkdir()
    (tmp_path / "bundle").mkdir()
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
