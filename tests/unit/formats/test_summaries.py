"""Plans, states and results say in a line what a scientist asks, and as HTML nothing of theirs is more than text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.workflows import write_workflow

import esap_wf
from esap_wf.api.display import _Shown
from esap_wf.api.result import Result
from esap_wf.api.tables import Runs, RunSummary
from esap_wf.formats.summaries import page
from esap_wf.models.plan import Plan
from esap_wf.models.run import Failure, OutputFile, Phase, Progress, State, Step

HOSTILE = "<script>alert('x')</script>\"><img src=http://example.org/x.png onerror=alert(1)>\u202e&"
ALLOWED = {"table", "tr", "td", "th", "p", "div", "progress"}


class _Tags(HTMLParser):
    """Fails on any element or attribute that is not this project's own."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        assert all(name in {"style", "max", "value"} for name, _ in attrs), attrs


def harmless(text: str) -> str:
    parser = _Tags()
    parser.feed(text)
    parser.close()
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text, "the value itself is shown"
    assert len(text) < 50_000
    return text


@pytest.fixture
def plan(place: Any) -> Plan:
    folder = write_workflow(place.root / "toy", {"word": {"type": "string", "title": "Word", "default": "x"}})
    return esap_wf.plan(str(folder), {"word": "<b>"})


def test_a_plan_is_one_line(plan: Plan) -> None:
    text = repr(
        msgspec.structs.replace(
            plan, units=4, estimate=msgspec.structs.replace(plan.estimate, core_hours=0.02, wall_seconds=40)
        )
    )
    assert text.startswith("<Plan toy: 4 units, 0.02 core-hours, about 40 s on local, runs with snakemake ")
    assert "\n" not in text
    assert "less than 0.01 core-hours" in repr(
        msgspec.structs.replace(plan, estimate=msgspec.structs.replace(plan.estimate, core_hours=1e-6))
    )
    assert "2 warnings" in repr(msgspec.structs.replace(plan, warnings=["a", "b"]))


def test_a_state_says_how_far_it_is_and_what_failed_first() -> None:
    assert repr(
        State(phase=Phase.EXECUTING, progress=Progress(units_total=8, units_done=3, jobs_running=2))
    ) == ("<State EXECUTING: 3/8 units, 2 running>")
    assert "1/1 unit, 2 running" in repr(
        State(phase=Phase.EXECUTING, progress=Progress(units_total=1, units_done=1, jobs_running=2))
    )
    failed = State(
        phase=Phase.ERROR,
        failures=[Failure(step="fit", unit="3", detail="no\x1b[31m convergence")],
        reason="1 failed",
    )
    assert repr(failed) == "<State ERROR: 0/0 units; fit 3 failed: no\\x1b[31m convergence>"


def test_outputs_runs_and_results_are_short(tmp_path: Path) -> None:
    output = OutputFile(
        name="irf",
        path="outputs/irf.fits.gz",
        bytes=1_200_000,
        sha256="0" * 64,
        media_type="application/fits",
    )
    assert repr(output) == "<OutputFile irf: outputs/irf.fits.gz, 1.2 MB>"
    run = RunSummary(
        "ab" * 8,
        "mine",
        "irf",
        Phase.COMPLETED,
        "2026-11-26T10:00:00Z",
        None,
        None,
        Progress(),
        "ada",
        tmp_path,
    )
    assert repr(run) == f"<Run {'ab' * 8} (mine): irf COMPLETED, 0/0 units, created 2026-11-26T10:00:00Z>"
    assert repr(Runs([run])).splitlines()[1].split()[:4] == ["ab" * 8, "COMPLETED", "irf", "mine"]
    assert repr(Runs([])) == "[]"
    assert (
        repr(Result("ab" * 8, tmp_path, Phase.COMPLETED, True))
        == f"<Result {'ab' * 8}: COMPLETED, of an identical run, in {tmp_path}>"
    )


def test_html_of_hostile_values_is_text(plan: Plan, tmp_path: Path) -> None:
    harmless(
        msgspec.structs.replace(
            plan, parameters={HOSTILE: HOSTILE}, title=HOSTILE, warnings=[HOSTILE]
        )._repr_html_()
    )
    run = RunSummary(
        "ab" * 8,
        HOSTILE,
        HOSTILE,
        Phase.ERROR,
        "2026-11-26T10:00:00Z",
        None,
        None,
        Progress(),
        HOSTILE,
        tmp_path,
    )
    harmless(Runs([run] * 60)._repr_html_())
    harmless(
        Result(
            "ab" * 8, tmp_path / HOSTILE.replace("/", "|") / "a" / "b", Phase.ERROR, False, (HOSTILE,)
        )._repr_html_()
    )
    state = State(
        phase=Phase.EXECUTING,
        reason=HOSTILE,
        steps=[Step(name=HOSTILE)],
        failures=[Failure(step=HOSTILE, detail=HOSTILE)],
    )
    harmless(_Shown(HOSTILE, state)._repr_html_())
    assert "and 10 more" in page([("x",)] * 60, ("h",))
