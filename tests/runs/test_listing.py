"""`esap-wf list`: what it shows of runs whose owners are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from esap_wf.models.run import Phase, State
from esap_wf.runs.lease import Lease
from esap_wf.runs.processes import Holder
from esap_wf.runs.store import Store

from .conftest import Maker
from .test_store import orphan


def test_a_phase_is_that_of_now(place: Any, inside: Callable[..., Any], gone: Holder) -> None:
    make = Maker(Store.open(place.store, create=True))
    lost: list[str] = []
    working: list[str] = []
    for n in range(9):
        run = make(created=f"2026-01-0{n + 1}T00:00:00.000Z")
        owner = Lease.acquire(run)
        for phase in (Phase.QUEUED, Phase.EXECUTING):
            run.write_state(State(phase=phase), owner)
        if n % 3:
            orphan(run, gone)
        (lost if n % 3 else working).append(run.id)
    for asked, expected in (("executing", working), ("UNKNOWN", lost)):
        for limit in (1, 2, 50):
            found: list[str] = []
            cursor: list[str] = []
            while True:
                answer = inside("list", "--phase", asked, "--limit", limit, *cursor, "--json").json
                assert {r["phase"] for r in answer["runs"]} <= {asked.upper()}
                assert len(answer["runs"]) == limit or answer["next"] is None
                found += [r["run"] for r in answer["runs"]]
                if answer["next"] is None:
                    break
                cursor = ["--cursor", answer["next"]]
            assert found == expected[::-1], (asked, limit)


def test_a_broken_cursor_is_refused(place: Any, inside: Callable[..., Any]) -> None:
    Maker(Store.open(place.store, create=True))()
    for cursor in ("zzz_zzz", "x", "_", "2026-01-01T00:00:00.000Z_"):
        answer = inside("list", "--cursor", cursor, "--json")
        assert answer.code == 2
        assert "is not a cursor" in answer.json["error"]["message"]
