"""Plans for a place that does not see the store: its own engine and software, what is in the way, slices."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.shed import Shed, survey
from hypothesis import given, settings
from hypothesis import strategies as st

from esap_wf import backends, plugins
from esap_wf import config as configuration
from esap_wf.backends import Found, OutageError
from esap_wf.backends.places import places
from esap_wf.config import Config
from esap_wf.engines import EngineBase
from esap_wf.engines import programs as engine_programs
from esap_wf.errors import EsapError, Problem, RefusedError, UnavailableError
from esap_wf.models.plan import EngineChoice, Plan
from esap_wf.models.request import DataRef, Request, ResourceRequest
from esap_wf.planning import making, obstacles, saved
from esap_wf.request.validation import validate
from esap_wf.runs import measurements
from esap_wf.runs.measurements import Measurement

PROPERTIES = {
    "units": {"type": "integer", "title": "Units", "default": 4},
    "text": {"type": "string", "title": "Text", "default": ""},
}
MANIFEST: dict[str, Any] = {
    "inputs": {"data": {"title": "Data", "required": False, "many": True}},
    "units": {"axis": "unit", "count": "units"},
    "resources": {"default": "small", "sizes": {"small": {"cores": 1, "memory": "1 GB", "wall": "1 h"}}},
    "software": [{"installed": ["python3"]}],
}
CUT = [
    {
        "engine": "snakemake",
        "file": "Snakefile",
        "map": {"item": "map", "gives": {"parts": "outputs/*.dat"}},
        "join": {"item": "join"},
    }
]
Planned = Callable[..., Plan]


@pytest.fixture
def far(place: Any, sheds: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """A shed by the name of ``far``: lines of its profile, and what it says."""

    def make(profile: str = "", **said: Any) -> Config:
        (place.root / "config.toml").write_text(f"[backends.far]\nkind = 'shed'\n{profile}\n")
        monkeypatch.setattr(Shed, "answer", staticmethod(lambda: survey(**said)))
        config = configuration.load()
        shutil.rmtree(config.cache / "places", ignore_errors=True)  # it is asked again
        return config

    return make


@pytest.fixture
def plan(toy: Any) -> Planned:
    def make(
        within: Config,
        changes: dict[str, Any] | None = None,
        files: dict[str, str] | None = None,
        **asked: Any,
    ) -> Plan:
        files = {"requirements.txt": "numpy==2.0.0\n", **(files or {})}
        workflow = toy(PROPERTIES, {**MANIFEST, **(changes or {})}, files=files)
        request = Request(workflow=str(workflow.folder / "workflow.yaml"), **{"backend": "far", **asked})
        valid, problems = validate(request, within)
        assert not problems, problems
        return making.make(request, within, valid)

    return make


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks for a program on this machine fails."""

    def looked(*what: Any, **_: Any) -> None:
        raise AssertionError(f"looked for {what} here")

    monkeypatch.setattr("shutil.which", looked)
    monkeypatch.setattr("subprocess.run", looked)
    monkeypatch.setattr("esap_wf.software.environments.distributions", looked)


def refused(make: Callable[[], object], by: type[EsapError] = RefusedError) -> str:
    with pytest.raises(by) as caught:
        make()
    return str(caught.value)


