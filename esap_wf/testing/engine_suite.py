"""The questions that esap-wf asks of every engine: results, progress, the first line of a failure, resume,
stopping, what events tell.

Two workflows that come with esap-wf are run: ``noop`` (units in parallel, a fan-in, a verdict; a unit sleeps,
or fails, as it is asked to) and ``hello`` (one step, which gets a text of a user).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

import psutil
import pytest
import yaml

from esap_wf import plugins
from esap_wf.catalogue.manifests import builtin
from esap_wf.testing.places import Place, of_run, until
from esap_wf.testing.runs import Ended, Troubled, asleep, events, of, phase, runs_bare

#: Units of a run of ``noop``.
UNITS = 3
#: A text of a user that every part of a shell, of Python, Groovy, YAML or JSON takes for its own.
HOSTILE = '"a\'b" $(touch pwned) `touch pwned` ${projectDir} ${x} {{}} %s \\ \\u0041 ; | & مريم -rf'[:80]
#: Fields of an event that an engine may know.
FIELDS = ("unit", "attempt", "job", "exit_code", "log", "host", "cpu_seconds", "memory_bytes")

Test = TypeVar("Test", bound=Callable[..., None])


def answers(feature: str) -> Callable[[Test], Test]:
    """Say which row of a table of features a test answers: the attribute `feature` of its function."""

    def mark(test: Test) -> Test:
        test.feature = feature  # type: ignore[attr-defined]
        return test

    return mark


class EngineSuite:
    """
    All questions to an engine, asked by pytest.

    Derive from it in a test file::

        class TestMine(EngineSuite):
            name = "mine"
            pipelines = {"noop": HERE / "noop.mine", "hello": HERE / "hello.mine"}

    Attributes
    ----------
    name : str
        That of the engine's entry point; the plug-in is installed.
    pipelines : mapping of str to Path
        The two workflows ``noop`` and ``hello`` in the engine's language, one file each. They are put in the
        workflows' folders, beside ``scripts/``, whose programs do the work of the steps.
    """

    name: ClassVar[str] = ""
    pipelines: ClassVar[Mapping[str, Path]] = {}

    @classmethod
    def configuration(cls, engine: str) -> str:
        """The configuration file (TOML) under which the engine is used, if it isn't found otherwise."""
        return ""

    @classmethod
    def workflow(cls, name: str, engine: str, at: Place) -> str | Path:
        """
        A workflow as a word of the command line: with the engine's pipeline in the place of those that it
        comes with.
        """
        if name not in cls.pipelines:
            return name
        pipeline, folder = Path(cls.pipelines[name]), at.root / "workflows" / name
        if not folder.exists():
            shutil.copytree(builtin() / name, folder)
            shutil.copy2(pipeline, folder / pipeline.name)
            manifest = yaml.safe_load((folder / "workflow.yaml").read_text())
            manifest["implementations"] = [{"engine": engine, "file": pipeline.name}]
            (folder / "workflow.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
        return folder

    # --- what several questions look at

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> str:
        """Its name; several engines are asked by parametrising this."""
        return cls.name

    @pytest.fixture
    @classmethod
    def at(cls, tmp_path: Path, engine: str) -> Place:
        """A place in which the engine is configured."""
        return cls.placed(tmp_path, engine)

    @pytest.fixture(scope="class")
    @classmethod
    def completed(cls, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Ended:
        """All went well."""
        return cls.ended(
            tmp_path_factory.mktemp("completed"), engine, "--units", UNITS, "--group-size", UNITS
        )

    @pytest.fixture(scope="class")
    @classmethod
    def failed(cls, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Ended:
        """One unit of several; they take long enough to be measured."""
        words = ("--units", UNITS, "--fail-unit", 2, "--exit-code", 3, "--seconds", 2)
        return cls.ended(tmp_path_factory.mktemp("failed"), engine, *words)

    @pytest.fixture(scope="class")
    @classmethod
    def greeted(cls, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Ended:
        """The shortest run there is, with a hostile value."""
        words = ("--language", "dutch", "--name", "x", "--param", f"who={HOSTILE}")
        return cls.ended(tmp_path_factory.mktemp("greeted"), engine, *words, workflow="hello")

    @pytest.fixture(scope="class")
    @classmethod
    def troubled(cls, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Troubled:
        """The engine is killed, the run resumed, the supervisor killed, the run resumed."""
        at = cls.placed(tmp_path_factory.mktemp("troubled"), engine)
        run = cls.started(at, engine, "--units", UNITS, "--seconds", 2, "--group-size", UNITS)
        until(lambda: events(run, kind="start", step="unit"))
        pid = json.loads((run / "engine/1.json").read_text())["engine"]["pid"]
        jobs = until(lambda: asleep(run))
        os.kill(pid, signal.SIGKILL)
        until(lambda: phase(run) == "ERROR")
        until(lambda: not of_run(run))
        killed = at.inside("status", run.name, "--json").json["reason"]
        assert at.inside("resume", run.name, "--detach", "--json").code == 0
        until(lambda: events(run, kind="start", step="unit", epoch=2))
        os.kill(json.loads((run / "lease.json").read_text())["holder"]["pid"], signal.SIGKILL)
        return Troubled(at, run, jobs, killed, at.inside("resume", run.name, "--json"))

    @classmethod
    def placed(cls, root: Path, engine: str) -> Place:
        """A place in a folder, with the engine's configuration."""
        (root / "home").mkdir()
        (root / "config.toml").write_text(cls.configuration(engine))
        return Place(root)

    @classmethod
    def ended(cls, root: Path, engine: str, *words: object, workflow: str = "noop") -> Ended:
        """A run that has ended."""
        at = cls.placed(root, engine)
        done = at.inside("run", cls.workflow(workflow, engine, at), "--engine", engine, "--json", *words)
        return Ended(
            at, done, at.inside("status", done.json["run"], "--json").json, events(Path(done.json["dir"]))
        )

    @classmethod
    def started(cls, at: Place, engine: str, *words: object) -> Path:
        """The directory of a run that is at work."""
        done = at.inside(
            "run", cls.workflow("noop", engine, at), "--engine", engine, "--detach", "--json", *words
        )
        assert done.code == 0, done.err
        return Path(done.json["dir"])

    # --- the questions

    def test_the_plugin_keeps_the_contract(self, engine: str) -> None:
        assert plugins.check("esap_wf.engines", plugins.one("esap_wf.engines", engine)) == []

    @answers("same results as the other engines, byte for byte")
    def test_results_are_the_same_with_every_engine(self, greeted: Ended) -> None:
        assert greeted.done.code == 0, greeted.done
        assert json.loads((greeted.run / "outputs/greeting.json").read_text()) == {
            "greeting": f"Hallo, {HOSTILE}!",
            "language": "dutch",
            "who": HOSTILE,
        }
        assert not list(greeted.at.root.rglob("pwned"))
        assert (greeted.run / "outputs/greeting.txt").read_text() == f"Hallo, {HOSTILE}!\n"

    @answers("progress by unit")
    def test_units_are_counted(self, completed: Ended) -> None:
        state = completed.state
        assert state["phase"] == "COMPLETED", state
        progress = state["progress"]
        counts = (
            progress["units_total"],
            progress["units_done"],
            progress["units_failed"],
            progress["units_running"],
        )
        assert counts == (UNITS, UNITS, 0, 0)
        assert {s["name"] for s in state["steps"]} >= {"unit", "fan_in", "summary", "verdict"}
        assert len({e["unit"] for e in of(completed.events, kind="done", step="unit")}) == UNITS, (
            "each unit has a name of its own"
        )

    @answers("bare `bash command.sh`")
    def test_what_is_rendered_runs_without_esap_wf(self, greeted: Ended, tmp_path: Path) -> None:
        runs_bare(greeted, tmp_path / "bare")

    @answers("first line of a failure: step, unit, exit code, log")
    def test_a_failed_unit_is_reported_in_one_way(self, failed: Ended) -> None:
        assert (failed.done.code, failed.done.json["phase"]) == (1, "ERROR"), failed.done
        failure = failed.state["failures"][0]
        assert (failure["step"], failure["reason"], failure["exit_code"]) == ("unit", "EXIT_CODE", 3), (
            failed.state["failures"]
        )
        assert failure["unit"] is not None
        assert failed.state["reason"].startswith(f"unit {failure['unit']}: exit code 3"), failed.state[
            "reason"
        ]
        assert failure["log"] and (failed.run / failure["log"]).is_file(), failure
        assert any("exit" in line or "fail" in line.lower() for line in failure["tail"]), failure

    @answers("events")
    def test_what_events_tell(self, failed: Ended, record_property: Callable[[str, object], None]) -> None:
        ended = [e for e in of(failed.events, step="unit") if e["kind"] in ("done", "failed")]
        assert {e["kind"] for e in ended} == {"done", "failed"}
        features = {
            f"event: {name}": "yes" if any(e.get(name) is not None for e in ended) else "–" for name in FIELDS
        }
        features["event: start"] = "yes" if of(failed.events, kind="start", step="unit") else "–"
        record_property("features", features)

    @answers("resume repeats only what is missing")
    def test_a_resumed_run_does_not_repeat_what_is_done(self, failed: Ended) -> None:
        first = {e["unit"] for e in of(failed.events, kind="done", step="unit", epoch=1)}
        assert len(first) == UNITS - 1, "the others were not stopped by the failure"
        resumed = failed.at.inside("resume", failed.run.name, "--json")
        assert resumed.code == 1
        second = {e["unit"] for e in events(failed.run, kind="start", step="unit", epoch=2)}
        repeated = {e["unit"] for e in events(failed.run, kind="failed", step="unit", epoch=2)}
        assert len(repeated) == 1
        assert second <= repeated, "only the failed unit was started again"

    @answers("a killed engine is resumed")
    def test_a_killed_engine_leaves_a_run_that_is_resumed(self, troubled: Troubled) -> None:
        assert "killed" in troubled.killed
        assert troubled.jobs and not any(psutil.pid_exists(job) for job in troubled.jobs), (
            "what it left was found and ended"
        )
        assert (troubled.done.code, troubled.done.json["phase"]) == (0, "COMPLETED"), troubled.done
        assert len(list((troubled.run / "outputs/units").iterdir())) == UNITS

    @answers("a killed supervisor's engine is adopted")
    def test_an_engine_is_adopted(self, troubled: Troubled) -> None:
        assert (troubled.done.code, troubled.done.json["phase"]) == (0, "COMPLETED"), troubled.done
        assert any("adopted" in (e.get("detail") or "") for e in events(troubled.run, kind="note"))
        ends = [e["unit"] for e in events(troubled.run, kind="done", step="unit")]
        assert sorted(ends) == sorted(set(ends)) and len(ends) == UNITS, "each is reported once"
        starts = [e["unit"] for e in events(troubled.run, kind="start", step="unit", epoch=2)]
        assert sorted(starts) == sorted(set(starts)), (
            "what was reported to the supervisor that was killed is not reported to its successor"
        )

    @answers("cancel leaves nothing behind")
    def test_a_cancelled_run_leaves_no_process(self, at: Place, engine: str) -> None:
        run = self.started(at, engine, "--units", UNITS, "--seconds", 6000)  # nobody waits for the units
        until(lambda: events(run, kind="start", step="unit"))
        at.inside("cancel", run.name, "--json")
        until(lambda: phase(run) == "ABORTED")
        until(lambda: not of_run(run))
