"""The physics of `fair`, function by function and as a chain: kinematics, detector, vertices, fit, closure; and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from fair import DEFAULTS, SCHEMA, WORKFLOW, Software

pytestmark = pytest.mark.science


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


@pytest.fixture(scope="module")
def events(software: Software, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of toy events; tests read them and change nothing."""
    folder = tmp_path_factory.mktemp("events")
    return [software.generate(folder, block, events_per_file=2500) for block in (1, 2)]


def test_decays_conserve_momentum_are_on_the_mass_shell_isotropic_and_live_as_long_as_the_pdg_says(
    software: Software, tmp_path: Path
) -> None:
    said = software.code(
        """
import generate, particles, vector
from scipy import stats
rng = np.random.default_rng(5)
mother = generate.thermal(rng, 40000, particles.LAMBDA, 0.15, 0.6, 1.5)
proton, pion, place = generate.decay(rng, mother)
energy = np.sqrt((mother**2).sum(0) + particles.LAMBDA**2)
shell = max(np.abs(d[0]**2 - (d[1:]**2).sum(0) - m**2).max() for d, m in ((proton, particles.PROTON), (pion, particles.PION)))
balance = max(np.abs(proton[1:] + pion[1:] - mother).max(), np.abs(proton[0] + pion[0] - energy).max())
as_vectors = lambda e, p: vector.array({"E": e, "px": p[0], "py": p[1], "pz": p[2]})
rest = as_vectors(proton[0], proton[1:]).boostCM_of_p4(as_vectors(energy, mother))
axis = mother / np.sqrt((mother**2).sum(0))
cosine = (rest.px * axis[0] + rest.py * axis[1] + rest.pz * axis[2]) / rest.mag
proper = np.sqrt((place**2).sum(0)) * particles.LAMBDA / np.sqrt((mother**2).sum(0))
print(json.dumps({"shell": shell, "balance": balance, "momentum": [rest.mag.min(), rest.mag.max()],
    "isotropy": stats.kstest(cosine, "uniform", (-1, 2)).pvalue, "lifetime": stats.kstest(proper, "expon", (0, 7.845)).pvalue}))
""",
        cwd=tmp_path,
    )
    assert said["shell"] < 1e-9 and said["balance"] < 1e-9
    # PDG: both have 101 MeV in the rest frame of the Lambda
    assert said["momentum"] == pytest.approx([0.1006, 0.1006], abs=1e-4)
    assert said["isotropy"] > 1e-3 and said["lifetime"] > 1e-3


def test_spectra_are_those_that_the_documentation_says(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import generate, particles
rng = np.random.default_rng(6)
m, slope = particles.PROTON, 0.16
p = generate.thermal(rng, 200000, m, slope, 0.75, 1.6)
mt = np.sqrt(p[0]**2 + p[1]**2 + m**2)
y = np.arcsinh(p[2] / mt)
print(json.dumps({"excess": (mt - m).mean(), "error": (mt - m).std() / len(mt)**0.5, "expected": slope * (m + 2 * slope) / (m + slope),
    "y": [y.mean(), y.std()], "beam": particles.beam_rapidity(10)}))
""",
        cwd=tmp_path,
    )
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
    said = software.code(
        """
import detector, generate, particles
rng = np.random.default_rng(7)
p = np.repeat([[0.3], [0.1], [2.0]], 20000, axis=1)
seen = generate.measure(rng, p, np.zeros_like(p), np.full(20000, particles.PROTON), 0.01)
size = float(np.sqrt((p[:, 0]**2).sum()))
measured = np.sqrt(seen["px"]**2 + seen["py"]**2 + seen["pz"]**2)
error = detector.mass_squared_error(np.array([size]), particles.PROTON, 0.01)[0]
# by hand: m2 = p2 (1 / beta2 - 1), beta = L / (c t), thrown
beta = size / np.hypot(size, particles.PROTON)
time = detector.WALL / beta + rng.normal(0, detector.TIME_ERROR, 200000)
thrown = (size * (1 + 0.01 * rng.normal(size=200000)))**2 * ((time / detector.WALL)**2 - 1)
print(json.dumps({"momentum": (measured / size - 1).std(), "slope": (seen["px"] / seen["pz"]).std(),
    "expected": detector.slope_error(np.array([size]))[0], "place": [(seen["x"] - 4.5).std(), (seen["x"] - 4.5).mean()],
    "m2": (seen["m2"] - particles.PROTON**2).std() / error, "thrown": thrown.std() / error}))
""",
        cwd=tmp_path,
    )
    assert said["momentum"] == pytest.approx(0.01, rel=0.03)
    assert said["slope"] == pytest.approx(said["expected"], rel=0.03)
    assert said["place"] == pytest.approx([0.01, 0], abs=5e-4)
    assert said["m2"] == pytest.approx(1, abs=0.03)
    assert said["thrown"] == pytest.approx(1, abs=0.03)


def test_shapes_are_densities(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import shapes
from scipy import integrate
out, window = [], (1.085, 1.165)
m0 = 0.93827208816 + 0.13957039
for name, values, density in (
    ("threshold", (-0.3, 1.7), lambda m: ((m - m0) / 0.08)**-0.3 * np.exp(-1.7 * (m - m0) / 0.08)),
    ("polynomial", (0.5, 2.0), lambda m: (1 - (t := (m - 1.085) / 0.08))**2 + 2 * 0.5 * t * (1 - t) + 2.0 * t**2)):
    model = shapes.model(name, 2, window)
    edges = np.linspace(*window, 9)
    signal, background = (np.diff(p) for p in model.parts(edges, 300.0, 700.0, 1.1157, 0.0012, *values))
    exact = np.array([integrate.quad(density, a, b)[0] for a, b in zip(edges, edges[1:])])
    out.append([signal.sum(), background.sum(), np.abs(background / 700 - exact / exact.sum()).max()])
print(json.dumps(out))
""",
        cwd=tmp_path,
    )
    for signal, background, difference in said:
        assert (signal, background) == pytest.approx((300, 700), rel=1e-9)
        assert difference < 1e-9


