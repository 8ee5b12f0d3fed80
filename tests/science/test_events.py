"""Simulated blocks: determinism, what was thrown, what merging refuses, and that the parameters really change the physics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from science.irf import Run

pytestmark = pytest.mark.science


def simulate(script: Run, production: Path, folder: Path, block: int, name: str, **changes: object) -> Path:
    document = json.loads((production / "work/parameters.json").read_text())
    document["parameters"].update(changes)
    (folder / "parameters.json").write_text(json.dumps(document))
    done = script(
        "simulate",
        "--parameters",
        "parameters.json",
        "--simulation",
        production / "work/simulation.json",
        "--block",
        block,
        "--out",
        name,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / name


def merged(script: Run, folder: Path, blocks: list[Path]) -> tuple[int, str]:
    events = folder / "events"
    shutil.rmtree(events, ignore_errors=True)
    events.mkdir()
    for k, path in enumerate(blocks, 1):
        shutil.copy(path, events / f"block-{k:05d}.fits")
    done = script("merge", "--folder", "events", "--blocks", len(blocks), "--out", "merged.fits", cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_same_seed_same_bytes_other_seed_other_events(script: Run, production: Path, tmp_path: Path) -> None:
    original = (production / "work/events/block-00001.fits").read_bytes()
    assert simulate(script, production, tmp_path, 1, "a.fits").read_bytes() == original
    assert simulate(script, production, tmp_path, 1, "b.fits", seed=1).read_bytes() != original
    assert (production / "work/events/block-00002.fits").read_bytes() != original


def test_merge_keeps_all_and_adds_up_the_thrown(production: Path, code: Run, tmp_path: Path) -> None:
    done = code(
        "import json; from astropy.io import fits; h = fits.open(sys.argv[1]); b = h['BLOCKS'].data\n"
        "print(json.dumps({n: [len(h[n].data), h[n].header['NSHOWER'], int(sum(b['events'][b['particle'] == n.lower()])),"
        " float(h[n].data['true_energy'].min()), h[n].header['EMIN'], h[n].columns['true_energy'].unit]"
        " for n in ('GAMMA', 'PROTON', 'ELECTRON')}))",
        production / "work/events.fits",
        cwd=tmp_path,
    )
    facts = json.loads(done.stdout)
    parameters = json.loads((production / "work/parameters.json").read_text())["parameters"]
    for particle, (events, thrown, kept, lowest, energy_min, unit) in facts.items():
        assert events == kept > 1000 and unit == "TeV"
        assert thrown == parameters[f"{particle.lower()}_showers"]
        assert lowest >= energy_min * 0.999999


def test_merge_refuses_the_same_seed_twice(script: Run, production: Path, tmp_path: Path) -> None:
    block = production / "work/events/block-00001.fits"
    status, text = merged(script, tmp_path, [block, block])
    assert status != 0 and "copies" in text and not (tmp_path / "merged.fits").exists()


def test_merge_refuses_blocks_of_different_productions(script: Run, production: Path, tmp_path: Path) -> None:
    other = simulate(script, production, tmp_path, 2, "other.fits", zenith=40)
    status, text = merged(script, tmp_path, [production / "work/events/block-00001.fits", other])
    assert status != 0 and "ZENITH" in text and "must agree" in text


@pytest.mark.parametrize(
    ("column", "unit", "word"), [("reco_energy", "GeV", "reco_energy"), ("theta", "", "theta")]
)
def test_merge_refuses_other_units(
    script: Run, code: Run, production: Path, tmp_path: Path, column: str, unit: str, word: str
) -> None:
    block = tmp_path / "block.fits"
    shutil.copy(production / "work/events/block-00001.fits", block)
    change = f"from astropy.io import fits; h = fits.open(sys.argv[1], mode='update'); h['GAMMA'].columns[{column!r}].unit = {unit!r}; h.close()"
    assert code(change, block, cwd=tmp_path).returncode == 0
    status, text = merged(script, tmp_path, [block])
    assert status != 0 and word in text


def test_parameters_and_variants_change_the_response(code: Run, production: Path, tmp_path: Path) -> None:
    done = code(
        "import json; from response import Response; from dataclasses import asdict\n"
        "d = json.load(open(sys.argv[1])); p, s = d['parameters'], d['selected']\n"
        "make = lambda p2={}, s2={}: asdict(Response.of({**p, **p2}, {**s, **s2}))\n"
        "print(json.dumps({'base': make(), 'zenith': make({'zenith': 50}), 'azimuth': make({'azimuth': 0}), 'nsb': make({'nsb': 3}),"
        " 'light': make(s2={'throughput_factor': 0.9}), 'direction': make(s2={'direction_factor': 1.15}),"
        " 'period': make(s2={'optical_throughput': 0.9})}))",
        production / "work/parameters.json",
        cwd=tmp_path,
    )
    made = json.loads(done.stdout)
    base = made["base"]
    assert base["threshold"] < made["nsb"]["threshold"] < made["zenith"]["threshold"]
    assert made["azimuth"]["threshold"] != base["threshold"]
    assert made["light"]["scale"] == 0.9 and made["light"]["threshold"] > base["threshold"]
    # a known loss of light is calibrated away, an unknown one is not
    assert made["period"]["scale"] == 1.0 and made["period"]["threshold"] > base["threshold"]
    assert made["direction"]["direction"][0] == pytest.approx(1.15 * base["direction"][0])


def test_cut_is_continuous_and_shares_of_blocks_add_up(program: Run, tmp_path: Path) -> None:
    done = program("cuts_and_shares", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
