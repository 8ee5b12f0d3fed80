"""Plug-ins of another package: found by entry points, their contract checked, broken ones reported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest
from helpers import tutorial
from helpers.command_line import Place
from helpers.waiting import until

import esap_wf
from esap_wf import plugins
from esap_wf.engines import CONTRACT
from esap_wf.errors import UsageError

TOY = Path(__file__).parent / "toy_plugin"
#: A pipeline of the tutorial's engine: one job, a text in Python.
PIPELINE = """\
def stages(config):
    yield [("make", None, ["python3", "-c", {text!r}, str(config.get("word"))], "outputs/result.txt")]
"""
WRITES = "import sys; open('outputs/result.txt', 'w').write(sys.argv[1])\n"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy package with the tutorial's engine in it, built and installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("toy")
    source = shutil.copytree(TOY, folder / "source")
    shutil.copytree(tutorial.write(folder / "tutorial") / "miniflow", source / "miniflow")
    pip = [sys.executable, "-m", "pip", "install", str(source)]
    env = {**os.environ, **tutorial.installing(folder / "site")}
    subprocess.run(pip, env=env, check=True, stdin=subprocess.DEVNULL, timeout=300)
    return folder / "site"


@pytest.fixture
def with_toy(place: Any, installed: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A place in whose processes, and in this one, the toy package is found."""
    monkeypatch.syspath_prepend(str(installed))
    place.extra |= paths_of(installed)
    return place


def paths_of(site: Path) -> dict[str, str]:
    """Variables by which Python and the shell find what is in a folder."""
    return {
        name: value for name, value in tutorial.installing(site).items() if name in ("PATH", "PYTHONPATH")
    }


@pytest.fixture
def folder(toy: Any) -> Path:
    made = toy(
        {"word": {"type": "string", "title": "Word", "default": "done"}},
        {"implementations": [{"engine": "toy", "file": "main.flow"}]},
        files={"main.flow": PIPELINE.format(text=WRITES)},
    )
    return made.folder


def test_what_an_engine_names_is_the_result(with_toy: Any, folder: Path) -> None:
    manifest = folder / "workflow.yaml"
    said = json.loads(manifest.read_text()) | {
        "outputs": [{"name": "result", "path": "outputs/result.txt", "guess": True}]
    }
    said["implementations"][0]["engine"] = "telling"
    manifest.write_text(json.dumps(said))
    more = "import os\nos.makedirs('work/tree/empty')\nopen('work/tree/a', 'w').write('A')\n"
    (folder / "main.flow").write_text(PIPELINE.format(text=WRITES + more))
    done = with_toy.inside("run", folder, "--word", "x", "--json")
    assert done.code == 0, done.err
    told = with_toy.inside("results", done.json["run"], "--json").json
    assert told["values"] == {"answer": 42, "none": None}
    assert [(o["name"], o["path"], o["bytes"]) for o in told["outputs"]] == [
        ("tree", "work/tree/", 1),
        ("tree", "work/tree/a", 1),
        ("tree", "work/tree/empty/", 0),
        ("pair", "outputs/result.txt", 1),
    ]
    text = with_toy.inside("results", done.json["run"]).out
    assert "work/tree/ (2 in it)" in text
    assert "answer" in text
    page = (Path(done.json["dir"]) / "report.html").read_text()
    assert "work/tree/ (2 in it)" in page
    assert "<td>42</td>" in page


def test_an_engine_that_can_not_drain_is_cancelled_and_the_run_says_so(with_toy: Any, folder: Path) -> None:
    (folder / "main.flow").write_text(PIPELINE.format(text="import time; time.sleep(600)"))
    run = with_toy.inside("run", folder, "--detach", "--json").json
    log = Path(run["dir"]) / "events.jsonl"
    until(lambda: log.exists() and '"start"' in log.read_text())
    done = with_toy.inside("cancel", run["run"], "--drain", "--json")
    assert (done.code, done.json["phase"]) == (0, "ABORTED"), done
    assert "jobs are cancelled, Toy can't let them end and start no others" in log.read_text()
    assert "stopped by" in (Path(run["dir"]) / "report.html").read_text()
    assert "Traceback" not in (Path(run["dir"]) / "logs/supervisor.log").read_text()


def test_a_program_that_succeeds_without_its_output_has_not_succeeded(with_toy: Any, folder: Path) -> None:
    (folder / "main.flow").write_text("def stages(config):\n    return []\n")
    done = with_toy.inside("run", folder, "--json")
    assert done.code == 1
    assert done.json["phase"] == "ERROR"
    assert (
        "outputs/result.txt is missing"
        in with_toy.inside("status", done.json["run"], "--json").json["reason"]
    )
    assert "outputs/result.txt is missing" in (Path(done.json["dir"]) / "report.html").read_text()


