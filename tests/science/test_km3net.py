"""The physics of `km3net`: light, detector, fit, closure with simulated events, and real files of the field; and what is refused."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import kept
from science import km3net
from science.km3net import DEFAULTS, SCHEMA, WORKFLOW, Software

from esap_wf.software import environments

pytestmark = pytest.mark.science
#: What long calculations here come from, besides their parameters.
CALCULATES = [
    WORKFLOW / "scripts",
    WORKFLOW / "requirements.txt",
    DEFAULTS,
    environments.abi(),
    Path(__file__),
    Path(km3net.__file__),
]


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


def test_light_takes_the_fastest_way_to_a_photomultiplier(software: Software, tmp_path: Path) -> None:
    # with one index for both, Cherenkov's angle is Fermat's principle: no other place of emission is earlier
    said = software.program("fastest_light", tmp_path)
    assert said < 1e-4


def test_angles_say_where_a_muon_comes_from(software: Software, tmp_path: Path) -> None:
    said = software.program("angles", tmp_path)
    zenith, azimuth, unit, polar = said
    assert zenith == pytest.approx([0, 180, 90, 90]) and azimuth[2:] == pytest.approx([0, 90])
    assert unit < 1e-12 and polar[0] == pytest.approx(5.7296e-5, rel=1e-3) and abs(polar[1]) < 1e-9


def test_derivatives_and_perfect_times_give_the_track_back(software: Software, tmp_path: Path) -> None:
    said = software.program("tracks_given_back", tmp_path)
    assert said[0] < 0.01 and said[1] < 1e-3


def test_hits_that_do_not_determine_a_direction_give_no_track_with_an_impossible_error(
    software: Software, tmp_path: Path
) -> None:
    # a muon straight down along one string could come from any side of it: the matrix of derivatives is singular but for rounding
    said = software.program("singular_hits", tmp_path)
    assert all(variance > 0 for variance in said)


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


def test_detector_files_are_read_back_as_they_were_written_and_real_ones_are_known(
    software: Software, tmp_path: Path
) -> None:
    said = software.program(
        "detector_files",
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


@pytest.mark.parametrize(
    ("layout", "strings", "energies", "largest"),
    [("arca", 19, (1e4, 1e6), 0.2), ("orca", 19, (1e3, 1e5), 0.25)],
)
def test_simulated_muons_are_found_again_without_bias_and_with_right_errors(
    software: Software, layout: str, strings: int, energies: tuple[float, float], largest: float
) -> None:
    def found(folder: Path) -> dict[str, list[list[float]]]:
        told: dict[str, list[list[float]]] = {"zenith_pull": [], "azimuth_pull": [], "true_angle": []}
        for seed in (11, 12, 13):
            work = folder / str(seed)
            software.chain(work, *software.simulate(work, seed=seed, **p), seed=seed, **p)
            rows = software.code(
                """
