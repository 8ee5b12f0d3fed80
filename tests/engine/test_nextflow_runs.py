"""Real runs with Nextflow: results, failures and their reasons, resume, crashes, bad input."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Done, Place
from helpers.processes import of_run
from helpers.waiting import until
from helpers.workflows import write_workflow
from services.nextflow import nextflow_fixture  # noqa: F401

from esap_wf.engines import Cursor
from esap_wf.engines.nextflow.events import NextflowEvents
from esap_wf.engines.nextflow.log import run_name
from esap_wf.models.run import Event

NEXTFLOW = [{"engine": "nextflow", "file": "main.nf"}]


@pytest.fixture
def at(place: Place, nextflow: Path) -> Place:
    """A place in which Nextflow is configured."""
    (place.root / "config.toml").write_text(f'[engines.nextflow]\npath = "{nextflow}"\n')
    return place


def pipeline(
    place: Place, text: str, properties: dict[str, Any] | None = None, config: str = "", **manifest: Any
) -> Path:
    folder = place.root / "pipeline"
    more = {"nextflow.config": config} if config else {}
    return write_workflow(
        folder, properties, {"implementations": NEXTFLOW, **manifest}, files={"main.nf": text, **more}
    )


def folder_of(done: Done) -> Path:
    return Path(done.json["dir"])


def events(run: Path, **where: object) -> list[dict[str, Any]]:
    log = run / "events.jsonl"
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [e for e in found if all(e.get(k) == v for k, v in where.items())]


def checksums(run: Path) -> dict[str, str]:
    files = sorted(p for p in (run / "outputs").rglob("*") if p.is_file())
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# --- results

HOSTILE = '"a\'b" $(touch pwned) `touch pwned` ${projectDir} ${x} {{}} %s \\ \\u0041 ; | & مريم -rf'


@pytest.mark.parametrize(
    "bare_too", [False, pytest.param(True, marks=pytest.mark.soak)]
)  # in short: features, "bare `bash command.sh`"
def test_results_are_those_of_snakemake_byte_for_byte(at: Place, bare_too: bool) -> None:
    """A table of units with hostile payloads, groups of the fan-in; and by the bare command the same again."""
    table = at.root / "it's $(touch pwned) units.csv"
    table.write_text(
        f'unit,seconds,payload\nalpha,0,x\nbeta,,"{HOSTILE.replace(chr(34), chr(34) * 2)}"\ngamma,0.01,\ndelta,0,"  two  "\n'
    )
    words = [
        "run",
        "noop",
        "--input",
        f"units_table={table}",
        "--group-size",
        "3",
        "--output-bytes",
        "500",
        "--json",
    ]
    mine, other = at.inside(*words, "--engine", "nextflow"), at.inside(*words, "--engine", "snakemake")
    assert mine.code == other.code == 0, mine.err + other.err
    run = folder_of(mine)
    assert checksums(run) == checksums(folder_of(other))
    assert len(checksums(run)) == 6
    assert not list(at.root.rglob("pwned"))
    reported = json.loads((run / "state.json").read_text())
    assert {s["name"]: s["done"] for s in reported["steps"]} == {
        "listing": 1,
        "unit": 4,
        "fan_in": 2,
        "summary": 1,
        "verdict": 1,
    }
    assert {(p.parent / p.name).stat().st_size > 0 for p in (run / "logs").glob("nextflow-*.html")} == {True}
    if not bare_too:
        return
    bare = at.root / "bare"
    shutil.copytree(
        run, bare, ignore=shutil.ignore_patterns("outputs", "work", ".nextflow", "logs", "events.jsonl")
    )
    for name in ("outputs", "logs"):
        (bare / name).mkdir()
    repeated = subprocess.run(
        ["bash", "command.sh"], cwd=bare, capture_output=True, text=True, timeout=200, check=False
    )
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    assert checksums(bare) == checksums(run)
    assert (bare / "logs" / "trace.tsv").read_text().count("COMPLETED") == 9


def test_files_with_hostile_names(at: Place) -> None:
    """Staged, read and published under their own names by a pipeline that quotes as Nextflow's documentation says."""
    text = """
    process copy {
        publishDir "outputs/$number", mode: 'copy'
        input:
        tuple val(number), path(given)
        output:
        path 'result.txt'
        script:
        '''
        cat -- *.txt > result.txt.tmp; mv result.txt.tmp result.txt
        '''
    }
    workflow { copy(channel.fromList([0, 1].collect { [it, file(params.inputs.given[it], glob: false)] })) }
    """
    folder = pipeline(
        at,
        text,
        inputs={"given": {"title": "Given", "many": True}},
        outputs=[{"name": "results", "path": "outputs/*/result.txt"}],
    )
    names = ["it's $(touch pwned) `touch pwned`; & a*b?.txt", "[x] -rf é \\n.txt"]
    for name in names:
        (at.root / name).write_text(name)
    done = at.inside("run", folder, *(f"--input=given={at.root / name}" for name in names), "--json")
    assert done.code == 0, done.err
    assert [(folder_of(done) / "outputs" / str(n) / "result.txt").read_text() for n in range(2)] == names
    assert not list(at.root.rglob("pwned"))


