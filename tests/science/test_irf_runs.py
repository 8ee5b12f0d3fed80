"""`esap-wf run irf` for real: its environment, its results, the same by hand, the same again, and the same science."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.paths import ROOT

pytestmark = [pytest.mark.science, pytest.mark.integration]
WORKFLOW = ROOT / "workflows" / "irf"
TINY = WORKFLOW / "test" / "params.yaml"


@pytest.fixture(scope="module")
def here(irf_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("irf")
    (root / "home").mkdir()
    # the environment was built there
    return Place(root, {"ESAP_WF_CACHE": str(irf_python.parents[3])})


@pytest.fixture(scope="module")
def done(here: Place) -> dict[str, Any]:
    ended = here.inside("run", "irf", "--params", TINY, "--json")
    assert ended.code == 0, ended.err
    return ended.json


def sums(run: Path) -> dict[str, str]:
    accepted = json.loads((run / "outputs.json").read_text())["outputs"]
    return {o["path"]: o["sha256"] for o in accepted}


def test_the_environment_of_the_pins_is_used_and_everything_is_accepted(
    here: Place, done: dict[str, Any], irf_python: Path
) -> None:
    run = Path(done["dir"])
    assert json.loads((run / "plan.json").read_text())["software"]["bin_dirs"] == [str(irf_python.parent)]
    names = {o["name"] for o in here.inside("results", done["run"], "--json").json["outputs"]}
    assert names == {"irf", "benchmarks", "validation", "report", "plots", "record", "record_text"}
    state = here.inside("status", done["run"], "--json").json
    assert (state["progress"]["units_total"], state["progress"]["units_done"]) == (2, 2)


@pytest.mark.soak  # in short: test_same_parameters_same_bytes_in_another_folder, test_what_is_rendered_runs_without_esap_wf
def test_the_bare_engine_makes_the_same_bytes(done: dict[str, Any], tmp_path: Path) -> None:
    run, copy = Path(done["dir"]), tmp_path / "by hand"
    copy.mkdir()
    for name in ("config.json", "command.sh", "code"):
        (shutil.copytree if (run / name).is_dir() else shutil.copy2)(run / name, copy / name)
    by_hand = subprocess.run(
        ["bash", "command.sh"], cwd=copy, capture_output=True, text=True, timeout=300, check=False
    )
    assert by_hand.returncode == 0, by_hand.stderr[-2000:]
    assert {p: hashlib.sha256((copy / p).read_bytes()).hexdigest() for p in sums(run)} == sums(run)


def test_the_same_again_is_reused_and_the_same_simulation_is_told(here: Place, done: dict[str, Any]) -> None:
    again = here.inside("run", "irf", "--params", TINY, "--zenith", "20 deg", "--json").json
    assert (again["run"], again["reused"]) == (done["run"], True)
    plan = here.inside("plan", "irf", "--params", TINY, "--intended-excess", "90", "--json").json
    assert done["run"] in plan["duplicates"]
    told = next(d for d in plan["duplicate_details"] if d["run"] == done["run"])
    assert told["level"] == "science"
    assert "intended_excess" in " ".join(told["differs"])
    other = here.inside("plan", "irf", "--params", TINY, "--zenith", "30 deg", "--json").json
    assert done["run"] not in other["duplicates"]


def test_what_irf_makes_passes_irf_validate_as_a_run_of_its_own(here: Place, done: dict[str, Any]) -> None:
    made = Path(done["dir"], "outputs/irf.fits")
    ended = here.inside("run", "irf-validate", "--input", f"irf={made}", "--json")
    assert ended.json["phase"] == "COMPLETED", ended.err
    broken = here.root / "broken.fits"
    broken.write_bytes(made.read_bytes()[: 2880 * 8])
    assert here.inside("run", "irf-validate", "--input", f"irf={broken}", "--json").code == 1


def test_a_database_of_the_user_gets_the_record_and_the_shipped_one_does_not(
    here: Place, done: dict[str, Any]
) -> None:
    shipped = WORKFLOW / "data" / "productions.json"
    before, mine = shipped.read_bytes(), here.root / "productions.json"
    data = json.loads(before)
    data.pop("read_only", None)
    mine.write_text(json.dumps(data))
    ended = here.inside(
        "run", "irf", "--params", TINY, "--seed", "7", "--input", f"production_db={mine}", "--json"
    )
    assert ended.code == 0, ended.err
    assert len(json.loads(mine.read_text())["productions"]) == len(data["productions"]) + 1
    again = here.inside(
        "run", "irf", "--params", TINY, "--seed", "7", "--input", f"production_db={mine}", "--json"
    ).json
    assert (again["run"], again["reused"]) == (ended.json["run"], True)
    assert shipped.read_bytes() == before
