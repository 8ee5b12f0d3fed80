"""Validation says what it did not test (broken files: test_validation_mutations.py, a source found again: test_irf_closure.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from science.irf import WORKFLOW, Run

pytestmark = pytest.mark.science


def test_statistics_warning(production: Path, script: Run, tmp_path: Path) -> None:
    (tmp_path / "parameters.json").write_text(
        json.dumps({"parameters": {"intended_excess": 100000, "closure": False}})
    )
    done = script(
        "validate",
        "--irf",
        production / "outputs/irf.fits",
        "--parameters",
        "parameters.json",
        "--out",
        "v.json",
        cwd=tmp_path,
    )
    verdict = json.loads((tmp_path / "v.json").read_text())
    assert done.returncode == 0 and verdict["valid"]
    assert any("100000 intended excess" in w for w in verdict["warnings"])


def test_foreign_file_says_what_was_not_tested(
    production: Path, code: Run, snakemake: Run, tmp_path: Path
) -> None:
    foreign, spread = tmp_path / "foreign file.fits.gz", tmp_path / "spread.FIT"
    strip = (
        "from astropy.io import fits; h = fits.open(sys.argv[1], memmap=False)\n"
        "for name in ('PRODUCTION', 'GH_CUTS', 'BACKGROUND'): del h[name]\n"
        "h['EFFECTIVE AREA'].name = 'AEFF'; del h['AEFF'].header['LO_THRES'], h['AEFF'].header['HI_THRES']\n"
        "fits.HDUList([h[0], h.pop(h.index_of('PSF'))]).writeto(sys.argv[3]); h.writeto(sys.argv[2])"
    )
    assert code(strip, production / "outputs/irf.fits", foreign, spread, cwd=tmp_path).returncode == 0
    run, asked = tmp_path / "run", {"intended_excess": 100, "kind": "full-enclosure", "telescope": "toy-cta"}
    done = snakemake(
        run, {"inputs": {"irf": [str(foreign), str(spread)]}, **asked}, file=WORKFLOW / "validate.smk"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    verdict = json.loads((run / "outputs/validation.json").read_text())
    assert verdict["valid"] and verdict["missing"] == ["bkg"] and verdict["closure"] is None
    assert any("not tested" in w and "PRODUCTION" in w for w in verdict["warnings"])
    assert any("BKG" in w for w in verdict["warnings"])
    assert {c["name"] for c in verdict["checks"]} >= {"fits the analysis", "of the telescope"}
    page = (run / "outputs/validation.md").read_text()
    assert (
        page.startswith("# foreign file.fits.gz, spread.FIT: valid")
        and "| note | components | no BKG table" in page
    )


def test_validation_needs_an_input(snakemake: Run, tmp_path: Path) -> None:
    done = snakemake(tmp_path, {}, file=WORKFLOW / "validate.smk")
    assert done.returncode != 0 and "inputs: {irf: [PATH]}" in done.stdout + done.stderr