def test_pulls_and_p_values_of_pseudo_experiments_are_those_of_a_fit(software: Software, tmp_path: Path) -> None:
    said = software.code(
        """
import shapes, spectrum
from scipy import stats
window, truth = (1.085, 1.165), dict(signal=400.0, background=500.0, mass=1.1157, sigma=0.0012, power=-0.3, fall=1.7)
model, edges, rng = shapes.model("threshold", 3, window), np.linspace(1.085, 1.165, 161), np.random.default_rng(8)
expected = np.diff(model(edges, *truth.values()))
pulls, p, converged = {k: [] for k in truth}, [], 0
for _ in range(150):
    fit = spectrum.fit(rng.poisson(expected).astype(float), edges, model)
    for k, v in truth.items():
        pulls[k].append((fit["parameters"][k]["value"] - v) / fit["parameters"][k]["error"])
    p.append(fit["goodness"]["p_value"]); converged += fit["converged"]
print(json.dumps({"pulls": {k: [np.mean(v), np.std(v)] for k, v in pulls.items()}, "uniform": stats.kstest(p, "uniform").pvalue,
    "p": np.mean(p), "converged": converged}))
""",
        cwd=tmp_path,
    )
    assert said["converged"] == 150
    for name in ("signal", "mass", "sigma", "background"):
        mean, width = said["pulls"][name]
        assert abs(mean) < 0.3 and 0.85 < width < 1.15, (name, mean, width)
    assert said["uniform"] > 1e-3, said


def test_closure_of_mass_and_yield_over_seeds(software: Software, tmp_path: Path) -> None:
    # the efficiency is from other events than those that it corrects, so the corrected yield is a measurement of the generated rate
    said = software.code(
        """
import generate, selection, shapes, spectrum, particles, awkward as ak
cuts = selection.Cuts(identification=3, resolution=0.01, distance=0.2, decay_length=3, pointing=0.05)
window, edges, rate, n = (1.085, 1.165), np.linspace(1.085, 1.165, 161), 0.2, 4000
model, rows, samples = shapes.model("threshold", 3, window), [], []
for seed in range(40):
    made = generate.simulate(n, 1000 + seed, 1, 10.0, rate, 0.01)
    chunk = ak.zip({"tracks": made["trk"], "decays": made["mc_decays"]}, depth_limit=1)
    columns, true, _ = selection.candidates(chunk, cuts)
    inside = (columns["mass"] > window[0]) & (columns["mass"] < window[1])
    samples.append((columns["mass"][inside], int(true[inside].sum()), int(made["mc_decays"].sum())))
for i, (masses, true, decays) in enumerate(samples):
    others = [s for k, s in enumerate(samples) if k != i]
    efficiency = sum(s[1] for s in others) / sum(s[2] for s in others)
    fit = spectrum.fit(np.histogram(masses, edges)[0].astype(float), edges, model)["parameters"]
    s = fit["signal"]
    rows.append([(fit["mass"]["value"] - particles.LAMBDA) / fit["mass"]["error"],
        (s["value"] / efficiency - rate * n) / (s["error"] / efficiency),
        (s["value"] - true) / max(s["error"]**2 - s["value"], 1)**0.5, fit["mass"]["value"] - particles.LAMBDA, s["value"] / true - 1])
rows = np.array(rows)
print(json.dumps({"mean": list(rows.mean(0)), "width": list(rows.std(0))}))
""",
        cwd=tmp_path,
    )
    (mass, rate, found, shift, part), widths = said["mean"], said["width"]
    # 40 seeds: the mean of pulls is known to 0.16, their width to 0.11
    assert all(0.75 < width < 1.3 for width in widths[:3]), said
    assert abs(rate) < 0.5 and abs(found) < 0.8, said
    # the systematic uncertainties of validate.py contain what remains
    assert abs(shift) < 50e-6 and abs(part) < 0.01, said
    assert abs(mass) < 0.9, said


