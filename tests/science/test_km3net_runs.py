"""`km3net` as a whole with a bare Nextflow: results, given files, hostile names, a broken file, wrong parameters; and through esap-wf."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers import kept
from helpers.command_line import Place
from helpers.paths import CACHE, ROOT
from science.km3net import SCHEMA, TINY, WORKFLOW, Done, Software, run_nextflow
from science.report_page import HOSTILE, Report, shown_as_it_is
from services.nextflow import nextflow_fixture  # noqa: F401

from esap_wf.software import environments

pytestmark = [pytest.mark.science, pytest.mark.integration]

RESULTS = [
    "events.fits",
    "summary.json",
    "validation.json",
    "report.html",
    *(
        f"plots/{n}.png"
        for n in (
            "angular_resolution",
            "cut_flow",
            "energy",
            "pulls",
            "quality",
            "rate",
            "residuals",
            "zenith",
        )
    ),
]


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


@pytest.fixture(scope="module")
def tiny(software: Software, nextflow: Path) -> Path:
    """Run directory of a tiny campaign with toy events, kept between sessions; tests read it."""

    def make(folder: Path) -> None:
        done = run_nextflow(nextflow, software, folder, TINY)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]

    return kept.made("km3net", [WORKFLOW, ROOT / "rules", TINY, str(nextflow), environments.abi()], make)


def test_a_campaign_gives_a_valid_table_with_units_and_nothing_else_is_published(
    tiny: Path, software: Software
) -> None:
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
    assert (
        names[1:] == ["EVENTS", "RESIDUALS", "FILES"]
        and campaign == "demo"
        and 0 < good <= rows <= 50
        and time > 1.7e9
    )
    assert (
        units["zenith"] == "deg"
        and units["energy"] == "GeV"
        and units["pos_x"] == "m"
        and units["time"] == "s"
    )
    # the volume shrinks: the table is smaller than the hits that it comes from
    raw = sum(p.stat().st_size for p in (tiny / "work").rglob("simulated-*.h5") if not p.is_symlink())
    assert (outputs / "events.fits").stat().st_size < raw


def test_files_in_shards_give_the_same_bytes(
    tiny: Path, software: Software, nextflow: Path, tmp_path: Path
) -> None:
    done = run_nextflow(nextflow, software, tmp_path, {**TINY, "shard_size": 2})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "reconstruct_shard (1-2)" in done.stdout and "filter_events" not in done.stdout
    for name in RESULTS:
        assert (tmp_path / "outputs" / name).read_bytes() == (tiny / "outputs" / name).read_bytes(), name


def test_a_broken_file_in_a_shard_does_not_keep_the_others_from_being_reconstructed(
    tiny: Path, software: Software, nextflow: Path, tmp_path: Path
) -> None:
    good = next(p for p in (tiny / "work").rglob("simulated-00001.h5") if not p.is_symlink())
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / good.name).write_text("no events")
    geometry = next(p for p in (tiny / "work").rglob("toy.detx") if not p.is_symlink())
    events = [str(tmp_path / "broken" / good.name), str(good)]
    given = {**TINY, "shard_size": 2, "inputs": {"events": events, "detector": [str(geometry)]}}
    done = run_nextflow(nextflow, software, tmp_path, given)
    assert done.returncode != 0
    journal = (tmp_path / "work/shards/reconstruct/0000001-0000002.1.jsonl").read_text("utf-8")
    ended = {
        line["unit"]: line["kind"] for line in map(json.loads, journal.splitlines()) if "exit_code" in line
    }
    assert ended == {"00001": "failed", "00002": "done"}
    assert good.name in (tmp_path / "logs/reconstruct/00001.log").read_text("utf-8")
    assert (tmp_path / "work/tracks/tracks-00002.h5").is_file()


def test_the_report_has_the_numbers_of_the_results_and_needs_no_other_file(tiny: Path) -> None:
    page = Report(tiny / "outputs/report.html")
    summary, verdict = (
        json.loads((tiny / f"outputs/{name}.json").read_text()) for name in ("summary", "validation")
    )
    shown = {n: s for n, s in summary["statistics"].items() if isinstance(s, dict)}
    assert set(shown) >= {"true_angle_deg", "direction_error_deg", "chi2_per_ndf", "log10_energy_ratio"}
    for name, found in shown.items():
        assert [page.numbers[n] for n in (name, f"{name}-q68", f"{name}-q90")] == [
            found[q] for q in ("median", "q68", "q90")
        ]
        assert found["median_low"] < found["median"] < found["median_high"]
    assert [page.numbers[f"flow-{name}"] for name, _ in summary["flow"]] == [
        left for _, left in summary["flow"]
    ]
    checks = [row[1:] for row in page.rows if row[0] == "passed"]
    assert checks == [[c["name"], c["detail"]] for c in verdict["checks"]]
    assert ["Lowest energy", "energy_min", "200 GeV", "1000 GeV", "changed"] in page.rows, (
        "a title, a unit, a default"
    )
    assert [
        "1",
        "simulated-00001.h5",
        "900001",
        "toy",
        "25",
        str(summary["files"][0]["flow"][-1][1]),
    ] in page.rows
    assert len(page.pictures) == 8 and page.elsewhere() == []
    assert re.search(r"km3io \d", page.text) and "arXiv:2506.05881" in page.text


def test_no_name_and_no_value_becomes_a_part_of_the_report(
    tiny: Path, software: Software, tmp_path: Path
) -> None:
    summary, verdict = (
        json.loads((tiny / f"outputs/{name}.json").read_text()) for name in ("summary", "validation")
    )
    (tmp_path / "plots").mkdir()
    summary |= {
        "campaign": HOSTILE,
        "files": [f | {"name": HOSTILE, "source": HOSTILE, "simulated": False} for f in summary["files"]],
    }
    summary["flow"] += [[HOSTILE, 1]]
    verdict |= {
        "valid": False,
        "warnings": [HOSTILE],
        "checks": [{"name": HOSTILE, "passed": False, "detail": HOSTILE}],
    }
    for name, content in (("s", summary), ("v", verdict)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    words = [
        "--summary",
        "s.json",
        "--validation",
        "v.json",
        "--schema",
        WORKFLOW / "params.schema.json",
        "--plots",
        "plots",
    ]
    done = software.script("report", *words, "--out", "report.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown_as_it_is(Report(tmp_path / "report.html"), Report(tiny / "outputs/report.html"))


@pytest.mark.soak  # in short: test_through_esap_wf
def test_the_same_campaign_gives_the_same_bytes(
    tiny: Path, software: Software, nextflow: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    done = run_nextflow(nextflow, software, folder, TINY)
    assert done.returncode == 0, done.stdout[-3000:]
    assert [
        n for n in RESULTS if (folder / "outputs" / n).read_bytes() != (tiny / "outputs" / n).read_bytes()
    ] == []


NAMES = ["it's $(touch broken); `touch broken` & ü.root", "-x *.root"]


class Given(NamedTuple):
    """Two given files with hostile names, of two detectors; the second was broken at first."""

    folder: Path
    #: run with the broken file: how it ended, what its jobs said, files of tracks that it made, whether it published anything
    first: Done
    errors: str
    tracks: int
    published: bool
    #: the same run, resumed with the file mended
    again: Done


@pytest.fixture(scope="module")
def given(software: Software, nextflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    files = [folder / "in" / name for name in NAMES]
    files[0].parent.mkdir()
    offline = software.data / "offline"
    shutil.copy(offline / "km3net_offline.root", files[0])
    files[1].write_bytes(b"no events")
    inputs = {
        "events": [str(path) for path in files],
        "detector": [str(software.data / "detx/km3net_offline.detx")],
    }
    job, run = {"time_resolution": 4, "inputs": inputs, "workflow": "km3net"}, folder / "run"
    first = run_nextflow(nextflow, software, run, job)
    errors = "".join(p.read_text() for p in (run / "work").rglob(".command.err"))
    tracks = len(list((run / "work").rglob("tracks-00001.h5")))
    published = (run / "outputs").exists()
    # it comes calibrated, so the detector file is not asked
    shutil.copy(next(offline.glob("KM3NeT_00000049_00011291*.root")), files[1])
    return Given(
        folder, first, errors, tracks, published, run_nextflow(nextflow, software, run, job, "-resume")
    )


def test_a_broken_file_fails_the_run_and_keeps_the_others_work(given: Given) -> None:
    assert given.first.returncode != 0 and not given.published
    assert f"{NAMES[1]}: neither a ROOT file nor HDF5" in given.errors and given.tracks == 1
    assert given.again.returncode == 0, given.again.stdout[-3000:]
    assert (
        "Cached process > reconstruct (00001)" in given.again.stdout
        and (given.folder / "run/outputs/events.fits").is_file()
    )


def test_given_files_of_two_detectors_with_hostile_names(given: Given) -> None:
    assert given.again.returncode == 0 and not list(given.folder.rglob("broken"))
    outputs = given.folder / "run/outputs"
    summary, verdict = (
        json.loads((outputs / f"{name}.json").read_text()) for name in ("summary", "validation")
    )
    assert [f["name"] for f in summary["files"]] == NAMES
    assert [(f["detector_id"], f["kind"]) for f in summary["files"]] == [(44, "data"), (49, "simulation")]
    assert summary["flow"][0] == ["recorded", 40]
    page = Report(outputs / "report.html")
    assert [row[1] for row in page.rows if row[0] in ("1", "2")] == NAMES, (
        "hostile names are shown as they are"
    )
    assert [row[3] for row in page.rows if row[0] in ("1", "2")] == [
        "offline ROOT, data",
        "offline ROOT, simulation",
    ]
    assert not [row for row in page.rows if "simulated_files" in row], (
        "what is simulated is not told of given files"
    )
    # one good track is no ground for a verdict, and no failure
    assert verdict["valid"] is None and verdict["warnings"][0].startswith(
        "not judged: 1 good track, 1 with the reconstruction"
    )
    assert "one table of files of several kinds: data, simulation" in verdict["warnings"]
    assert "not judged" in page.text and all(check["passed"] for check in verdict["checks"])


@pytest.mark.soak  # in short: test_everything_that_is_wrong_with_the_parameters_is_told_at_once
def test_wrong_parameters_end_the_run_with_the_reason(
    software: Software, nextflow: Path, tmp_path: Path
) -> None:
    wrong = run_nextflow(nextflow, software, tmp_path / "wrong", {**TINY, "layout": "$(id)", "strnigs": 3})
    assert (
        wrong.returncode != 0
        and "is not one of arca, orca" in wrong.stdout
        and "did you mean strings?" in wrong.stdout
    )


@pytest.mark.soak  # in short: test_what_is_wrong_with_the_physics_makes_the_results_invalid
def test_invalid_results_end_the_run_with_the_reason(
    software: Software, nextflow: Path, tmp_path: Path
) -> None:
    invalid = run_nextflow(nextflow, software, tmp_path / "invalid", {**TINY, "max_median_angle": 0.01})
    assert invalid.returncode != 0 and "the results are invalid" in invalid.stdout
    assert {
        str(p.relative_to(tmp_path / "invalid/outputs")) for p in (tmp_path / "invalid/outputs").rglob("*.*")
    } == set(RESULTS)


@pytest.fixture(scope="module")
def done(nextflow: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Path]:
    """The same campaign through esap-wf."""
    place = Place(tmp_path_factory.mktemp("place"), {"ESAP_WF_CACHE": str(CACHE), "HOME": str(Path.home())})
    (place.root / "config.toml").write_text(f'[engines.nextflow]\npath = "{nextflow}"\n')
    flags = [w for name, value in TINY.items() for w in (f"--{name.replace('_', '-')}", value)]
    ended = place.inside("run", WORKFLOW, *flags, "--software", "python", "--json")
    assert ended.code == 0, ended.out + ended.err
    return place, Path(ended.json["dir"])


def test_through_esap_wf(done: tuple[Place, Path], tiny: Path) -> None:
    place, run = done
    outputs = {o["name"]: o for o in place.inside("results", run.name, "--json").json["outputs"]}
    assert set(outputs) == {"events", "summary", "validation", "report", "plots"}
    state = place.inside("status", run.name, "--json").json
    assert state["phase"] == "COMPLETED" and (
        state["progress"]["units_total"],
        state["progress"]["units_done"],
    ) == (2, 2)
    assert [
        n for n in RESULTS if (run / "outputs" / n).read_bytes() != (tiny / "outputs" / n).read_bytes()
    ] in ([], ["summary.json"])
    mine, bare = (json.loads((folder / "outputs/summary.json").read_bytes()) for folder in (run, tiny))
    assert mine == bare, "7.0 may stand where 7 was given"


@pytest.mark.soak  # in short: test_what_is_rendered_runs_without_esap_wf
def test_by_hand_the_same_bytes_come_out(
    done: tuple[Place, Path], software: Software, tmp_path: Path
) -> None:
    run, copy = done[1], tmp_path / "by hand"
    copy.mkdir()
    for name in ("command.sh", "code", *(p.name for p in run.iterdir() if p.suffix in (".json", ".config"))):
        (shutil.copytree if (run / name).is_dir() else shutil.copy2)(run / name, copy / name)
    by_hand = subprocess.run(
        ["bash", "command.sh"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=400,
        env=software.environment,
        check=False,
    )
    assert by_hand.returncode == 0, by_hand.stdout[-2000:] + by_hand.stderr[-2000:]
    assert (copy / "outputs/events.fits").read_bytes() == (run / "outputs/events.fits").read_bytes()


def test_the_schema_has_defaults_for_a_bare_run() -> None:
    unset: list[Any] = [name for name, rule in SCHEMA["properties"].items() if "default" not in rule]
    assert unset == []
