"""Python does what the verbs do: in a script, on a terminal, in a notebook."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.paths import ROOT
from helpers.workflows import write_workflow
from services import engines

import esap_wf
from esap_wf import flow
from esap_wf.api import Result, display, waiting
from esap_wf.errors import NotFoundError, RefusedError, RunFailedError, UsageError
from esap_wf.models.run import Phase, Progress, State
from esap_wf.runs.store import Store

PROGRAMS = Path(__file__).with_name("programs")
VERBS = {
    "plan",
    "run",
    "status",
    "results",
    "list",
    "logs",
    "cancel",
    "resume",
    "rerun",
    "workflows",
    "show",
    "follow",
    "places",
}


def test_the_functions_are_offered_and_none_is_hidden_by_a_module() -> None:
    assert set(dir(esap_wf)) >= VERBS
    for name in VERBS:
        function = getattr(esap_wf, name)
        assert inspect.isfunction(function)
        assert importlib.util.find_spec(f"esap_wf.{name}") is None, (
            f"a module {name} would take the place of the function"
        )
        taken = inspect.signature(function).parameters
        if taken:
            documented = inspect.getdoc(function) or ""
            assert "Parameters\n----------" in documented
            assert all(p in documented for p in taken), name
    names: dict[str, Any] = {}
    exec("from esap_wf import *", names)
    assert "list" not in names, "Python's own list must stay what it is"
    assert "run" in names


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run that failed, was resumed when its cause was mended, and was run again with another parameter."""
    place = Place(tmp_path_factory.mktemp("mended"))
    flag = place.root / "flag"
    recipe = (
        "rule all:\n    input: 'outputs/result.txt'\n"
        "rule make:\n    output: 'outputs/result.txt'\n    log: 'logs/make/all.log'\n"
        f"    shell: 'test -e {flag} 2> {{log}} && echo {{config[n]}} > {{output}}'\n"
    )
    folder = write_workflow(
        place.root / "toy",
        {"n": {"type": "integer", "title": "N", "default": 1}},
        files={"Snakefile": recipe},
    )
    store = place.store
    with pytest.raises(RunFailedError) as failed:
        esap_wf.run(folder, name="mine", tags=["t"], store=store)
    (listed,) = esap_wf.list(store=store)
    told: dict[str, Any] = {
        "store": store,
        "error": str(failed.value),
        "failed": listed,
        "state": esap_wf.status(listed),
    }
    flag.touch()
    told["resumed"] = esap_wf.resume("mine", store=store, memory="200 MB")
    told["again"] = esap_wf.rerun(told["resumed"], {"n": 2})
    return told


def test_a_failed_run_is_resumed_and_run_again(mended: dict[str, Any]) -> None:
    assert mended["failed"].id in mended["error"]
    assert (mended["failed"].phase, mended["failed"].name) == (Phase.ERROR, "mine")
    assert "make" in repr(mended["state"])
    resumed, again = mended["resumed"], mended["again"]
    assert (resumed.id, resumed.phase) == (mended["failed"].id, Phase.COMPLETED)
    assert any("200 MB" in note for note in resumed.notes)
    assert resumed.path("result").read_text() == "1\n"
    assert again.id != resumed.id
    assert again.path("result").read_text() == "2\n"
    assert again.status().phase is Phase.COMPLETED
    with pytest.raises(RefusedError, match="nothing to resume"):
        esap_wf.resume(resumed)
    with pytest.raises(UsageError, match="no parameter m"):
        esap_wf.rerun(resumed, {"m": 2})


def test_runs_are_listed_by_the_filters_of_the_verb(mended: dict[str, Any]) -> None:
    store, resumed, again = mended["store"], mended["resumed"], mended["again"]
    ids = lambda **filters: [run.id for run in esap_wf.list(store=store, **filters)]  # noqa: E731
    assert ids() == [again.id, resumed.id]
    assert ids(phase="completed") == [again.id, resumed.id]
    assert ids(phase="ERROR") == ids(workflow="other") == ids(tag="u") == ids(since="2999-01-01") == []
    assert ids(tag="t", workflow="toy", since=date(2020, 1, 1)) == [again.id, resumed.id]
    assert ids(name="INE") == [again.id, resumed.id], "part of the name, in any case"
    assert ids(name="no such name") == ids(owner="nobody else") == []
    assert ids(owner=esap_wf.list(store=store)[0].owner) == [again.id, resumed.id]
    first = esap_wf.list(store=store, limit=1)
    assert first.next is not None
    assert [run.id for run in esap_wf.list(store=store, limit=1, cursor=first.next)] == [resumed.id]
    assert esap_wf.list(store=store / "none") == []
    for wrong in ({"phase": "DONE"}, {"since": "yesterday"}, {"limit": 0}, {"cursor": "x"}):
        with pytest.raises(UsageError):
            esap_wf.list(store=store, **wrong)


