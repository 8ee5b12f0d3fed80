"""The production as a whole, with the bare engine: outputs, determinism, kinds, what an invalid IRF leaves behind."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from science.irf import TINY, WORKFLOW, Run
from science.report_page import Report

pytestmark = pytest.mark.science

PLAIN_OUTPUTS = (
    "irf.fits",
    "benchmarks.fits",
    "validation.json",
    "report.html",
    "production.json",
    "production.md",
)


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / "outputs" / name).read_text())


def test_outputs_are_there_and_valid(production: Path) -> None:
    manifest = yaml.safe_load((WORKFLOW / "workflow.yaml").read_text())
    for output in manifest["outputs"]:
        found = list(production.glob(output["path"]))
        assert len(found) >= output.get("at_least", 1), output["name"]
        assert all(f.stat().st_size >= output.get("min_bytes", 1) for f in found)
    verdict = read(production, "validation.json")
    assert verdict["valid"], [c for c in verdict["checks"] if not c["passed"]]
    assert verdict["warnings"] == []
    assert verdict["closure"]["converged"]


def test_jobs_of_the_unit_rule_are_the_blocks(production: Path) -> None:
    manifest = yaml.safe_load((WORKFLOW / "workflow.yaml").read_text())
    assert manifest["units"]["steps"] == ["simulate"]
    assert len(list((production / "logs" / "simulate").glob("*.log"))) == TINY[manifest["units"]["count"]]
    assert {p.name for p in (production / "logs").iterdir()} >= {
        "check",
        "identify",
        "merge",
        "cuts",
        "irf",
        "validate",
        "plots",
        "record",
    }


def test_same_parameters_same_bytes_in_another_folder(
    production: Path, snakemake: Run, tmp_path: Path
) -> None:
    again = tmp_path / "elsewhere with blanks"
    done = snakemake(
        again,
        {**TINY, "workflow": "irf", "inputs": {"production_db": [str(WORKFLOW / "data/productions.json")]}},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first = {
        p.relative_to(production): p.read_bytes()
        for p in sorted((production / "outputs").rglob("*"))
        if p.is_file()
    }
    second = {
        p.relative_to(again): p.read_bytes() for p in sorted((again / "outputs").rglob("*")) if p.is_file()
    }
    assert first.keys() == second.keys()
    assert [str(name) for name in first if first[name] != second[name]] == []


def test_slices_of_the_blocks_and_their_join_make_the_same_bytes(
    production: Path, snakemake: Run, tmp_path: Path
) -> None:
    """One block a slice; the join simulates nothing, also where the lists are newer than all it makes."""
    join = tmp_path / "join"
    (join / "work/events").mkdir(parents=True)
    for number in (1, 2):
        folder = tmp_path / f"slice-{number}"
        done = snakemake(folder, {**TINY, "slice": number, "slices": 2}, "map")
        assert done.returncode == 0, done.stderr[-3000:]
        (made,) = (folder / "work/events").iterdir()
        assert made.name == f"block-{number:05d}.fits" and not (folder / "outputs").exists()
        shutil.copyfile(made, join / "work/events" / made.name)
    names = [f"work/events/block-{n:05d}.fits" for n in (1, 2)]
    done = snakemake(join, {**TINY, "inputs": {"event_lists": names}}, "join")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "rule simulate:" not in done.stderr
    outputs = [p.relative_to(production) for p in (production / "outputs").rglob("*") if p.is_file()]
    assert sorted(outputs) == sorted(
        p.relative_to(join) for p in (join / "outputs").rglob("*") if p.is_file()
    )
    same = [p for p in outputs if (join / p).read_bytes() == (production / p).read_bytes()]
    assert same == outputs


@pytest.mark.parametrize("more", [{"shard_size": 2}, {"shard_size": 1, "slice": 2, "slices": 2}])
def test_blocks_of_shards_are_the_same_bytes(
    production: Path, snakemake: Run, tmp_path: Path, more: dict[str, int]
) -> None:
    """A shard imports the simulation once; a slice may have shards, too."""
    done = snakemake(tmp_path, {**TINY, **more}, "map")
    assert done.returncode == 0, done.stderr[-3000:]
    blocks = sorted((tmp_path / "work/events").iterdir())
    assert [p.name for p in blocks] == [f"block-{n:05d}.fits" for n in range(more.get("slice", 1), 3)]
    for block in blocks:
        assert block.read_bytes() == (production / "work/events" / block.name).read_bytes()
        log = tmp_path / "logs/simulate" / f"{block.stem.removeprefix('block-')}.log"
        assert "showers kept" in log.read_text("utf-8")
    assert list((tmp_path / "work/shards/simulate").glob("*.json"))


@pytest.mark.parametrize(
    ("stage", "more"),
    [("map", {"slice": 1, "slices": 2}), ("join", {"inputs": {"event_lists": ["a.fits"]}})],
)
def test_slices_draw_no_seed_of_their_own(
    snakemake: Run, tmp_path: Path, stage: str, more: dict[str, object]
) -> None:
    done = snakemake(tmp_path, {**TINY, "seed": None, **more}, stage)
    assert done.returncode == 1
    assert "must be given the same `seed`" in done.stderr


def test_nothing_of_the_machine_in_the_outputs(production: Path) -> None:
    for name in PLAIN_OUTPUTS:
        content = (production / "outputs" / name).read_bytes()
        assert str(production).encode() not in content and str(WORKFLOW).encode() not in content, name
        assert not re.search(rb"20\d\d-\d\d-\d\dT\d\d:\d\d", content), name


def test_report_is_self_contained_and_escaped(production: Path, script: Run, tmp_path: Path) -> None:
    report = (production / "outputs" / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 8
    assert not re.search(r"(src|href)=[\"'](?!data:)", report)
    validation = read(production, "validation.json")
    validation["warnings"] = ["<script>alert(1)</script>"]
    page = reported(production, script, validation, tmp_path)
    assert "&lt;script&gt;" in page.read_text() and "<script>" not in page.read_text()


def reported(production: Path, script: Run, validation: dict, folder: Path) -> Path:
    """The report that a production gets with another verdict."""
    work, out = production / "work", production / "outputs"
    (folder / "validation.json").write_text(json.dumps(validation))
    files = {
        "parameters": work / "parameters.json",
        "simulation": work / "simulation.json",
        "validation": "validation.json",
        "irf": out / "irf.fits",
        "benchmarks": out / "benchmarks.fits",
        "schema": WORKFLOW / "params.schema.json",
        "plots": "plots",
        "out": "report.html",
    }
    done = script(
        "report", *(part for name, file in files.items() for part in (f"--{name}", file)), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


def test_the_report_shows_the_severity_of_each_finding_and_where_the_response_is_wrong(
    production: Path, script: Run, tmp_path: Path
) -> None:
    validation = read(production, "validation.json")
    broken = next(c for c in validation["checks"] if c["name"].startswith("EFFECTIVE AREA"))
    broken |= {
        "passed": False,
        "severity": "GADF violation",
        "detail": "at 1.5 deg",
        "paragraph": "IRFs, 2.1",
    }
    validation["remarks"] = [
        {"name": "few events", "detail": "above 11 TeV", "severity": "thin statistics", "paragraph": None},
        {"name": "no date", "detail": "DATE-OBS", "severity": "note", "paragraph": None},
    ]
    # the same numbers everywhere, but for one offset, where two bands and the sum are wrong
    ratios = validation["closure"]["ratios"]
    bands = len(ratios["ratio"][0])
    ratios["ratio"] = [[1.0] * bands for _ in ratios["offsets_deg"]]
    ratios["error"] = [[0.001] * bands for _ in ratios["offsets_deg"]]
    wrong = {0: 1.5, 1: None, bands - 1: 0.9}
    for band, value in wrong.items():
        ratios["ratio"][2][band] = value

    page = Report(reported(production, script, validation, tmp_path))
    assert f"Failed, GADF violation: {broken['name']} – at 1.5 deg IRFs, 2.1" in " ".join(page.text.split())
    assert ["few events", "above 11 TeV", "thin statistics"] in page.rows
    assert ["no date", "DATE-OBS", "note"] in page.rows
    assert ["FAILED", broken["name"], "at 1.5 deg"] in page.rows
    assert [r for r in page.rows if r and r[0] == "FAILED"] == [["FAILED", broken["name"], "at 1.5 deg"]]
    low, middle, high = (f"{e:.2g}" for e in ratios["edges_tev"][:3])
    points = bands * len(ratios["offsets_deg"])
    assert (
        f"at {points - 3} of {points} points. "
        f"It is not at {ratios['offsets_deg'][2]:.3g}° ({low} to {middle} TeV, {middle} to {high} TeV, all energies)."
    ) in " ".join(page.text.split())


def test_point_like(production: Path, point_like: Path) -> None:
    verdict = read(point_like, "validation.json")
    assert verdict["valid"], [c for c in verdict["checks"] if not c["passed"]]
    assert (
        verdict["kind"] == "point-like"
        and "rad_max" in verdict["present"]
        and "psf" not in verdict["present"]
    )
    assert verdict["closure"]["converged"] and verdict["closure"]["far"]["converged"]
    assert (
        read(point_like, "production.json")["simulation"] == read(production, "production.json")["simulation"]
    )


def test_invalid_irf_fails_the_engine_and_leaves_verdict_and_report(
    production: Path, snakemake: Run, code: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(production, run, symlinks=True)
    # what was kept may be older than this checkout, or come from another: to the engine only the IRF shall be new
    done = snakemake(run, TINY, "--touch")
    assert done.returncode == 0, done.stderr
    done = code(
        "from astropy.io import fits\n"
        "h = fits.open(sys.argv[1], mode='update'); h['EFFECTIVE AREA'].data['EFFAREA'][0, 0, 20] = float('nan'); h.close()",
        run / "outputs/irf.fits",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = snakemake(run, TINY, "--rerun-triggers", "mtime")
    assert done.returncode != 0
    assert "EFFECTIVE AREA: finite" in done.stdout + done.stderr
    assert read(run, "validation.json")["valid"] is False
    assert "invalid" in (run / "outputs/report.html").read_text()
    assert read(run, "production.json")["valid"] is False


def test_wrong_parameters_are_all_named(snakemake: Run, tmp_path: Path) -> None:
    done = snakemake(
        tmp_path, {**TINY, "zenith": 80, "kind": "square", "gamma_showers": 1.5}, "work/parameters.json"
    )
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert all(
        name in text for name in ("zenith: 80 deg is above 60 deg", "kind: 'square'", "gamma_showers: 1.5")
    )


@pytest.mark.parametrize(
    "given",
    [
        {"energy_min": 5, "energy_max": 20},
        {"site": "South", "array": "large"},
        {"period": "1999a"},
        {"zenit": 40},
    ],
)
def test_inconsistent_parameters_stop(script: Run, tmp_path: Path, given: dict) -> None:
    done = script(
        "check",
        "--schema",
        WORKFLOW / "params.schema.json",
        "--database",
        WORKFLOW / "data/productions.json",
        "--out",
        "parameters.json",
        cwd=tmp_path,
        text=json.dumps(given),
    )
    assert done.returncode != 0 and not (tmp_path / "parameters.json").exists()
    assert any(str(word) in done.stderr for word in (*given, *given.values()))


def test_light_steps_need_no_packages() -> None:
    for name in ("check", "identify", "record", "verdict", "documents", "parameters", "database"):
        imported = set(
            re.findall(r"^(?:from|import) (\w+)", (WORKFLOW / "scripts" / f"{name}.py").read_text(), re.M)
        )
        assert not imported & {"numpy", "astropy", "gammapy", "pyirf", "yaml", "jinja2"}, name
