"""The production database: identity of simulations, select tables, concurrent writers, what is never changed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from science.irf import TINY, WORKFLOW, Run

pytestmark = pytest.mark.science

SHIPPED = WORKFLOW / "data" / "productions.json"


def identify(script: Run, folder: Path, database: Path, **parameters: object) -> tuple[int, str, dict]:
    given = json.dumps({**TINY, **parameters})
    done = script(
        "check",
        "--schema",
        WORKFLOW / "params.schema.json",
        "--database",
        database,
        "--out",
        "parameters.json",
        cwd=folder,
        text=given,
    )
    assert done.returncode == 0, done.stderr
    done = script(
        "identify",
        "--parameters",
        "parameters.json",
        "--database",
        database,
        "--out",
        "simulation.json",
        cwd=folder,
    )
    content = json.loads((folder / "simulation.json").read_text()) if done.returncode == 0 else {}
    return done.returncode, done.stdout + done.stderr, content


def record(
    script: Run, production: Path, database: Path, folder: Path, shipped: Path = WORKFLOW
) -> subprocess.CompletedProcess[str]:
    work, out = production / "work", production / "outputs"
    return script(
        "record",
        "--parameters",
        work / "parameters.json",
        "--simulation",
        work / "simulation.json",
        "--validation",
        out / "validation.json",
        "--irf",
        out / "irf.fits",
        "--benchmarks",
        out / "benchmarks.fits",
        "--database",
        database,
        "--shipped",
        shipped,
        "--out",
        "production.json",
        "--page",
        "production.md",
        cwd=folder,
    )


def test_manifest_and_scripts_agree(code: Run, tmp_path: Path) -> None:
    lines = "import json, database, parameters as p; print(json.dumps([database.SELECTIONS, [*p.SIMULATION, *p.RESPONSE]]))"
    done = code(lines, cwd=tmp_path)
    selections, simulation = json.loads(done.stdout)
    manifest = yaml.safe_load((WORKFLOW / "workflow.yaml").read_text())
    assert [[s["table"], s["match"], s["columns"]] for s in manifest["select"]] == selections
    assert manifest["identity"]["parameters"] == simulation


def test_every_site_and_array_of_the_schema_can_be_selected(code: Run, tmp_path: Path) -> None:
    schema = json.loads((WORKFLOW / "params.schema.json").read_text())["properties"]
    database = json.loads(SHIPPED.read_text())
    assert {r["systematics"] for r in database["systematics"]} == set(schema["systematics"]["enum"])
    assert {r["array"] for r in database["arrays"]} == set(schema["array"]["enum"])
    assert {r["period"] for r in database["periods"]} == set(schema["period"]["examples"])
    assert {(r["model"], r["site"]) for r in database["models"]} == {
        (m, s) for m in schema["model"]["enum"] for s in schema["site"]["enum"]
    }


def test_identity_is_that_of_the_simulation(script: Run, tmp_path: Path) -> None:
    names = {}
    variants: dict[str, dict] = {
        "base": {},
        "float": {"zenith": 20.0},
        "cuts": {"cut_mode": "fixed", "kind": "point-like", "observation_time": 5},
        "zenith": {"zenith": 21},
        "seed": {"seed": 1},
        "systematics": {"systematics": "throughput-low"},
    }
    for key, given in variants.items():
        code, text, content = identify(script, tmp_path, SHIPPED, **given)
        assert code == 0, text
        names[key] = content["simulation"]
    assert names["base"] == names["float"] == names["cuts"]
    assert len({names[k] for k in ("base", "zenith", "seed", "systematics")}) == 4


def test_no_seed_draws_one(script: Run, tmp_path: Path) -> None:
    drawn = [identify(script, tmp_path, SHIPPED, seed=None)[2]["simulation"] for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_recorded_simulation_stops_unless_repeated(
    script: Run, production: Path, database: Path, tmp_path: Path
) -> None:
    assert identify(script, tmp_path, database)[0] == 0
    assert record(script, production, database, tmp_path).returncode == 0
    stopped, text, _ = identify(script, tmp_path, database)
    assert stopped != 0 and "already in the production database" in text and "if_simulated" in text
    repeated, _, content = identify(script, tmp_path, database, if_simulated="repeat")
    assert repeated == 0 and len(content["already_recorded"]) == 1
    # from the same simulation, and still another production
    assert identify(script, tmp_path, database, kind="point-like")[0] == 0
    entered = json.loads(database.read_text())["productions"][0]
    assert len(entered["code"]) == 64 and {"python", "pyirf", "numpy"} <= entered["versions"].keys()
    page = database.with_suffix(".md").read_text()
    assert json.loads((tmp_path / "production.json").read_text())["simulation"] in page
    assert "## Periods" in page


def test_same_record_twice_is_one(script: Run, production: Path, database: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert record(script, production, database, tmp_path).returncode == 0
    assert len(json.loads(database.read_text())["productions"]) == 1


def test_shipped_and_read_only_databases_stay_as_they_are(
    script: Run, production: Path, database: Path, tmp_path: Path
) -> None:
    before = SHIPPED.read_bytes()
    done = record(script, production, SHIPPED, tmp_path)
    assert done.returncode == 0 and "shipped" in done.stdout
    assert SHIPPED.read_bytes() == before and not SHIPPED.with_suffix(".md").exists()
    # used from a snapshot elsewhere it is still what was shipped
    assert "shipped" in record(script, production, SHIPPED, tmp_path, shipped=tmp_path).stdout
    assert SHIPPED.read_bytes() == before
    # a copy inside a snapshot counts as shipped, though its owner could write to it
    assert "shipped" in record(script, production, database, tmp_path, shipped=database.parent.parent).stdout
    if os.geteuid() != 0:
        database.chmod(0o444)
        assert "read-only" in record(script, production, database, tmp_path).stdout


def test_concurrent_writers_lose_nothing(code: Run, irf_python: Path, database: Path, tmp_path: Path) -> None:
    writers, each = 4, 8
    lines = (
        f"import sys; sys.path.insert(0, {str(WORKFLOW / 'scripts')!r})\n"
        "from pathlib import Path; from database import add_production\n"
        f"for i in range({each}):\n"
        "    add_production(Path(sys.argv[1]), {'simulation': f'sim-{sys.argv[2]}-{i}', 'kind': 'x', 'irf': {}})"
    )
    running = [subprocess.Popen([irf_python, "-B", "-c", lines, database, str(k)]) for k in range(writers)]
    assert [p.wait(300) for p in running] == [0] * writers
    names = {p["simulation"] for p in json.loads(database.read_text())["productions"]}
    assert len(names) == writers * each
    assert database.with_suffix(".md").read_text().count("| sim-") == writers * each
    assert {p.name for p in database.parent.iterdir()} == {
        "productions.json",
        "productions.md",
        ".productions.json.lock",
    }


def test_a_symbolic_link_is_followed(script: Run, production: Path, database: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(database)
    assert record(script, production, link, tmp_path).returncode == 0
    assert link.is_symlink() and len(json.loads(database.read_text())["productions"]) == 1
