"""The physics of `fair`, function by function and as a chain: kinematics, detector, vertices, fit, closure; and what is refused."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import kept
from helpers.paths import ROOT
from science import fair
from science.fair import DEFAULTS, SCHEMA, WORKFLOW, Software

from esap_wf.software import environments

pytestmark = pytest.mark.science
#: What long calculations here come from, besides their own lines.
CALCULATES = [WORKFLOW / "scripts", WORKFLOW / "requirements.txt", environments.abi(), Path(fair.__file__)]


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


@pytest.fixture(scope="module")
def events(software: Software, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of toy events; tests read them and change nothing."""
    folder = tmp_path_factory.mktemp("events")
    return software.generated(*((folder, block, {"events_per_file": 2500}) for block in (1, 2)))


def test_decays_conserve_momentum_are_on_the_mass_shell_isotropic_and_live_as_long_as_the_pdg_says(
    software: Software, tmp_path: Path
) -> None:
    said = software.program("decays", cwd=tmp_path)
    assert said["shell"] < 1e-9 and said["balance"] < 1e-9
    # PDG: both have 101 MeV in the rest frame of the Lambda
    assert said["momentum"] == pytest.approx([0.1006, 0.1006], abs=1e-4)
    assert said["isotropy"] > 1e-3 and said["lifetime"] > 1e-3


def test_spectra_are_those_that_the_documentation_says(software: Software, tmp_path: Path) -> None:
    said = software.program("spectra", cwd=tmp_path)
    assert abs(said["excess"] - said["expected"]) < 4 * said["error"]
    assert said["y"] == pytest.approx([1.6, 0.75], abs=0.01)
    # y = arcosh(E / m) of a nucleon of 10 GeV kinetic energy
    assert said["beam"] == pytest.approx(3.148, abs=2e-3)


