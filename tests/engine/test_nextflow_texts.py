"""Nextflow without starting it: versions, Java, what is refused when planning, and what is written for it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Done, Place
from helpers.workflows import write_workflow
from hypothesis import given
from hypothesis import strategies as st
from services.nextflow import nextflow_fixture  # noqa: F401

from esap_wf import config as configuration
from esap_wf.engines import Job
from esap_wf.engines.nextflow import configuration as nextflow_config
from esap_wf.engines.nextflow.engine import Nextflow
from esap_wf.engines.nextflow.events import NextflowEvents
from esap_wf.engines.nextflow.installations import Machine, fits, major
from esap_wf.engines.nextflow.tasks import moment
from esap_wf.models.plan import Allocation, ContainerChoice, EngineChoice, SoftwareChoice

Inside = Callable[..., Done]


@pytest.mark.parametrize(
    ("version", "requires", "fit"),
    [
        ("24.10.0", ">=23.04", True),
        ("24.10.0", "!>=25.10", False),
        ("24.10.0", "23.04+", True),
        ("24.10.0", ">=22, <25", True),
        ("24.10.0", ">=22,<24", False),
        ("24.10.0", "24.10.0", True),
        ("24.10.0", "=24.10", True),
        ("24.10.3", "24.10.*", True),
        ("24.10.0", ">=22, !=24.10.0", False),
        ("24.05.0-edge", ">=24.04.0", True),
        ("9.10", ">=23", False),
        ("24.10.0", "!>=24.10.0", True),
    ],
)
def test_versions_in_nextflows_words(version: str, requires: str, fit: bool) -> None:
    assert fits(version, requires) is fit


@pytest.mark.parametrize("requires", ["new enough", ">=", "~>24"])
def test_what_is_no_version_is_said(requires: str) -> None:
    with pytest.raises(ValueError, match="not a condition for a version"):
        fits("24.10.0", requires)


@pytest.mark.parametrize(
    ("java", "number"), [("1.8.0_402", 8), ("17.0.15", 17), ("21", 21), ("11.0.2-ea", 11)]
)
def test_versions_of_java(java: str, number: int) -> None:
    assert major(java) == number


@pytest.mark.parametrize(
    "machine", [Machine(), Machine("/a b/java", "17.0.1"), Machine("/j", "", "-Xmx1g -Da=b", True)]
)
def test_the_machine_survives_a_plan(machine: Machine) -> None:
    assert Machine.of(str(machine)) == machine


def configured(place: Place, **engine: str) -> None:
    (place.root / "config.toml").write_text(
        "[engines.nextflow]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in engine.items())
    )


def java_that_says(place: Place, text: str) -> Path:
    program = place.root / "java"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ('openjdk version "1.8.0_402"', r"Java 11 or newer is needed, there is 8 at .*/java"),
        ("Segmentation fault", r"/java does not say its version"),
    ],
)
def test_an_old_or_broken_java_is_refused(
    place: Place, inside: Inside, nextflow: Path, expected: str, why: str
) -> None:
    configured(place, path=str(nextflow), java=str(java_that_says(place, expected)))
    done = inside("plan", "hello", "--engine", "nextflow", "--json")
    assert done.code == 4, done
    assert re.search(why, done.problems), done.problems
    assert "engines install nextflow" in done.problems and "without internet" in done.problems


def test_without_java(place: Place, inside: Inside, nextflow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(place, path=str(nextflow))
    for name in ("JAVA_HOME", "JAVA_CMD", "NXF_JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(place.root))
    done = inside("plan", "hello", "--engine", "nextflow", "--json")
    assert done.code == 4 and "no Java was found" in done.problems, done
    configured(place, path=str(nextflow), java="/nowhere/java")
    assert (
        "there is no file /nowhere/java" in inside("plan", "hello", "--engine", "nextflow", "--json").problems
    )


def test_java_is_found_as_the_launcher_finds_it(
    place: Place, nextflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("java")
    assert real is not None
    home = Path(real).resolve().parents[1]
    configured(place, path=str(nextflow))
    for name in ("JAVA_CMD", "NXF_JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAVA_HOME", str(home))
    (choice,) = Nextflow().installations(configuration.load())
    assert Machine.of(choice.detail).java == f"{home}/bin/java"
    monkeypatch.setenv("JAVA_CMD", real)
    (choice,) = Nextflow().installations(configuration.load())
    assert Machine.of(choice.detail).java == real
    assert (choice.version, choice.found) == ("24.10.0", "configured")


def test_a_launcher_that_has_downloaded_nothing_is_refused(place: Place, inside: Inside) -> None:
    """The official script, as far as its version is told by its text."""
    program = place.root / "nextflow"
    program.write_text(
        "#!/usr/bin/env bash\nNXF_VER=${NXF_VER:-'25.10.2'}\nNXF_BIN=$NXF_HOME/framework/$NXF_VER/x.jar\n"
    )
    program.chmod(0o755)
    configured(place, path=str(program))
    done = inside("plan", "hello", "--engine", "nextflow", "--json")
    assert (
        done.code == 4
        and "Nextflow 25.10.2" in done.problems
        and "has not downloaded its program yet" in done.problems
    ), done
    jar = place.root / "home" / ".nextflow" / "framework" / "25.10.2" / "nextflow-25.10.2-one.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert inside("plan", "hello", "--engine", "nextflow", "--json").code == 0


def test_what_the_pipeline_asks_for_is_refused_when_planning(
    place: Place, inside: Inside, nextflow: Path
) -> None:
    configured(place, path=str(nextflow))
    config = """
    // nextflowVersion = '>=99'
    plugins {
        id 'nf-schema@2.1.1'
        id 'nf-prov'
    }
    manifest {
        name = 'it // is'
        nextflowVersion = '!>=25.10'
    }
    """
    engine = [{"engine": "nextflow", "file": "main.nf"}]
    folder = write_workflow(
        place.root / "pipeline",
        {},
        {"implementations": engine},
        files={"main.nf": "workflow { }", "nextflow.config": config},
    )
    done = inside("plan", folder, "--json")
    assert done.code == 3, done
    assert (
        f"{folder}/nextflow.config:9: Nextflow !>=25.10 is needed, there is 24.10.0 at {nextflow} (configured)"
        in done.problems
    )
    assert re.search(
        r"nextflow\.config:4: the plug-in nf-schema@2\.1\.1 is not in .*/home/\.nextflow/plugins",
        done.problems,
    )
    assert "nextflow.config:5: the plug-in nf-prov has no version" in done.problems
    (place.root / "home" / ".nextflow" / "plugins" / "nf-schema-2.1.1").mkdir(parents=True)
    assert "nf-schema" not in inside("plan", folder, "--json").problems


# --- what is written


def job(
    container: ContainerChoice | None = None, images: dict[str, ContainerChoice] | None = None, **more: Any
) -> Job:
    software = SoftwareChoice(
        route="container" if container else "installed", detail="", container=container, images=images or {}
    )
    allocation = Allocation(cores=2, memory_bytes=3_000_000_000, disk_bytes=0, wall_seconds=60)
    given: dict[str, Any] = {"parameters": {}, "inputs": {}, "selected": {}, **more}
    return Job(workflow="w", entry="code/x/main.nf", allocation=allocation, software=software, **given)


CHOICE = EngineChoice(
    name="nextflow",
    path="/opt/nextflow",
    version="24.10.0",
    found="PATH",
    detail="Java 17 at /opt/java; options -Dx=y",
)


def test_what_is_rendered() -> None:
    reported = Nextflow().render(
        CHOICE, job(parameters={"a": "${projectDir} $x"}, options=("-profile", "test"))
    )
    assert reported.command == [
        "/opt/nextflow",
        "-log",
        "logs/nextflow.log",
        "-c",
        "nextflow.config",
        "run",
        "code/x/main.nf",
        "-params-file",
        "params.json",
        "-work-dir",
        "work",
        "-ansi-log",
        "false",
        "-offline",
        "-profile",
        "test",
    ]
    assert reported.environment["JAVA_CMD"] == "/opt/java"
    assert reported.environment["NXF_OPTS"] == "-Xmx750m -XX:+ExitOnOutOfMemoryError -Dx=y"
    assert b"${" not in reported.files["params.json"]
    assert json.loads(reported.files["params.json"])["a"] == "${projectDir} $x"
    config = reported.files["nextflow.config"].decode()
    assert (
        "process.executor = 'local'" in config
        and "cpus = 2" in config
        and "memory = '3000000000 B'" in config
    )
    assert "process.cpus" not in config and "process.memory" not in config


@given(st.text())
def test_a_groovy_string_holds_any_text(text: str) -> None:
    """Read back by Groovy's rules of a single-quoted string."""
    written = nextflow_config.quoted(text)
    assert written[0] == written[-1] == "'" and written.isprintable()
    body = written[1:-1]
    assert not re.search(r"(?<!\\)(?:\\\\)*'", body)
    back = re.sub(
        r"\\(u[0-9a-f]{4}|.)",
        lambda m: (
            chr(int(m[1][1:], 16)) if len(m[1]) == 5 else {"n": "\n", "r": "\r", "t": "\t"}.get(m[1], m[1])
        ),
        body,
    )
    assert back.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == text


# --- what is read


def test_times_of_the_log_do_not_depend_on_its_language() -> None:
    from datetime import datetime

    now = datetime(2026, 1, 1, 0, 0, 30).timestamp()
    assert moment("Dec-31 23:59:59.500", now) == moment("décembre-31 23:59:59.500", now) == now - 30.5
    assert moment("Jan-01 00:00:10.000", now) == now - 20
    assert moment("nonsense-99 25:61:00.000", now) == now


def test_broken_records_are_passed_over(tmp_path: Path) -> None:
    run = tmp_path / "abc"
    for name in ("logs", "engine"):
        (run / name).mkdir(parents=True)
    (run / "logs" / "nextflow.log").write_bytes(
        b"Nov-21 09:00:00.000 [main] DEBUG x - $> nextflow run x -name run-abc-1 -x\n\xff\xfe\n\x00["
    )
    (run / "engine" / "1.trace.tsv").write_bytes(b"task_id\thash\n1\tx\n\xff\n\t\t\t\n")
    assert NextflowEvents(run, 1).read() == []
    assert NextflowEvents(run, 2).read() == []