def test_the_chain_is_valid_by_its_own_checks_and_with_either_background(software: Software, events: list[Path], tmp_path: Path) -> None:
    for background in SCHEMA["background"]["enum"]:
        verdict, fit = software.chain(events, tmp_path / background, background=background)
        assert verdict["valid"], [c for c in verdict["checks"] if not c["passed"]]
        assert {"closure: yield", "closure: generated rate", "mass of the Λ", "momenta in GeV"} <= {c["name"] for c in verdict["checks"]}
        assert fit["fit"]["parameters"]["mass"]["value"] == pytest.approx(1.1157, abs=5e-4)


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ("scale(1000)", "momenta in GeV"),
        ("scale(1.05)", "mass of the Λ"),
        ("data['mc_decays'] = data['mc_decays'] * 2", "closure: generated rate"),
        ("data['trk'] = data['trk'][data['trk']['mother'] < 0]", "significance"),
    ],
    ids=["momenta in MeV", "wrong momentum scale", "wrong truth", "no signal"],
)  # fmt: skip
def test_what_is_wrong_with_events_is_seen(software: Software, events: list[Path], tmp_path: Path, change: str, failed: str) -> None:
    software.code(
        f"""
import awkward as ak, uproot, rootfile
tree = uproot.open(sys.argv[1] + ":events")
arrays = tree.arrays()
data = {{"mc_decays": ak.to_numpy(arrays["mc_decays"]),
    "trk": ak.zip({{k.removeprefix("trk_"): arrays[k] for k in arrays.fields if k.startswith("trk_")}})}}
def scale(by):
    data["trk"] = ak.zip({{k: data["trk"][k] * (by if k in ("px", "py", "pz") else 1) for k in data["trk"].fields}})
{change}
with rootfile.recreate("toy-1.root") as file:
    tree = file.mktree("events", {{k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in data.items()}})
    tree.extend(data)
print("null")
""",
        events[0],
        cwd=tmp_path,
    )
    shutil.copy(events[0].with_name("record-1.json"), tmp_path)
    verdict, fit = software.chain([tmp_path / "toy-1.root"], tmp_path / "work")
    assert verdict["valid"] is False
    names = {c["name"] for c in verdict["checks"] if not c["passed"]}
    # momenta that are a thousand times too large give no pair at all near the mass
    assert failed in names or (fit["fit"] is None and "spectrum fitted" in names), names
    if failed == "momenta in GeV":
        assert failed in names


def test_files_without_truth_are_told(software: Software, tmp_path: Path) -> None:
    software.generate(tmp_path, 1, events_per_file=2500)
    software.code(
        """
import awkward as ak, uproot, rootfile
a = uproot.open("toy-1.root:events").arrays()
tracks = ak.zip({k.removeprefix("trk_"): a[k] for k in a.fields if k.startswith("trk_") and k != "trk_mother"})
with rootfile.recreate("toy-1.root") as file:
    file.mktree("events", {"trk": tracks.type}).extend({"trk": tracks})
print("null")
""",
        cwd=tmp_path,
    )
    verdict, fit = software.chain([tmp_path / "toy-1.root"], tmp_path / "work")
    assert verdict["valid"], verdict
    assert any("no truth" in w for w in verdict["warnings"])
    assert fit["fit"]["efficiency"] is None


def test_equal_seeds_give_equal_bytes_and_blocks_are_different(software: Software, tmp_path: Path) -> None:
    first, again = (software.generate(tmp_path / name, 1, events_per_file=300) for name in ("a", "b with blanks"))
    assert first.read_bytes() == again.read_bytes()
    others = [software.generate(tmp_path / "c", 2, events_per_file=300), software.generate(tmp_path / "d", 1, events_per_file=300, seed=2)]
    assert len({f.read_bytes() for f in (first, *others)}) == 3
    before = {p.name for p in tmp_path.rglob("*")}
    assert not any("part" in name for name in before)


