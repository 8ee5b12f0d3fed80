"""`fair` as a whole with bare CWL runners: results, equal bytes, given files, failures; and through esap-wf."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from helpers.command_line import Place
from science.fair import (
    DEFAULTS,
    TINY,
    WORKFLOW,
    Software,
    contents,
    image,
    run_cwl,
    runner,
    tiny_outputs,
)
from science.report_page import HOSTILE, Report, shown_as_it_is
from services import containers, engines

pytestmark = [pytest.mark.science, pytest.mark.integration]


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


@pytest.fixture(scope="module")
def cwltool() -> Path:
    return runner("cwl", "CWLTOOL")


@pytest.fixture(scope="module")
def tiny(software: Software, cwltool: Path) -> Path:
    """Outputs of a tiny job with toy events; tests read them."""
    return tiny_outputs(software, cwltool)


def document(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_outputs_are_those_of_the_manifest_and_valid(tiny: Path) -> None:
    manifest = yaml.safe_load((WORKFLOW / "workflow.yaml").read_text())
    for output in manifest["outputs"]:
        found = list(tiny.parent.glob(output["path"]))
        assert len(found) >= output.get("at_least", 1), output["name"]
        assert all(f.stat().st_size >= output.get("min_bytes", 1) for f in found)
    verdict, result = document(tiny, "validation.json"), document(tiny, "result.json")
    assert verdict["valid"] and verdict["warnings"] == [], verdict
    assert result["measured"]["mass"]["value"] == pytest.approx(1.115683, abs=4e-4)
    part, sample = result["measured"]["efficiency"], result["simulation"]
    assert [f["name"] for f in sample["files"]] == ["toy-0.root"] and sample["files"][0]["events"] == TINY[
        "simulation_events"
    ]
    assert (part["origin"], part["decays"], part["found"]) == ("generated", sample["decays"], sample["found"])
    # one decay an event, and the efficiency known better than the yield
    assert abs(sample["decays"] - TINY["simulation_events"]) < 4 * TINY["simulation_events"] ** 0.5
    assert (
        part["error"] / part["value"]
        < result["measured"]["signal"]["error"] / result["measured"]["signal"]["value"]
    )
    assert (
        len(result["files"]) == TINY["files"]
        and result["counts"]["events"] == TINY["files"] * TINY["events_per_file"]
    )
    with (tiny / "checksums.csv").open() as stream:
        listed = {row["name"]: int(row["bytes"]) for row in csv.DictReader(stream)}
    assert listed == {p.name: p.stat().st_size for p in tiny.iterdir() if p.name != "checksums.csv"}


def test_the_report_has_the_numbers_of_the_results_and_needs_no_other_file(tiny: Path) -> None:
    page, result, verdict = (
        Report(tiny / "report.html"),
        document(tiny, "result.json"),
        document(tiny, "validation.json"),
    )
    found = result["measured"]
    region, efficiency = found["signal_region"], found["efficiency"]
    assert page.numbers == pytest.approx(
        {
            "mass": 1e3 * found["mass"]["value"],
            "width": 1e3 * found["width"]["value"],
            "signal": found["signal"]["value"],
            "background": found["background"]["value"],
            "region-signal": region["signal"],
            "region-background": region["background"],
            "signal-to-background": region["signal_to_background"],
            "significance": region["significance"],
            "likelihood-significance": region["likelihood_significance"],
            "chi2-per-ndf": found["goodness"]["chi2_per_ndf"],
            "true": result["counts"]["true_in_window"],
            "decays": result["counts"]["decays"],
            "corrected": efficiency["corrected_yield"]["value"],
            "efficiency": efficiency["value"],
        },
        rel=1e-12,
    )
    # the error of the world average is 6 keV: what the distance from it means is told with the systematic error
    mass = next(row for row in page.rows if row[0] == "Mass of the Λ")
    sigma = (
        1e3
        * (found["mass"]["value"] - found["mass"]["pdg"])
        / (1e3 * math.hypot(found["mass"]["error"], 5e-5))
    )
    assert (
        found["mass"]["systematic"] == 5e-5 and "± 0.050 (syst)" in mass[2] and f"{sigma:+.1f} σ" in mass[2]
    )
    value, error = (float(n) for n in mass[1].removesuffix(" MeV").split(" ± "))
    assert (value, error) == pytest.approx(
        (1e3 * found["mass"]["value"], 1e3 * found["mass"]["error"]), abs=1e-3
    )
    assert [row[1:] for row in page.rows if row[0] == "passed"] == [
        [c["name"], c["detail"]] for c in verdict["checks"]
    ]
    assert ["Beam energy", "beam_energy", "10 GeV", "10 GeV", ""] in page.rows
    assert [
        "Events in a file",
        "events_per_file",
        str(TINY["events_per_file"]),
        "5000",
        "changed",
    ] in page.rows
    assert [row[-1] for row in page.rows if row[0].endswith(".root")] == [
        f["sha256"] for f in (*result["files"], *result["simulation"]["files"])
    ]
    assert len(page.pictures) == 2 and page.elsewhere() == []
    assert re.search(r"uproot \d", page.text) and "Phys. Rev. D 110" in page.text


def test_no_name_and_no_value_becomes_a_part_of_the_report(
    tiny: Path, software: Software, tmp_path: Path
) -> None:
    result, verdict = document(tiny, "result.json"), document(tiny, "validation.json")
    files = [
        f | {"name": HOSTILE, "origin": HOSTILE, "verified_with": [HOSTILE], "sha256": HOSTILE}
        for f in result["files"]
    ]
    summary = {name: result[name] for name in ("counts", "selection", "readers")} | {
        "files": files,
        "truth": False,
        "simulation": result["simulation"],
    }
    fit = {"fit": None, "reason": HOSTILE, "model": result["model"]}  # nothing was fitted
    verdict |= {
        "valid": False,
        "warnings": [HOSTILE],
        "checks": [{"name": HOSTILE, "passed": False, "detail": HOSTILE}],
    }
    for name, content in (("summary", summary), ("result", fit), ("verdict", verdict)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    words: list[object] = [
        w for name in ("summary", "result", "verdict") for w in (f"--{name}", f"{name}.json")
    ]
    words += [w for name, value in DEFAULTS.items() for w in (f"--{name.replace('_', '-')}", value)]
    words += [
        "--schema",
        WORKFLOW / "params.schema.json",
        "--plots",
        tiny / "spectrum.png",
        "--out",
        "report.html",
    ]
    done = software.script("report", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown_as_it_is(Report(tmp_path / "report.html"), Report(tiny / "report.html"))


def test_the_result_document_follows_its_schema(tiny: Path) -> None:
    check = jsonschema_rs.validator_for(json.loads((WORKFLOW / "result.schema.json").read_text()))
    result = document(tiny, "result.json")
    check.validate(result)
    assert not check.is_valid({**result, "measured": {"mass": 1.1}})
    bare = {k: v for k, v in result["measured"]["mass"].items() if k != "systematic"}
    assert not check.is_valid({**result, "measured": {**result["measured"], "mass": bare}})


def test_nothing_of_the_machine_or_the_clock_is_in_the_outputs(tiny: Path) -> None:
    for name, content in contents(tiny).items():
        assert b"/tmp" not in content and str(WORKFLOW).encode() not in content, name


@pytest.mark.soak  # in short: test_results_of_one_run_are_the_input_of_another_and_damage_on_the_way_is_seen
def test_given_files_with_checksums_give_the_numbers_of_the_same_toy_events(
    software: Software, cwltool: Path, tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data lake #1 ü"
    made = [software.generate(folder, block) for block in (1, 2)]
    records = [document(folder, f"record-{block}.json") for block in (1, 2)]
    lines = [f"{r['name']},{r['bytes']},{r['adler32']}\n" for r in records]
    (tmp_path / "list.csv").write_text("name,bytes,adler32\n" + "".join(lines))
    job = {
        **TINY,
        "events": [{"class": "File", "location": p.as_uri()} for p in made],
        "checksums": {"class": "File", "path": str(tmp_path / "list.csv")},
    }
    done = run_cwl(cwltool, software, tmp_path / "run", job, "--relax-path-checks")
    assert done.returncode == 0, done.stderr[-3000:]
    given, toy = (document(f, "result.json") for f in (tmp_path / "run" / "outputs", tiny))
    assert given["measured"] | {"efficiency": None} == toy["measured"] | {"efficiency": None}
    assert [f["origin"] for f in given["files"]] == ["given", "given"]
    assert [f["verified_with"] for f in given["files"]] == [["adler32", "bytes"]] * 2
    for same in ("spectrum.png", "candidates.png", "spectrum.root"):
        assert (tmp_path / "run" / "outputs" / same).read_bytes() == (tiny / same).read_bytes(), same


def test_a_damaged_file_stops_the_run_with_its_name(
    software: Software, cwltool: Path, tmp_path: Path
) -> None:
    made = software.generate(tmp_path, 1, events_per_file=200)
    record = document(tmp_path, "record-1.json")
    (tmp_path / "list.csv").write_text(f"name,md5\ntoy-1.root,{record['md5']}\n")
    made.write_bytes(made.read_bytes()[:-1] + b"x")
    job = {
        **TINY,
        "events": [{"class": "File", "path": str(made)}],
        "checksums": {"class": "File", "path": str(tmp_path / "list.csv")},
    }
    done = run_cwl(cwltool, software, tmp_path / "run", job)
    assert done.returncode == 1
    assert "toy-1.root: md5 is" in done.stderr
    assert not list((tmp_path / "run").glob("outputs/*"))


@pytest.mark.soak  # in short: test_a_workflow_is_run_with_secondary_files_formats_and_defaults
def test_toil_makes_the_same_bytes(software: Software, tiny: Path, tmp_path: Path) -> None:
    toil = runner("toil", "TOIL_CWL_RUNNER")
    done = run_cwl(
        toil,
        software,
        tmp_path / "run",
        TINY,
        "--jobStore",
        str(tmp_path / "jobs"),
        "--maxCores",
        "2",
        "--disableProgress",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert contents(tmp_path / "run" / "outputs") == contents(tiny)


@pytest.mark.soak  # in short: test_software_may_be_mounted
def test_software_of_a_mounted_directory_is_enough(
    software: Software, cwltool: Path, tiny: Path, tmp_path: Path
) -> None:
    # as a site would mount it: read-only to the job, found by PATH alone
    mounted = tmp_path / "cvmfs" / "fair"
    mounted.parent.mkdir()
    mounted.symlink_to(software.python.parents[1])
    other = Software()
    other.environment = {**software.environment, "PATH": f"{mounted / 'bin'}:/usr/bin:/bin"}
    done = run_cwl(cwltool, other, tmp_path / "run", TINY)
    assert done.returncode == 0, done.stderr[-3000:]
    assert contents(tmp_path / "run" / "outputs") == contents(tiny)


def test_missing_software_is_named_before_anything_runs(
    software: Software, cwltool: Path, tmp_path: Path
) -> None:
    bare = Software()
    (tmp_path / "bin").mkdir()
    # a Python of the system without the workflow's packages
    program = shutil.which("python3", path="/usr/bin:/bin")
    if program is None:
        pytest.skip("no python3 of the system in /usr/bin")
    (tmp_path / "bin" / "python3").symlink_to(program)
    bare.environment = {**software.environment, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    done = run_cwl(cwltool, bare, tmp_path / "run", TINY)
    assert done.returncode == 1
    assert "python3 on PATH lacks" in done.stderr and "uproot" in done.stderr
    assert "Traceback" not in done.stderr and "[step generate] start" not in done.stderr


@pytest.fixture(scope="module")
def place(software: Software, cwltool: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("place")
    (root / "home").mkdir()
    (root / "config.toml").write_text(f'[engines.cwl]\npath = "{cwltool}"\n')
    # the environment was built there
    return Place(root, {"ESAP_WF_CACHE": str(software.python.parents[3])})


@pytest.fixture(scope="module")
def parameters(place: Place) -> Path:
    path = place.root / "tiny.json"
    path.write_text(json.dumps(TINY))
    return path


def test_esap_wf_runs_it_with_the_results_of_the_bare_engine(
    place: Place, parameters: Path, tiny: Path, software: Software
) -> None:
    done = place.inside("run", "fair", "--engine", "cwl", "--params", parameters, "--json")
    assert done.code == 0, done.err + done.out
    run = Path(done.json["dir"])
    assert done.json["phase"] == "COMPLETED"
    assert contents(run / "outputs") == contents(tiny)
    assert json.loads((run / "plan.json").read_text())["software"]["bin_dirs"] == [
        str(software.python.parent)
    ]
    names = {o["name"] for o in place.inside("results", done.json["run"], "--json").json["outputs"]}
    assert names == {"result", "spectrum", "validation", "plots", "report", "checksums"}
    progress = place.inside("status", done.json["run"], "--json").json["progress"]
    assert (progress["units_total"], progress["units_done"]) == (TINY["files"], TINY["files"])
    again = place.inside("run", "fair", "--engine", "cwl", "--params", parameters, "--json").json
    assert (again["run"], again["reused"]) == (done.json["run"], True)


@pytest.mark.parametrize("engine", ["cwl", pytest.param("toil", marks=pytest.mark.soak)])
def test_steps_in_containers_make_the_same_bytes(
    place: Place, software: Software, parameters: Path, tiny: Path, engine: str
) -> None:
    if shutil.which("apptainer", path=containers.path()) is None:
        pytest.skip("apptainer is not installed (make runtimes)")
    contained = Place(place.root / engine, {**place.extra, "PATH": containers.path()})
    (contained.root / "home").mkdir(parents=True)
    (contained.root / "config.toml").write_text(
        f"[containers]\nruntimes = ['apptainer']\nmap = {{'esap-wf/fair:1' = '{image()}'}}\n"
        f"{engines.configuration(engine)}"
    )
    done = contained.inside(
        "run", "fair", "--engine", engine, "--software", "container", "--params", parameters, "--json"
    )
    assert done.code == 0, done.err + done.out
    run = Path(done.json["dir"])
    assert json.loads((run / "plan.json").read_text())["software"]["container"]["runtime"] == "apptainer"
    assert contents(run / "outputs") == contents(tiny)


def test_results_of_one_run_are_the_input_of_another_and_damage_on_the_way_is_seen(
    place: Place, parameters: Path, software: Software, tmp_path: Path
) -> None:
    sample = {"lambda_rate": 1.0, "events_per_file": 2000, "seed": 5}
    *made, simulated = software.generated((tmp_path, 1, {}), (tmp_path, 2, {}), (tmp_path, 3, sample))
    rows = [document(tmp_path, f"record-{block}.json") for block in (1, 2, 3)]
    listed = tmp_path / "checksums.csv"
    listed.write_text(
        "name,bytes,sha256\n" + "".join(f"{r['name']},{r['bytes']},{r['sha256']}\n" for r in rows)
    )
    given = ["--input", f"events={made[0]}", "--input", f"events={made[1]}", "--input", f"checksums={listed}"]
    given += ["--input", f"simulation={simulated}"]
    done = place.inside("run", "fair", "--engine", "cwl", "--params", parameters, *given, "--json")
    assert done.code == 0, done.err + done.out
    result = document(Path(done.json["dir"], "outputs"), "result.json")
    assert [(f["name"], f["verified_with"]) for f in result["files"]] == [
        ("toy-1.root", ["bytes", "sha256"]),
        ("toy-2.root", ["bytes", "sha256"]),
    ]
    # the simulation is an input of its own, verified like the data
    assert [(f["name"], f["origin"], f["events"]) for f in result["simulation"]["files"]] == [
        ("toy-3.root", "given", 2000)
    ]
    assert result["measured"]["efficiency"]["origin"] == "given"
    assert json.loads((Path(done.json["dir"]) / "plan.json").read_text())["units"] == 2
    page = Report(Path(done.json["dir"], "outputs", "report.html"))
    assert [row[5] for row in page.rows if row[0].endswith(".root")] == ["bytes, sha256"] * 3
    assert not [row for row in page.rows if "beam_energy" in row], (
        "what is generated is not told of given files"
    )
    one = place.inside("plan", "fair", "--engine", "cwl", "--input", f"events={made[0]}", "--json").json
    assert (one["units"], place.inside("plan", "fair", "--engine", "cwl", "--json").json["units"]) == (1, 4)
    made[1].write_bytes(made[1].read_bytes() + b"more")
    damaged = place.inside("run", "fair", "--engine", "cwl", "--params", parameters, *given, "--json")
    assert damaged.json["phase"] == "ERROR"
    told = place.inside("logs", damaged.json["run"])
    assert "toy-2.root: bytes is" in told.out, told.out[-2000:]


@pytest.mark.soak  # in short: tests/unit/running/test_collect.py, and irf in test_production.py
def test_an_invalid_result_is_not_accepted(place: Place) -> None:
    done = place.inside(
        "run",
        "fair",
        "--engine",
        "cwl",
        "--files",
        "1",
        "--events-per-file",
        "1500",
        "--lambda-rate",
        "0",
        "--json",
    )
    assert done.json["phase"] == "ERROR"
    verdict = document(Path(done.json["dir"], "outputs"), "validation.json")
    failed = {c["name"] for c in verdict["checks"] if not c["passed"]}
    assert failed & {"significance", "spectrum fitted"}
    page = Report(Path(done.json["dir"], "outputs", "report.html"))
    assert "invalid" in page.text and {row[1] for row in page.rows if row[0] == "FAILED"} == failed


@pytest.mark.soak  # in short: tests/unit/software
def test_software_may_be_mounted(
    place: Place, parameters: Path, tiny: Path, software: Software, tmp_path: Path
) -> None:
    mounted = tmp_path / "cvmfs" / "fair"
    mounted.parent.mkdir()
    mounted.symlink_to(software.python.parents[1])
    copy = tmp_path / "fair"
    shutil.copytree(WORKFLOW, copy)
    manifest = (copy / "workflow.yaml").read_text()
    (copy / "workflow.yaml").write_text(
        manifest.replace("mounted: /cvmfs/esap-wf/fair/1", f"mounted: {mounted}")
    )
    done = place.inside(
        "run", copy, "--engine", "cwl", "--software", "mounted", "--params", parameters, "--json"
    )
    assert done.code == 0, done.err + done.out
    run = Path(done.json["dir"])
    assert json.loads((run / "plan.json").read_text())["software"]["bin_dirs"] == [str(mounted / "bin")]
    assert contents(run / "outputs") == contents(tiny)
    there = place.inside("plan", "fair", "--engine", "cwl", "--software", "mounted", "--json")
    assert there.code != 0 and "/cvmfs/esap-wf/fair/1 is not mounted here" in there.problems
