"""Plug-ins of another package: found by entry points, their contract checked, broken ones reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from esap_wf import plugins
from esap_wf.errors import UsageError

TOY = Path(__file__).parent / "toy_plugin"
PROGRAM = "import json, sys\nopen('outputs/result.txt', 'w').write(json.load(open(sys.argv[1]))['word'])\n"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy package, built and installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("toy")
    source = shutil.copytree(TOY, folder / "source")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(folder / "site"),
        str(source),
    ]
    subprocess.run(pip, check=True, stdin=subprocess.DEVNULL, timeout=300)
    return folder / "site"


@pytest.fixture
def with_toy(place: Any, installed: Path) -> Any:
    """A place in whose processes the toy package is found."""
    place.extra["PYTHONPATH"] = os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH"))))
    return place


@pytest.fixture
def folder(toy: Any) -> Path:
    made = toy(
        {"word": {"type": "string", "title": "Word", "default": "done"}}, {"implementations": [{"engine": "toy", "file": "main.py"}]},
        **{"main.py": PROGRAM},
    )  # fmt: skip
    return made.folder


def test_an_engine_of_another_package_runs_a_workflow(with_toy: Any, folder: Path) -> None:
    done = with_toy("run", folder, "--word", "$(x) 'y'", "--json")
    assert done.code == 0, done.err
    assert (Path(done.json["dir"]) / "outputs/result.txt").read_text() == "$(x) 'y'"
    assert with_toy("status", done.json["run"], "--json").json["engine"] == "toy"


def test_an_engine_of_another_package_is_stopped(with_toy: Any, folder: Path) -> None:
    (folder / "main.py").write_text("import time\nopen('began', 'w').close()\ntime.sleep(600)\n")
    run = with_toy("run", folder, "--detach", "--json").json
    until = time.monotonic() + 120
    while not (Path(run["dir"]) / "began").exists():
        assert time.monotonic() < until, with_toy("status", run["run"]).out
        time.sleep(0.05)
    for words in (["cancel", run["run"], "--drain", "--json"],):
        done = with_toy(*words)
        assert (done.code, done.json["phase"]) == (0, "ABORTED"), done
    assert "Traceback" not in (Path(run["dir"]) / "logs/supervisor.log").read_text()


def test_a_program_that_succeeds_without_its_output_has_not_succeeded(with_toy: Any, folder: Path) -> None:
    (folder / "main.py").write_text("pass\n")
    done = with_toy("run", folder, "--json")
    assert done.code == 1
    assert done.json["phase"] == "ERROR"
    assert "outputs/result.txt is missing" in with_toy("status", done.json["run"], "--json").json["reason"]


def test_broken_plugins_are_reported_and_do_not_hurt_the_rest(with_toy: Any) -> None:
    rows = {r["name"]: r for r in with_toy("engines", "list", "--json").json["engines"]}
    assert rows["toy"]["version"] == "1.0"
    assert rows["snakemake"]["version"]
    assert "lacks runtimes, candidates" in rows["unfinished"]["hint"]
    assert "before_resume" in rows["unfinished"]["hint"], "the whole contract is told"
    assert "licence server" in rows["raising"]["hint"]
    assert "calls itself 'toy'" in rows["misnamed"]["hint"]
    assert "toy_plugin.nowhere" in rows["absent"]["hint"]
    assert "how_to_get is no method; events takes no 3 arguments" in rows["outdated"]["hint"]


def test_a_workflow_for_a_broken_engine_says_why(with_toy: Any, toy: Any) -> None:
    folder = toy({}, {"implementations": [{"engine": "raising", "file": "Snakefile"}]}).folder
    done = with_toy("plan", folder, "--json")
    assert done.code == 4
    assert "licence server" in done.problems


def test_a_backend_of_another_package_makes_offers(with_toy: Any) -> None:
    (with_toy.root / "config.toml").write_text("[backends.attic]\nkind = 'cupboard'\n")
    offers = {o["backend"]: o for o in with_toy("plan", "noop", "--json").json["offers"]}
    assert offers["local"]["fits"]
    assert offers["attic"] == {
        "backend": "attic",
        "fits": False,
        "reasons": ["this version starts runs on this machine only"],
    }
    refused = with_toy("plan", "noop", "--cores", "2", "--backend", "attic", "--json")
    assert refused.code == 3
    assert "the door is closed" in refused.problems


def test_an_unknown_plugin_is_a_usage_error_with_the_closest() -> None:
    with pytest.raises(UsageError, match="did you mean snakemake"):
        plugins.one("esap_wf.engines", "snakemak")


def test_own_plugins_keep_their_contract() -> None:
    for group in plugins.CONTRACTS:
        usable, broken = plugins.load(group)
        assert usable
        assert not broken


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
    manifest = {"implementations": [{"engine": "toy", "file": "main.py"}], "outputs": outputs}
    folder = toy({}, manifest, **{"main.py": JUDGED, "s.json": schema}).folder
    done = with_toy("run", folder, "--json")
    assert (done.code, done.json["phase"]) == (1, "ERROR")
    state = with_toy("status", done.json["run"], "--json").json
    assert state["exit_code"] == 0, "what the engine said is kept"
    assert [(f["step"], f["unit"], f["reason"]) for f in state["failures"]] == [
        ("collect", "result", "INVALID_OUTPUT"),
        ("collect", "total", "INVALID_OUTPUT"),
    ]
    assert "closure (5 sigma)" in state["reason"]
    assert with_toy("results", done.json["run"]).code == 3