def packed(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def test_a_place_that_is_named_is_asked_and_has_its_own_engine(far: Any, plan: Planned, blind: None) -> None:
    made = plan(far("software.path = ['/opt/there/bin']"))
    assert (made.backend, made.engine.place, made.engine.found) == ("far", "far", "far")
    assert (made.engine.path, made.engine.version) == ("/opt/there/bin/snakemake", "9.5.1")
    assert made.command[0] == "/opt/there/bin/snakemake"
    assert made.engine.packages["snakemake-interface-logger-plugins"] == "1.2.4"
    assert made.profile and made.profile.name == "far"
    assert made.software.bin_dirs == ["/opt/there/bin"]
    assert "python3 on the PATH of far" in made.software.detail
    assert Shed.asked == ["far"]


def test_a_place_that_was_never_asked_does_not_fit_and_is_not_asked_by_others(
    far: Any, plan: Planned
) -> None:
    config = far()
    offers = {o.backend: o for o in plan(config, backend=None).offers}
    assert offers["far"].reasons == ["has not been asked yet: esap-wf backends check far"]
    plan(config)
    made = plan(config, backend=None)
    assert {o.backend: o.fits for o in made.offers} == {"local": True, "far": True}
    assert (made.backend, made.profile, made.engine.place) == ("local", None, "")
    assert Shed.asked == ["far"]


def test_what_does_not_fit_here_goes_to_a_place_that_it_fits(far: Any, plan: Planned) -> None:
    config = far(memory_bytes=10**16)
    plan(config)
    made = plan(config, backend=None, resources=ResourceRequest(memory="1000 TB"))
    assert (made.backend, made.engine.place) == ("far", "far")


def test_a_saved_plan_for_a_place_is_fresh_as_long_as_it_says_the_same(far: Any, plan: Planned) -> None:
    made = plan(far())
    saved.confirm_fresh(made, configuration.load())
    far("cores = 2")
    assert "stale" in refused(lambda: saved.confirm_fresh(made, configuration.load()))


def test_an_outage_is_unavailable_and_later_a_warning(
    far: Any, plan: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = far(asked="2026-01-01T00:00:00Z")
    known = Shed.answer

    def away() -> None:
        raise OutageError("no route to it")

    monkeypatch.setattr(Shed, "answer", staticmethod(away))
    assert "no route to it" in refused(lambda: plan(config), UnavailableError)
    monkeypatch.setattr(Shed, "answer", staticmethod(known))
    plan(config)
    monkeypatch.setattr(Shed, "answer", staticmethod(away))
    assert any("no route to it" in w and "counts" in w for w in plan(config).warnings)


_NUMBERS = st.integers(-1, 2**62)
_NAMES = st.dictionaries(st.text(max_size=5) | st.sampled_from(["python3", "bash"]), st.text(max_size=9))
_FOUND = st.dictionaries(
    st.text(max_size=5) | st.sampled_from(["snakemake", "apptainer"]),
    st.builds(Found, path=st.text(max_size=9), version=st.text(max_size=9)),
)


@settings(max_examples=40)
@given(
    said=st.fixed_dictionaries(
        {},
        optional={
            "cores": _NUMBERS,
            "memory_bytes": _NUMBERS,
            "disk_bytes": _NUMBERS,
            "gpus": _NUMBERS,
            "wall_seconds": _NUMBERS,
            "programs": _NAMES,
            "python": _NAMES,
            "engines": _FOUND,
            "runtimes": _FOUND,
        },
    ),
    asked=st.sampled_from([{}, {"cores": 7}, {"slices": 2}, {"memory": "3 GB"}]),
)
def test_whatever_a_place_says_there_is_a_plan_or_a_reason(
    far: Any, plan: Planned, said: dict[str, Any], asked: dict[str, Any]
) -> None:
    try:
        made = plan(far(**said), {"implementations": CUT}, resources=ResourceRequest(**asked))
    except EsapError as error:
        assert error.problems
    else:
        assert made.backend == "far" and made.command[0] == made.engine.path


# --- engines


def test_the_profile_says_where_the_engine_is(far: Any, plan: Planned, blind: None) -> None:
    made = plan(far("engines.snakemake = {path = '/cvmfs/x/bin/snakemake', version = '9.4.0'}"))
    assert (made.engine.path, made.engine.version) == ("/cvmfs/x/bin/snakemake", "9.4.0")
    assert made.engine.found == "profile of far"


def test_a_packed_environment_brings_engine_and_software(far: Any, plan: Planned, place: Any) -> None:
    site = "lib/python3.11/site-packages"
    packed(
        place.root / "env.tar.gz",
        "bin/snakemake",
        "bin/python3",
        f"{site}/snakemake-9.6.0.dist-info/METADATA",
        f"{site}/snakemake_interface_logger_plugins-1.2.3.dist-info/METADATA",
        f"{site}/numpy-2.0.0.dist-info/METADATA",
    )
    config = far("engines.snakemake.environment = 'env.tar.gz'", programs={}, engines={}, python={})
    for software, route in (
        ({"installed": ["python3"]}, "installed"),
        ({"python": "requirements.txt"}, "python"),
    ):
        made = plan(config, {"software": [software]})
        assert made.engine.version == "9.6.0"
        folder = made.engine.path.removesuffix("/bin/snakemake")
        assert folder.startswith("@environments/") and len(folder) == len("@environments/") + 20
        assert (made.software.route, made.software.bin_dirs) == (route, [f"{folder}/bin"])


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("engines.snakemake.path = '/x/snakemake'", "its version is not known"),
        ("engines.snakemake = {path = '/x/snakemake', version = '7.0'}", ">=9.3 is needed"),
        ("engines.snakemake.environment = 'none.tar.gz'", "none.tar.gz: No such file or directory"),
        ("engines.snakemake.environment = 'config.toml'", "no archive that can be read"),
    ],
)
def test_an_engine_that_can_not_be_used_there_is_refused_with_the_reason(
    far: Any, plan: Planned, profile: str, said: str
) -> None:
    assert said in refused(lambda: plan(far(profile)))