# --- failures

PIPELINES = Path(__file__).with_name("pipelines")
REASONS = (PIPELINES / "failures.nf").read_text()


def test_reasons_of_failures(at: Place) -> None:
    """Every way in which a task fails, in one run; the last one ends Nextflow, and its reason is the engine's."""
    done = at.inside("run", pipeline(at, REASONS), "--json", "--cores", "2")
    run = folder_of(done)
    assert done.code == 1, done.err
    failed = {
        (e["step"], e.get("unit"), e.get("attempt")): e
        for e in events(run, kind="failed")
        if e["reason"] != "CANCELLED"
    }
    printed = {key[0]: (e["reason"], e.get("exit_code")) for key, e in failed.items()}
    assert printed == {
        "missing": ("MISSING_OUTPUT", 0),
        "late": ("TIMEOUT", None),
        "killed": ("SIGNAL", 137),
        "starved": ("OUT_OF_MEMORY", 137),
        "shaky": ("EXIT_CODE", 5),
        "twins": ("EXIT_CODE", 4),
        "broad": ("ENGINE", None),
    }
    assert "`never.txt`" in next(e["detail"] for e in failed.values() if e["step"] == "missing")
    assert "req: 64; avail: 2" in next(e["detail"] for e in failed.values() if e["step"] == "broad")
    tries = [[e["kind"] for e in events(run, step="shaky") if e["attempt"] == n] for n in (1, 2)]
    assert tries == [
        ["start", "failed"],
        ["start", "done"],
    ]  # Nextflow may begin the second before it tells how the first ended
    assert {e["unit"] for e in events(run, step="shaky")} == {"the only"}
    assert {e["unit"] for e in events(run, step="twins", kind="start")} == {"same", "same #2", "same #3"}
    for event in failed.values():
        if event["step"] != "broad":
            assert (run / event["log"]).is_file()
    steps = {
        s["name"]: (s["done"], s["failed"], s["running"])
        for s in json.loads((run / "state.json").read_text())["steps"]
    }
    assert steps == {
        "missing": (0, 1, 0),
        "late": (0, 1, 0),
        "killed": (0, 1, 0),
        "starved": (0, 1, 0),
        "shaky": (1, 0, 0),
        "twins": (2, 1, 0),
        "broad": (1, 1, 0),
    }


