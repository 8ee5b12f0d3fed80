"""What `irf-validate` says of response files of every layout, and of each broken in one place: mutation -> verdict, place, severity."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from science.irf import WORKFLOW

pytestmark = pytest.mark.science

HERE = Path(__file__).parent
GADF, PHYSICS, STATISTICS = "GADF violation", "physically implausible", "thin statistics"
#: shorthand in the changes: tables of the layouts
A, E, P, B, R = (f"h['{n}']" for n in ("EFFECTIVE AREA", "ENERGY DISPERSION", "PSF", "BACKGROUND", "RAD_MAX"))
#: layouts that are right; CTA's first data challenge, an ARF and a satellite's file are not
RIGHT = [
    "table",
    "gauss",
    "nodes",
    "king",
    *(f"order {i}" for i in range(1, 6)),
    "point-like",
    "point-like table",
    "per bin",
    "dl3",
]


@dataclass(frozen=True)
class Mutation:
    """A change, part of the name of a finding that must come of it, its severity, whether it makes the file invalid, and its place."""

    change: str
    finding: str
    severity: str = PHYSICS
    fails: bool = True
    layout: str = "table"
    offset: float | None = None
    energy: float | None = None


def row(table: str, column: str) -> str:
    """The values of a table: numpy's axes are those of FITS reversed, the offset is the last but one of most tables."""
    return f"{table}.data['{column}'][0]"


