"""Which runtime and which file stand for an image: settings, mappings, pins, and what is said when none does."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

import pytest

from esap_wf import config as configuration
from esap_wf.backends import Containers, Profile
from esap_wf.errors import RefusedError, StoppedError, UnavailableError, UsageError
from esap_wf.planning import routes
from esap_wf.software import containers
from esap_wf.software.containers import archive, folder
from esap_wf.software.containers.runtimes import RUNTIMES

IMAGES = Path(__file__).parents[2] / "containers"
PIN = "sha256:" + "0" * 64


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No runtime on PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def tiny(tmp_path):
    """An archive without a program in it."""
    (tmp_path / "tiny" / "bin").mkdir(parents=True)
    (tmp_path / "tiny" / "bin" / "nothing").write_text("")
    archive.pack(tmp_path / "tiny", tmp_path / "tiny.tar", "tiny:1", {}, archive.architecture())
    return tmp_path / "tiny.tar"


def test_without_any_runtime_each_is_named_with_how_to_get_it(bare, tiny, tmp_path):
    chosen = containers.choose(str(tiny), containers.Settings(), tmp_path)
    assert chosen.choice is None
    assert [r.split(":")[0] for r in chosen.reasons] == ["apptainer", "podman", "docker", "udocker"]
    assert all("is not on PATH: " in r and "nstall" in r for r in chosen.reasons)


def test_a_program_that_does_nothing_is_not_a_runtime(bare, tiny, tmp_path):
    for name in RUNTIMES:
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho 'daemon is away' >&2\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    chosen = containers.choose(str(tiny), containers.Settings(), tmp_path)
    assert chosen.choice is None
    assert sum("daemon is away" in r for r in chosen.reasons) >= 3, chosen.reasons


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("/no/such.sif", "does not exist"),
        ("/no/such.tar", "does not exist"),
        ("/no/such/", "does not exist"),
        ("./none.sif", "does not exist"),
    ],
)
def test_a_missing_file_is_said_before_a_runtime_is_asked(tmp_path, image, said):
    with pytest.raises(UsageError, match=said):
        containers.choose(image, containers.Settings(), tmp_path, tmp_path)


def test_files_that_are_no_images_are_refused(tmp_path):
    (tmp_path / "a.sif").write_bytes(b"no sif" * 100)
    (tmp_path / "a.tar").write_bytes(b"no tar" * 100)
    (tmp_path / "folder").mkdir()
    for image, said in (
        ("a.sif", "is not a SIF file"),
        ("a.tar", "is not a Docker or OCI archive"),
        ("./folder", "it has no bin"),
    ):
        with pytest.raises(UsageError, match=said):
            containers.choose(image, containers.Settings(), tmp_path, tmp_path)


def test_a_pin_is_compared(tiny, tmp_path):
    digest = archive.read_archive(tiny).digest
    source, _ = containers.resolve(
        containers.parse(f"docker-archive:{tiny}@{digest}"), containers.Settings(), tmp_path
    )
    assert source.digest == digest
    with pytest.raises(UsageError, match=f"{PIN} was asked for, but .* is {digest}"):
        containers.resolve(containers.parse(f"docker-archive:{tiny}@{PIN}"), containers.Settings(), tmp_path)


@pytest.mark.parametrize("key", ["field/tool:2", "field/tool", "docker://field/tool:2"])
def test_a_name_is_mapped_to_a_local_file(tiny, tmp_path, key):
    allowed = containers.Settings(map={key: "tiny.tar"}, base=tmp_path)
    source, remark = containers.resolve(containers.parse("field/tool:2"), allowed, tmp_path)
    assert (source.form, source.location, source.text) == ("archive", str(tiny), "field/tool:2")
    assert remark == ", mapped to tiny.tar"


def test_a_mirror_keeps_the_digest_that_was_asked_for(tmp_path):
    allowed = containers.Settings(map={"field/tool": "mirror.example.org/field/tool"})
    source, _ = containers.resolve(containers.parse(f"field/tool@{PIN}"), allowed, tmp_path)
    assert (source.location, source.pinned) == (f"mirror.example.org/field/tool@{PIN}", True)


def test_the_digest_of_a_registry_can_not_be_compared_with_a_docker_archive_and_that_is_said(tiny, tmp_path):
    allowed = containers.Settings(map={"field/tool": str(tiny)})
    _, remark = containers.resolve(containers.parse(f"field/tool@{PIN}"), allowed, tmp_path)
    assert "can't be known" in remark


def test_a_profile_narrows_the_configuration_and_its_map_wins(tmp_path):
    config = configuration.Config(
        tmp_path,
        tmp_path,
        tmp_path / "c.toml",
        containers={"runtimes": ["podman", "udocker"], "map": {"a": "1.tar", "b": "2.tar"}},
    )
    made = containers.settings(config, ["docker", "udocker"], {"a": "3.tar"})
    assert made.runtimes == ("udocker",)
    assert made.map == {"a": "3.tar", "b": "2.tar"}
    assert made.base == tmp_path


def test_when_no_runtime_is_allowed_that_is_the_reason(tiny, tmp_path):
    chosen = containers.choose(str(tiny), containers.Settings(runtimes=()), tmp_path)
    assert chosen.choice is None
    assert "allow no runtime in common" in chosen.reasons[0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("containers = 1", "must be a table"),
        ("[containers]\nruntime = []", "unknown key"),
        ('[containers]\nruntimes = ["lxc"]', "must be a list of apptainer, podman"),
        ("[containers.map]\na = 1", "must be a table of strings"),
        ('[containers.programs]\nlxc = "/x"', "must have runtimes as keys"),
    ],
)
def test_a_wrong_configuration_is_explained(tmp_path, monkeypatch, table, said):
    (tmp_path / "c.toml").write_text(table)
    monkeypatch.setenv("ESAP_WF_CONFIG", str(tmp_path / "c.toml"))
    with pytest.raises(UsageError, match=said):
        configuration.load()


# --- with real runtimes


def test_each_runtime_says_which_forms_it_can_not_take(runtimes, noop, ready, tmp_path):
    for name in RUNTIMES:
        runtimes.need(name)
    sif = ready("apptainer", noop).reference
    archive.unpack(noop, tmp_path / "root")
    only = {n: containers.Settings(runtimes=(n,)) for n in RUNTIMES}
    refused = {
        n: containers.choose(sif, only[n], runtimes.cache).reasons for n in ("podman", "docker", "udocker")
    }
    assert all("can't read SIF files" in r[0] for r in refused.values())
    assert (
        "run a folder" in containers.choose(str(tmp_path / "root"), only["docker"], runtimes.cache).reasons[0]
    )
    assert (
        "map the name to an archive"
        in containers.choose("field/tool:1", only["udocker"], runtimes.cache).reasons[0]
    )


def test_the_first_allowed_runtime_is_taken_and_the_reasons_against_others_are_kept(runtimes, noop, ready):
    runtimes.need("apptainer"), runtimes.need("docker")
    sif = ready("apptainer", noop).reference
    chosen = containers.choose(sif, containers.Settings(runtimes=("docker", "apptainer")), runtimes.cache)
    assert chosen.choice and chosen.choice.runtime == "apptainer"
    assert chosen.reasons == ("docker: docker can't read SIF files",)
    assert chosen.detail.startswith(f"{sif} (sha256:") and " by apptainer " in chosen.detail


def test_a_name_that_a_runtime_has_is_taken_there_and_one_that_none_has_would_be_pulled(
    runtimes, noop, ready
):
    for name in ("apptainer", "podman"):
        runtimes.need(name)
    loaded = ready("podman", noop)
    chosen = containers.choose(
        loaded.reference, containers.Settings(runtimes=("apptainer", "podman")), runtimes.cache
    )
    assert chosen.choice and chosen.choice.runtime == "podman" and chosen.ready
    absent = containers.choose(
        "registry.invalid/field/tool:1", containers.Settings(runtimes=("apptainer", "podman")), runtimes.cache
    )
    assert absent.choice and not absent.ready
    assert "will be pulled from registry.invalid" in absent.detail


@pytest.mark.parametrize("runtime", ["apptainer", "podman", "docker"])
def test_a_pull_that_fails_says_so_and_leaves_nothing(runtimes, tmp_path, runtime):
    runtimes.need(runtime)
    chosen = containers.choose("localhost:9/field/tool:1", containers.Settings(runtimes=(runtime,)), tmp_path)
    assert chosen.choice
    with pytest.raises(UnavailableError, match="localhost:9/field/tool:1"):
        containers.prepare(chosen.choice, tmp_path)
    assert not containers.is_ready(chosen.choice)
    assert not list(tmp_path.glob("containers/sif/*"))


def test_a_sif_is_built_once_by_content(runtimes, noop, tmp_path):
    runtimes.need("apptainer")
    shutil.copy(noop, tmp_path / "copy.tar")
    only = containers.Settings(runtimes=("apptainer",))
    one, two = (
        containers.choose(str(p), only, tmp_path / "cache").choice for p in (noop, tmp_path / "copy.tar")
    )
    assert one and two and one.reference == two.reference
    errors: list[BaseException] = []

    def build() -> None:
        try:
            containers.prepare(one, tmp_path / "cache")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    log = next((tmp_path / "cache/containers/locks").glob("*.log")).read_text()
    assert log.count("Build complete") == 1
    assert [p.name for p in (tmp_path / "cache/containers/sif").iterdir()] == [Path(one.reference).name]


def test_who_is_stopped_while_a_sif_is_built_leaves_nothing(runtimes, noop, tmp_path):
    runtimes.need("apptainer")
    choice = containers.choose(str(noop), containers.Settings(runtimes=("apptainer",)), tmp_path).choice
    assert choice
    asked = iter([False, False, True])
    with pytest.raises(StoppedError):
        containers.prepare(choice, tmp_path, stopped=lambda: next(asked, True))
    assert not list(tmp_path.glob("containers/sif/*.sif"))
    containers.prepare(choice, tmp_path)
    assert containers.is_ready(choice)


@pytest.mark.parametrize("runtime", ["apptainer", "podman", "docker", "udocker"])
def test_an_image_without_bash_is_seen(ready, tmp_path, runtime, runtimes):
    runtimes.need(runtime)
    made = folder.build(folder.read_folder(IMAGES / "noop"), runtimes.cache)
    archive.unpack(made, tmp_path / "root")
    (tmp_path / "root/bin/bash").unlink()
    (tmp_path / "root/usr/bin/bash").unlink()
    archive.pack(tmp_path / "root", tmp_path / "nobash.tar", "x:1", {"PATH": "/bin"}, archive.architecture())
    choice = ready(runtime, tmp_path / "nobash.tar", cache=tmp_path / "cache")
    assert sorted(containers.lacks(choice, ["bash", "python3"], tmp_path / "cache")) == ["bash", "python3"]
    assert containers.lacks(ready(runtime, made), ["bash"], runtimes.cache) == {}


def test_images_of_a_pipeline_are_all_chosen_or_all_refused(runtimes, noop, tmp_path):
    runtimes.need("apptainer")
    config = configuration.Config(
        tmp_path, runtimes.cache, tmp_path / "c.toml", containers={"map": {"field/tool": str(noop)}}
    )
    found = routes.images(["field/tool:1", str(noop), "field/tool:1"], tmp_path, config)
    assert {n: c.archive for n, c in found.items()} == {"field/tool:1": str(noop), str(noop): str(noop)}
    profile = Profile(containers=Containers(runtimes=["udocker"]))
    with pytest.raises(RefusedError) as told:
        routes.images(["-x", "/no/such.sif", "field/other:1"], tmp_path, config, profile)
    assert len(told.value.problems) == 3


def test_the_settings_of_podman_and_docker_go_with_the_choice(runtimes, noop):
    runtimes.need("docker")
    choice = containers.choose(str(noop), containers.Settings(runtimes=("docker",)), runtimes.cache).choice
    assert choice and choice.environment.get("DOCKER_HOST") == runtimes.environment.get("DOCKER_HOST")


if sys.platform != "linux":
    pytestmark = pytest.mark.skip(reason="container runtimes are tried on Linux")
