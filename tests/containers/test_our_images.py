"""The images of containers/: built offline, by esap-wf, by buildah and by Apptainer; what is in them; the command line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.paths import CACHE
from helpers.workflows import write_workflow
from services.containers import path

from esap_wf.errors import UnavailableError, UsageError
from esap_wf.models.plan import ContainerChoice
from esap_wf.software import containers, environments
from esap_wf.software.containers import archive, folder

IMAGES = Path(__file__).parents[2] / "containers"
#: The larger one takes a minute, each time.
NAMES = ["noop", pytest.param("hello", marks=pytest.mark.soak)]
pytestmark = pytest.mark.integration


def execute(choice: ContainerChoice, work: Path, *command: str) -> str:
    import os

    asked = containers.command(choice, containers.Task(command, work))
    done = subprocess.run(
        asked.argv,
        env={**os.environ, **asked.environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_equal_programs_build_an_equal_image(runtimes, noop, tmp_path):
    again = folder.build(folder.read_folder(IMAGES / "noop"), tmp_path)
    assert again != noop
    assert again.read_bytes() == noop.read_bytes()


def test_noop_has_what_engines_need_to_start_and_measure_a_step(ready, tmp_path):
    choice = ready("apptainer", "esap-wf/noop:1")
    for tool in ("bash", "ps", "awk", "grep", "sed", "date", "tail", "tee", "cat", "env", "sleep"):
        assert execute(choice, tmp_path, "bash", "-c", f"command -v {tool}").strip()
    assert execute(choice, tmp_path, "bash", "-c", "ps -e -o pid= -o ppid= | wc -l").strip() != "0"


def test_hello_has_python_and_its_standard_library(ready, tmp_path):
    choice = ready("apptainer", "esap-wf/hello:1")
    script = "import json, hashlib, ssl, sqlite3, ctypes, zlib, lzma, subprocess, math; print(hashlib.sha256(b'').hexdigest()[:8])"
    assert execute(choice, tmp_path, "python3", "-c", script) == "e3b0c442\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_containerfile_makes_the_same_files(runtimes, name, tmp_path, monkeypatch):
    if shutil.which("buildah", path=path()) is None:
        pytest.skip("buildah is not installed")
    shutil.copytree(IMAGES, tmp_path / "containers")
    here = tmp_path / "containers" / name
    if name == "hello":
        subprocess.run(["bash", "../noop/build.sh", "root"], cwd=here, check=True)
    subprocess.run(["bash", "build.sh", "root"], cwd=here, check=True)
    subprocess.run(
        ["buildah", "bud", "--isolation", "chroot", "-q", "-t", f"localhost/{name}:test", "."],
        cwd=here,
        check=True,
    )
    subprocess.run(
        ["buildah", "push", "-q", f"localhost/{name}:test", f"oci-archive:{tmp_path}/i.tar"], check=True
    )
    ours = folder.build(folder.read_folder(IMAGES / name), runtimes.cache)
    for place, of in (("a", ours), ("b", tmp_path / "i.tar")):
        archive.unpack(of, tmp_path / place)
    a, b = ({p.relative_to(tmp_path / x).as_posix() for p in (tmp_path / x).rglob("*")} for x in ("a", "b"))
    assert a == b
    said = [
        dict(v.split("=", 1) for v in archive.read_archive(of).environment)
        for of in (ours, tmp_path / "i.tar")
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_makes_a_sif_that_runs(runtimes, name, tmp_path, ready):
    runtimes.need("apptainer")
    choice = ready("apptainer", "esap-wf/noop:1")
    shutil.copytree(IMAGES, tmp_path / "containers")
    here = tmp_path / "containers" / name
    for script in ("../noop/build.sh", "build.sh")[0 if name == "hello" else 1 :]:
        subprocess.run(["bash", script, "root"], cwd=here, check=True)
    argv = [choice.program, "build", *choice.options, "i.sif", f"{name}.def"]
    if "--no-privs" in argv:
        argv.remove("--no-privs")
    subprocess.run(argv, cwd=here, check=True, capture_output=True)
    made = ready("apptainer", here / "i.sif")
    assert execute(made, tmp_path, "bash", "-c", "echo $LANG; ls /bin/busybox").split() == [
        "C.UTF-8",
        "/bin/busybox",
    ]


def write_image(at: Path, script: str, described: str = "schema_version: 1\nname: x/y:1\ntitle: t\n") -> Path:
    at.mkdir()
    (at / "image.yaml").write_text(described)
    (at / "build.sh").write_text(script)
    return at


def test_a_build_that_fails_shows_its_last_words_and_leaves_nothing(tmp_path):
    made = folder.read_folder(
        write_image(tmp_path / "x", "echo first; echo there is no busybox here >&2; exit 3\n")
    )
    with pytest.raises(UnavailableError, match="there is no busybox here"):
        folder.build(made, tmp_path / "cache")
    assert not made.location(tmp_path / "cache").exists()
    assert not list((tmp_path / "cache/containers/built").glob(".build-*"))


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ("schema_version: 1\nname: -x\ntitle: t\n", "starts with a dash"),
        ("schema_version: 1\nname: ./x.sif\ntitle: t\n", "not of the form name:tag"),
        ("schema_version: 1\nname: x:1\n", "title"),
        ("schema_version: 1\nname: x:1\ntitle: t\nenvironment: {'A B': c}\n", "A B"),
        ("schema_version: 1\nname: x:1\ntitle: t\nbase: x\n", "is based on itself"),
    ],
)
def test_a_wrong_description_is_explained(tmp_path, described, said):
    with pytest.raises(UsageError, match=said):
        folder.read_folder(write_image(tmp_path / "x", "true\n", described)).key()


REQUIREMENTS = IMAGES.parent / "workflows" / "fair" / "requirements.txt"


def test_an_image_gets_the_python_of_the_environment_that_it_names(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "environments").symlink_to(environments.build(REQUIREMENTS, CACHE).parent)
    here = write_image(
        tmp_path / "x",
        '"$PYTHON" -c "import uproot; print(uproot.__version__)" >"$1/version"\n',
        "schema_version: 1\nname: x/y:1\ntitle: t\npython: wanted/requirements.txt\n",
    )
    (here / "wanted").mkdir()
    shutil.copy(REQUIREMENTS, here / "wanted")
    made = folder.read_folder(here)
    archive.unpack(folder.build(made, cache), tmp_path / "root")
    said = (tmp_path / "root" / "version").read_text().strip()
    assert f"uproot=={said}" in REQUIREMENTS.read_text().splitlines()


def test_other_requirements_make_another_image_and_none_are_an_error(tmp_path):
    (tmp_path / "requirements.txt").write_text("a==1\n")
    described = "schema_version: 1\nname: x/y:1\ntitle: t\npython: ../requirements.txt\n"
    made = folder.read_folder(write_image(tmp_path / "x", "true\n", described))
    before = made.key()
    (tmp_path / "requirements.txt").write_text("a==2\n")
    assert made.key() != before
    (tmp_path / "requirements.txt").unlink()
    with pytest.raises(UsageError, match=r"requirements\.txt does not exist"):
        made.key()


# --- the command line


def test_an_image_folder_is_built_by_the_command_line(place: Place):
    done = place.inside("software", "build", IMAGES / "noop", "--json")
    assert done.code == 0, done.err
    assert Path(done.json["archive"]).is_file()
    assert done.json["digest"] == archive.read_archive(Path(done.json["archive"])).digest
    assert (
        place.inside("software", "build", IMAGES / "noop", "--json").json["archive"] == done.json["archive"]
    )


def test_check_says_of_each_route_whether_it_works(runtimes, place: Place, tmp_path, noop):
    runtimes.need("apptainer")
    routes = [{"container": "./absent.sif"}, {"container": str(noop)}, {"installed": ["bash"]}]
    flow = write_workflow(tmp_path / "toy", manifest={"software": routes})
    before = place.inside("software", "check", flow, "--json").json
    assert [r["works"] for r in before["alternatives"]] == [False, True, True]
    assert before["alternatives"][1]["has"] is None
    assert "absent.sif does not exist" in before["alternatives"][0]["reasons"][0]
    built = place.inside("software", "build", flow, "--json")
    assert [i["runtime"] for i in built.json["images"]] == ["apptainer"], built.err
    after = place.inside("software", "check", flow)
    assert after.code == 0, after.err
    assert "by apptainer" in after.out.splitlines()[0]
    assert "the image has no python3, which Python scripts need" in after.out


def test_check_refuses_a_container_without_bash(runtimes, place: Place, tmp_path, noop):
    runtimes.need("apptainer")
    archive.unpack(noop, tmp_path / "root")
    for name in ("bin/bash", "usr/bin/bash"):
        (tmp_path / "root" / name).unlink()
    flow = write_workflow(tmp_path / "toy", manifest={"software": [{"container": f"rootfs:{tmp_path}/root"}]})
    done = place.inside("software", "check", flow)
    assert done.code == 4
    assert "the image has no bash" in done.out and "take another image, or add bash" in done.out


def test_installed_software_in_place_of_an_image_is_said_in_the_plan(place: Place, tmp_path):
    flow = write_workflow(
        tmp_path / "toy", manifest={"software": [{"container": "field/tool:1"}, {"installed": ["bash"]}]}
    )
    done = place.inside("plan", flow, "--software", "installed", "--json")
    assert done.code == 0, done.out
    chosen = done.json["software"]
    assert chosen["route"] == "installed"
    assert chosen["refused"] == ["container field/tool:1: not used, because installed was asked for"]