EFF, MAT, RPSF, BKG = row(A, "EFFAREA"), row(E, "MATRIX"), row(P, "RPSF"), row(B, "BKG")
MUTATIONS = {
    # effective area: (offset, energy)
    "area x 10 off axis": Mutation(f"{EFF}[1:] *= 10", "EFFECTIVE AREA: falls with offset", offset=1.5),
    "area x 10 at one offset": Mutation(f"{EFF}[2] *= 10", "EFFECTIVE AREA: falls with offset", offset=2.5),
    "area x 0.01 off axis": Mutation(f"{EFF}[1:] *= 0.01", "EFFECTIVE AREA: falls with offset", offset=1.5),
    "area x 0.01 at the last offset": Mutation(
        f"{EFF}[3] *= 0.01", "EFFECTIVE AREA: falls with offset", offset=3.5
    ),
    "area x 1e6 off axis": Mutation(f"{EFF}[1:] *= 1e6", "EFFECTIVE AREA: range", offset=1.5),
    "area x 1e6": Mutation(f"{EFF}[:] *= 1e6", "EFFECTIVE AREA: range"),
    "area x 1e-4": Mutation(f"{EFF}[:] *= 1e-4", "EFFECTIVE AREA: range"),
    "area 0 off axis": Mutation(f"{EFF}[1:] = 0", "EFFECTIVE AREA: field of view", fails=False, offset=1.5),
    "area 0 at one offset": Mutation(
        f"{EFF}[2] = 0", "EFFECTIVE AREA: no hole in the field of view", offset=2.5
    ),
    "area 0": Mutation(f"{EFF}[:] = 0", "EFFECTIVE AREA: range"),
    "1e30 in one bin": Mutation(f"{EFF}[3, 10] = 1e30", "EFFECTIVE AREA: range", offset=3.5, energy=1.41),
    "100 times in one bin": Mutation(
        f"{EFF}[2, 10] *= 100", "EFFECTIVE AREA: smooth in energy", offset=2.5, energy=1.41
    ),
    "area reversed in energy": Mutation(
        f"{EFF}[:] = {EFF}[:, ::-1].copy()", "EFFECTIVE AREA: grows from the threshold"
    ),
    "area negative": Mutation(
        f"{EFF}[1, 10] *= -1", "EFFECTIVE AREA: not negative", GADF, offset=1.5, energy=1.41
    ),
    "area not finite": Mutation(
        f"{EFF}[3, 10] = np.nan", "EFFECTIVE AREA: finite", GADF, offset=3.5, energy=1.41
    ),
    # units and energies
    "area in m": Mutation(f"{A}.columns['EFFAREA'].unit = 'm'", "EFFECTIVE AREA: units", GADF),
    "area in cm2 that is in m2": Mutation(
        f"{A}.columns['EFFAREA'].unit = 'cm2'", "BACKGROUND: rate of cosmic rays"
    ),
    **{
        f"GeV labelled TeV in {n}": Mutation(
            f"for end in ('LO', 'HI'): h['{n}'].data['ENERG_' + end] *= 1000", what
        )
        for n, what in (
            ("EFFECTIVE AREA", "PSF: axes overlap"),
            ("ENERGY DISPERSION", "ENERGY DISPERSION: filled"),
            ("PSF", "PSF: filled"),
            ("BACKGROUND", "BACKGROUND: axes overlap"),
        )
    },
    "GeV labelled TeV in an area without thresholds": Mutation(
        f"del {A}.header['*_THRES']\nfor end in ('LO', 'HI'): {A}.data['ENERG_' + end] *= 1000",
        "ENERGY DISPERSION: axes overlap",
    ),
    "TeV labelled GeV in the PSF": Mutation(
        f"for end in ('LO', 'HI'): {P}.columns['ENERG_' + end].unit = 'GeV'", "PSF: axes hold possible values"
    ),
    "no unit of energy": Mutation(f"{A}.columns['ENERG_LO'].unit = ''", "EFFECTIVE AREA: units", GADF),
    "energy 0": Mutation(f"{E}.data['ENERG_LO'][0, 0] = 0", "ENERGY DISPERSION: axes hold possible values"),
    "energy infinite": Mutation(f"{A}.data['ENERG_HI'][0, -1] = np.inf", "EFFECTIVE AREA: axes rise", GADF),
    "offset -5": Mutation(f"{A}.data['THETA_LO'][0, 0] = -5", "EFFECTIVE AREA: axes hold possible values"),
    "offset 200": Mutation(f"{B}.data['THETA_HI'][0, -1] = 200", "BACKGROUND: axes hold possible values"),
    "offset 30": Mutation(f"{B}.data['THETA_HI'][0, -1] = 30", "BACKGROUND: field of view", fails=False),
    "a gap in an axis": Mutation(
        f"{A}.data['ENERG_LO'][0, 5] *= 1.1", "EFFECTIVE AREA: axes rise without gaps", GADF
    ),
    "an axis that falls": Mutation(
        f"for end in ('LO', 'HI'): {E}.data['MIGRA_' + end][0] = {E}.data['MIGRA_' + end][0][::-1].copy()",
        "ENERGY DISPERSION: axes rise without gaps",
        GADF,
    ),
    "axes that don't overlap in energy": Mutation(
        f"for end in ('LO', 'HI'): {P}.data['ENERG_' + end] /= 1e2", "PSF: axes overlap"
    ),
    "axes that don't overlap in offset": Mutation(
        f"for end in ('LO', 'HI'): {E}.data['THETA_' + end] += 4", "ENERGY DISPERSION: axes overlap"
    ),
    "background that doesn't overlap": Mutation(
        f"for end in ('LO', 'HI'): {B}.data['ENERG_' + end] += 100", "BACKGROUND: axes overlap"
    ),
    "nodes that fall": Mutation(
        f"for end in ('LO', 'HI'): {A}.data['THETA_' + end][0] = [0, 2, 1, 3]",
        "EFFECTIVE AREA: axes rise",
        GADF,
    ),
    # energy dispersion: (offset, migration, energy)
    "dispersion empty off axis": Mutation(
        f"{MAT}[1:] = 0", "ENERGY DISPERSION: filled where there is area", offset=1.5
    ),
    "dispersion empty at the last offset": Mutation(
        f"{MAT}[3] = 0", "ENERGY DISPERSION: filled where there is area", offset=3.5
    ),
    "dispersion empty above an energy": Mutation(
        f"{MAT}[:, :, 16:] = 0", "ENERGY DISPERSION: filled where there is area", energy=16.1
    ),
    "dispersion empty in one bin": Mutation(
        f"{MAT}[3, :, 3] = 0", "ENERGY DISPERSION: filled", STATISTICS, fails=False, offset=3.5, energy=0.0827
    ),
    "dispersion empty": Mutation(f"{MAT}[:] = 0", "ENERGY DISPERSION: has values"),
    "dispersion reversed in energy": Mutation(
        f"{MAT}[:] = {MAT}[:, :, ::-1].copy()", "ENERGY DISPERSION: filled where there is area"
    ),
    "dispersion reversed above the threshold": Mutation(
        f"{MAT}[:, :, 2:] = {MAT}[:, :, 2:][:, :, ::-1].copy()",
        "ENERGY DISPERSION: resolution improves",
        fails=False,
    ),
    "dispersion x 0.5": Mutation(f"{MAT}[:] *= 0.5", "ENERGY DISPERSION: normalised", GADF),
    "dispersion x 0.5 at one offset": Mutation(
        f"{MAT}[2] *= 0.5", "ENERGY DISPERSION: normalised", GADF, offset=2.5
    ),
    "energies twice as large": Mutation(
        f"{MAT}[:] = np.roll({MAT}, 30, axis=1)", "ENERGY DISPERSION: energy scale"
    ),
    "energies a third larger": Mutation(
        f"{MAT}[2] = np.roll({MAT}[2], 7, axis=0)", "ENERGY DISPERSION: bias", fails=False, offset=2.5
    ),
    "migration without 1": Mutation(
        f"for end in ('LO', 'HI'): {E}.data['MIGRA_' + end] += 1", "ENERGY DISPERSION: migration axis"
    ),
    # PSF: (radius, offset, energy)
    "PSF empty off axis": Mutation(f"{RPSF}[:, 1:] = 0", "PSF: filled where there is area", offset=1.5),
    "PSF empty above an energy": Mutation(
        f"{RPSF}[:, :, 16:] = 0", "PSF: filled where there is area", energy=16.1
    ),
    "PSF empty": Mutation(f"{RPSF}[:] = 0", "PSF: has values"),
    "PSF reversed in energy": Mutation(
        f"{RPSF}[:] = {RPSF}[:, :, ::-1].copy()", "PSF: filled where there is area"
    ),
    "PSF reversed above the threshold": Mutation(
        f"{RPSF}[:, :, 2:] = {RPSF}[:, :, 2:][:, :, ::-1].copy()", "PSF: resolution improves", fails=False
    ),
    "PSF x 2": Mutation(f"{RPSF}[:] *= 2", "PSF: normalised", GADF),
    "PSF x 0.5 in one bin": Mutation(
        f"{RPSF}[:, 3, 12] *= 0.5", "PSF: normalised", GADF, offset=3.5, energy=3.18
    ),
    "PSF infinite": Mutation(f"{RPSF}[0, 0, 3] = np.inf", "PSF: finite", GADF, offset=0.5, energy=0.0827),
    "radii in rad labelled deg": Mutation(
        f"for end in ('LO', 'HI'): {P}.data['RAD_' + end] *= np.pi / 180", "PSF: normalised", GADF
    ),
    "Gaussians empty off axis": Mutation(
        f"{row(P, 'SCALE')}[1:] = 0", "PSF: filled where there is area", layout="gauss", offset=1.5
    ),
    "Gaussians in rad labelled deg": Mutation(
        f"{row(P, 'SIGMA_1')}[:] *= np.pi / 180", "PSF: radius", layout="gauss"
    ),
    "Gaussians of another scale": Mutation(
        f"{row(P, 'SCALE')}[:] *= 3", "PSF: normalised", GADF, fails=False, layout="gauss"
    ),
    "Gaussians negative": Mutation(
        f"{row(P, 'SIGMA_1')}[1, 10] *= -1",
        "PSF: not negative",
        GADF,
        layout="gauss",
        offset=1.5,
        energy=1.41,
    ),
    "King without an integral": Mutation(
        f"{row(P, 'GAMMA')}[2, 10] = 0.9", "PSF: normalised", GADF, layout="king", offset=2.5, energy=1.41
    ),
    "King empty off axis": Mutation(
        f"{row(P, 'SIGMA')}[1:] = 0", "PSF: filled where there is area", layout="king", offset=1.5
    ),
    # background: (offset, energy) or (y, x, energy)
    "background x 1e-3": Mutation(f"{BKG}[:] *= 1e-3", "BACKGROUND: rate of cosmic rays"),
    "background x 1e-3 off axis": Mutation(
        f"{BKG}[2:] *= 1e-3", "BACKGROUND: rate of cosmic rays", offset=2.5
    ),
    "background in 1/TeV that is in 1/MeV": Mutation(
        f"{B}.columns['BKG'].unit = 's-1 TeV-1 sr-1'", "BACKGROUND: rate of cosmic rays"
    ),
    "background in 1/MeV that is in 1/TeV": Mutation(f"{BKG}[:] *= 1e6", "BACKGROUND: rate of cosmic rays"),
    "background 0": Mutation(f"{BKG}[:] = 0", "BACKGROUND: rate"),
    "background 0 above an energy": Mutation(
        f"{BKG}[:, 17:] = 0", "BACKGROUND: filled", STATISTICS, fails=False, offset=0.5, energy=24.1
    ),
    "background negative": Mutation(
        f"{BKG}[0, 0] = -1", "BACKGROUND: not negative", GADF, offset=0.5, energy=0.0245
    ),
    "background per solid angle x 1e-3 in 3D": Mutation(
        f"{BKG}[:] *= 1e-3", "BACKGROUND: rate of cosmic rays", layout="gauss"
    ),
    # labels
    **{
        f"rubbish in {key} of {name}": Mutation(
            f"h['{name}'].header['{key}'] = 'RUBBISH'", f"{name}: {what}", GADF
        )
        for name in ("EFFECTIVE AREA", "PSF")
        for key, what in (
            ("HDUCLASS", "labels"),
            ("HDUVERS", "version"),
            ("HDUCLAS1", "labels"),
            ("HDUCLAS2", "labels"),
            ("HDUCLAS3", "labels"),
            ("HDUCLAS4", "labels"),
        )
    },
    **{
        f"without {key}": Mutation(f"del {E}.header['{key}']", "ENERGY DISPERSION: GADF keywords", GADF)
        for key in ("HDUCLASS", "HDUCLAS1", "HDUCLAS2", "HDUCLAS3", "HDUCLAS4")
    },
    "without HDUVERS": Mutation(
        f"del {E}.header['HDUVERS']", "ENERGY DISPERSION: GADF keywords", GADF, fails=False
    ),
    "a version to come": Mutation(
        f"{E}.header['HDUVERS'] = '0.9'", "ENERGY DISPERSION: version", GADF, fails=False
    ),
    "labels that contradict each other": Mutation(
        f"{A}.header['HDUCLAS4'] = 'EDISP_2D'", "EFFECTIVE AREA: labels", GADF
    ),
    "HDUCLAS2 of another table": Mutation(
        f"{A}.header['HDUCLAS2'] = 'EDISP'", "EFFECTIVE AREA: labels", GADF
    ),
    "the form of another PSF": Mutation(f"{P}.header['HDUCLAS4'] = 'PSF_KING'", "PSF: labels", GADF),
    "two kinds of response": Mutation(f"{P}.header['HDUCLAS3'] = 'POINT-LIKE'", "one kind of response", GADF),
    "without a PSF": Mutation("del h['PSF']", "components", GADF),
    # thresholds and other keywords
    "LO_THRES > HI_THRES": Mutation(f"{A}.header['LO_THRES'] = 90.0", "EFFECTIVE AREA: thresholds", GADF),
    "LO_THRES as text": Mutation(f"{A}.header['LO_THRES'] = '0.06 TeV'", "EFFECTIVE AREA: thresholds", GADF),
    "thresholds without any area": Mutation(
        f"{A}.header['LO_THRES'], {A}.header['HI_THRES'] = 200.0, 300.0", "EFFECTIVE AREA: safe range"
    ),
    "thresholds that contradict each other": Mutation(
        f"{E}.header['LO_THRES'] = 1.0", "keyword LO_THRES", GADF, fails=False
    ),
    "two telescopes": Mutation(f"{P}.header['TELESCOP'] = 'OTHER'", "keyword TELESCOP", GADF, fails=False),
    "a direction cut in a full enclosure": Mutation(
        f"{A}.header['RAD_MAX'] = 0.1", "EFFECTIVE AREA: keyword RAD_MAX", GADF, fails=False
    ),
    # shape
    "a renamed column": Mutation(
        f"{A}.columns.change_name('THETA_LO', 'OFFSET_LO')", "EFFECTIVE AREA: columns", GADF
    ),
    "values of another name": Mutation(
        f"{E}.columns.change_name('MATRIX', 'DISPERSION')", "ENERGY DISPERSION: columns", GADF
    ),
    "a missing axis": Mutation(f"{E}.columns.del_col('MIGRA_HI')", "ENERGY DISPERSION: columns", GADF),
    "0 rows": Mutation(
        "h['PSF'] = fits.BinTableHDU(h['PSF'].data[:0], h['PSF'].header)", "PSF: one row", GADF
    ),
    "CREF of other axes": Mutation(
        f"{A}.header['CREF5'] = '(ENERG_LO:ENERG_HI,PHI_LO:PHI_HI)'", "EFFECTIVE AREA: CREF", GADF
    ),
    "CREF against the shape": Mutation(
        f"{A}.header['CREF5'] = '(THETA_LO:THETA_HI,ENERG_LO:ENERG_HI)'", "EFFECTIVE AREA: CREF", GADF
    ),
    "a shape of no axes": Mutation(
        f"{E}.columns.change_name('ENERG_LO', 'X'); {E}.columns.change_name('ENERG_HI', 'ENERG_LO'); "
        f"{E}.columns.change_name('X', 'ENERG_HI')",
        "ENERGY DISPERSION: axes rise",
        GADF,
    ),
    "a broken second table": Mutation(
        "extra = h['EFFECTIVE AREA'].copy(); extra.data['EFFAREA'] = np.nan; h.append(extra)",
        "table 5): finite",
        GADF,
    ),
    # point-like
    "no direction cut": Mutation(
        "del h[1].header['RAD_MAX'], h[2].header['RAD_MAX'], h[3].header['RAD_MAX']",
        "direction cut",
        GADF,
        layout="point-like",
    ),
    "two direction cuts": Mutation(
        f"{E}.header['RAD_MAX'] = 0.5", "keyword RAD_MAX", GADF, layout="point-like"
    ),
    "a direction cut as text": Mutation(
        f"{E}.header['RAD_MAX'] = 'narrow'", "keyword RAD_MAX", GADF, layout="point-like"
    ),
    "a keyword and a table": Mutation(
        f"{A}.header['RAD_MAX'] = 0.2", "keyword RAD_MAX", GADF, fails=False, layout="point-like table"
    ),
    "a direction cut of 30 deg": Mutation(
        f"{row(R, 'RAD_MAX')}[1, 10] = 30",
        "RAD_MAX: range",
        layout="point-like table",
        offset=1.5,
        energy=1.41,
    ),
    "direction cuts of 0": Mutation(
        f"{row(R, 'RAD_MAX')}[2:] = 0", "RAD_MAX: range", layout="point-like table", offset=2.5
    ),
}
RANGES: list[dict[str, Any]] = [
    {"name": f"{name}.fits", "layout": f"{name} energies"} for name in ("low", "high")
]
#: what must never end the validation: a failed check of that table comes of it
HOSTILE = {
    **{
        f"{name} without {column}": f"h['{name}'].columns.del_col('{column}')"
        for name, columns in (
            ("EFFECTIVE AREA", "ENERG_LO ENERG_HI THETA_LO THETA_HI EFFAREA"),
            ("ENERGY DISPERSION", "ENERG_LO MIGRA_LO THETA_HI MATRIX"),
            ("PSF", "ENERG_HI THETA_LO RAD_LO RPSF"),
            ("BACKGROUND", "ENERG_LO THETA_LO BKG"),
        )
        for column in columns.split()
    },
    "text for numbers": f"c = {A}.columns; h['EFFECTIVE AREA'] = fits.BinTableHDU.from_columns([*c[:4], fits.Column('EFFAREA', '9A', 'm2', array=['a lot'])], {A}.header)",
    "arrays of variable length": f"c = {A}.columns; h['EFFECTIVE AREA'] = fits.BinTableHDU.from_columns([*c[:4], fits.Column('EFFAREA', 'PE()', 'm2', array=np.array([[1.0, 2.0]], dtype=object))], {A}.header)",
    "a shape that is not that of the axes": f"c = {A}.columns; h['EFFECTIVE AREA'] = fits.BinTableHDU.from_columns([*c[:4], fits.Column('EFFAREA', '6E', 'm2', dim='(3,2)', array=[[1, 2, 3, 4, 5, 6]])], {A}.header)",
    "numbers for labels": f"{E}.header['HDUCLAS2'], {E}.header['HDUCLAS4'], {E}.header['CREF7'] = 5, 7.5, 3",
    "a threshold that is true": f"{A}.header['LO_THRES'] = True",
    "a unit that is none": f"{P}.columns['RPSF'].unit = 'parsec per fortnight'",
    "an alignment that is none": f"{B}.header['FOVALIGN'] = 'SIDEWAYS'",
}
#: files, what the analysis expects, and words that a failed check must have
WHOLE: dict[str, tuple[list[dict[str, Any]], dict[str, str], str]] = {
    "an ARF": (
        [{"name": "a.fits", "layout": "arf"}],
        {},
        "an OGIP effective area of one region (ARF) SPECRESP of TOY",
    ),
    "another experiment": (
        [{"name": "a.fits", "layout": "satellite"}],
        {},
        "axes that AEFF_2D doesn't have: CTHETA",
    ),
    "another experiment, in one sentence": (
        [{"name": "a.fits", "layout": "satellite"}],
        {},
        "(TELESCOP is GLAST): the file is of another experiment",
    ),
    "another telescope": (
        [{"name": "a.fits", "layout": "table"}],
        {"telescope": "CTAO"},
        "TELESCOP is TOY: this response is not one of CTAO",
    ),
    "a point source's in a full-enclosure analysis": (
        [{"name": "a.fits", "layout": "point-like"}],
        {"kind": "full-enclosure"},
        "this response is for a point source: only gammas within 0.2 deg",
    ),
    "a full enclosure in a point-like analysis": (
        [{"name": "a.fits", "layout": "table"}],
        {"kind": "point-like"},
        "for the full field of view",
    ),
    "cut off": ([{"name": "a.fits", "layout": "table", "cut": 30000}], {}, "missing: "),
    "cut off in the header": ([{"name": "a.fits", "layout": "table", "cut": 1000}], {}, "a.fits: "),
    "no FITS": ([{"name": "a.fits", "layout": "arf", "text": "no FITS"}], {}, "a.fits: "),
    "a broken gzip": ([{"name": "a.fits.gz", "layout": "table", "cut": 3000}], {}, ""),
    "a broken range of energy": (
        [RANGES[0], RANGES[1] | {"change": f"{RPSF}[:, 1:] = 0"}],
        {},
        "no values at an offset",
    ),
    "first data challenge": (
        [{"name": "a.fits", "layout": "1dc"}],
        {},
        "HDUCLASS is 'OGIP', GADF is expected",
    ),
}
SPLIT = [
    {"name": f"{name}.fits", "layout": "table", "tables": [table]}
    for name, table in (
        ("aeff_2d", "EFFECTIVE AREA"),
        ("edisp_2d", "ENERGY DISPERSION"),
        ("psf_table", "PSF"),
    )
]
GOOD: dict[str, list[dict[str, Any]]] = {
    **{layout: [{"name": "a.fits", "layout": layout}] for layout in RIGHT},
    **{name: [{"name": name, "layout": "table"}] for name in ("a.fits.gz", "a.fit", "A.FITS")},
    "split": SPLIT,
    "two ranges of energy": RANGES,
    # few simulated gammas: safe where there are most of them, far below the energies with most area
    "thresholds at the lowest energies": [
        {"name": "a.fits", "layout": "table", "change": f"{A}.header['HI_THRES'] = 0.1"}
    ],
}