DIGEST = f"sha256:{'5a' * 32}"
IMAGED = f"engines.snakemake = {{image = 'quay.io/x/snakemake:9@{DIGEST}', version = '9.5.1'}}"
SIF = "containers.map = {'quay.io/x/snakemake' = '/images/snakemake.sif'}"
RUNTIMES = {
    "docker": Found(path="/usr/bin/docker", version="27.1"),
    "podman": Found(path="/usr/bin/podman", version="5.2"),
    "apptainer": Found(path="/opt/bin/apptainer", version="1.4.5"),
}


def test_an_engine_in_an_image_is_started_by_a_runtime_of_the_place(
    far: Any, plan: Planned, blind: None
) -> None:
    named = f"quay.io/x/snakemake@{DIGEST}"
    for profile, runtime, program, form, reference in (
        (IMAGED, "podman", "/usr/bin/podman", "name", named),
        (f"{IMAGED}\n{SIF}", "apptainer", "/opt/bin/apptainer", "sif", "/images/snakemake.sif"),
    ):
        made = plan(far(profile, runtimes=RUNTIMES, engines={}, programs={}))
        assert (made.engine.path, made.engine.version) == ("snakemake", "9.5.1")
        assert made.engine.found == f"image quay.io/x/snakemake:9@{DIGEST} of far's profile"
        chosen = made.engine.container
        assert chosen and (chosen.runtime, chosen.program) == (runtime, program)
        assert (chosen.form, chosen.reference, chosen.digest) == (form, reference, DIGEST)
        assert made.command[0] == "snakemake" and "engine-programs/snakemake" in made.files
        assert made.software.detail == (
            f"python3 in {chosen.image}, where the engine works at far; not looked for before the start"
        )


def test_the_checksum_of_a_sif_is_a_digest(far: Any, plan: Planned) -> None:
    mapped = f"containers.map = {{'snakemake:9' = '/images/s.sif@{DIGEST}'}}"
    for image in ("snakemake:9", f"/images/s.sif@{DIGEST}"):
        engine = f"engines.snakemake = {{image = '{image}', version = '9.5.1'}}"
        chosen = plan(far(f"{engine}\n{mapped}", runtimes=RUNTIMES)).engine.container
        assert chosen and (chosen.reference, chosen.digest) == ("/images/s.sif", DIGEST)