def test_logs_and_results_are_found_by_a_run_however_it_is_named(
    mended: dict[str, Any], tmp_path: Path
) -> None:
    store, again = mended["store"], mended["again"]
    (summary, *_) = esap_wf.list(store=store)
    for run, more in ((again, {}), (summary, {}), (again.id[:8], {"store": store})):
        assert [log.step for log in esap_wf.logs(run, step="make", **more)] == ["make"]
        assert [o.path for o in esap_wf.results(run, **more)] == ["outputs/result.txt"]
        assert esap_wf.follow(run, **more) == Result(again.id, again.dir, Phase.COMPLETED, False)
    assert "engine" in {log.step for log in esap_wf.logs(again)}
    assert esap_wf.logs(again, step="engine")[0].tail()
    with pytest.raises(NotFoundError, match=r"steps with logs: .*make"):
        esap_wf.logs(again, step="other")
    esap_wf.results(again, copy_to=tmp_path / "here")
    assert (tmp_path / "here" / "result.txt").read_text() == "2\n"
    for wrong in (None, 7, Path(again.id)):
        with pytest.raises(UsageError, match="names no run"):
            esap_wf.status(wrong, store=store)  # type: ignore[arg-type]


def test_results_that_were_changed_are_told_at_the_line_that_asks(mended: dict[str, Any]) -> None:
    output = mended["resumed"].path("result")
    output.chmod(0o644)
    output.write_text("spoilt\n")
    with pytest.warns(UserWarning, match="the result was changed") as warned:
        esap_wf.results(mended["resumed"])
    assert warned[0].filename == __file__


def test_workflows_are_listed_and_shown(place: Place) -> None:
    assert {"hello", "noop"} <= {row["name"] for row in esap_wf.workflows()}
    told = esap_wf.show("noop")
    assert told == place.inside("show", "noop", "--json").json
    assert repr(told).splitlines()[0].startswith("noop ")
    with pytest.raises(NotFoundError):
        esap_wf.show("nothing")


class Screen:
    """A terminal, as far as this process is concerned."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


STATES = [
    State(phase=Phase.QUEUED, progress=Progress(units_total=2)),
    State(phase=Phase.EXECUTING, progress=Progress(units_total=2, units_done=1)),
    State(phase=Phase.COMPLETED, progress=Progress(units_total=2, units_done=2), reason="\x1b[2Jdone"),
]


@pytest.mark.parametrize("progress", [None, True, False])
@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_line_of_a_terminal_and_plain_lines_elsewhere_if_asked_for(
    world: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    progress: bool | None,
    terminal: bool,
) -> None:
    screen = Screen()
    if terminal:
        monkeypatch.setattr(sys, "stderr", screen)
    shown = display.of(Store.open(world.cli.store).run(world.hello), progress)
    for state in STATES:
        shown(state)
    shown.close()
    text = screen.text if terminal else capsys.readouterr().err
    if progress is False or (progress is None and not terminal):
        assert text == ""
        return
    assert "\x1b" not in text
    lines = text.rstrip("\n").split("\r" if terminal else "\n")
    assert [line.split(world.hello)[1].split(",")[0] for line in lines if line] == [
        " QUEUED",
        " EXECUTING",
        " COMPLETED",
    ]
    assert text.count("\n") == (1 if terminal else 3), "a terminal's line is written anew"


def test_an_interrupt_says_what_goes_on_and_how_to_come_back(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    run = Store.open(world.cli.store).run(world.hello)
    monkeypatch.setattr(flow, "follow", interrupt)
    with pytest.raises(KeyboardInterrupt, match=f"^run {world.hello} is COMPLETED$"):
        waiting.wait(run)
    monkeypatch.setattr(type(run), "observe", lambda _: STATES[1])
    call = f"esap_wf.follow('{world.hello}', store='{world.cli.store}')"
    with pytest.raises(KeyboardInterrupt, match=f"run {world.hello} goes on: ") as told:
        waiting.wait(run)
    assert call in str(told.value)
    monkeypatch.setattr(flow, "start", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"esap_wf\.list\(store="):
        esap_wf.run("hello", store=world.cli.store)


def test_a_notebook_shows_progress_in_place_and_its_stop_button_leaves_the_run_alive(place: Place) -> None:
    kernel = engines.program("notebook").with_name("python")
    cells = [
        "import esap_wf",
        "esap_wf.run('noop', {'units': 1, 'seconds': 600})",
        "run, = esap_wf.list(); run",
        "esap_wf.status(run)",
        "esap_wf.cancel(run)",
        "esap_wf.list()",
    ]
    # the kernel finds esap-wf as if it were installed beside it
    installed = [
        str(ROOT),
        str(ROOT / "executors/snakemake-logger-plugin-esap/src"),
        next(p for p in sys.path if p.endswith("site-packages")),
    ]
    environment = {
        **os.environ,
        **place.environment,
        "PYTHONPATH": os.pathsep.join(installed),
        "IPYTHONDIR": str(place.root / "ipython"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [kernel, PROGRAMS / "interrupt_a_cell.py", json.dumps(cells)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    kinds = [m["kind"] for m in told]
    assert kinds[:2] == ["display_data", "update_display_data"], told
    assert "<progress" in told[0]["text/html"]
    error = next(m["text"] for m in told if m["kind"] == "error")
    assert kinds.count("execute_result") == 4, told
    run, state, ended, table = (m for m in told if m["kind"] == "execute_result")
    name = run["text/plain"].split()[1].rstrip(":")
    assert (
        error
        == f"KeyboardInterrupt: run {name} goes on: esap_wf.follow('{name}') waits for it again, esap_wf.cancel('{name}') stops it"
    )
    assert state["text/plain"].startswith("<State EXECUTING"), "the run was not interrupted"
    assert "ABORTED" in ended["text/plain"]
    assert "ABORTED" in table["text/html"]
