"""The physics of `km3net`: light, detector, fit, closure with simulated events, and real files of the field; and what is refused."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from km3net import DEFAULTS, SCHEMA, WORKFLOW, Software

pytestmark = pytest.mark.science


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


def test_light_takes_the_fastest_way_to_a_photomultiplier(software: Software, tmp_path: Path) -> None:
    # with one index for both, Cherenkov's angle is Fermat's principle: no other place of emission is earlier
    said = software.code(
        """
from light import C, Water, arrival
rng, water = np.random.default_rng(1), Water(1.36, 1.36)
worst = 0.0
for _ in range(50):
    p, q, d = rng.normal(0, 50, 3), rng.normal(0, 50, (1, 3)), rng.normal(size=3); d /= np.linalg.norm(d)
    s = np.linspace(-600, 600, 600001)
    ways = s + 1.36 * np.linalg.norm(q - p - s[:, None] * d, axis=1)
    worst = max(worst, abs(arrival(water, p, d, 5.0, q)[0] - 5.0 - ways.min() / C))
print(json.dumps(worst))
""",
        tmp_path,
    )
    assert said < 1e-4


def test_angles_say_where_a_muon_comes_from(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import table
from fit import axes_of
z, a = table.angles(np.array([[0, 0, -1.0], [0, 0, 1], [-1, 0, 0], [0, -1, 0]]))
d = np.array([[0.3, -0.5, 0.2], [0, 0, 1], [0, 0, -1]]); d /= np.linalg.norm(d, axis=1, keepdims=True)
frames = np.concatenate([axes_of(d), d[:, None]], axis=1)
unit = np.abs(frames @ frames.transpose(0, 2, 1) - np.eye(3)).max()
# the first axis is that of growing polar angle of the direction, the second that of growing azimuth
turned = d[0] + 1e-6 * axes_of(d)[0]
polar = np.degrees(np.arccos(turned[:, 2] / np.linalg.norm(turned, axis=1))) - np.degrees(np.arccos(d[0, 2]))
print(json.dumps([z.tolist(), a.tolist(), float(unit), polar.tolist()]))
""",
        tmp_path,
    )
    zenith, azimuth, unit, polar = said
    assert zenith == pytest.approx([0, 180, 90, 90]) and azimuth[2:] == pytest.approx([0, 90])
    assert unit < 1e-12 and polar[0] == pytest.approx(5.7296e-5, rel=1e-3) and abs(polar[1]) < 1e-9


def test_derivatives_and_perfect_times_give_the_track_back(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import detector, fit
from light import Water, arrival, along_and_across
rng, water, pmts = np.random.default_rng(3), Water(1.35, 1.38), detector.toy("orca", 19, 5)
directions, worst, slopes = fit.sphere(500), 0.0, 0.0
for k in range(12):
    d = rng.normal(size=3); d /= np.linalg.norm(d)
    p = pmts.position.mean(axis=0) + rng.normal(0, 10, 3)
    rho = along_and_across(p, d, pmts.position)[1]
    rows = rng.choice(np.flatnonzero(rho < 40), 40, replace=False)
    at = pmts.position[rows]; times = arrival(water, p, d, 1e6, at)
    track = fit.reconstruct(water, at, times, pmts.dom[rows], np.ones(40, bool), directions, 2.0, 80.0, 5)
    worst = max(worst, float(np.degrees(np.arccos(np.clip(track.direction @ d, -1, 1)))))
    axes = fit.axes_of(d)[0]
    exact, step = fit._derivatives(water, p, d, axes, axes, at), 1e-6
    for i in range(5):
        q = np.zeros(5); q[i] = step; e = d + q[0] * axes[0] + q[1] * axes[1]
        moved = arrival(water, p + q[2] * axes[0] + q[3] * axes[1], e / np.linalg.norm(e), 1e6 + q[4], at)
        slopes = max(slopes, float(np.abs((moved - times) / step - exact[:, i]).max() / np.abs(exact[:, i]).max()))
print(json.dumps([worst, slopes]))
""",
        tmp_path,
    )
    assert said[0] < 0.01 and said[1] < 1e-3


def test_the_causal_cluster_drops_what_no_muon_can_have_caused(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import fit
from light import Water, arrival
at = np.random.default_rng(2).uniform(-100, 100, (30, 3))
times = arrival(Water(1.35, 1.38), np.zeros(3), np.array([0, 0.6, -0.8]), 0.0, at)
wrong = times.copy(); wrong[[3, 17]] += [2500, -2500]
print(json.dumps([fit.cluster(at, times, 1.38, 1.0).tolist(), np.flatnonzero(~fit.cluster(at, wrong, 1.38, 1.0)).tolist()]))
""",
        tmp_path,
    )
    # direct light of one muon is always causal, with hardly any margin
    assert all(said[0]) and said[1] == [3, 17]