@pytest.mark.parametrize(
    ("profile", "runtimes", "said"),
    [
        ("engines.snakemake = {image = 'x:1', version = '9.5.1'}", RUNTIMES, "x:1 has no digest"),
        ("engines.snakemake = {image = 'x:1', version = '9.5.1'}", RUNTIMES, "/PATH.sif@sha256:"),
        ("engines.snakemake = {image = 'X!', version = '9.5.1'}", RUNTIMES, "is not the name of an image"),
        (f"engines.snakemake.image = 'x@{DIGEST}'", RUNTIMES, "which version the image has is not known"),
        (f"engines.snakemake.image = 'x@{DIGEST}'", {}, "there is no apptainer or podman"),
        (IMAGED.replace("9.5.1", "7.0"), RUNTIMES, ">=9.3 is needed"),
        (f"{IMAGED}\ncontainers.map = {{'quay.io/x/snakemake' = 'here.sif'}}", RUNTIMES, "no absolute path"),
        (f"{IMAGED}\ncontainers.map = {{'quay.io/x/snakemake' = '/a.tar'}}", RUNTIMES, "is an archive"),
        (f"{IMAGED}\ncontainers.runtimes = ['udocker']", RUNTIMES, "udocker is not there"),
        (f"{IMAGED}\ncontainers.runtimes = ['docker']", RUNTIMES, "podman is not allowed by the profile"),
        (f"{IMAGED}\ncontainers.runtimes = ['apptainer']", RUNTIMES, "apptainer needs a SIF or a folder"),
    ],
)
def test_an_image_that_can_not_be_used_there_is_refused_with_the_reason(
    far: Any, plan: Planned, profile: str, runtimes: Any, said: str
) -> None:
    assert said in refused(lambda: plan(far(profile, runtimes=runtimes)))


@pytest.mark.parametrize(
    ("software", "said"),
    [
        ({"python": "requirements.txt"}, "no environment is built there"),
        ({"installed": "requirements.txt"}, "which versions of packages that has is not known"),
        ({"mounted": "/cvmfs/x"}, "from where /cvmfs/x is not seen"),
        ({"container": "esap-wf/hello:1"}, "the engine is in an image at far, and starts no other"),
    ],
)
def test_steps_of_an_engine_in_an_image_have_what_that_has(
    far: Any, plan: Planned, software: Any, said: str
) -> None:
    config = far(f"{IMAGED}\nsoftware.mounts = ['/cvmfs/x']", runtimes=RUNTIMES)
    assert said in refused(lambda: plan(config, {"software": [software]}))


def test_an_engine_that_is_not_there_is_refused(far: Any, plan: Planned) -> None:
    text = refused(lambda: plan(far(engines={})))
    assert "Snakemake was not found at far" in text and "engines.snakemake.path" in text


def test_a_snakemake_without_the_plug_ins_interface_is_refused(far: Any, plan: Planned) -> None:
    text = refused(lambda: plan(far(python={"snakemake": "9.5.1"})))
    assert "snakemake-interface-logger-plugins is missing there" in text


def objections(engine: EngineBase, file: Path, choice: EngineChoice) -> list[Problem]:
    return engine.objections(choice, file, None)


def test_an_engine_asks_its_place_for_what_it_needs_beside_itself(
    far: Any, tmp_path: Path, blind: None
) -> None:
    scripted = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": "true",
        "requirements": {"InlineJavascriptRequirement": {}},
        "inputs": {},
        "outputs": {"n": {"type": "int", "outputBinding": {"outputEval": "${ return 1; }"}}},
    }
    (tmp_path / "tool.cwl").write_text(json.dumps(scripted))
    (tmp_path / "main.nf").write_text("workflow { }\n")
    engines = {
        name: Found(path=f"/opt/{name}", version=version)
        for name, version in (("cwl", "3.3.2"), ("toil", "9.1.0"), ("nextflow", "24.10.0"))
    }
    for name, file in (("cwl", "tool.cwl"), ("toil", "tool.cwl"), ("nextflow", "main.nf")):
        for programs in ({"node": "/usr/bin/node", "java": "/usr/bin/java"}, {}):
            named = "engines.nextflow = {path = '/opt/n', version = '24.10.0'}" if name == "nextflow" else ""
            config = far(named, engines=engines, programs={"bash": "/usr/bin/bash", **programs})
            engine = plugins.one("esap_wf.engines", name)
            against = partial(objections, engine, tmp_path / file)
            there = making_place(config, asked=True)
            found = engine_programs.first_suitable(engine, config, None, against, there)
            assert bool(found.choice) is bool(programs), (name, programs, found.refused)


