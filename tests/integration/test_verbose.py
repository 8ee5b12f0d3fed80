"""What esap-wf decides is said on stderr where somebody asks for it, and nowhere else."""

from __future__ import annotations

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

pytestmark = pytest.mark.integration


def test_the_decision_about_a_claim_is_said(place: Place) -> None:
    workflow = write_workflow(place.root / "toy")
    first = place.inside("-v", "run", workflow, "--detach", "--json")
    run = first.json["run"]
    assert f"claimed for run {run}: nobody has claimed it before" in first.err
    assert "DEBUG" not in first.err
    second = place.inside("--verbose", "run", workflow, "--detach", "--json")
    assert second.json["run"] == run
    assert f"run {run} has it, and is there: no other one is started" in second.err
    quiet = place.inside("run", workflow, "--detach", "--json")
    assert "INFO" not in quiet.err
    place.inside("cancel", run)


def test_a_normal_run_has_nothing_to_say_in_its_log(place: Place) -> None:
    done = place.inside("-vv", "run", write_workflow(place.root / "toy"), "--json")
    assert done.json["phase"] == "COMPLETED", done.err
    logs = place.inside("logs", done.json["run"], "--json").json["logs"]
    assert {log["step"] for log in logs} == {"engine", "make"}


def test_plan_keeps_its_own_flag(place: Place) -> None:
    workflow = write_workflow(place.root / "toy")
    screen, whole = place.inside("plan", workflow), place.inside("plan", workflow, "-v")
    assert "add --verbose" in screen.out
    assert "add --verbose" not in whole.out
    assert "INFO" not in whole.err
