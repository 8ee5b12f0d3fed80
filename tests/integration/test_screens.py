"""What people see: answers to Ctrl-C, plans of one screen, lists that fit, times, reports, what comes next."""

from __future__ import annotations

import json
import shlex
import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

import esap_wf
from esap_wf.cli.listing import list_text
from esap_wf.cli.live import Lines, stopping_text
from esap_wf.cli.output import table
from esap_wf.cli.planned import start_line
from esap_wf.cli.times import age, lasting, seconds_of
from esap_wf.models.run import Phase, Progress, State, encode
from esap_wf.runs.index import Row

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_the_answer_to_ctrl_c_stays_on_a_terminal_and_is_true(place: Place, terminal: Any) -> None:
    shown = terminal(
        place, "run", "noop", "--units", "2", "--seconds", "600", term="xterm", start_new_session=True
    )
    shown.expect("EXECUTING")
    shown._process.send_signal(signal.SIGINT)
    shown.expect("stopping: running jobs end first (Ctrl-C again stops at once)")
    shown._process.send_signal(signal.SIGINT)
    shown.expect("stopping at once")
    done = shown.end()
    assert done.code == 130, done
    assert "ABORTED:" not in done.err.rpartition("stopping at once")[2], (
        "why it ended is told once, with the answer"
    )
    after = done.err.rpartition("Ctrl-C again stops at once)")[2]
    assert after.startswith("\r\n"), "it has a line of its own, above what is drawn anew"
    assert "esap-wf resume" in done.out


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("snakemake", "running jobs end first"),
        ("cwl", "running jobs end first"),
        ("nextflow", "Nextflow can't let them end first"),
        ("toil", "can't let them end first"),
    ],
)
def test_what_is_promised_at_ctrl_c_is_what_the_engine_can_do(engine: str, said: str) -> None:
    assert said in stopping_text(engine, Phase.EXECUTING)
    assert "the engine has not started" in stopping_text(engine, Phase.QUEUED)


def test_what_is_built_first_is_told_at_its_start_every_minute_and_at_its_end() -> None:
    said: list[str] = []
    at = [0.0]
    plain = Lines(said.append, lambda: at[0])
    building = State(
        phase=Phase.QUEUED, reason="building the Python environment of the workflow, once: logs/software.log"
    )
    for seconds, state in (
        (0, building),
        (1, building),
        (61, building),
        (62, building),
        (130, building),
        (150, State(phase=Phase.EXECUTING)),
    ):
        at[0] = float(seconds)
        plain(state)
    assert said == [
        f"QUEUED: {building.reason}",
        "still building the Python environment of the workflow, once (1 min 1 s)",
        "still building the Python environment of the workflow, once (2 min 10 s)",
        "that took 2 min 30 s",
        "EXECUTING",
    ]


def test_a_run_ends_with_how_long_it_took_and_where_its_report_is(world: Any) -> None:
    report = world.dir(world.hello) / "report.html"
    for verb in ("status", "results"):
        assert world.cli.inside(verb, world.hello, "--json").json["report"] == str(report)
        assert f"report  {report}" in world.cli.inside(verb, world.hello).out
    again = world.cli.inside("run", "hello", "--param", "who=Ada $(x) {y}", "--if-exists", "reuse")
    first, *_, last = again.out.splitlines()
    assert first.startswith(f"{world.hello} COMPLETED in ") and last == f"report  {report}"
    assert json.loads(world.ends["hello"].out)["report"] == str(report)
    told = world.cli.inside("status", world.hello).out
    assert ", took " in told and ", ended 20" in told
    assert isinstance(world.cli.inside("status", world.hello, "--json").json["seconds"], float)


def test_a_run_at_work_says_since_when(world: Any) -> None:
    from esap_wf.cli.text import when_text

    created = "2026-11-26T11:00:00.000Z"
    assert ", running since 2026-" in when_text(created, State(phase=Phase.EXECUTING, started=created))
    assert "not started yet" in when_text(created, State(phase=Phase.PENDING))


def test_a_plan_is_one_screen_and_its_command_starts_it(place: Place) -> None:
    shown = place.inside(
        "plan", "irf", "--zenith", "40 deg", "--name", "it's mine", "-o", place.root / "plan.json"
    ).out
    lines = shown.splitlines()
    assert len(lines) <= 24 and max(len(line) for line in lines if not line.startswith("start it:")) <= 100, (
        shown
    )
    assert "zenith = 40 deg (default 20 deg); 23 at the default" in shown
    assert f"esap-wf run --plan {place.root / 'plan.json'}" in shown
    shown = place.inside("plan", "irf", "--zenith", "40 deg", "--name", "it's mine").out
    line = shown.split("start it:  ")[1].splitlines()[0]
    assert shlex.split(line) == ["esap-wf", "run", "irf", "--zenith", "40 deg", "--name", "it's mine"]
    whole = place.inside("plan", "irf", "--zenith", "40 deg", "--verbose").out
    data = place.inside("plan", "irf", "--zenith", "40 deg", "--json").json
    assert data["start"] == "esap-wf run irf --zenith '40 deg'"
    for text in (data["digest"], shlex.join(data["command"]), "azimuth = 180.0", data["engine"]["path"]):
        assert text in whole and text not in shown