def test_a_profile_or_an_executor_of_this_machine_is_none_of_the_place(far: Any, plan: Planned) -> None:
    text = refused(lambda: plan(far(), engine_options=["--profile", "mine", "--executor", "slurm"]))
    assert "a profile of this machine is not at far" in text
    assert "has no plug-in for it (snakemake-executor-plugin-slurm)" in text
    has = {
        "snakemake": "9.5.1",
        "snakemake-interface-logger-plugins": "1.2.4",
        "snakemake-executor-plugin-slurm": "1.0",
    }
    assert plan(far(python=has), engine_options=["--executor", "slurm"]).backend == "far"


# --- software


@pytest.mark.parametrize(
    ("software", "profile", "said"),
    [
        ({"installed": ["gammapy"]}, "", "gammapy is not on the PATH of far"),
        ({"python": "requirements.txt"}, "", "environments are not built at far"),
        ({"installed": "requirements.txt"}, "", "lacks numpy 2.0.0 (none is there)"),
        ({"mounted": "/cvmfs/x"}, "", "below none of the software.mounts"),
        ({"mounted": "/cvmfs/x/../y"}, "software.mounts = ['/cvmfs/x']", "below none of"),
        ({"container": "esap-wf/hello:1"}, "", "there is no apptainer at far"),
    ],
)
def test_software_that_is_not_there_is_refused_with_the_reason(
    far: Any, plan: Planned, software: Any, profile: str, said: str
) -> None:
    assert said in refused(lambda: plan(far(profile), {"software": [software]}))


def test_mounted_software_and_pinned_packages_of_the_place_are_used(
    far: Any, plan: Planned, blind: None
) -> None:
    config = far("software.mounts = ['/cvmfs/sw']", python={"numpy": "2.0.0"})
    for software, route, bins in (
        ({"mounted": "/cvmfs/sw/v1"}, "mounted", ["/cvmfs/sw/v1/bin", "/cvmfs/sw/v1"]),
        ({"installed": "requirements.txt"}, "installed", []),
    ):
        made = plan(config, {"software": [software]})
        assert (made.software.route, made.software.bin_dirs) == (route, bins)


def test_what_modules_bring_is_not_known_before_they_are_loaded(far: Any, plan: Planned) -> None:
    made = plan(far("software.modules = ['gammapy/1.2']"), {"software": [{"installed": ["gammapy"]}]})
    assert made.software.detail == "gammapy by the modules gammapy/1.2, which are loaded at the start"


def test_a_container_there_is_what_the_profile_maps_it_to(far: Any, plan: Planned, blind: None) -> None:
    runtimes = {"apptainer": Found(path="/usr/bin/apptainer", version="1.4.5")}
    software = {"software": [{"container": "esap-wf/hello:1"}]}
    made = plan(
        far("containers.map = {'esap-wf/hello:1' = '/images/hello.sif'}", runtimes=runtimes), software
    )
    container = made.software.container
    assert container and (container.reference, container.program) == (
        "/images/hello.sif",
        "/usr/bin/apptainer",
    )
    assert "containers.map" in refused(lambda: plan(far(runtimes=runtimes), software))


# --- what is in the way


