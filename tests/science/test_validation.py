"""Validation goes red for what is broken, says what it did not test, and finds an injected source again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import WORKFLOW, Run

pytestmark = pytest.mark.science

#: what is done to the file -> part of the name of a check that must fail
BROKEN = {
    "h['EFFECTIVE AREA'].data['EFFAREA'][0, 0, 20] = float('nan')": "EFFECTIVE AREA: finite",
    "h['EFFECTIVE AREA'].data['EFFAREA'][0, 1, 20] *= -1": "EFFECTIVE AREA: not negative",
    "h['EFFECTIVE AREA'].data['EFFAREA'] *= 1e4": "effective area: range",
    "h['EFFECTIVE AREA'].columns['EFFAREA'].unit = 'm'": "EFFECTIVE AREA: units",
    "h['EFFECTIVE AREA'].columns['EFFAREA'].unit = 'cm2'": "effective area: range",
    "h['EFFECTIVE AREA'].columns['ENERG_LO'].unit = ''": "EFFECTIVE AREA: units",
    "del h['EFFECTIVE AREA'].header['HDUCLAS4']": "EFFECTIVE AREA: GADF keywords",
    "h['EFFECTIVE AREA'].data['ENERG_LO'][0, 5] *= 1.1": "EFFECTIVE AREA: axes",
    "h['ENERGY DISPERSION'].data['MATRIX'] *= 0.5": "energy dispersion: normalised",
    "h['ENERGY DISPERSION'].data['MATRIX'][:] = np.roll(h['ENERGY DISPERSION'].data['MATRIX'], 25, axis=2)": "energy dispersion: bias",
    "h['PSF'].data['RPSF'] *= 2": "PSF: normalised",
    "h['PSF'].data['RPSF'][0, 0, 0, 3] = float('inf')": "PSF: finite",
    "h['BACKGROUND'].data['BKG'] *= 0": "background: rate",
    "h['BACKGROUND'].data['BKG'][0, 0, 0] = -1": "BACKGROUND: not negative",
    "del h['PSF']": "components",
    "h['PSF'].header['HDUCLAS3'] = 'POINT-LIKE'": "one kind of response",
}


def test_every_broken_file_is_invalid_for_its_own_reason(production: Path, code: Run, tmp_path: Path) -> None:
    # one process for all: gammapy takes seconds to import
    lines = (
        "import json, numpy as np; from astropy.io import fits; import validate\n"
        "found = {}\n"
        "for change in json.load(open('changes.json')):\n"
        "    h = fits.open(sys.argv[1], memmap=False)\n"
        "    exec(change)\n"
        "    h.writeto('broken.fits', overwrite=True)\n"
        "    found[change] = [c['name'] for c in validate.validate('broken.fits', with_closure=False)['checks'] if not c['passed']]\n"
        "for name, content in (('cut off', open(sys.argv[1], 'rb').read()[:9000]), ('text', b'no FITS')):\n"
        "    open('broken.fits', 'wb').write(content)\n"
        "    found[name] = validate.validate('broken.fits')['valid']\n"
        "json.dump(found, open('found.json', 'w'))"
    )
    (tmp_path / "changes.json").write_text(json.dumps(list(BROKEN)))
    done = code(lines, production / "outputs/irf.fits", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found.pop("cut off") is False and found.pop("text") is False
    wrong = {change: names for change, names in found.items() if not any(BROKEN[change] in name for name in names)}
    assert wrong == {}


def test_closure_finds_what_no_rule_sees(production: Path, code: Run, tmp_path: Path) -> None:
    done = code(
        "from astropy.io import fits; import json, validate\n"
        "h = fits.open(sys.argv[1], memmap=False); h['EFFECTIVE AREA'].data['EFFAREA'] *= 4; h.writeto('wrong.fits')\n"
        "print(json.dumps([validate.validate(f, 100) for f in (sys.argv[1], 'wrong.fits')]))",
        production / "outputs/irf.fits",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    good, wrong = json.loads(done.stdout.splitlines()[-1])
    assert good["valid"]
    assert {c["name"] for c in wrong["checks"] if not c["passed"]} == {"closure: amplitude"}
    assert wrong["closure"]["amplitude"]["pull"] < -4


def test_pulls_of_some_seeds(production: Path, code: Run, tmp_path: Path) -> None:
    """A small closure; the acceptance figure is benchmarks/closure.py."""
    done = code(
        "import json, warnings, logging; warnings.simplefilter('ignore'); logging.disable(logging.WARNING); import injection\n"
        "test = injection.UnderTest.read(sys.argv[1])\n"
        "rows = [injection.closure(test, seed, excess=100) for seed in range(4)]\n"
        "test.background['BKG'][:] = 0  # no off counts in any bin: gammapy's sums of runs are NaN then\n"
        "print(json.dumps([*rows, injection.closure(test, 4, excess=100)]))",
        production / "outputs/irf.fits",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert all(r["converged"] and r["excess"] > 30 and r["sqrt_ts"] > 3 for r in rows) and len({r["excess"] for r in rows}) == len(rows)
    for name in ("amplitude", "index"):
        pulls = [r[name]["pull"] for r in rows]
        assert abs(sum(pulls) / len(pulls)) < 1.5 and max(map(abs, pulls)) < 4, pulls


def test_statistics_warning(production: Path, script: Run, tmp_path: Path) -> None:
    (tmp_path / "parameters.json").write_text(json.dumps({"parameters": {"intended_excess": 100000, "closure": False}}))
    done = script("validate", "--irf", production / "outputs/irf.fits", "--parameters", "parameters.json", "--out", "v.json", cwd=tmp_path)
    verdict = json.loads((tmp_path / "v.json").read_text())
    assert done.returncode == 0 and verdict["valid"]
    assert any("100000 intended excess" in w for w in verdict["warnings"])


def test_foreign_file_says_what_was_not_tested(production: Path, code: Run, snakemake: Run, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign file.fits.gz"
    strip = (
        "from astropy.io import fits; h = fits.open(sys.argv[1], memmap=False)\n"
        "for name in ('PRODUCTION', 'GH_CUTS', 'BACKGROUND'): del h[name]\n"
        "h['EFFECTIVE AREA'].name = 'AEFF'; del h['AEFF'].header['LO_THRES'], h['AEFF'].header['HI_THRES']; h.writeto(sys.argv[2])"
    )
    assert code(strip, production / "outputs/irf.fits", foreign, cwd=tmp_path).returncode == 0
    run = tmp_path / "run"
    done = snakemake(run, {"inputs": {"irf": [str(foreign)]}, "intended_excess": 100}, file=WORKFLOW / "validate.smk")
    assert done.returncode == 0, done.stderr[-2000:]
    verdict = json.loads((run / "outputs/validation.json").read_text())
    assert verdict["valid"] and verdict["missing"] == ["bkg"] and verdict["closure"] is None
    assert any("not tested" in w and "PRODUCTION" in w for w in verdict["warnings"])
    assert any("BKG" in w for w in verdict["warnings"])
    assert "valid" in (run / "outputs/validation.md").read_text().splitlines()[0]


def test_validation_needs_an_input(snakemake: Run, tmp_path: Path) -> None:
    done = snakemake(tmp_path, {}, file=WORKFLOW / "validate.smk")
    assert done.returncode != 0 and "inputs: {irf: [PATH]}" in done.stdout + done.stderr