def test_what_nobody_knows_of_a_plan_is_unknown(place: Place) -> None:
    folder = write_workflow(place.root / "toy")
    for more in ((), ("--verbose",)):
        shown = place.inside("plan", folder, *more).out
        assert "unknown" in shown and "0 core-hours" not in shown
    assert "the workflow's own model" in place.inside("plan", "irf").out
    assert ", cost unknown, time unknown on local, " in repr(esap_wf.plan(str(folder), store=place.store))


def test_the_command_of_a_plan_has_nothing_that_only_plans() -> None:
    words = ["irf", "-o", "p.json", "--verbose", "--json", "--zenith", "4 deg", "--", "-o", "x"]
    assert start_line(words) == "esap-wf run irf --zenith '4 deg' -- -o x"
    assert (
        start_line(["irf", "--output=p"], "/a b", {"n": "1 TeV"})
        == "esap-wf --store '/a b' run irf --param 'n=1 TeV'"
    )


def row(run: str = "8992ac24540ea9aa", **more: Any) -> Row:
    known = {
        "id": run,
        "rev": 1,
        "name": "n" * 60,
        "workflow": "w" * 60,
        "version": "1",
        "phase": "COMPLETED",
        "created": "2026-11-26T11:00:00.000Z",
        "started": "2026-11-26T11:00:00.000Z",
        "ended": "2026-11-26T11:01:05.000Z",
        "owner": "ada",
        "identity": "",
        "science": None,
        "backend": "local",
        "engine": "snakemake",
        "progress": encode(Progress(units_total=1000, units_done=999, units_failed=1)).decode(),
    }
    return Row(**{**known, **more})


def test_a_list_fits_its_terminal() -> None:
    narrow = list_text([row(), row(name=None, workflow="irf", started=None, ended=None)], 80, NOW)
    assert max(map(len, narrow.splitlines())) <= 80, narrow
    for text in ("8992ac24540ea9aa", "COMPLETED", "999/1000", "1 hour ago", "1 min 5 s", "…"):
        assert text in narrow
    assert "ada" not in narrow and "ada" in list_text([row()], 160, NOW)