def test_everything_that_is_in_the_way_is_told_at_once(far: Any, plan: Planned, tmp_path: Path) -> None:
    data = tmp_path / "big.dat"
    data.write_bytes(b"x" * 20_000)
    config = far("bundle = '10 kB'\ncores = 2", engines={}, programs={})
    text = refused(
        lambda: plan(
            config,
            parameters={"text": str(data)},
            engine_options=[f"--configfile={data}"],
            inputs={"data": [str(data)]},
            resources=ResourceRequest(cores=3, gpus=1, nodes=2),
        )
    )
    for said in (
        "far can't take a run of toy",
        "Snakemake was not found at far",
        "python3 is not on the PATH of far",
        "3 cores asked for, but it has 2",
        "1 GPU asked for, but it has 0",
        "2 nodes asked for, but it has 1",
        f"engine options: names {data}, a file of this machine",
        f"parameter text: names {data}, a file of this machine",
        "would be sent for one piece (20 kB of it inputs), and the profile of far allows 10 kB",
    ):
        assert said in text


def test_shared_folders_are_seen_there(far: Any, plan: Planned, tmp_path: Path) -> None:
    data = tmp_path / "shared" / "big.dat"
    data.parent.mkdir()
    data.write_bytes(b"x" * 20_000)
    config = far(f"bundle = '10 kB'\nshared = ['{tmp_path}/shared']")
    made = plan(config, parameters={"text": str(data)}, inputs={"data": [str(data)]})
    assert made.backend == "far"
    sneaky = f"{tmp_path}/shared/../config.toml"
    assert "a file of this machine" in refused(lambda: plan(config, parameters={"text": sneaky}))


@pytest.mark.parametrize("text", ["/dev/null", "/usr/bin/env", "relative", "/no/such/file", "/tmp", "/"])
def test_texts_that_name_no_file_of_this_machine_alone_are_no_obstacle(
    far: Any, plan: Planned, text: str
) -> None:
    assert plan(far(), parameters={"text": text}).backend == "far"


def test_files_that_would_not_lie_where_they_lie_here_are_refused(far: Any, tmp_path: Path) -> None:
    table, other = tmp_path / "in" / "table.csv", tmp_path / "other.fits"
    table.parent.mkdir()
    beside = table.with_name("beside.fits")
    table.write_text(f"file\n{beside}\n")
    place = making_place(far(), asked=False)
    for files, said in (
        ({str(other): "x"}, "needs"),
        ({str(beside): "x"}, "by a path of this machine"),
        ({str(table.with_name("index")): "x"}, ""),
    ):
        ref = DataRef(uri=table.as_uri(), path=str(table), beside=files)
        problems = list(obstacles._beside("data", ref, place))
        assert [said in p.what for p in problems] == ([True] if said else [])


def making_place(config: Config, asked: bool) -> Any:
    return places(backends.profiles(config), config.cache, "far" if asked else None).usable["far"]


# --- slices


def test_a_run_is_one_piece_unless_somebody_asks_for_more(far: Any, plan: Planned) -> None:
    made = plan(far(), {"implementations": CUT})
    assert made.slicing.slices == 1 and "gives one piece all that is asked for" in made.slicing.why
    made = plan(far())
    assert "no stages map and join" in made.slicing.why
    made = plan(far(), backend="local")
    assert "sees the run store" in made.slicing.why


def test_slices_share_the_cores_that_were_asked_for(far: Any, plan: Planned) -> None:
    asked = ResourceRequest(cores=5, slices=3)
    made = plan(far(), {"implementations": CUT}, resources=asked)
    assert (made.slicing.slices, made.allocation.cores) == (3, 2)
    assert made.slicing.why == "as you asked"
    assert made.command[made.command.index("--cores") + 1] == "2"


