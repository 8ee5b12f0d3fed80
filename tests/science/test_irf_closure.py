"""Closure of `irf`: what the simulator throws is predicted at every offset, and a response that is wrong anywhere is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import kept
from science.irf import PROGRAMS, WORKFLOW, Run

pytestmark = pytest.mark.science

SEEN = "closure: thrown over predicted counts"
#: what is done to a response that every check of the file itself lets pass -> a check that must fail
WRONG = {
    "full": {
        "h['EFFECTIVE AREA'].data['EFFAREA'] *= 4": "closure at 0.5 deg: amplitude",
        "a = h['EFFECTIVE AREA'].data; a['EFFAREA'][0, a['THETA_LO'][0] >= 2] *= 3": "closure at 3 deg: amplitude",
        "p = h['PSF'].data; p['RPSF'][0][:, p['THETA_LO'][0] >= 2] = 0": SEEN,
        "h['BACKGROUND'].data['BKG'] *= 10": "closure: thrown over predicted background",
    },
    "point": {
        "a = h['EFFECTIVE AREA'].data; a['EFFAREA'][0, a['THETA_LO'][0] >= 2] *= 3": SEEN,
        "r = h['RAD_MAX'].data; r['RAD_MAX'][0][r['THETA_LO'][0] >= 2] *= 2": SEEN,
    },
}


def test_a_response_that_is_wrong_at_some_offset_only_is_seen(
    production: Path, point_like: Path, program: Run
) -> None:
    # one process for all: gammapy takes seconds to import
    source = PROGRAMS / "wrong_responses.py"

    def tried(folder: Path) -> Any:
        responses = [run / "outputs/irf.fits" for run in (production, point_like)]
        done = program(
            source.stem,
            *responses,
            json.dumps({kind: list(changes) for kind, changes in WRONG.items()}),
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    found = kept.value("irf-wrong", [production.parent.name, point_like.parent.name, source, WRONG], tried)
    for kind, changes in WRONG.items():
        assert found[f"{kind}: pass"] == []
        for change, name in changes.items():
            assert name in found[f"{kind}: {change}"], change


def test_pulls_of_some_seeds(production: Path, program: Run) -> None:
    """A small closure; the acceptance figure is `benchmarks/closure.py irf`."""
    source = PROGRAMS / "some_closures.py"

    def closure(folder: Path) -> Any:
        done = program(source.stem, production / "outputs/irf.fits", cwd=folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    rows = kept.value("irf-closure", [production.parent.name, source], closure)
    assert all(r["converged"] and r["excess"] > 30 and r["sqrt_ts"] > 3 for r in rows) and len(
        {r["excess"] for r in rows}
    ) == len(rows)
    for name in ("amplitude", "index"):
        pulls = [r[name]["pull"] for r in rows]
        assert abs(sum(pulls) / len(pulls)) < 1.5 and max(map(abs, pulls)) < 4, pulls


def test_thrown_over_predicted_is_one_at_every_offset(production: Path) -> None:
    ratios = json.loads((production / "outputs/validation.json").read_text())["closure"]["ratios"]
    assert ratios["offsets_deg"][0] == 0 and ratios["offsets_deg"][-1] > 3.9
    pulls = [
        (value - 1) / error
        for row, errors in zip(ratios["ratio"], ratios["error"], strict=True)
        for value, error in zip(row[:-1], errors[:-1], strict=True)
    ]
    assert (
        len(pulls) > 20
        and max(map(abs, pulls)) < 4.5
        and 0.6 < (sum(p * p for p in pulls) / len(pulls)) ** 0.5 < 1.8
    )


def test_offset_bins_bias_less_than_a_per_cent_at_the_default(program: Run, tmp_path: Path) -> None:
    """The area falls as exp(-(offset / 3.6 deg)^4 / 2); what is read between bin centres must follow it, and for four bins it does not."""
    default = json.loads((WORKFLOW / "params.schema.json").read_text())["properties"]["offset_bins"]
    assert not default.get("hidden")
    done = program("offset_bins", default["default"], 4, cwd=tmp_path)
    best, four = json.loads(done.stdout)
    assert best < 0.005 and four > 0.02


def test_background_without_events_is_extended_to_what_it_is(program: Run, tmp_path: Path) -> None:
    """Of a known spectrum, E^-2.7 with curvature, few or no events are left at high energies; the rate there is still right."""
    done = program("extended_background", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    empty, number, mean, width = json.loads(done.stdout)
    assert empty > 30 and number > 60
    assert abs(mean) < 0.5 and 0.5 < width < 1.5


def test_a_safe_range_that_background_would_leave_nothing_of_is_that_of_the_gammas(
    code: Run, tmp_path: Path
) -> None:
    done = code(
        "import json, irf; print(json.dumps([irf.both((0.02, 50.0), b) for b in ((0.01, 9.0), (0.01, 0.03), (60.0, 99.0), None)]))",
        cwd=tmp_path,
    )
    assert json.loads(done.stdout) == [[0.02, 9.0], [0.02, 50.0], [0.02, 50.0], [0.02, 50.0]]


def test_the_safe_range_is_that_of_gammas_and_background(production: Path, code: Run, tmp_path: Path) -> None:
    done = code(
        "import json; from astropy.io import fits; h = fits.open(sys.argv[1]); a, b = h['EFFECTIVE AREA'].header, h['BACKGROUND'].header\n"
        "facts = {r['name']: json.loads(r['value']) for r in h['PRODUCTION'].data}; rests = h['BACKGROUND_EVENTS'].data\n"
        "inside = (rests['low'] >= 0.999 * b['BKG_LO']) & (rests['high'] <= 1.001 * b['BKG_HI'])\n"
        "print(json.dumps([[a['LO_THRES'], a['HI_THRES']], facts['gamma_range_tev'], [b['BKG_LO'], b['BKG_HI']],"
        " float(rests['events'][inside].min()), b['BKGSMOOT'], list(b['COMMENT']), float(h['BACKGROUND'].data['BKG'].min())]))",
        production / "outputs/irf.fits",
        cwd=tmp_path,
    )
    safe, gammas, background, fewest, smoothed, said, least = json.loads(done.stdout)
    assert safe == [max(gammas[0], background[0]), min(gammas[1], background[1])]
    assert fewest >= 20 and least > 0
    assert smoothed and "neighbouring energies" in " ".join(said)