import table
rows = table.read(Path("tracks/t.h5"))[0]; good = rows[rows["good"] & np.isfinite(rows["true_angle"])]
print(json.dumps({n: good[n].tolist() for n in ("zenith_pull", "azimuth_pull", "true_angle")}))
""",
                work,
            )
            for name in told:
                told[name].append(rows[name])
        return told

    p: dict[str, Any] = {
        "layout": layout,
        "strings": strings,
        "energy_min": energies[0],
        "energy_max": energies[1],
        "events_per_file": 30,
    }
    told = kept.value("km3net-closure", [*CALCULATES, p], found)
    assert all(len(good) >= 10 for good in told["true_angle"])
    pulls = {name: [x for seed in seeds for x in seed] for name, seeds in told.items()}
    angles = pulls.pop("true_angle")
    assert statistics.median(angles) < largest
    for name, values in pulls.items():
        low, _, middle, *_, high = (
            sorted(values)[int(q * len(values))] for q in (0.1587, 0.3, 0.5, 0.7, 0.8413)
        )
        # four standard errors of a median, and widths within the statistics of some 60 tracks
        assert abs(middle) < 4 * 1.2533 / len(values) ** 0.5, (name, middle)
        assert 0.65 < (high - low) / 2 < 1.5, (name, low, high)


def test_what_is_wrong_with_the_physics_makes_the_results_invalid(software: Software) -> None:
    p: dict[str, Any] = {
        "layout": "orca",
        "strings": 12,
        "energy_min": 1000,
        "energy_max": 1e5,
        "events_per_file": 60,
        "noise_fraction": 0,
        "seed": 4,
    }

    def found(folder: Path) -> dict[str, Any]:
        events, geometry = software.simulate(folder, **p)

        def failed(name: str, **other: Any) -> list[str]:
            software.chain(folder / name, events, geometry, **{**p, **other})
            document = json.loads((folder / name / "validation.json").read_text())
            assert document["valid"] is not any(not c["passed"] for c in document["checks"])
            return [c["name"] for c in document["checks"] if not c["passed"]]

        told: dict[str, Any] = {"right": failed("right")}
        # what the verdict alone reads needs no reconstruction of its own
        summary = json.loads((folder / "right/summary.json").read_text())
        for name, value in (("time_jitter", 1.0), ("max_median_angle", 0.01)):
            (folder / "s.json").write_text(
                json.dumps({**summary, "parameters": {**summary["parameters"], name: value}})
            )
            done = software.script(
                "validate",
                "--table",
                "right/events.fits",
                "--summary",
                "s.json",
                "--out",
                "v.json",
                cwd=folder,
            )
            assert done.returncode == 0
            told[name] = done.stdout
        # the fit believes in times that are five times too exact
        told["resolution"] = failed("resolution", time_resolution=10, max_direction_error=30)
        # an index of refraction that is not that of the simulation moves the arrival times about the true tracks
        told["water"] = failed("water", index_group=1.42, max_chi2=100, min_inliers=0, min_lead=0)
        return told

    told = kept.value("km3net-wrong", [*CALCULATES, p], found)
    assert told["right"] == []
    assert (
        "FAIL residuals: width" in told["time_jitter"]
        and "FAIL median angle to the truth" in told["max_median_angle"]
    )
    assert {"zenith error", "azimuth error"} & set(told["resolution"])
    assert {"residuals: peak", "residuals: width"} & set(told["water"])


def test_pulses_slew_as_the_laboratory_and_the_official_files_say(software: Software, tmp_path: Path) -> None:
    # t = tdc + t0 - slewing in files that KM3NeT calibrated (one whose simulated detector has no offsets)
    said = software.code(
        """
