"""Which logs a run shows: by step and unit as people write them, what is there when there is none such, and all of it line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.runs import make_run

from esap_wf.models.run import Phase
from esap_wf.runs import logs
from esap_wf.runs.store import Run

ID = "aaaa100000000001"


def told(run: Run, *entries: tuple[str, str | None, str], attempt: int = 1) -> None:
    """Logs of steps and units, and their texts, as an engine names them."""
    with run.events_path.open("a") as f:
        for step, unit, text in entries:
            log = f"logs/{step}-{unit}-{attempt}.log"
            (run.dir / log).parent.mkdir(exist_ok=True)
            (run.dir / log).write_text(text)
            event = {
                "t": 1.0,
                "kind": "done",
                "step": step,
                "attempt": attempt,
                "log": log,
                **({"unit": unit} if unit else {}),
            }
            f.write(json.dumps(event) + "\n")


@pytest.fixture
def run(place: Place) -> Run:
    found = make_run(place, ID, Phase.ERROR)
    told(found, ("sim", "00003", "three\nlast"), ("sim", "00012", "twelve\n"), ("merge", None, "merged\n"))
    (found.dir / "logs" / "engine.log").write_text("engine said\n")
    (found.dir / "logs" / "software.log").write_text("")
    return found


def test_logs_are_shown_with_their_step_unit_and_place(place: Place, run: Run) -> None:
    told(run, ("sim", "00003", "again\n"), attempt=2)
    with run.events_path.open("a") as f:
        f.write(
            'broken\n{"t": 1.0, "kind": "note", "detail": "x"}\n{"t": 1.0, "kind": "start", "step": "sim", "unit": "00003"}\n'
        )
    assert place.inside("logs", ID).out.strip().split("\n\n") == [
        f"==> {who} ({run.dir}/logs/{file})\n{text}"
        for who, file, text in (
            ("sim 00003", "sim-00003-2.log", "again"),
            ("sim 00012", "sim-00012-1.log", "twelve"),
            ("merge ", "merge-None-1.log", "merged"),
            ("engine ", "engine.log", "engine said"),
        )
    ]
    answer = place.inside("logs", ID, "--json").json
    assert answer["run"] == ID
    assert [(e["step"], e["unit"], e["attempt"]) for e in answer["logs"]] == [
        ("sim", "00003", 2),
        ("sim", "00012", 1),
        ("merge", None, 1),
        ("engine", None, None),
    ]
    assert answer["logs"][0]["path"] == f"{run.dir}/logs/sim-00003-2.log"


def test_what_an_engine_says_of_its_own_log_counts(place: Place, run: Run) -> None:
    told(run, ("engine", None, "its own\n"))
    (entry,) = place.inside("logs", ID, "--step", "engine", "--json").json["logs"]
    assert entry["path"].endswith("engine-None-1.log")


def test_logs_are_read_on_from_where_they_were(run: Run) -> None:
    known = logs.Logs(run)
    known.read()
    before = known.of(None, None)
    known.read()
    assert known.of(None, None) == before
    assert known._offset == run.events_path.stat().st_size
    told(run, ("sim", "00013", "more\n"))
    known.read()
    assert len(known.of("sim", None)) == 3


def test_a_unit_is_meant_by_its_number(run: Run) -> None:
    known = {"00003", "u00003", "U4", "bin-3", "all"}
    for word, meant in (
        ("3", {"00003", "u00003", "bin-3"}),
        ("u3", {"u00003"}),
        ("00003", {"00003"}),
        ("u4", {"U4"}),
        ("ALL", {"all"}),
        ("5", set()),
        ("x3", set()),
    ):
        assert logs.meant(word, known) == meant, word
    assert logs.meant(None, known) is None


def problems(place: Place, *words: str) -> dict[str, tuple[str, str]]:
    done = place.inside("logs", ID, *words, "--json")
    assert done.code == 2 and done.json["error"]["message"] == "there is no such log"
    return {p["where"]: (p["what"], p["hint"]) for p in done.json["error"]["problems"]}


def test_who_asks_for_none_is_told_what_there_is(place: Place, run: Run) -> None:
    step = ("there is no log of a step 'x'", "steps with logs: engine, merge, sim")
    assert problems(place, "--step", "x") == {"--step": step}
    assert problems(place, "--unit", "7") == {
        "--unit": ("there is no log of a unit '7'", "units with logs: 00003, 00012")
    }
    assert (
        problems(place, "--step", "sim", "--unit", "7")["--unit"][0] == "there is no log of a unit '7' of sim"
    )
    assert problems(place, "--step", "merge", "--unit", "7") == {
        "--unit": ("there is no log of a unit '7' of merge", "no unit has a log yet")
    }
    both = problems(place, "--step", "x", "--unit", "7")
    assert both["--step"] == step and both["--unit"][1] == "units with logs: 00003, 00012"
    told(run, *(("sim", f"{n:05}", "x\n") for n in range(100, 107)))
    assert problems(place, "--unit", "7")["--unit"][1].endswith("00105, 00106")
    assert "…" not in problems(place, "--unit", "7")["--unit"][1], "nine are all named"
    told(run, ("sim", "00200", "x\n"))
    assert problems(place, "--unit", "7")["--unit"][1].endswith("00104, 00105 … 00200 (10)")


def test_a_follower_of_a_run_that_has_ended_prints_all_and_ends(place: Place, run: Run) -> None:
    lines = place.inside("logs", ID, "--follow").out.splitlines()
    assert lines == [
        "sim 00003: three",
        "sim 00003: last",
        "sim 00012: twelve",
        "merge: merged",
        "engine: engine said",
    ]
    found = [
        json.loads(line)
        for line in place.inside("logs", ID, "--follow", "--unit", "12", "--json").out.splitlines()
    ]
    assert [(e["step"], e["unit"], e["line"]) for e in found] == [("sim", "00012", "twelve")]
    for words in (("--unit", "7"), ("--step", "x")):
        assert place.inside("logs", ID, "--follow", *words).code == 2


def test_a_line_that_is_not_finished_is_kept_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from esap_wf.cli import logs as verb

    log, offsets = tmp_path / "log", dict[str, int]()

    def added(ended: bool = False) -> list[str]:
        return list(verb._added(str(log), offsets, ended))

    assert added() == [], "it is not there yet"
    log.write_bytes(b"one\ntw")
    assert (added(), added()) == (["one"], [])
    log.write_bytes(b"one\ntwo\n\xff\n")
    assert (added(), added()) == (["two", "\ufffd"], [])
    log.write_bytes(b"one\ntwo\n\xff\nend")
    assert (added(), added(ended=True), added(ended=True)) == ([], ["end"], [])
    monkeypatch.setattr(verb, "PIECE", 4)
    log.write_bytes(log.read_bytes() + b"\n" + b"x" * 9)
    assert "".join(added(ended=True)) == "x" * 9, "longer than what is read at once"


def test_of_a_long_log_the_end_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "SHOWN", 4)
    (tmp_path / "log").write_bytes(b"abcd")
    assert logs.end_of(tmp_path / "log") == "abcd"
    (tmp_path / "log").write_bytes(b"xabc\xff")
    assert logs.end_of(tmp_path / "log") == "… abc\ufffd"
    assert logs.end_of(tmp_path / "none") == ""


def test_a_run_of_a_later_version_is_refused(place: Place, run: Run) -> None:
    record: dict[str, Any] = json.loads((run.dir / "run.json").read_text())
    (run.dir / "run.json").chmod(0o644)
    (run.dir / "run.json").write_text(json.dumps({**record, "schema_version": 99}))
    assert place.inside("logs", ID).code != 0