def test_detector_files_are_read_back_as_they_were_written_and_real_ones_are_known(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import detector, sys
toy = detector.toy("arca", 7, 1); detector.write_detx(Path("toy.detx"), toy); back = detector.read(Path("toy.detx"))
same = max(float(np.abs(getattr(toy, n) - getattr(back, n)).max()) for n in ("dom", "channel", "string", "position", "axis", "t0"))
unit = float(np.abs(np.linalg.norm(back.axis, axis=1) - 1).max())
rows = back.find([1001, 1001, 1001, 77], [0, 30, 31, 0])
counts = {}
for path in sys.argv[1:]:
    real = detector.read(Path(path)); counts[real.detector_id] = [len(np.unique(real.dom)), len(real.dom), float(real.t0.max())]
print(json.dumps([len(toy.dom), same, unit, rows.tolist(), counts]))
""",
        tmp_path,
        software.data / "detx/km3net_offline.detx",
        software.data / "datx/KM3NeT_00000133_20221025.datx",
    )
    number, same, unit, rows, counts = said
    assert number == 7 * 18 * 31 and same < 1e-8 and unit < 1e-6 and rows == [0, 30, -1, -1]
    # 5 and 21 strings of 18 modules; the modules at their feet have no photomultipliers
    assert counts["44"][:2] == [90, 2790] and counts["133"][0] == 378
    # offsets of real photomultipliers are some 200 microseconds
    assert 1e5 < counts["44"][2] < 1e6


@pytest.mark.parametrize(("layout", "strings", "energies", "largest"), [("arca", 19, (1e4, 1e6), 0.2), ("orca", 19, (1e3, 1e5), 0.25)])
def test_simulated_muons_are_found_again_without_bias_and_with_right_errors(
    software: Software, tmp_path: Path, layout: str, strings: int, energies: tuple[float, float], largest: float
) -> None:
    pulls: dict[str, list[float]] = {"zenith_pull": [], "azimuth_pull": []}
    angles: list[float] = []
    for seed in (11, 12, 13):
        p = {
            "seed": seed,
            "layout": layout,
            "strings": strings,
            "energy_min": energies[0],
            "energy_max": energies[1],
            "events_per_file": 30,
        }
        folder = tmp_path / str(seed)
        summary, _ = software.chain(folder, *software.simulate(folder, **p), **p)
        assert summary["statistics"]["good"] >= 10
        rows = software.code(
            """
import table
rows = table.read(Path("tracks/t.h5"))[0]; good = rows[rows["good"] & np.isfinite(rows["true_angle"])]
print(json.dumps({n: good[n].tolist() for n in ("zenith_pull", "azimuth_pull", "true_angle")}))
""",
            folder,
        )
        angles += rows["true_angle"]
        for name in pulls:
            pulls[name] += rows[name]
    assert statistics.median(angles) < largest
    for name, values in pulls.items():
        low, _, middle, *_, high = (sorted(values)[int(q * len(values))] for q in (0.1587, 0.3, 0.5, 0.7, 0.8413))
        # four standard errors of a median, and widths within the statistics of some 60 tracks
        assert abs(middle) < 4 * 1.2533 / len(values) ** 0.5, (name, middle)
        assert 0.65 < (high - low) / 2 < 1.5, (name, low, high)


def test_what_is_wrong_with_the_physics_makes_the_results_invalid(software: Software, tmp_path: Path) -> None:
    p: dict[str, Any] = {
        "layout": "orca",
        "strings": 12,
        "energy_min": 1000,
        "energy_max": 1e5,
        "events_per_file": 60,
        "noise_fraction": 0,
        "seed": 4,
    }
    events, geometry = software.simulate(tmp_path, **p)

    def failed(name: str, **other: Any) -> set[str]:
        software.chain(tmp_path / name, events, geometry, **{**p, **other})
        document = json.loads((tmp_path / name / "validation.json").read_text())
        assert document["valid"] is not any(not c["passed"] for c in document["checks"])
        return {c["name"] for c in document["checks"] if not c["passed"]}

    assert failed("right") == set()
    # what the verdict alone reads needs no reconstruction of its own
    summary = json.loads((tmp_path / "right/summary.json").read_text())
    for changed, name in (({"time_jitter": 1.0}, "residuals: width"), ({"max_median_angle": 0.01}, "median angle to the truth")):
        (tmp_path / "s.json").write_text(json.dumps({**summary, "parameters": {**summary["parameters"], **changed}}))
        done = software.script("validate", "--table", "right/events.fits", "--summary", "s.json", "--out", "v.json", cwd=tmp_path)
        assert done.returncode == 0 and f"FAIL {name}" in done.stdout
    # the fit believes in times that are five times too exact
    assert {"zenith error", "azimuth error"} & failed("resolution", time_resolution=10, max_direction_error=30)
    # an index of refraction that is not that of the simulation moves the arrival times about the true tracks
    assert {"residuals: peak", "residuals: width"} & failed("water", index_group=1.42, max_chi2=100, min_inliers=0, min_lead=0)


def test_without_its_time_offsets_a_detector_reconstructs_nothing(software: Software, tmp_path: Path) -> None:
    p: dict[str, Any] = {"layout": "orca", "strings": 7, "energy_min": 1000, "energy_max": 1e5, "events_per_file": 20, "noise_fraction": 0}
    events, geometry = software.simulate(tmp_path, **p)
    lines = geometry.read_text().splitlines()
    flat = [" ".join([*w[:7], "0.000", w[8]]) if len(w := line.split()) == 9 else line for line in lines]
    (tmp_path / "flat.detx").write_text("\n".join(flat) + "\n")
    right, _ = software.chain(tmp_path / "right", events, geometry, **p)
    wrong, _ = software.chain(tmp_path / "wrong", events, tmp_path / "flat.detx", **p)
    assert right["statistics"]["good"] > 8 and wrong["statistics"]["good"] == 0


def test_simulated_muons_of_a_real_detector_agree_with_the_truth_and_with_jpp(software: Software, tmp_path: Path) -> None:
    file = next((software.data / "offline").glob("mcv6.0.gsg_muon_highE-CC_50-500GeV*905.root"))
    geometry = next((software.data / "detx").glob("D_ORCA006_*.detx"))
    summary, said = software.chain(tmp_path, file, geometry, time_resolution=4, max_direction_error=1.5)
    assert "comes calibrated" in said[1] and summary["flow"][0] == ["recorded", 140]
    figures = summary["statistics"]
    assert figures["good"] >= 15 and figures["with_truth"] == figures["with_reference"] == figures["good"]
    # six strings, 50 to 500 GeV: the muon is short, and the neutrino's direction is not asked for
    assert figures["true_angle_deg"]["median"] < 1.5 and figures["reference_angle_deg"]["median"] < 1.5


def test_real_events_are_calibrated_and_agree_with_jpp(software: Software, tmp_path: Path) -> None:
    summary, said = software.chain(
        tmp_path, software.data / "offline/km3net_offline.root", software.data / "detx/km3net_offline.detx", time_resolution=4
    )
    assert "1394 hits calibrated, 0 dropped" in said[1]
    angles = software.code(
        'import table; r = table.read(Path("tracks/t.h5"))[0]; print(json.dumps([r["reference_angle"].tolist(), r["zenith"].tolist()]))',
        tmp_path,
    )
    assert len(angles[0]) == 10 and statistics.median(angles[0]) < 3
    # what a detector of four strings at 2.4 km depth sees are atmospheric muons from above
    assert sum(z < 90 for z in angles[1]) >= 9
    assert summary["statistics"]["good"] >= 1


def test_events_straight_from_the_data_acquisition_are_read(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import calibrate, detector, filter
c = filter.read(Path(sys.argv[1])); b = c.bounds()
first = [[int(b[i + 1] - b[i]), int(c.hits["triggered"][b[i]:b[i + 1]].sum())] for i in range(5)]
dropped = calibrate.calibrate(c, detector.read(Path(sys.argv[2])))
spread = [float(np.ptp(c.hits["time"][b[i]:b[i + 1]])) for i in range(len(c.events))]
e = c.events[0]
ids = [c.facts["detector_id"], int(e["run_id"]), int(e["trigger_counter"])]
print(json.dumps([first, dropped, max(spread), *ids, float(e["time"]), float(c.hits["tot"].max())]))
""",
        tmp_path,
        software.data / "online/KM3NeT_00000133_JDAQEvent.root",
        software.data / "detx/KM3NeT_00000133_20221025.detx",
    )
    assert said[0] == [[590, 17], [1079, 265], [697, 77], [708, 45], [1165, 397]]
    # a snapshot lasts some microseconds; all of it is of this detector, of September 2022
    assert said[1] == 0 and 1e3 < said[2] < 3e4
    assert said[3:6] == [133, 13340, 4] and 1662000000 < said[6] < 1666000000 and 100 < said[7] <= 255


