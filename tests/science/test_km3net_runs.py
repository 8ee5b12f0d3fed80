"""`km3net` as a whole with a bare Nextflow: results, given files, hostile names, a broken file, wrong parameters; and through esap-wf."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from adapter import Place
from km3net import CACHE, SCHEMA, TINY, WORKFLOW, Software, run_nextflow
from services.nextflow import nextflow_fixture  # noqa: F401

pytestmark = [pytest.mark.science, pytest.mark.integration]

RESULTS = ["events.fits", "summary.json", "validation.json", *(
    f"plots/{n}.png" for n in ("angular_resolution", "cut_flow", "energy", "pulls", "rate", "residuals", "zenith")
)]  # fmt: skip


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


@pytest.fixture(scope="module")
def tiny(software: Software, nextflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run directory of a tiny campaign with toy events; tests read it."""
    folder = tmp_path_factory.mktemp("tiny")
    done = run_nextflow(nextflow, software, folder, TINY)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return folder


def test_a_campaign_gives_a_valid_table_with_units_and_nothing_else_is_published(tiny: Path, software: Software) -> None:
    outputs = tiny / "outputs"
    assert sorted(str(p.relative_to(outputs)) for p in outputs.rglob("*") if p.is_file()) == sorted(RESULTS)
    verdict = json.loads((outputs / "validation.json").read_text())
    assert verdict["valid"] and len(verdict["checks"]) >= 12
    said = software.code(
        """
from astropy.io import fits
from astropy.table import Table
h = fits.open("outputs/events.fits", checksum=True); t = Table.read("outputs/events.fits", hdu="EVENTS")
units = {c: str(t[c].unit) for c in t.colnames if t[c].unit}
print(json.dumps([[x.name for x in h], units, len(t), int(t["good"].sum()), h[1].header["CAMPAIGN"], float(t["time"].min())]))
""",
        tiny,
    )
    names, units, rows, good, campaign, time = said
    assert names[1:] == ["EVENTS", "RESIDUALS", "FILES"] and campaign == "demo" and 0 < good <= rows <= 50 and time > 1.7e9
    assert units["zenith"] == "deg" and units["energy"] == "GeV" and units["pos_x"] == "m" and units["time"] == "s"
    # the volume shrinks: the table is smaller than the hits that it comes from
    raw = sum(p.stat().st_size for p in (tiny / "work").rglob("simulated-*.h5") if not p.is_symlink())
    assert (outputs / "events.fits").stat().st_size < raw


def test_the_same_campaign_gives_the_same_bytes(tiny: Path, software: Software, nextflow: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    done = run_nextflow(nextflow, software, folder, TINY)
    assert done.returncode == 0, done.stdout[-3000:]
    assert [n for n in RESULTS if (folder / "outputs" / n).read_bytes() != (tiny / "outputs" / n).read_bytes()] == []


def test_given_files_of_two_detectors_with_hostile_names(software: Software, nextflow: Path, tmp_path: Path) -> None:
    names = ["it's $(touch broken); `touch broken` & ü.root", "-x *.root"]
    given = []
    for name, source in zip(names, ("km3net_offline.root", "usr-sample.root"), strict=True):
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(software.data / "offline" / source, tmp_path / "in" / name)
        given.append(str(tmp_path / "in" / name))
    detector = str(software.data / "detx/km3net_offline.detx")
    done = run_nextflow(
        nextflow,
        software,
        tmp_path / "run",
        {"time_resolution": 4, "inputs": {"events": given, "detector": [detector]}, "workflow": "km3net"},
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert not list(tmp_path.rglob("broken"))
    summary = json.loads((tmp_path / "run/outputs/summary.json").read_text())
    assert [f["name"] for f in summary["files"]] == names
    assert [f["detector_id"] for f in summary["files"]] == [44, 49] and summary["flow"][0] == ["recorded", 13]
    # of the one file reconstructed by others there is no truth, so the verdict warns and passes
    assert json.loads((tmp_path / "run/outputs/validation.json").read_text())["valid"]


def test_a_broken_file_fails_the_run_and_keeps_the_others_work(software: Software, nextflow: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.root").write_bytes(b"no events")
    good = str(software.data / "offline/km3net_offline.root")
    inputs = {"events": [good, str(tmp_path / "bad.root")], "detector": [str(software.data / "detx/km3net_offline.detx")]}
    run = tmp_path / "run"
    done = run_nextflow(nextflow, software, run, {"inputs": inputs})
    assert done.returncode != 0 and not (run / "outputs").exists()
    assert "bad.root: neither a ROOT file nor HDF5" in "".join(p.read_text() for p in (run / "work").rglob(".command.err"))
    assert len(list((run / "work").rglob("tracks-00001.h5"))) == 1
    shutil.copy(software.data / "offline/usr-sample.root", tmp_path / "bad.root")
    again = run_nextflow(nextflow, software, run, {"inputs": inputs}, "-resume")
    assert again.returncode == 0, again.stdout[-3000:]
    assert "Cached process > reconstruct (00001)" in again.stdout and (run / "outputs/events.fits").is_file()


def test_wrong_parameters_and_invalid_results_end_the_run_with_the_reason(software: Software, nextflow: Path, tmp_path: Path) -> None:
    wrong = run_nextflow(nextflow, software, tmp_path / "wrong", {**TINY, "layout": "$(id)", "strnigs": 3})
    assert wrong.returncode != 0 and "is not one of arca, orca" in wrong.stdout and "did you mean strings?" in wrong.stdout
    invalid = run_nextflow(nextflow, software, tmp_path / "invalid", {**TINY, "max_median_angle": 0.01})
    assert invalid.returncode != 0 and "the results are invalid" in invalid.stdout
    assert {str(p.relative_to(tmp_path / "invalid/outputs")) for p in (tmp_path / "invalid/outputs").rglob("*.*")} == set(RESULTS)


def test_through_esap_wf(software: Software, nextflow: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, {"ESAP_WF_CACHE": str(CACHE), "HOME": str(Path.home())})
    (tmp_path / "config.toml").write_text(f'[engines.nextflow]\npath = "{nextflow}"\n')
    flags = [w for name, value in TINY.items() for w in (f"--{name.replace('_', '-')}", value)]
    done = place("run", WORKFLOW, *flags, "--software", "python", "--json")
    assert done.code == 0, done.out + done.err
    run = Path(done.json["dir"])
    outputs = {o["name"]: o for o in place("results", done.json["run"], "--json").json["outputs"]}
    assert set(outputs) == {"events", "summary", "validation", "plots"}
    state = place("status", done.json["run"], "--json").json
    assert state["phase"] == "COMPLETED" and (state["progress"]["units_total"], state["progress"]["units_done"]) == (2, 2)
    # the table is what another run takes: by the file alone, and by hand the same bytes come out
    copy = tmp_path / "by hand"
    copy.mkdir()
    for name in ("command.sh", "code", *(p.name for p in run.iterdir() if p.suffix in (".json", ".config"))):
        (shutil.copytree if (run / name).is_dir() else shutil.copy2)(run / name, copy / name)
    by_hand = subprocess.run(
        ["bash", "command.sh"], cwd=copy, capture_output=True, text=True, timeout=400, env=software.environment, check=False
    )
    assert by_hand.returncode == 0, by_hand.stdout[-2000:] + by_hand.stderr[-2000:]
    assert (copy / "outputs/events.fits").read_bytes() == (run / "outputs/events.fits").read_bytes()


def test_the_schema_has_defaults_for_a_bare_run() -> None:
    unset: list[Any] = [name for name, rule in SCHEMA["properties"].items() if "default" not in rule]
    assert unset == []
