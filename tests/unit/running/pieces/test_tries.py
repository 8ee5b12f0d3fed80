"""How often a slice is tried again, by how its attempts were lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from esap_wf.models.run import Reason, now
from esap_wf.running.pieces.slices import KILLS, LOSSES, Slice, Slices
from esap_wf.runs.pieces import Attempt, AttemptEnd, Pieces
from esap_wf.runs.store import Store


@pytest.mark.parametrize(("kind", "most"), [(Reason.NODE_FAIL, LOSSES), ("", LOSSES), (Reason.SIGNAL, KILLS)])
def test_what_was_killed_by_nobody_knows_whom_is_tried_once_more_only(
    kind: str, most: int, tmp_path: Path
) -> None:
    pieces = Pieces(tmp_path / "run", Store.open(tmp_path / "store", create=True))
    pieces.run.mkdir()
    slices: Any = object.__new__(Slices)
    slices.owner, slices.pieces = SimpleNamespace(run=SimpleNamespace(id="r")), pieces
    one = Slice("1")
    tried = 0
    while one.failed is None:
        tried += 1
        one.attempt = Attempt(key=f"r.1.1.{tried}", slice="1", attempt=tried, plan="p", started=now())
        assert pieces.begin(one.attempt)
        slices.lost(one, AttemptEnd(lost=True, kind=kind))
    assert tried == most + 1