BROKEN = {
    "text": (b"no events", "neither a ROOT file nor HDF5"),
    "empty": (b"", "neither a ROOT file nor HDF5"),
    "ROOT": (b"root" + bytes(300), "no events"),
    "cut ROOT": (None, "can't be read as a ROOT file"),
    "cut HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged HDF5"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_with_what_is_wrong(software: Software, tmp_path: Path, kind: str) -> None:
    content, message = BROKEN[kind]
    (tmp_path / "p.json").write_text(json.dumps({"parameters": DEFAULTS}))
    if content is None:
        content = (software.data / "offline/km3net_offline.root").read_bytes()[:30000]
    (tmp_path / "x; y.root").write_bytes(content)
    done = software.script("filter", "--parameters", "p.json", "--events", "x; y.root", "--out", "f.h5", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("x; y.root: ") and message in done.stderr


def test_files_without_hits_other_detectors_and_missing_ones_are_refused(software: Software, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"parameters": DEFAULTS}))
    empty = software.script(
        "filter", "--parameters", "p.json", "--events", software.data / "offline/muon_cc_events.root", "--out", "f.h5", cwd=tmp_path
    )
    assert empty.returncode == 1 and "none has hits" in empty.stderr
    file = software.data / "offline/km3net_offline.root"
    assert software.script("filter", "--parameters", "p.json", "--events", file, "--out", "f.h5", cwd=tmp_path).returncode == 0
    none = software.script("calibrate", "--events", "f.h5", "--out", "c.h5", cwd=tmp_path)
    assert none.returncode == 1 and "as input `detector`" in none.stderr
    other = software.script(
        "calibrate", "--events", "f.h5", "--detector", software.data / "detx/KM3NeT_00000133_20221025.detx", "--out", "c.h5", cwd=tmp_path
    )
    assert other.returncode == 1 and "events of detector 44, but the detector file is of 133" in other.stderr
    (tmp_path / "bad.detx").write_text("not a detector")
    bad = software.script("calibrate", "--events", "f.h5", "--detector", "bad.detx", "--out", "c.h5", cwd=tmp_path)
    assert bad.returncode == 1 and "bad.detx: no detector file" in bad.stderr and "Traceback" not in bad.stderr