def test_more_cores_than_a_piece_gets_make_as_many_slices_as_are_needed(far: Any, plan: Planned) -> None:
    made = plan(far(), {"implementations": CUT}, resources=ResourceRequest(cores=10))
    assert (made.slicing.slices, made.allocation.cores) == (3, 4)
    assert made.slicing.why == "10 cores asked for, and far gives one piece 4"
    text = refused(lambda: plan(far(), resources=ResourceRequest(cores=10)))
    assert "10 cores asked for, but it has 4" in text


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({}, {"slices": 2}, "its implementation for Snakemake has no stages map and join"),
        ({"implementations": CUT}, {"slices": 5}, "5 slices asked for, but there is only work for 4 units"),
        ({"implementations": CUT}, {"cores": 40}, "10 slices would be needed, and there are 4 units"),
    ],
)
def test_slices_that_can_not_be_are_refused(
    far: Any, plan: Planned, changes: Any, asked: Any, said: str
) -> None:
    assert said in refused(lambda: plan(far(), changes, resources=ResourceRequest(**asked)))


def test_a_place_that_shares_the_store_cuts_nothing(far: Any, plan: Planned) -> None:
    asked = ResourceRequest(slices=2)
    text = refused(lambda: plan(far(), {"implementations": CUT}, backend="local", resources=asked))
    assert "a run is cut only at a place that doesn't share the run store" in text


def test_the_command_line_asks_for_slices_nodes_and_gpus(far: Any, inside: Any, tmp_path: Path) -> None:
    far(gpus=1, nodes=3, engines={"snakemake": Found(path="/opt/there/bin/snakemake", version="9.5.1")})
    asked = ("--backend", "far", "--slices", "2", "--cores", "4", "--gpus", "1", "--nodes", "3")
    assert inside("plan", "noop", *asked, "-o", tmp_path / "plan.json").code == 0
    made = saved.read_plan(tmp_path / "plan.json")
    assert (made.slicing.slices, made.slicing.why) == (2, "as you asked")
    assert (made.allocation.cores, made.allocation.gpus, made.allocation.nodes) == (2, 1, 3)
    assert "pieces" in inside("plan", "noop", *asked).out
    refused = inside("plan", "noop", "--backend", "far", "--gpus", "2", "--nodes", "4", "--json")
    assert refused.code == 3
    assert "2 GPUs asked for, but it has 1" in refused.problems
    assert "4 nodes asked for, but it has 3" in refused.problems
    assert inside("plan", "noop", "--slices", "0").code == 2


def test_the_largest_step_is_known_where_steps_say_what_they_ask_for(far: Any, plan: Planned) -> None:
    steps = "".join(f"rule r{n}:\n    threads: {n}\n    shell: 'true'\n" for n in (1, 3, 2))
    made = plan(far(), {"resources": {}}, {"Snakefile": steps})
    assert (made.allocation.step_cores, made.allocation.cores) == (3, 3)
    assert plan(far()).allocation.step_cores == 1


# --- estimates


def test_what_a_run_elsewhere_used_says_nothing_of_this_machine(far: Any, plan: Planned) -> None:
    config = far()
    (config.store / "records").mkdir(parents=True)
    for place, cpu, memory in (("far", 7200.0, 9 * 10**9), ("local", 36.0, 10**6)):
        measured = Measurement(
            run=place,
            version="1.0.0",
            engine="snakemake",
            units=4,
            input_bytes=0,
            cpu_seconds=cpu,
            memory_bytes=memory,
            wall_seconds=cpu,
            core_seconds=0,
            place=place,
        )
        measurements.append(config.store / "records", "toy", measured)
    assert plan(config, backend="local").estimate.core_hours == pytest.approx(0.01)
    there = plan(config).estimate
    assert there.core_hours == pytest.approx(2)
    assert there.memory_bytes == 9 * 10**9


def test_a_measurement_without_a_place_is_of_this_machine() -> None:
    old = (
        b'{"run":"a","version":"1","engine":"e","units":1,"input_bytes":0,"cpu_seconds":1,"memory_bytes":1,'
        b'"wall_seconds":1,"core_seconds":1}'
    )
    assert measurements._decode(old).place == "local"