@pytest.mark.parametrize(
    ("text", "config", "expected"),
    [
        (
            "process a {\n  script:\n  'x'\nworkflow { a()\n",
            "",
            r"main\.nf:1: Script compilation error: Unexpected input",
        ),
        pytest.param(
            "include { x } from './absent.nf'\nworkflow { x() }\n",
            "",
            r"main\.nf:1: No such file or directory: .* include: \./absent\.nf",
            marks=pytest.mark.soak,
        ),
        ("workflow {\n  frobnicate(3)\n}\n", "", r"main\.nf:2: Missing process or function frobnicate"),
        ("workflow { error 'no basket' }\n", "", "no basket"),
        pytest.param(
            "workflow { }\n",
            "process { cpus = \n",
            r"Unable to parse config file: .*nextflow\.config': 1: Unexpected input",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_a_broken_pipeline_is_reported_by_its_first_line(
    at: Place, text: str, config: str, expected: str
) -> None:
    done = at.inside("run", pipeline(at, text, config=config), "--json")
    assert done.code == 1
    (failure, *_) = json.loads((folder_of(done) / "state.json").read_text())["failures"]
    assert (failure["step"], failure["reason"]) == ("engine", "ENGINE")
    assert re.search(expected, failure["detail"]), failure["detail"]
    assert failure["detail"] in done.err


def test_a_java_without_memory_is_reported(at: Place, nextflow: Path) -> None:
    (at.root / "config.toml").write_text(
        f'[engines.nextflow]\npath = "{nextflow}"\njava_options = "-Xmx12m"\n'
    )
    done = at.inside("run", "hello", "--engine", "nextflow", "--json")
    assert done.code == 1
    run = folder_of(done)
    (failure, *_) = json.loads((run / "state.json").read_text())["failures"]
    assert failure["reason"] == "OUT_OF_MEMORY" and "java_options" in failure["detail"], failure
    until(lambda: not of_run(run))  # its supervisor goes a moment after the last state


@pytest.mark.parametrize(
    "megabytes", [5, *(pytest.param(size, marks=pytest.mark.soak) for size in (20, 100))]
)
def test_parameters_of_many_megabytes(at: Place, megabytes: int) -> None:
    """What the engine's plug-in renders for them runs; it asks for the memory that they need."""
    from esap_wf import config as configuration
    from esap_wf.engines import Job
    from esap_wf.engines.nextflow.engine import Nextflow
    from esap_wf.models.plan import Allocation, SoftwareChoice

    engine, run = Nextflow(), at.root / "run"
    (choice,) = engine.installations(configuration.load(None))
    allocation = Allocation(cores=1, memory_bytes=200_000_000, disk_bytes=0, wall_seconds=60)
    values = {"names": [f"{n:09d} ${{x}}" for n in range(megabytes * 60_000)]}
    reported = engine.render(
        choice,
        Job(
            workflow="big",
            entry="main.nf",
            parameters=values,
            inputs={},
            selected={},
            allocation=allocation,
            software=SoftwareChoice(route="installed", detail=""),
        ),
    )
    assert len(reported.files["params.json"]) > megabytes * 1_000_000
    for name, content in {
        **reported.files,
        "main.nf": b'workflow { println "${params.names.size()} ${params.names[-1]}" }\n',
    }.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    done = subprocess.run(
        reported.command,
        cwd=run,
        env={**os.environ, **reported.environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{megabytes * 60_000} {megabytes * 60_000 - 1:09d} ${{x}}" in done.stdout


# --- stopping and going on

STEPS = (PIPELINES / "steps.nf").read_text()


def steps_of(at: Place, seconds: str = "0", **more: Any) -> tuple[Path, Path]:
    notes = at.root / "notes"
    notes.mkdir()
    (notes / "seconds").write_text(seconds)
    return pipeline(at, STEPS, {"folder": {"type": "string", "title": "Folder"}}, **more), notes


def counted_done(run: Path) -> Counter[tuple[str, str]]:
    return Counter((e["step"], e.get("unit") or "") for e in events(run, kind="done"))


ALL = Counter(
    {
        ("last", ""): 1,
        **{("first", str(i)): 1 for i in range(1, 5)},
        **{("second", str(i)): 1 for i in range(1, 5)},
    }
)


def test_resume_runs_what_is_missing_and_tells_nothing_twice(at: Place) -> None:
    folder, notes = steps_of(at)
    (notes / "fail").touch()
    done = at.inside("run", folder, "--param", f"folder={notes}", "--json")
    assert done.code == 1 and "second 3: exit code 1" in done.err, done.err
    run = folder_of(done)
    (notes / "fail").unlink()
    before = Counter((notes / "second").read_text().split())
    resumed = at.inside("resume", run.name, "--json")
    assert resumed.code == 0, resumed.err
    assert (run / "outputs" / "result.txt").read_text() == "1 2 3 4\n"
    assert Counter((notes / "first").read_text().split()) == {"1": 1, "2": 1, "3": 1, "4": 1}
    assert Counter((notes / "second").read_text().split())["3"] == before["3"] + 1
    assert counted_done(run) == ALL
    sessions = {e["detail"] for e in events(run, kind="engine")}
    assert len(sessions) == 1
    state = json.loads((run / "state.json").read_text())
    assert {s["name"]: (s["done"], s["total"], s["failed"]) for s in state["steps"]} == {
        "first": (4, 4, 0),
        "second": (4, 4, 0),
        "last": (1, 1, 0),
    }

    # whoever was killed at any time, in whatever parts it is read: all is told once
    whole = events_of(run, 1)
    for event in whole:
        rest = events_of(run, 1, Cursor.at(event.mark))
        assert [keyed(e) for e in rest] == [keyed(e) for e in whole[whole.index(event) + 1 :]]
    assert events_of(run, 1, Cursor.LOST) == []
    assert [keyed(e) for e in events_of(run, 1)] == [keyed(e) for e in whole]


def events_of(run: Path, epoch: int, cursor: Cursor = Cursor.START) -> list[Event]:
    source, found = NextflowEvents(run, epoch, cursor), []
    while part := source.read():
        found += part
    return found


def keyed(event: Event) -> tuple[object, ...]:
    return event.kind, event.step, event.unit, event.attempt, event.mark


@pytest.mark.soak  # in short: test_a_killed_engine_leaves_a_run_that_is_resumed, and test_kills.py
def test_engine_and_supervisor_are_killed(at: Place) -> None:
    folder, notes = steps_of(at, "1")
    run = folder_of(
        at.inside("run", folder, "--param", f"folder={notes}", "--detach", "--json", "--cores", "2")
    )
    until(lambda: len(events(run, kind="done", step="first")) >= 2)
    for pid in of_run(run):
        with_suppressed_kill(pid)
    lease = json.loads((run / "lease.json").read_text())
    with_suppressed_kill(int(lease["holder"]["pid"]))
    until(lambda: not of_run(run))
    resumed = at.inside("resume", run.name, "--json")
    assert resumed.code == 0, resumed.err + (run / "logs" / "engine.log").read_text()[-3000:]
    assert (run / "outputs" / "result.txt").read_text() == "1 2 3 4\n"
    assert counted_done(run) == ALL
    assert json.loads((run / "state.json").read_text())["progress"]["jobs_done"] == 9


def with_suppressed_kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.mark.soak  # in short: test_an_engine_is_adopted
def test_a_supervisor_alone_is_killed_and_the_engine_adopted(at: Place) -> None:
    folder, notes = steps_of(at, "1")
    run = folder_of(
        at.inside("run", folder, "--param", f"folder={notes}", "--detach", "--json", "--cores", "2")
    )
    until(lambda: len(events(run, kind="done", step="first")) >= 1)
    with_suppressed_kill(int(json.loads((run / "lease.json").read_text())["holder"]["pid"]))
    resumed = at.inside("resume", run.name, "--json")
    assert resumed.code == 0, resumed.err
    assert counted_done(run) == ALL
    assert len(events(run, kind="engine")) == 1
    assert Counter((notes / "first").read_text().split()) == {"1": 1, "2": 1, "3": 1, "4": 1}


@pytest.mark.soak  # in short: tests/features, "cancel leaves nothing behind" and "resume repeats only what is missing"
def test_cancel_leaves_nothing_and_can_be_resumed(at: Place) -> None:
    folder, notes = steps_of(at, "600")
    run = folder_of(
        at.inside("run", folder, "--param", f"folder={notes}", "--detach", "--json", "--cores", "2")
    )
    until(lambda: len(events(run, kind="start")) >= 2)
    assert at.inside("cancel", run.name, "--json").code == 0
    until(lambda: json.loads((run / "state.json").read_text())["phase"] == "ABORTED")
    until(lambda: not of_run(run))  # its supervisor goes a moment after the last state
    assert not (notes / "first").exists()
    (notes / "seconds").write_text("0")
    resumed = at.inside("resume", run.name, "--json")
    assert resumed.code == 0, resumed.err
    assert counted_done(run) == ALL
    assert {s["failed"] for s in json.loads((run / "state.json").read_text())["steps"]} == {0}


def test_two_runs_of_one_pipeline_at_once(at: Place) -> None:
    words = ["run", "hello", "--engine", "nextflow", "--detach", "--json", "--param"]
    runs = [folder_of(at.inside(*words, f"who={name}")) for name in ("Ada", "Emmy")]
    until(
        lambda: all(
            json.loads((r / "state.json").read_text())["phase"] in ("COMPLETED", "ERROR") for r in runs
        )
    )
    assert [json.loads((r / "outputs" / "greeting.json").read_text())["who"] for r in runs] == ["Ada", "Emmy"]
    assert run_name(runs[0], 1) != run_name(runs[1], 1)


def test_an_installed_nextflow_starts_with_its_classes_ready_and_says_nothing_of_them(
    nextflow: Path, tmp_path: Path
) -> None:
    """Java takes them only where they were made: a copy's are none of its own."""
    shutil.copytree(nextflow.parent, tmp_path / "copy", copy_function=os.link)
    for program in (nextflow, tmp_path / "copy" / "nextflow"):
        assert (program.parent / "classes.jsa").is_file()
        done = subprocess.run([program, "-version"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert (
            "version 24.10" in done.stdout
            and "cds" not in done.stdout + done.stderr
            and "rchive" not in done.stdout + done.stderr
        )