@pytest.fixture(scope="module")
def said(
    irf_python: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Verdicts on all cases, of one process: gammapy takes seconds to import."""
    cases: dict[str, Any] = {
        name: {"files": [{"name": "a.fits", "layout": m.layout, "change": m.change}]}
        for name, m in MUTATIONS.items()
    }
    cases |= {name: {"files": files, "expected": expected} for name, (files, expected, _) in WHOLE.items()}
    cases |= {
        name: {"files": [{"name": "a.fits", "layout": "table", "change": change}]}
        for name, change in HOSTILE.items()
    }
    cases |= {f"good: {name}": {"files": files} for name, files in GOOD.items()}
    paths = f"import sys; sys.path[:0] = [{str(WORKFLOW / 'scripts')!r}, {str(HERE)!r}, {str(HERE.parents[1] / 'benchmarks')!r}]; import irf_judge; irf_judge.main()"
    done = subprocess.run(
        [str(irf_python), "-B", "-c", paths],
        cwd=tmp_path_factory.mktemp("irf"),
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def failed(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [c for c in document["checks"] if not c["passed"]]


@pytest.mark.parametrize("layout", GOOD)
def test_a_file_that_is_right_is_valid(said: dict[str, Any], layout: str) -> None:
    document = said[f"good: {layout}"]
    assert document["valid"], failed(document)
    assert not [r for r in document["remarks"] if r["severity"] == PHYSICS]


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_seen_with_its_place_and_severity(said: dict[str, Any], name: str) -> None:
    mutation, document = MUTATIONS[name], said[name]
    assert document["valid"] is not mutation.fails
    among = failed(document) if mutation.fails else document["remarks"]
    findings = [f for f in among if mutation.finding in f["name"] and f["severity"] == mutation.severity]
    assert findings, (failed(document), document["remarks"])
    place = findings[0]["place"]
    if mutation.offset is not None:
        assert place["offset_deg"] == pytest.approx(mutation.offset, rel=0.01)
    if mutation.energy is not None:
        assert place["energy_tev"] == pytest.approx(mutation.energy, rel=0.02)
    # the unchanged file doesn't have the finding
    whole = said[f"good: {mutation.layout}"]
    assert not [
        r for r in whole["remarks"] if mutation.finding in r["name"] and r["severity"] == mutation.severity
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_can_not_be_read_is_a_failed_check_of_its_table_and_the_others_are_judged(
    said: dict[str, Any], name: str
) -> None:
    document = said[name]
    assert not document["valid"]
    table = {c["place"]["table"] for c in failed(document) if c["place"]["table"]}
    assert table & {"EFFECTIVE AREA", "ENERGY DISPERSION", "PSF", "BACKGROUND"}
    judged = {t["table"] for t in document["tables"]}
    assert len(judged) >= 3


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_for_something_else_is_told_in_one_sentence(said: dict[str, Any], name: str) -> None:
    document, words = said[name], WHOLE[name][2]
    assert not document["valid"]
    assert any(words in c["detail"] for c in failed(document)), failed(document)


def test_the_order_of_axes_changes_no_verdict(said: dict[str, Any]) -> None:
    """GADF: tools obey CREF. Ranges, normalisations and rates are those of the recommended order, to what details show."""
    physics = [
        {c["name"]: c["detail"] for c in said[f"good: order {i}"]["checks"] if "CREF" not in c["name"]}
        for i in range(1, 6)
    ]
    assert physics[0]["BACKGROUND: rate of cosmic rays"].startswith("5 times")
    assert all(p == physics[0] for p in physics[1:])


def test_verdicts_follow_their_schema(said: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(json.loads((WORKFLOW / "validation.schema.json").read_text()))
    documents = [document for name, document in said.items() if name != "sets"]
    assert [str(e.message) for document in documents for e in validator.iter_errors(document)] == []
    for document in documents:
        assert document["valid"] is (bool(document["checks"]) and not failed(document))
        told = [r for r in document["remarks"] if r["severity"] != "note"]
        assert len([w for w in document["warnings"] if any(r["detail"] in w for r in told)]) >= len(
            {r["detail"] for r in told}
        )


def test_a_finding_names_the_paragraph_of_the_standard(said: dict[str, Any]) -> None:
    urls = {
        said[name]["valid"]: [c["paragraph"] for c in failed(said[name])]
        for name in ("dispersion x 0.5", "LO_THRES as text", "PSF x 2")
    }
    assert all(
        u and u.startswith("https://gamma-astro-data-formats.readthedocs.io/en/v0.3/irfs/")
        for us in urls.values()
        for u in us
    )


def test_a_folder_of_public_sets_becomes_a_table(said: dict[str, Any]) -> None:
    """Files of a CALDB are a set each of their own, split ones make up one response, one of another experiment is told in a word."""
    assert said["sets"][2:] == [
        "| public | TOY | full-enclosure | 1 of 1 | – | normalised: EDISP, PSF |",
        "| public/caldb | TOY | full-enclosure | 2 of 2 | – | – |",
        "| public/other | GLAST | full-enclosure | 0 of 1 | is a response of a Cherenkov telescope | – |",
    ]