def test_everything_that_is_wrong_with_the_parameters_is_told_at_once(software: Software, tmp_path: Path) -> None:
    config = {"tot_mim": 3, "tot_min": -1, "layout": "antares", "campaign": "$(x)", "strings": 2.5, "inputs": {"evnts": ["a"]}}
    (tmp_path / "c.json").write_text(json.dumps(config))
    done = software.script("check", "--config", "c.json", "--schema", WORKFLOW / "params.schema.json", "--out", "p.json", cwd=tmp_path)
    assert done.returncode == 1 and not (tmp_path / "p.json").exists()
    for told in (
        "did you mean tot_min",
        "-1 ns is below 0",
        "'antares' is not one of arca, orca",
        "campaign:",
        "strings: 2.5",
        "called evnts",
    ):
        assert told in done.stderr, done.stderr


def test_manifest_schema_and_scripts_agree() -> None:
    manifest = yaml.safe_load((WORKFLOW / "workflow.yaml").read_text())
    assert set(manifest["identity"]["parameters"]) == set(SCHEMA["properties"]) - {"campaign", "max_median_angle"}
    processes = {line.split()[1] for line in (WORKFLOW / "main.nf").read_text().splitlines() if line.startswith("process ")}
    assert set(manifest["units"]["steps"]) <= processes
    readme = (WORKFLOW / "README.md").read_text()
    columns = [
        line.split('"')[1]
        for line in (WORKFLOW / "scripts/table.py").read_text().splitlines()
        if line.startswith('    "') and '": ("' in line
    ]
    assert len(columns) == 36 and [c for c in columns if f"`{c}`" not in readme] == []