def test_what_is_told_fits_a_terminal_of_80_columns(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (
        ["workflows"],
        ["show", "noop"],
        ["engines", "list"],
        ["plan", "irf", "--zenith", "40 deg"],
        ["status", world.failed],
        ["results", world.hello],
    ):
        lines = world.cli.inside(*words).out.splitlines()
        # a path or a command that is longer than the room is not broken
        assert not [
            line for line in lines if len(line) > 80 and all(len(word) < 40 for word in line.split())
        ], words
    told = table([("a", "word " * 20 + "/a" * 40)], ("name", "what"), 60).splitlines()
    assert (
        len(told) == 4
        and all(line.startswith("      word") for line in told[2:3])
        and told[3] == "      " + "/a" * 40
    )
    assert table([("a", "word " * 20)], ("name", "what")).count("\n") == 1, (
        "for another program nothing is folded"
    )


def test_a_list_for_another_program_is_cut_nowhere(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # what starts the tests may have set it
    assert "owner" in world.cli.inside("list").out.splitlines()[0]
    assert "owner" not in world.cli.inside("list", env={"COLUMNS": "80"}).out.splitlines()[0]


def test_a_list_is_filtered_by_name_and_owner(world: Any) -> None:
    runs = world.cli.inside("list", "--name", "FIR", "--json").json["runs"]
    found = {r["run"] for r in runs}
    assert world.hello in found and not {world.noop, world.failed} & found
    assert (
        all(r["owner"] and r["created"].endswith("Z") for r in runs)
        and next(r for r in runs if r["run"] == world.hello)["seconds"] > 0
    )
    assert world.cli.inside("list", "--owner", "nobody else", "--json").json["runs"] == []
    assert len(world.cli.inside("list", "--owner", runs[0]["owner"], "--json").json["runs"]) >= 3
    assert "esap-wf list shows all" in world.cli.inside("list", "--owner", "nobody else").out


def test_a_failure_names_a_path_that_opens_from_here_and_the_next_commands(world: Any) -> None:
    log = world.dir(world.failed) / "logs" / "unit" / "u00002.log"
    assert log.is_file()
    told = world.cli.inside("status", world.failed).out
    assert str(log.relative_to(world.cli.root)) in told.splitlines()[0]
    assert (
        str(log) in world.cli.inside("status", world.failed, cwd=world.cli.root / "home").out.splitlines()[0]
    )
    assert f"esap-wf logs {world.failed} --step unit --unit u00002" in told
    assert f"esap-wf resume {world.failed}" in told


def test_ages_and_durations() -> None:
    ages = [
        age(f"2026-11-{day}T{hour}:00.000Z", NOW)
        for day, hour in (("26", "11:59:50"[:5]), ("26", "11:00"), ("26", "09:30"), ("25", "11:59"))
    ]
    assert ages == ["1 min ago", "1 hour ago", "2 hours ago", "1 day ago"]
    assert (
        age("2026-11-26T11:59:59Z", NOW) == "just now"
        and age("2025-01-02T00:00:00Z", NOW) == "2025-01-02"
        and age("x") == ""
    )
    assert [lasting(s) for s in (None, 0.4, 59.6, 65, 120, 3900)] == [
        "",
        "0 s",
        "1 min",
        "1 min 5 s",
        "2 min",
        "1 h 5 min",
    ]
    assert seconds_of(None) is None


def test_results_are_deleted_on_a_terminal_only_after_a_yes(place: Place, terminal: Any) -> None:
    folder = write_workflow(place.root / "toy")
    run = place.inside("run", folder, "--json").json["run"]
    for reply, code in (("n", 3), ("y", 0)):
        asked = terminal(place, "rm", run)
        asked.expect("Delete the results too?")
        assert "toy" in asked.seen
        asked.type(reply)
        assert asked.end().code == code
        assert bool(place.runs()) == (reply == "n")
    assert place.inside("rm", run, "--yes").code != 0


def test_a_unit_is_found_by_its_number_and_an_unknown_one_is_told_with_those_there(world: Any) -> None:
    for word in ("2", "u2", "00002", "u00002"):
        (log,) = world.cli.inside("logs", world.failed, "--unit", word, "--json").json["logs"]
        assert log["unit"] == "u00002"
    assert world.cli.inside("logs", world.failed, "--step", "UNIT", "--unit", "2", "--json").json["logs"] == [
        log
    ]
    told = world.cli.inside("logs", world.failed, "--unit", "77", "--json").problems
    assert "u00002" in told and "'77'" in told
    told = world.cli.inside("logs", world.failed, "--step", "simulate", "--json").problems
    assert "steps with logs: " in told and "unit" in told


def test_a_pattern_is_told_in_words(place: Place) -> None:
    prop = {
        "type": "string",
        "title": "Label",
        "description": "letters and digits",
        "pattern": "^[A-Za-z0-9]+$",
        "examples": ["run7"],
        "default": "a",
    }
    folder = write_workflow(place.root / "toy", {"label": prop})
    told = place.inside("validate", folder, "--label", "a b", "--json").json["problems"]
    assert (
        [p["hint"] for p in told] == ["for example run7"]
        and "letters and digits" in told[0]["what"]
        and "A-Z" not in str(told)
    )


def test_each_shortfall_is_told_what_helps(place: Place) -> None:
    huge = {"cores": 1, "memory": "1 MB", "disk": "900 PB", "wall": "1 h"}
    manifest = {"resources": {"default": "s", "sizes": {"s": huge}}}
    told = place.inside("plan", write_workflow(place.root / "toy", {}, manifest), "--json").json["error"][
        "problems"
    ]
    assert [("disk" in p["what"], "free some space" in p["hint"], "cores" in p["hint"]) for p in told] == [
        (True, True, False)
    ]
    told = place.inside("plan", "hello", "--cores", "9999", "--memory", "900 PB", "--json").json["error"][
        "problems"
    ]
    assert ["--cores" in p["hint"] for p in told] == [True, False] and [
        "--memory" in p["hint"] for p in told
    ] == [False, True]


def test_nothing_is_said_twice(place: Place) -> None:
    told = place.inside("list", "--nonsense").err
    assert told.count("nonsense") == 1 and "esap-wf list --help" in told


def test_an_ambiguous_beginning_lists_what_it_may_mean(place: Place) -> None:
    from esap_wf.models.run import RunRecord
    from esap_wf.runs.store import Store

    store = Store.open(place.store, create=True)
    for run in ("aaaa000000000001", "aaaa000000000002"):
        record = RunRecord(
            id=run, workflow="toy", version="1", created="2026-11-26T11:00:00.000Z", owner="ada", host="h"
        )
        store.publish(store.staging(run), record, State(phase=Phase.ABORTED))
    told = place.inside("status", "aaaa", "--json").problems
    assert told.count("workflow toy, ABORTED, created 2026-11-26") == 2, told
