"""The surface that scripts depend on: every verb, its keys, its exit code, one JSON object on stdout."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

#: Words of a command → keys that its answer has at least.
KEYS = {
    "workflows": {"workflows"},
    "show hello": {
        "name",
        "title",
        "description",
        "engines",
        "parameters",
        "inputs",
        "outputs",
        "resources",
        "software",
        "derived_from",
    },
    "validate hello": {"valid", "problems"},
    "plan hello": {"plan", "digest", "units", "estimate", "offers", "duplicates", "command", "expires"},
    "run hello": {"run", "dir", "phase", "reused", "exit_code"},
    "list": {"runs", "next"},
    "status @failed": {
        "run",
        "workflow",
        "engine",
        "backend",
        "phase",
        "reason",
        "progress",
        "steps",
        "failures",
        "created",
        "started",
        "ended",
        "dir",
    },
    "logs @failed": {"logs"},
    "results @hello": {"outputs"},
    "diff @hello @noop": {"differences"},
    "backends": {"backends"},
    "backends show local": {"backends"},
    "backends check local": {"backends"},
    "attend --once": {"attended"},
    "check local": {"checks"},
    "doctor": {"ok", "checks"},
    "engines list": {"engines"},
    "software check hello": {"software"},
    "software build hello": {"environments"},
    "index rebuild": {"runs"},
    "store clean": {"deleted"},
    "lint hello": {"valid", "problems"},
    "completion bash": {"script"},
}


def words(world: Any, text: str) -> list[str]:
    return [getattr(world, w[1:]) if w.startswith("@") else w for w in text.split()]


@pytest.mark.parametrize("text", KEYS)
def test_every_verb_answers_with_one_json_object(world: Any, text: str) -> None:
    if text == "run hello":
        text += " --param who=Ada~$(x)~{y}"
    args = [w.replace("~", " ") for w in words(world, text)]
    after, before = world.cli(*args, "--json"), world.cli.inside("--json", *args)
    assert after.code == before.code == 0, after.err
    assert KEYS[" ".join(text.split()[:3]) if text in KEYS else "run hello"] <= set(after.json)
    assert set(after.json) == set(before.json)
    plain = world.cli.inside(*args)
    assert plain.code == 0
    assert plain.out.strip() or "clean" in text
    with pytest.raises(ValueError):
        json.loads(plain.out)


FAILURES = [
    (2, "show nothing-such"),
    (2, "show"),
    (2, "plan hello --nmae x"),
    (2, "run noop --units 0"),
    (2, "run noop --units"),
    (2, "status nobody"),
    (2, "status"),
    (2, "logs nobody"),
    (2, "logs @hello --step nothing"),
    (2, "results nobody"),
    (2, "cancel nobody"),
    (2, "cancel"),
    (2, "resume nobody"),
    (2, "rerun nobody"),
    (2, "rerun @hello --set x"),
    (2, "rerun @hello --set x=1"),
    (2, "rm nobody"),
    (2, "diff @hello nobody"),
    (2, "lint nothing-such"),
    (2, "list --limit 0"),
    (2, "list --phase MAYBE"),
    (2, "list --since then"),
    (2, "list --cursor x"),
    (2, "lst"),
    (2, ""),
    (2, "engines"),
    (2, "engines install nothing"),
    (2, "software check nothing"),
    (2, "completion tcsh"),
    (2, "new workflow A"),
    (2, "run --plan /nowhere"),
    (2, "run hello --if-exists maybe"),
    (2, "run hello --backend nowhere"),
    (2, "plan hello -o /nowhere/x/plan.json"),
    (3, "cancel @hello"),
    (3, "resume @hello"),
    (3, "results @failed"),
    (3, "plan hello --cores 100000"),
    (3, "store init --shared"),
]


@pytest.mark.parametrize(("code", "text"), FAILURES)
def test_every_failure_is_one_json_object_and_an_error_for_people(world: Any, code: int, text: str) -> None:
    done = world.cli.inside("--json", *words(world, text))
    if text == "store init --shared" and done.code == 2:
        code = 2
    assert done.code == code, done
    assert done.problems
    assert done.err.startswith("esap-wf: error:"), done.err
    assert "Traceback" not in done.err


def test_validation_answers_in_json_with_exit_code_2(world: Any) -> None:
    done = world.cli.inside("validate", "noop", "--units", "0", "--seconds", "5 m", "--json")
    assert done.code == 2
    assert done.json["valid"] is False
    assert {p["where"] for p in done.json["problems"]} == {"--units", "--seconds"}


def test_the_three_runs_ended_as_they_should(world: Any) -> None:
    hello, failed = world.ends["hello"], world.ends["failed"]
    assert (hello.code, world.ends["noop"].code, failed.code) == (0, 0, 1)
    told = {
        "run": world.hello,
        "dir": str(world.dir(world.hello)),
        "phase": "COMPLETED",
        "reused": False,
        "exit_code": 0,
    }
    assert hello.json == {**told, "report": str(world.dir(world.hello) / "report.html")}
    assert (failed.json["phase"], failed.json["exit_code"]) == ("ERROR", 1)


def test_an_identical_run_is_reused(world: Any) -> None:
    done = world.cli.inside("run", "noop", "--units", "3.0", "--group-size", "2", "--json")
    assert (done.code, done.json["run"], done.json["reused"]) == (0, world.noop, True)
    assert world.cli.inside("plan", "noop", "--units", "3", "--group-size", "2", "--json").json[
        "duplicates"
    ] == [world.noop]


def test_a_completed_run_shows_its_progress_and_times(world: Any) -> None:
    state = world.cli.inside("status", world.noop, "--json").json
    assert {
        k: state["progress"][k] for k in ("units_total", "units_done", "units_failed", "units_running")
    } == {
        "units_total": 3,
        "units_done": 3,
        "units_failed": 0,
        "units_running": 0,
    }
    assert {s["name"]: (s["total"], s["done"]) for s in state["steps"]} == {
        "unit": (3, 3),
        "fan_in": (2, 2),
        "summary": (1, 1),
        "verdict": (1, 1),
    }
    assert state["failures"] == []
    assert all(RFC3339.fullmatch(state[k]) for k in ("created", "started", "ended"))
    assert state["created"] <= state["started"] <= state["ended"]


def test_a_failed_run_names_step_unit_reason_log_and_tail(world: Any) -> None:
    state = world.cli.inside("status", world.failed, "--json").json
    (failure,) = state["failures"]
    assert {k: failure[k] for k in ("step", "unit", "reason", "exit_code", "log")} == {
        "step": "unit",
        "unit": "u00002",
        "reason": "EXIT_CODE",
        "exit_code": 7,
        "log": "logs/unit/u00002.log",
    }
    assert failure["attempt"] == 1
    assert failure["tail"] == ["unit u00002: fails as asked for, with exit status 7"]
    assert state["progress"]["units_failed"] == 1
    assert state["progress"]["units_done"] == 2, "the other units were not given up"
    first, second, *_ = world.cli.inside("status", world.failed).out.splitlines()
    for word in ("unit u00002", "exit code 7", "logs/unit/u00002.log"):
        assert word in first
    assert "fails as asked for" in second
    assert "u00002" in world.ends["failed"].err


def test_results_have_sizes_and_checksums_that_are_true(world: Any, tmp_path: Any) -> None:
    import hashlib

    outputs = world.cli.inside("results", world.noop, "--json", "--copy-to", tmp_path / "copy").json[
        "outputs"
    ]
    assert sorted({o["name"] for o in outputs}) == ["summary", "units"]
    for output in outputs:
        assert {"name", "path", "bytes", "sha256", "media_type", "checks"} <= set(output)
        content = (world.dir(world.noop) / output["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (output["bytes"], output["sha256"])
        assert (tmp_path / "copy" / output["path"].removeprefix("outputs/")).read_bytes() == content


def test_the_run_directory_has_the_files_of_the_contract(world: Any) -> None:
    there = {p.name for p in world.dir(world.hello).iterdir()}
    assert {
        "run.json",
        "request.json",
        "plan.json",
        "command.sh",
        "config.json",
        "events.jsonl",
        "logs",
        "outputs",
        "outputs.json",
    } <= there
    record = json.loads((world.dir(world.hello) / "run.json").read_text())
    assert {"id", "schema_version", "created", "owner"} <= set(record)


def test_hostile_words_stay_words(world: Any) -> None:
    assert (world.dir(world.hello) / "outputs/greeting.txt").read_text() == "Hello, Ada $(x) {y}!\n"


def test_lists_are_filtered_and_paged(world: Any) -> None:
    every = [r["run"] for r in world.cli.inside("list", "--json").json["runs"]]
    paged, cursor = [], None
    while True:
        page = world.cli.inside(
            "list", "--limit", "1", *(["--cursor", cursor] if cursor else []), "--json"
        ).json
        paged += [r["run"] for r in page["runs"]]
        cursor = page["next"]
        if not cursor:
            break
    assert paged == every
    assert {world.hello, world.noop, world.failed} <= set(every)

    def listed(*words: str) -> set[str]:
        return {r["run"] for r in world.cli.inside("list", *words, "--json").json["runs"]}

    assert world.failed in listed("--phase", "ERROR")
    assert world.hello not in listed("--phase", "ERROR")
    assert world.hello in listed("--workflow", "hello")
    assert world.noop not in listed("--workflow", "hello")
    assert world.hello in listed("--tag", "kept")
    assert not listed("--since", "2999-01-01")
    assert not listed("--workflow", "'; drop table runs; --")
    row = next(r for r in world.cli.inside("list", "--json").json["runs"] if r["run"] == world.hello)
    assert {"run", "name", "workflow", "phase", "created", "started", "ended", "progress"} <= set(row)


def test_runs_are_found_by_id_prefix_and_name(world: Any) -> None:
    for word in (world.failed, world.failed[:10], "broken"):
        assert world.cli.inside("status", word, "--json").json["run"] == world.failed
    assert world.cli.inside("status", world.failed[:3], "--json").code == 2, "three digits are too few"


def test_followed_logs_are_lines_of_json(world: Any) -> None:
    done = world.cli.inside("logs", world.failed, "--follow", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert any(e["unit"] == "u00002" and "fails as asked for" in e["line"] for e in lines)
    only = world.cli.inside("logs", world.failed, "--unit", "u00002", "--json").json["logs"]
    assert [(e["step"], e["unit"], e["attempt"]) for e in only] == [("unit", "u00002", 1)]
    assert "fails as asked for" in world.cli.inside("logs", world.failed, "--step", "unit").out