@pytest.mark.parametrize("rate", [0, 5])
def test_extreme_rates_are_generated(software: Software, tmp_path: Path, rate: float) -> None:
    path = software.generate(tmp_path, 1, events_per_file=20, lambda_rate=rate)
    decays = software.code(
        "import uproot; print(int(uproot.open(sys.argv[1] + ':events')['mc_decays'].array().to_numpy().sum()))", path, cwd=tmp_path
    )
    assert decays == 0 if rate == 0 else 50 < decays < 150


def stage(software: Software, source: Path, folder: Path, listed: str | None) -> Any:
    given = []
    if listed is not None:
        (folder / "list.csv").write_text(listed)
        given = ["--checksums", "list.csv"]
    return software.script("stage_in", "--source", source, *given, "--out", "events.root", "--record", "record.json", cwd=folder)


def test_a_file_that_agrees_with_its_checksums_is_staged(software: Software, events: list[Path], tmp_path: Path) -> None:
    record = json.loads(events[0].with_name("record-1.json").read_text())
    listed = "name,bytes,adler32,sha256\n" + f"{events[0].name},{record['bytes']},{record['adler32'].upper()},{record['sha256']}\n"
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
        ("name,bytes,md5\ntoy-1.root,x,123\n,5,\n", ("'x' is not a number", "'123' is not 32", "line 3: no name")),
        ("name,bytes\ntoy-1.root,1\ntoy-1.root,2\n", ("listed twice",)),
        ("file,size\ntoy-1.root,1\n", ("no name", "neither bytes")),
        ("", ("lists no file",)),
    ],
)  # fmt: skip
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
        ("open('toy-1.root', 'wb').write(b'root' + bytes(2000))", "no TTree 'events' in it; it holds: nothing"),
        ("b = bytearray(open(sys.argv[1], 'rb').read()); b[500000:540000] = bytes(40000); open('toy-1.root', 'wb').write(b)",
         "not a readable ROOT file"),
        ("open('toy-1.root', 'wb').write(open(sys.argv[1], 'rb').read()[:3000])", "not a readable ROOT file"),
        ("import uproot; f = uproot.recreate('toy-1.root'); f['h'] = np.histogram([1.0]); f.close()",
         "no TTree 'events' in it; it holds: h"),
        ("import uproot; f = uproot.recreate('toy-1.root'); f.mktree('events', {'n': 'i4'}).extend({'n': np.arange(3)}); f.close()",
         "lacks the branches trk_px, trk_py"),
    ],
    ids=["zeros", "damaged inside", "cut off", "no tree", "no branches"],
)  # fmt: skip
def test_files_that_are_no_event_files_are_told(software: Software, events: list[Path], tmp_path: Path, make: str, told: str) -> None:
    software.code(make + "\nprint('null')", events[0], cwd=tmp_path)
    shutil.copy(events[0].with_name("record-1.json"), tmp_path)
    with pytest.raises(AssertionError, match="analyse") as failed:
        software.chain([tmp_path / "toy-1.root"], tmp_path / "work")
    assert told in str(failed.value) and "Traceback" not in str(failed.value)


def test_the_same_file_twice_is_refused(software: Software, events: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"the same content as toy-1\.root"):
        software.chain([events[0], events[0]], tmp_path)


def test_root_itself_is_used_only_where_it_is(software: Software, events: list[Path], tmp_path: Path) -> None:
    there = software.code("import importlib.util; print(json.dumps(importlib.util.find_spec('ROOT') is not None))", cwd=tmp_path)
    assert not there, "the pinned environment has no ROOT"
    with pytest.raises(AssertionError, match="no module ROOT"):
        software.chain(events[:1], tmp_path / "root", reader="root")
    software.chain(events[:1], tmp_path / "auto", reader="auto")
    assert json.loads((tmp_path / "auto" / "summary.json").read_text())["readers"] == ["uproot"]


def test_parameters_that_do_not_fit_are_all_told(software: Software, tmp_path: Path) -> None:
    done = software.script(
        "plan", "--given", 0, "--files", 4, "--mass-min", 1.05, "--mass-max", 1.12, "--bins", 20, "--reader", "root", cwd=tmp_path
    )
    assert done.returncode == 1
    assert all(text in done.stderr for text in ("mass_min: 1.05", "mass_min, mass_max", "reader: 'root'")), done.stderr
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
        expected = {"type": "enum", "symbols": said["enum"]} if "enum" in said else {"integer": "long", "number": "double"}[said["type"]]
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
