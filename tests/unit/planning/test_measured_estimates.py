"""What earlier runs used corrects the next estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.models.plan import Estimate
from esap_wf.planning import resources
from esap_wf.runs import measurements
from esap_wf.runs.measurements import Measurement


def run(cpu: float, model: float, units: int = 1, memory: int = 10**6, name: str = "a") -> Measurement:
    return Measurement(
        run=name,
        version="1.0.0",
        engine="snakemake",
        units=units,
        input_bytes=0,
        cpu_seconds=cpu,
        memory_bytes=memory,
        wall_seconds=cpu,
        core_seconds=model,
    )


def model(core: float, wall: float = 0.0, memory: int = 0) -> Estimate:
    return Estimate(
        core_hours=core / 3600,
        memory_bytes=memory,
        disk_bytes=0,
        wall_seconds=wall,
        model_core_hours=core / 3600,
    )


def seconds(estimate: Estimate) -> float:
    return estimate.core_hours * 3600


def test_without_earlier_runs_the_model_stands() -> None:
    assert resources.corrected(model(100), [], 4, 2) == model(100)


def test_a_fixed_cost_and_a_slope_are_found_from_runs_of_two_sizes() -> None:
    earlier = [run(3 + 2 * m, m) for m in (10.0, 50.0, 100.0)]
    assert seconds(resources.corrected(model(1000), earlier, 1, 1)) == pytest.approx(2003, abs=0.1)


def test_small_work_gets_the_engines_own_cost_added_and_large_work_is_scaled() -> None:
    assert seconds(resources.corrected(model(1000), [run(1.6, 0.6)], 1, 1)) == pytest.approx(1001, abs=0.1)
    assert seconds(resources.corrected(model(1000), [run(300, 200)], 1, 1)) == pytest.approx(1500, abs=0.1)


def test_without_a_model_cost_grows_with_the_units() -> None:
    found = resources.corrected(model(0), [run(20, 0, units=10)], 40, 4)
    assert seconds(found) == pytest.approx(80, abs=0.1)
    assert found.wall_seconds == pytest.approx(20, abs=0.1)
    assert found.measured_runs == 1


def test_memory_is_at_least_what_was_seen() -> None:
    assert resources.corrected(model(1, memory=5), [run(1, 1, memory=7)], 1, 1).memory_bytes == 7
    assert resources.corrected(model(1, memory=9), [run(1, 1, memory=7)], 1, 1).memory_bytes == 9


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 10**6)), max_size=10),
    st.floats(0, 1e6),
)
def test_no_history_makes_an_estimate_that_is_none(
    history: list[tuple[float, float, int]], core: float
) -> None:
    found = resources.corrected(model(core), [run(c, m, u) for c, m, u in history], 3, 2)
    assert 0 <= seconds(found) < 1e13
    assert 0 <= found.wall_seconds < 1e13


def test_the_record_keeps_the_last_runs_each_once_and_survives_garbage(tmp_path: Path) -> None:
    for n in range(30):
        measurements.append(tmp_path, "w", run(n, n, name=str(n)))
    measurements.append(tmp_path, "w", run(99, 1, name="29"))
    with (tmp_path / "w.measured").open("ab") as f:
        f.write(b"\xff{\n[]\n")
    found = measurements.lately(tmp_path, "w")
    assert [m.run for m in found] == [str(n) for n in range(20, 30)]
    assert found[-1].cpu_seconds == 99
    assert measurements.lately(tmp_path, "other") == []


@pytest.mark.integration
def test_a_run_is_measured_and_the_next_plan_says_so(place: Any) -> None:
    before = place.inside("plan", "noop", "--units", "3", "--json").json["estimate"]
    assert "measured_runs" not in before
    assert place.inside("run", "noop", "--units", "3", "--json").code == 0
    after = place.inside("plan", "noop", "--units", "3", "--json").json["estimate"]
    assert after["measured_runs"] == 1
    assert after["core_hours"] > before["core_hours"], "Snakemake's own second is known now"
    digests = {place.inside("plan", "noop", "--units", "3", "--json").json["digest"] for _ in range(2)}
    assert len(digests) == 1
