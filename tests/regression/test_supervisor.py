"""Runs whose software is being built, that leave processes behind, that are stopped while results are hashed, that can't begin."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.paths import CACHE
from helpers.waiting import until
from helpers.workflows import SNAKEFILE, write_workflow

from esap_wf.runs.processes import start_time

pytestmark = pytest.mark.integration


def snakefile(shell: str) -> str:
    return SNAKEFILE.replace('"echo made > {output} 2> {log}"', repr(shell))


def test_packages_of_the_user_do_not_take_the_place_of_pinned_ones(place: Place) -> None:
    workflow = write_workflow(
        place.root / "toy",
        {},
        {"software": [{"python": "requirements.txt"}]},
        files={
            "Snakefile": snakefile("python3 -c 'import sys; print(sys.path)' > {output} 2> {log}"),
            "requirements.txt": "# nothing\n",
        },
    )
    # the environment of no packages at all is kept between sessions
    done = place.inside(
        "run",
        workflow,
        "--json",
        env={"PYTHONPATH": "/mine", "PYTHONSTARTUP": "/mine", "ESAP_WF_CACHE": str(CACHE)},
    )
    assert done.json["phase"] == "COMPLETED", done.err
    assert "/mine" not in Path(done.json["dir"], "outputs/result.txt").read_text()


def test_a_process_that_a_step_left_behind_can_not_change_what_is_accepted(place: Place) -> None:
    left = "echo made > {output}; (sleep 8; echo late >> {output}) > /dev/null 2>&1 & echo $! > work.pid"
    done = place.inside(
        "run", write_workflow(place.root / "toy", files={"Snakefile": snakefile(left)}), "--json"
    )
    assert done.json["phase"] == "COMPLETED", done.err
    run = Path(done.json["dir"])
    assert start_time(int((run / "work.pid").read_text())) is None  # a zombie has ended too
    assert (run / "outputs/result.txt").read_text() == "made\n"


def test_a_run_is_stopped_while_its_results_are_hashed(place: Place) -> None:
    workflow = write_workflow(place.root / "toy", files={"Snakefile": snakefile("truncate -s 60G {output}")})
    started = place.inside("run", workflow, "--detach", "--json").json
    run = Path(started["dir"])
    until(lambda: (run / "engine" / "1.exit.json").exists())
    seq = json.loads((run / "lease.json").read_text())["seq"]
    until(lambda: json.loads((run / "lease.json").read_text())["seq"] > seq)
    assert place.inside("cancel", started["run"], "--json").json["phase"] == "ABORTED"
    assert not (run / "outputs.json").exists()


def test_a_supervisor_that_can_not_begin_says_why(place: Place) -> None:
    started = place.inside(
        "run", write_workflow(place.root / "toy", files={"Snakefile": snakefile("exit 3")}), "--json"
    ).json
    run = Path(started["dir"])
    (run / "plan.json").chmod(0o644)
    (run / "plan.json").write_text("{")
    assert place.inside("resume", started["run"]).code == 1
    state = place.inside("status", started["run"], "--json").json
    assert (state["phase"], "plan.json" in state["reason"]) == ("ERROR", True), state


def test_a_time_limit_that_was_asked_for_ends_the_run(place: Place) -> None:
    done = place.inside(
        "run",
        write_workflow(place.root / "toy", files={"Snakefile": snakefile("sleep 90")}),
        "--wall",
        "3 s",
        "--json",
    )
    assert (done.code, done.json["phase"]) == (1, "ERROR")
    assert place.inside("status", done.json["run"], "--json").json["failures"][0]["reason"] == "TIMEOUT"


def test_results_come_to_their_place_without_anybody_waiting(place: Place) -> None:
    there = place.root / "there"
    place.inside("run", write_workflow(place.root / "toy"), "--detach", "--results", "there", "--json")
    until((there / "result.txt").exists)


def test_an_installer_of_a_killed_builder_is_waited_for(place: Place) -> None:
    base = place.root / "python"
    base.write_text(
        f"#!/bin/sh\necho $$ >> {place.root}/pids; sleep 3; echo end >> {place.root}/pids; exit 1\n"
    )
    base.chmod(0o755)
    (place.root / "r.txt").write_text("x==1\n")
    code = f"import sys; sys._base_executable={str(base)!r}\nfrom pathlib import Path\nfrom esap_wf.software import environments\n"
    code += f"environments.build(Path({str(place.root / 'r.txt')!r}), Path({str(place.root / 'cache')!r}))"
    first = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    until((place.root / "pids").exists)
    first.send_signal(signal.SIGKILL)
    first.wait()
    subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False)
    first_pid, ended, second_pid, *_ = (place.root / "pids").read_text().split()
    assert (ended, first_pid != second_pid) == ("end", True)