import awkward as ak, km3io, pulse
hits = km3io.OfflineReader(sys.argv[1]).hits
t, tdc, tot = (ak.to_numpy(ak.flatten(getattr(hits, n))).astype(float) for n in ("t", "tdc", "tot"))
seen = [int(k) for k in np.unique(tot)]
theirs = [float(np.median((tdc - t)[tot == k])) for k in seen]
some = [0, 10, 26, 40, 60, 100, 150, 207, 255]
print(json.dumps([seen, theirs, pulse.slew(np.array(seen)).tolist(), pulse.slew(np.array(some)).tolist()]))
""",
        tmp_path,
        next((software.data / "offline").glob("mcv5.0.gsg_elec-CC_10-100GeV*orca.909*")),
    )
    seen, theirs, ours, some = said
    assert len(seen) > 50 and ours == pytest.approx(theirs, abs=0.1), (
        "files that come calibrated are corrected already"
    )
    # laboratory measurement of KM3NeT, as Jpp and km3pipe have it
    assert some == pytest.approx([8.01, 3.89, 0.07, -2.11, -4.04, -6.45, -8.20, -9.04, -9.04], abs=0.1)


def test_a_calibrated_time_is_what_the_clock_said_plus_the_offset_minus_the_slewing(
    software: Software, tmp_path: Path
) -> None:
    said = software.program("calibrated_times", tmp_path)
    # small pulses cross the threshold late, large ones soon
    assert said == pytest.approx([-3.89, -0.07, 8.98], abs=0.15)


#: deg, good tracks from the truth, from the reconstruction of the files -> verdict, and what is said of the tracks
FEW: dict[str, tuple[list[float], list[float], bool | None, str]] = {
    "one far track": (
        [],
        [62.0],
        None,
        "1 good track, 1 with the reconstruction of the files, 62.0 deg (median) from it",
    ),
    "none": ([], [], None, "0 good tracks"),
    "nothing to compare with": (
        [],
        [float("nan")] * 30,
        None,
        "30 good tracks, with neither a truth nor another reconstruction",
    ),
    "19": ([0.3] * 19, [], None, "19 good tracks, 19 with the truth, 0.3 deg (median) from it"),
    "like the reference": ([], [0.3] * 20, True, ""),
    "far from it": ([], [62.0] * 20, False, ""),
    "truth before reference": ([0.3] * 20, [62.0] * 20, True, ""),
    "far from the truth": ([62.0] * 20, [0.3] * 20, False, ""),
}


def test_too_few_good_tracks_are_not_judged(software: Software, tmp_path: Path) -> None:
    said = software.program("few_tracks", tmp_path, json.dumps(list(FEW.values())))
    for (name, (_, _, valid, what)), (document, end) in zip(FEW.items(), said, strict=True):
        assert document["valid"] is valid, name
        assert document["warnings"] == (
            [f"not judged: {what}. Directions are judged from 20 on"] if what else []
        ), name
        # only what is invalid ends the run
        assert end.split(":")[0] == {None: "not judged", True: "valid"}.get(
            valid, "the results are invalid (v.json)"
        ), end


def test_without_its_time_offsets_a_detector_reconstructs_nothing(software: Software, tmp_path: Path) -> None:
    p: dict[str, Any] = {
        "layout": "orca",
        "strings": 7,
        "energy_min": 1000,
        "energy_max": 1e5,
        "events_per_file": 20,
        "noise_fraction": 0,
    }
    events, geometry = software.simulate(tmp_path, **p)
    lines = geometry.read_text().splitlines()
    flat = [" ".join([*w[:7], "0.000", w[8]]) if len(w := line.split()) == 9 else line for line in lines]
    (tmp_path / "flat.detx").write_text("\n".join(flat) + "\n")
    right, _ = software.chain(tmp_path / "right", events, geometry, **p)
    wrong, _ = software.chain(tmp_path / "wrong", events, tmp_path / "flat.detx", **p)
    assert right["statistics"]["good"] > 8 and wrong["statistics"]["good"] == 0
    # the time of a muon is its own, not that of its slice, which is up to 0.1 s before
    said = software.code(
        """