def test_two_tracks_meet_where_they_do(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import awkward as ak, selection
track = lambda p, x: ak.Array([dict(zip(("px", "py", "pz", "x", "y", "z"), map(float, (*p, *x))))])
# from (1, 2, 10): apart by 0.3 along the common normal of (1, 0, 1) and (0, 1, 1), which is (1, 1, -1) / sqrt 3
shift = 0.3 / 3**0.5 * np.array([1, 1, -1])
place, distance = selection.meeting(track((1, 0, 1), (21, 2, 30)), track((0, 3, 3), np.array([1, 22, 30]) + shift))
print(json.dumps({"place": [float(place[k][0]) for k in "xyz"], "distance": float(distance[0]), "half": list(shift / 2)}))
""",
        cwd=tmp_path,
    )
    assert said["distance"] == pytest.approx(0.3)
    assert said["place"] == pytest.approx([a + b for a, b in zip((1, 2, 10), said["half"], strict=True)])


def test_the_detector_measures_with_the_resolution_that_it_says(software: Software, tmp_path: Path) -> None:
    said = software.program("resolutions", cwd=tmp_path)
    assert said["momentum"] == pytest.approx(0.01, rel=0.03)
    assert said["slope"] == pytest.approx(said["expected"], rel=0.03)
    assert said["place"] == pytest.approx([0.01, 0], abs=5e-4)
    assert said["m2"] == pytest.approx(1, abs=0.03)
    assert said["thrown"] == pytest.approx(1, abs=0.03)


def test_shapes_are_densities(software: Software, tmp_path: Path) -> None:
    said = software.program("shape_densities", cwd=tmp_path)
    for signal, background, difference in said:
        assert (signal, background) == pytest.approx((300, 700), rel=1e-9)
        assert difference < 1e-9


def test_pulls_and_p_values_of_pseudo_experiments_are_those_of_a_fit(software: Software) -> None:
    name = "pseudo_experiments"
    said = kept.value(
        "fair-pulls",
        [*CALCULATES, fair.PROGRAMS / f"{name}.py"],
        lambda folder: software.program(name, cwd=folder),
    )
    assert said["converged"] == 150
    for name in ("signal", "mass", "sigma", "background"):
        mean, width = said["pulls"][name]
        assert abs(mean) < 0.3 and 0.85 < width < 1.15, (name, mean, width)
    assert said["uniform"] > 1e-3, said


CLOSURE = ROOT / "benchmarks/closures"


@pytest.fixture(scope="module")
def closure(software: Software) -> dict[str, list[dict[str, float]]]:
    """What benchmarks/closures/fair.py finds for 40 seeds at two rates, and with a wrong acceptance; kept between sessions."""
    lines = f"""
sys.path.insert(0, {str(CLOSURE)!r})
import fair
made = {{str(rate): [fair.experiment(task) for task in fair.tasks(rate, range(1001, 1041), True)] for rate in fair.RATES}}
made["wrong"] = [fair.experiment(task) for task in fair.tasks(1.0, range(1001, 1011), True, fair.WRONG_ANGLES)]
print(json.dumps(made))
"""
    of = [*CALCULATES, CLOSURE / "fair.py", lines.replace(str(ROOT), "")]
    made: dict[str, list[dict[str, float]]] = kept.value(
        "fair-closure", of, lambda folder: software.code(lines, cwd=folder, patience=1200)
    )
    return made


@pytest.mark.parametrize("rate", ["0.2", "1.0"])
def test_pulls_of_the_corrected_yield_are_those_of_right_errors(
    closure: dict[str, list[dict[str, float]]], rate: str
) -> None:
    rows = closure[rate]
    assert len(rows) >= 40
    for name in ("rate", "yield", "mass"):
        values = [row[name] for row in rows]
        mean, width = statistics.fmean(values), statistics.stdev(values)
        # the mean is known to width / sqrt(n), the width to width / sqrt(2 (n - 1))
        if name != "mass":
            assert abs(mean) < 0.3 + width / len(rows) ** 0.5, (name, mean, width)
        assert 0.8 - width / (2 * len(rows)) ** 0.5 < width < 1.2 + width / (2 * len(rows)) ** 0.5, (
            name,
            mean,
            width,
        )
    # what remains of the mass is its systematic error
    assert abs(statistics.fmean(row["shift"] for row in rows)) < 50e-6


def test_a_wrong_acceptance_of_the_simulation_is_seen(closure: dict[str, list[dict[str, float]]]) -> None:
    pulls = [row["rate"] for row in closure["wrong"]]
    mean, error = statistics.fmean(pulls), statistics.stdev(pulls) / len(pulls) ** 0.5
    assert mean > 1 and mean > 5 * error, (mean, error)


@pytest.mark.soak  # in short: test_pulls_of_the_corrected_yield_are_those_of_right_errors
def test_closure_holds_with_a_hundred_seeds_of_larger_experiments(software: Software, tmp_path: Path) -> None:
    said = software.script(CLOSURE / "fair", "--seeds", 100, cwd=tmp_path, patience=3000)
    assert said.returncode == 0 and "closure: accepted" in said.stdout, said.stdout + said.stderr


def test_a_simulation_of_another_detector_makes_the_result_invalid(
    software: Software, events: list[Path], tmp_path: Path
) -> None:
    # the same tracks, but decays that such a detector would not see are missing: what it finds is half of what the data have
    record = json.loads(software.simulation().read_text())
    counts = record["counts"]
    found = counts["true_in_window"]
    (tmp_path / "half.json").write_text(
        json.dumps({**record, "counts": {**counts, "true_in_window": found // 2}})
    )
    verdict, fit = software.chain(events, tmp_path / "work", simulation=tmp_path / "half.json")
    failed = {c["name"] for c in verdict["checks"] if not c["passed"]}
    assert failed == {"closure: decays", "closure: generated rate"}, failed
    part = fit["fit"]["efficiency"]
    assert (part["decays"], part["found"]) == (counts["decays"], found // 2)


def test_the_picture_tells_the_distance_from_the_world_average_in_both_errors(
    software: Software, tmp_path: Path
) -> None:
    text = software.code(
        'import plot; print(json.dumps(plot.mass({"value": 1.115683 + 30e-6, "error": 10e-6})))', cwd=tmp_path
    )
    # three statistical errors, which are nothing beside 50 keV
    assert text == ["m = 1115.713 ± 0.010 (stat)", "± 0.050 (syst) MeV", "PDG 1115.683 MeV: +0.6 σ away"]


def test_the_error_of_the_corrected_yield_has_that_of_the_simulation(
    software: Software, tmp_path: Path
) -> None:
    said = software.program("efficiency_errors", cwd=tmp_path)
    few, small, large, all_found, told = said
    assert (
        few["value"] == 0.4
        and few["error"] == pytest.approx((0.4 * 0.6 / 100) ** 0.5)
        and few["origin"] == "given"
    )
    assert small["value"] == 1000 and small["systematic"] == pytest.approx(10)
    # relative errors add in squares: 7.5 % of the fit, 12.2 % of a hundred simulated decays
    assert small["error"] / 1000 == pytest.approx(((30 / 400) ** 2 + 0.6 / 0.4 / 100) ** 0.5)
    assert large["error"] == pytest.approx(75, abs=0.1) and 0 < large["error_of_efficiency"] < 2
    assert all_found["value"] == 1 and 0.05 < all_found["error"] < 0.2
    assert "has no decay" in told[0] and "must come from other events" in told[1]
    assert "no truth" in told[2] and "the same content as s.root" in told[2], "all at once"


def test_the_chain_is_valid_by_its_own_checks_and_with_either_background(
    software: Software, events: list[Path], tmp_path: Path
) -> None:
    for background in SCHEMA["background"]["enum"]:
        # the same candidates with each
        verdict, fit = (
            software.fitted(tmp_path, [], background=background)
            if (tmp_path / "merged.root").exists()
            else software.chain(events, tmp_path, background=background)
        )
        assert json.loads((tmp_path / "fit.json").read_text())["model"]["background"] == background
        assert verdict["valid"], [c for c in verdict["checks"] if not c["passed"]]
        expected = {
            "closure: yield",
            "closure: decays",
            "closure: generated rate",
            "efficiency",
            "mass of the Λ",
            "momenta in GeV",
        }
        assert expected <= {c["name"] for c in verdict["checks"]}
        assert fit["fit"]["parameters"]["mass"]["value"] == pytest.approx(1.1157, abs=5e-4)


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ("scale(1000)", "momenta in GeV"),
        ("scale(1.05)", "mass of the Λ"),
        ("data['mc_decays'] = data['mc_decays'] * 2", "closure: decays"),
        ("data['trk'] = data['trk'][data['trk']['mother'] < 0]", "significance"),
    ],
    ids=["momenta in MeV", "wrong momentum scale", "wrong truth", "no signal"],
)
def test_what_is_wrong_with_events_is_seen(
    software: Software, events: list[Path], tmp_path: Path, change: str, failed: str
) -> None:
    shutil.copy(events[0].with_name("record-1.json"), tmp_path)
    spoilt = tmp_path / "toy-1.root"
    verdict, fit = software.chain(
        [spoilt], tmp_path / "work", before=[("spoil_events", events[0], spoilt, change)]
    )
    assert verdict["valid"] is False
    names = {c["name"] for c in verdict["checks"] if not c["passed"]}
    # momenta that are a thousand times too large give no pair at all near the mass
    assert failed in names or (fit["fit"] is None and "spectrum fitted" in names), names
    if failed == "momenta in GeV":
        assert failed in names


def test_files_without_truth_are_told(software: Software, tmp_path: Path) -> None:
    software.generate(tmp_path, 1, events_per_file=2500)
    software.program("without_truth", cwd=tmp_path)
    verdict, fit = software.chain([tmp_path / "toy-1.root"], tmp_path / "work")
    assert verdict["valid"], verdict
    assert any("no truth" in w for w in verdict["warnings"])
    # data need no truth: the efficiency is that of the simulation
    part = fit["fit"]["efficiency"]
    assert 0.3 < part["value"] < 0.4 and part["corrected_yield"]["value"] == pytest.approx(
        0.2 * 2500, abs=4 * part["corrected_yield"]["error"]
    )


def test_equal_seeds_give_equal_bytes_and_blocks_are_different(software: Software, tmp_path: Path) -> None:
    few = {"events_per_file": 300}
    # a process each for equal ones: what a process draws must not depend on what it drew before, nor on which one it is
    first = software.generate(tmp_path / "a", 1, **few)
    again, *others = software.generated(
        (tmp_path / "b with blanks", 1, few), (tmp_path / "c", 2, few), (tmp_path / "d", 1, few | {"seed": 2})
    )
    assert first.read_bytes() == again.read_bytes()
    assert len({f.read_bytes() for f in (first, *others)}) == 3
    before = {p.name for p in tmp_path.rglob("*")}
    assert not any("part" in name for name in before)


@pytest.mark.parametrize("rate", [0, 5])
def test_extreme_rates_are_generated(software: Software, tmp_path: Path, rate: float) -> None:
    path = software.generate(tmp_path, 1, events_per_file=20, lambda_rate=rate)
    decays = software.code(
        "import uproot; print(int(uproot.open(sys.argv[1] + ':events')['mc_decays'].array().to_numpy().sum()))",
        path,
        cwd=tmp_path,
    )
    assert decays == 0 if rate == 0 else 50 < decays < 150


def stage(software: Software, source: Path, folder: Path, listed: str | None) -> Any:
    given = []
    if listed is not None:
        (folder / "list.csv").write_text(listed)
        given = ["--checksums", "list.csv"]
    return software.script(
        "stage_in", "--source", source, *given, "--out", "events.root", "--record", "record.json", cwd=folder
    )


def test_a_file_that_agrees_with_its_checksums_is_staged(
    software: Software, events: list[Path], tmp_path: Path
) -> None:
    record = json.loads(events[0].with_name("record-1.json").read_text())
    listed = (
        "name,bytes,adler32,sha256\n"
        + f"{events[0].name},{record['bytes']},{record['adler32'].upper()},{record['sha256']}\n"
    )
    done = stage(software, events[0], tmp_path, listed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "events.root").read_bytes() == events[0].read_bytes()
    staged = json.loads((tmp_path / "record.json").read_text())
    assert staged["verified_with"] == ["adler32", "bytes", "sha256"] and staged["origin"] == "given"


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("name,bytes,adler32\ntoy-1.root,17,00000000\n", ("bytes is", "adler32 is", "00000000")),
        ("name,md5\nother.root,d41d8cd98f00b204e9800998ecf8427e\n", ("toy-1.root: not in the list",)),
        (
            "name,bytes,md5\ntoy-1.root,x,123\n,5,\n",
            ("'x' is not a number", "'123' is not 32", "line 3: no name"),
        ),
        ("name,bytes\ntoy-1.root,1\ntoy-1.root,2\n", ("listed twice",)),
        ("file,size\ntoy-1.root,1\n", ("no name", "neither bytes")),
        ("", ("lists no file",)),
    ],
)
def test_wrong_checksums_stop_with_all_reasons(
    software: Software, events: list[Path], tmp_path: Path, listed: str, told: tuple[str, ...]
) -> None:
    done = stage(software, events[0], tmp_path, listed)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert all(text in done.stderr for text in told), done.stderr
    assert not (tmp_path / "events.root").exists() and not (tmp_path / "record.json").exists()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            "open('toy-1.root', 'wb').write(b'root' + bytes(2000))",
            "no TTree 'events' in it; it holds: nothing",
        ),
        (
            "b = bytearray(open(sys.argv[1], 'rb').read()); b[500000:540000] = bytes(40000); open('toy-1.root', 'wb').write(b)",
            "not a readable ROOT file",
        ),
        ("open('toy-1.root', 'wb').write(open(sys.argv[1], 'rb').read()[:3000])", "not a readable ROOT file"),
        (
            "import uproot; f = uproot.recreate('toy-1.root'); f['h'] = np.histogram([1.0]); f.close()",
            "no TTree 'events' in it; it holds: h",
        ),
        (
            "import uproot; f = uproot.recreate('toy-1.root'); f.mktree('events', {'n': 'i4'}).extend({'n': np.arange(3)}); f.close()",
            "lacks the branches trk_px, trk_py",
        ),
        (
            "import uproot; k = ['px', 'py', 'pz', 'x', 'y', 'z', 'charge', 'm2']; f = uproot.recreate('toy-1.root'); "
            "f.mktree('events', {'trk_' + n: 'f4' for n in k}).extend({'trk_' + n: np.ones(3, 'f4') for n in k}); f.close()",
            "no lists of numbers, one a track: trk_px (float), trk_py (float)",
        ),
        (
            "import uproot; f = uproot.recreate('toy-1.root'); f.mktree('Events', {'nMuon': 'u4'}).extend({'nMuon': np.ones(3, 'u4')}); "
            "f.close()",
            "no TTree 'events' in it; it holds: Events",
        ),
    ],
    ids=[
        "zeros",
        "damaged inside",
        "cut off",
        "no tree",
        "no branches",
        "one value an event",
        "a collider's",
    ],
)
def test_files_that_are_no_event_files_are_told(
    software: Software, events: list[Path], tmp_path: Path, make: str, told: str
) -> None:
    software.code(make + "\nprint('null')", events[0], cwd=tmp_path)
    shutil.copy(events[0].with_name("record-1.json"), tmp_path)
    with pytest.raises(AssertionError, match="analyse") as failed:
        software.chain([tmp_path / "toy-1.root"], tmp_path / "work")
    assert told in str(failed.value) and "Traceback" not in str(failed.value)


def test_the_same_file_twice_is_refused(software: Software, events: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"the same content as toy-1\.root"):
        software.chain([events[0], events[0]], tmp_path)


def test_root_itself_is_used_only_where_it_is(software: Software, events: list[Path], tmp_path: Path) -> None:
    there = software.code(
        "import importlib.util; print(json.dumps(importlib.util.find_spec('ROOT') is not None))", cwd=tmp_path
    )
    assert not there, "the pinned environment has no ROOT"
    with pytest.raises(AssertionError, match="no module ROOT"):
        software.chain(events[:1], tmp_path / "root", reader="root")
    software.chain(events[:1], tmp_path / "auto", reader="auto")
    assert json.loads((tmp_path / "auto" / "summary.json").read_text())["readers"] == ["uproot"]


@pytest.mark.soak  # ROOT itself: 250 MB
def test_root_itself_reads_the_same_and_what_it_writes_is_read_by_both(
    events: list[Path], tmp_path: Path
) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text((WORKFLOW / "requirements.txt").read_text() + "root==0.1a12\n")
    with_root = Software(wanted)
    written = tmp_path / "written.root"
    said = with_root.program("written_by_root", events[0], written, cwd=tmp_path)
    assert said["version"].startswith("6.") and "vector<float" in said["px"]
    found = []
    for number, (file, reader) in enumerate(itertools.product((events[0], written), ("uproot", "root"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        part, counts = folder / "part.root", folder / "counts.json"
        step = with_root.analysis(file, part, counts, {**DEFAULTS, "reader": reader}, record=events[0])
        with_root.steps([step], folder)
        assert json.loads(counts.read_text())["reader"] == reader
        found.append(part.read_bytes())
    assert found == found[:1] * 4


def test_parameters_that_do_not_fit_are_all_told(software: Software, tmp_path: Path) -> None:
    done = software.script(
        "plan",
        "--given",
        0,
        "--simulated",
        0,
        "--files",
        4,
        "--mass-min",
        1.05,
        "--mass-max",
        1.12,
        "--bins",
        20,
        "--reader",
        "root",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert all(text in done.stderr for text in ("mass_min: 1.05", "mass_min, mass_max", "reader: 'root'")), (
        done.stderr
    )
    assert not (tmp_path / "cwl.output.json").exists()


CWL = {
    name: yaml.safe_load((WORKFLOW / name).read_text())
    for name in ("main.cwl", *(f"tools/{p.name}" for p in (WORKFLOW / "tools").glob("*.cwl")))
}


def test_inputs_of_the_workflow_are_those_of_schema_and_manifest() -> None:
    manifest = yaml.safe_load((WORKFLOW / "workflow.yaml").read_text())
    inputs = CWL["main.cwl"]["inputs"]
    assert set(inputs) == set(SCHEMA) | set(manifest["inputs"])
    assert {name: inputs[name]["default"] for name in SCHEMA} == DEFAULTS
    for name, said in SCHEMA.items():
        kind = inputs[name]["type"]
        expected = (
            {"type": "enum", "symbols": said["enum"]}
            if "enum" in said
            else {"integer": "long", "number": "double"}[said["type"]]
        )
        assert kind == expected, name
        assert inputs[name]["label"] == said["title"] and said["description"] in inputs[name]["doc"].strip()
    assert all("label" in port and "doc" in port for port in inputs.values())
    made = {Path(o["path"]).name for o in manifest["outputs"] if "*" not in o["path"]}
    globs = {o["outputBinding"]["glob"] for o in CWL["tools/stage_out.cwl"]["outputs"].values()}
    assert made | {"spectrum.png", "candidates.png"} == globs


def test_every_process_is_documented_and_asks_for_no_javascript() -> None:
    for name, document in CWL.items():
        assert document["cwlVersion"] == "v1.2" and document["label"] and document["doc"], name
        assert all("label" in port for port in document["inputs"].values()), name
        assert "InlineJavascriptRequirement" not in json.dumps(document), name


def test_both_workflows_have_the_same_page() -> None:
    other = WORKFLOW.parent / "km3net" / "scripts" / "page.py"
    assert (WORKFLOW / "scripts" / "page.py").read_bytes() == other.read_bytes(), (
        "a workflow is used without its neighbours"
    )