@pytest.fixture(scope="module")
def listed(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The rows of `engines list`, by name."""
    at = Place(tmp_path_factory.mktemp("listed"), paths_of(installed))
    return {row["name"]: row for row in at("engines", "list", "--json").json["engines"]}


def test_broken_plugins_are_reported_and_do_not_hurt_the_rest(listed: dict[str, dict[str, Any]]) -> None:
    assert listed["toy"]["version"] == "1.0"
    assert listed["snakemake"]["version"]
    said = {name: row["hint"] for name, row in listed.items()}
    assert said["unfinished"].endswith(
        "does not keep the contract of esap_wf.engines: it lacks events, render"
    )
    assert "licence server" in said["raising"]
    assert "calls itself 'toy'" in said["misnamed"]
    assert "toy_plugin.nowhere" in said["absent"]
    assert said["outdated"].partition("esap_wf.engines: ")[2].split("; ") == [
        "runtimes is not a string",
        "how_to_install is not a method",
        "events does not take 3 arguments",
        "results does not take 2 arguments",
    ]


def test_a_plugin_for_another_contract_is_told_what_to_do(listed: dict[str, dict[str, Any]]) -> None:
    said = {name: row["hint"] for name, row in listed.items()}
    assert (
        "is to derive from esap_wf.engines.EngineBase and to say `contract = 1`; docs/engines.md says what has changed"
        in said["early"]
    )
    assert (
        f"`contract = 1` in its class means contract 1 of esap-wf {esap_wf.__version__}"
        in said["unversioned"]
    )
    assert "written for contract 99, newer than contract 1 of esap-wf" in said["newer"]
    assert "take a newer esap-wf, or an older release of the plug-in" in said["newer"]


def test_a_workflow_for_a_broken_engine_says_why(with_toy: Any, toy: Any) -> None:
    folder = toy({}, {"implementations": [{"engine": "raising", "file": "Snakefile"}]}).folder
    done = with_toy.inside("plan", folder, "--json")
    assert done.code == 4
    assert "licence server" in done.problems


def test_a_backend_of_another_package_makes_offers(with_toy: Any) -> None:
    (with_toy.root / "config.toml").write_text("[backends.attic]\nkind = 'cupboard'\n")
    offers = {o["backend"]: o for o in with_toy.inside("plan", "noop", "--json").json["offers"]}
    assert offers["local"]["fits"]
    assert offers["attic"] == {
        "backend": "attic",
        "fits": False,
        "reasons": ["has not been asked yet: esap-wf backends check attic"],
    }
    unavailable = with_toy.inside("plan", "noop", "--backend", "attic", "--json")
    assert unavailable.code == 4
    assert "the door is closed" in unavailable.problems


def test_an_unknown_plugin_is_a_usage_error_with_the_closest() -> None:
    with pytest.raises(UsageError, match="did you mean snakemake"):
        plugins.one("esap_wf.engines", "snakemak")


@pytest.mark.parametrize("group", plugins.CONTRACTS)
def test_own_plugins_keep_their_contract(group: str) -> None:
    usable, broken = plugins.load(group)
    assert usable.keys() >= plugins.BUILT_IN[group].keys() and not broken
    assert not {
        name: wrong for name in plugins.BUILT_IN[group] if (wrong := plugins.check(group, usable[name]))
    }


def test_each_own_engine_names_its_contract_itself() -> None:
    for engine in plugins.load("esap_wf.engines")[0].values():
        assert vars(type(engine))["contract"] == CONTRACT


def test_names_and_arguments_that_are_checked_are_those_of_the_base_class() -> None:
    """One list: what is added to the base is asked of plug-ins, without a second place to be told."""

    class Longer(Protocol):
        name: str
        amount: int

        def one(self, a: int, b: int) -> None: ...
        def _own(self) -> None: ...

    assert plugins._asked(Longer) == (["name"], {"one": 2})


JUDGED = """\
import json
open("outputs/result.txt", "w").write("x")
json.dump({"valid": False, "checks": [{"name": "closure", "passed": False, "detail": "5 sigma"}]}, open("outputs/v.json", "w"))
json.dump({"sum": "many"}, open("outputs/sum.json", "w"))
"""


def test_an_invalid_verdict_or_document_is_an_error_though_the_engine_said_0(with_toy: Any, toy: Any) -> None:
    outputs = [
        {"name": "result", "path": "outputs/result.txt", "verdict": "outputs/v.json"},
        {"name": "total", "path": "outputs/sum.json", "schema": "s.json"},
    ]
    schema = '{"type": "object", "properties": {"sum": {"type": "number"}}}'
    manifest = {"implementations": [{"engine": "toy", "file": "main.flow"}], "outputs": outputs}
    folder = toy({}, manifest, files={"main.flow": PIPELINE.format(text=JUDGED), "s.json": schema}).folder
    done = with_toy.inside("run", folder, "--json")
    assert (done.code, done.json["phase"]) == (1, "ERROR")
    state = with_toy.inside("status", done.json["run"], "--json").json
    assert state["exit_code"] == 0, "what the engine said is kept"
    assert [(f["step"], f["unit"], f["reason"]) for f in state["failures"]] == [
        ("collect", "result", "INVALID_OUTPUT"),
        ("collect", "total", "INVALID_OUTPUT"),
    ]
    assert "closure (5 sigma)" in state["reason"]
    assert with_toy.inside("results", done.json["run"]).code == 3