import eventfile, table
c, (rows, *_) = eventfile.read(Path("right/c.h5")), table.read(Path("right/tracks/t.h5"))
rows = rows[rows["good"]]
i = np.searchsorted(c.events["trigger_counter"], rows["trigger_counter"])
begin, late = c.events["time"][i], 1e-9 * c.truth["time"][i]
print(json.dumps([float(np.abs(rows["time"] - begin - late).max()), float(late.min()), float(late.max())]))
""",
        tmp_path,
    )
    # point and time of truth and fit are some 100 m apart on the track; a double holds 0.24 us
    assert said[0] < 3e-6 and 0 < said[1] < said[2] < 0.1 and said[2] > 0.05


def test_simulated_muons_of_a_real_detector_agree_with_the_truth_and_with_jpp(software: Software) -> None:
    file = next((software.data / "offline").glob("mcv6.0.gsg_muon_highE-CC_50-500GeV*905.root"))
    geometry = next((software.data / "detx").glob("D_ORCA006_*.detx"))
    of = [*CALCULATES, file.name, geometry.name]
    summary, said = kept.value(
        "km3net-real",
        of,
        lambda f: software.chain(f, file, geometry, time_resolution=4, max_direction_error=1.5),
    )
    assert "comes calibrated" in said[1] and summary["flow"][0] == ["recorded", 140]
    figures = summary["statistics"]
    assert figures["good"] >= 15 and figures["with_truth"] == figures["with_reference"] == figures["good"]
    # six strings, 50 to 500 GeV: the muon is short, and the neutrino's direction is not asked for
    assert figures["true_angle_deg"]["median"] < 1.5 and figures["reference_angle_deg"]["median"] < 1.5


def test_real_events_are_calibrated_and_agree_with_jpp(software: Software, tmp_path: Path) -> None:
    summary, said = software.chain(
        tmp_path,
        software.data / "offline/km3net_offline.root",
        software.data / "detx/km3net_offline.detx",
        time_resolution=4,
    )
    assert "1394 hits calibrated, 0 dropped" in said[1]
    angles = software.code(
        'import table; r = table.read(Path("tracks/t.h5"))[0]; print(json.dumps([r["reference_angle"].tolist(), r["zenith"].tolist()]))',
        tmp_path,
    )
    # four strings see most of these muons with few hits: what is good agrees with Jpp, half of the others do
    assert len(angles[0]) == 10 and sum(a < 5 for a in angles[0]) >= 5
    assert summary["statistics"]["reference_angle_deg"]["median"] < 2
    # what a detector of four strings at 2.4 km depth sees are atmospheric muons from above
    assert sum(z < 90 for z in angles[1]) >= 9
    assert summary["statistics"]["good"] >= 1


#: of the sample files: their kind, whether the hits come calibrated, which detector
SAMPLES = {
    "online/km3net_online.root": ["data", False, 44],
    "online/events_sample.root": ["data", False, 44],
    "online/KM3NeT_00000267_00025291_JDAQEvent_JDAQSummaryslice.root": ["data", False, 267],
    "offline/km3net_offline.root": ["data", False, 44],
    # it has positions, but times as they were counted
    "offline/usr-sample.root": ["data", False, 49],
    # its META says which file it was taken from: mcv8.1.gsg_numu-CCHEDIS_1e2-1e8GeV.sirene…
    "online/KM3NeT_00000133_JDAQEvent.root": ["simulation", False, 133],
    "offline/numucc.root": ["simulation", False, 20],
    "offline/mcv5.0.DAT004340.propa.sirene.jte.jchain.aanet.4340.root": ["simulation", False, -14],
    "offline/mcv5.0.gsg_elec-CC_10-100GeV.km3sim.JDK.jte.jmergefit.orca.909.evtsample.root": [
        "simulation",
        True,
        -1,
    ],
}


def test_real_and_simulated_files_are_told_apart_and_events_of_the_data_acquisition_are_read(
    software: Software, tmp_path: Path
) -> None:
    said = software.program("files_of_the_field", tmp_path, software.data, json.dumps(list(SAMPLES)))
    kinds, simulated, real = said
    assert kinds == SAMPLES
    assert simulated[0] == [[590, 17], [1079, 265], [697, 77], [708, 45], [1165, 397]]
    # a snapshot lasts some microseconds; all of it is of this detector, of September 2022
    assert simulated[1] == 0 and 1e3 < simulated[2] < 3e4
    assert (
        simulated[3:5] == [13340, 4] and 1662000000 < simulated[5] < 1666000000 and 100 < simulated[6] <= 255
    )
    # ORCA with four strings, of November 2019
    assert len(real[0]) == 3 and real[1] == 0 and real[3:5] == [6633, 0] and 1573200000 < real[5] < 1573300000
    # what the README says of a sample is what its file says
    rows = [line for line in (WORKFLOW / "README.md").read_text().splitlines() if line.startswith("| `o")]
    for name, (kind, *_) in SAMPLES.items():
        for row in rows:
            if f"`{name}`" in row:
                assert ("**real**" in row) is (kind == "data"), row


#: written by lines of Python that know `uproot`, `h5py`, and `real`, a file of KM3NeT -> what is said of it
OTHERS = {
    "text": ("path.write_bytes(b'no events')", "neither a ROOT file nor HDF5"),
    "empty": ("path.write_bytes(b'')", "neither a ROOT file nor HDF5"),
    "FITS": (
        "path.write_bytes(b'SIMPLE  =                    T' + bytes(2850))",
        "neither a ROOT file nor HDF5, but FITS",
    ),
    "ROOT of zeros": ("path.write_bytes(b'root' + bytes(300))", "a ROOT file, but not of KM3NeT"),
    "cut ROOT": ("path.write_bytes(real.read_bytes()[:30000])", "can't be read as a ROOT file"),
    "cut HDF5": ("path.write_bytes(b'\\x89HDF\\r\\n\\x1a\\n' + bytes(100))", "damaged HDF5"),
    "a collider's": (
        "f = uproot.recreate(path); f.mktree('Events', {'nMuon': 'u4'}).extend({'nMuon': np.ones(3, 'u4')}); f.close()",
        "a ROOT file, but not of KM3NeT: no events in a tree `E` or `KM3NET_EVENT`; it holds Events",
    ),
    "tree of the same name": (
        "f = uproot.recreate(path); f.mktree('E', {'e': 'f8'}).extend({'e': np.ones(3)}); f.close()",
        "a ROOT file, but not of KM3NeT",
    ),
    "histogram of the same name": (
        "f = uproot.recreate(path); f['E'] = np.histogram([1.0]); f.close()",
        "a ROOT file, but not of KM3NeT",
    ),
    "another neutrino telescope's": (
        "f = h5py.File(path, 'w'); f['I3MCTree'] = np.ones(3); f.close()",
        "an HDF5 file of another kind: its attribute `format` is None",
    ),
    "of an older format": (
        "f = h5py.File(path, 'w'); f.attrs['format'] = 'km3net-events/1'; f.close()",
        "`time` is the beginning of the time slice: write it anew",
    ),
    "half a format": (
        "f = h5py.File(path, 'w'); f.attrs['format'] = 'km3net-events/2'; f.close()",
        "no table `events`",
    ),
}


def test_a_file_of_another_experiment_or_a_broken_one_is_told_in_one_sentence(
    software: Software, tmp_path: Path
) -> None:
    said = software.program(
        "files_of_others",
        tmp_path,
        software.data / "offline/km3net_offline.root",
        json.dumps([make for make, _ in OTHERS.values()]),
    )
    for (kind, (_, expected)), told in zip(OTHERS.items(), said, strict=True):
        assert expected in told and "\n" not in told, (kind, told)
    words: list[object] = ["--parameters", "p.json", "--events", "1; y.root", "--out", "f.h5"]
    (tmp_path / "p.json").write_text(json.dumps({"parameters": DEFAULTS}))
    (refused,) = software.attempts(tmp_path, [("filter", words)])
    assert refused.startswith("1; y.root: neither a ROOT file nor HDF5") and "README.md" in refused


def test_files_without_hits_other_detectors_and_missing_ones_are_refused(
    software: Software, tmp_path: Path
) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"parameters": DEFAULTS}))
    (tmp_path / "bad.detx").write_text("not a detector")
    known: list[object] = ["--parameters", "p.json", "--out", "f.h5", "--events"]
    calibrate: list[object] = ["--events", "f.h5", "--out", "c.h5"]
    empty, fine, none, other, bad = software.attempts(
        tmp_path,
        [
            ("filter", [*known, software.data / "offline/muon_cc_events.root"]),
            ("filter", [*known, software.data / "offline/km3net_offline.root"]),
            ("calibrate", calibrate),
            ("calibrate", [*calibrate, "--detector", software.data / "detx/KM3NeT_00000133_20221025.detx"]),
            ("calibrate", [*calibrate, "--detector", "bad.detx"]),
        ],
    )
    assert "none has hits" in empty and fine == "" and "as input `detector`" in none
    assert (
        "events of detector 44, but the detector file is of 133" in other
        and "bad.detx: no detector file" in bad
    )
    assert not (tmp_path / "c.h5").exists()


def test_everything_that_is_wrong_with_the_parameters_is_told_at_once(
    software: Software, tmp_path: Path
) -> None:
    config = {
        "tot_mim": 3,
        "tot_min": -1,
        "layout": "antares",
        "campaign": "$(x)",
        "strings": 2.5,
        "inputs": {"evnts": ["a"]},
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    done = software.script(
        "check",
        "--config",
        "c.json",
        "--schema",
        WORKFLOW / "params.schema.json",
        "--out",
        "p.json",
        cwd=tmp_path,
    )
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
    assert set(manifest["identity"]["parameters"]) == set(SCHEMA["properties"]) - {
        "campaign",
        "max_median_angle",
    }
    processes = {
        line.split()[1]
        for line in (WORKFLOW / "main.nf").read_text().splitlines()
        if line.startswith("process ")
    }
    assert set(manifest["units"]["steps"]) <= processes
    readme = (WORKFLOW / "README.md").read_text()
    columns = [
        line.split('"')[1]
        for line in (WORKFLOW / "scripts/table.py").read_text().splitlines()
        if line.startswith('    "') and '": ("' in line
    ]
    assert len(columns) == 36 and [c for c in columns if f"`{c}`" not in readme] == []
