"""Software that only the nodes of a place see: it is not looked for on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from esap_wf.backends import Containers, Profile
from esap_wf.errors import RefusedError
from esap_wf.models.place import SoftwareThere
from esap_wf.models.plan import SoftwareChoice
from esap_wf.planning import routes
from esap_wf.software import containers

MOUNTED = "/cvmfs/esap-wf/fair/1"
NODES = Profile(kind="slurm", name="site", software=SoftwareThere(mounts=["/cvmfs/esap-wf"]))


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime for which everything works."""
    program = tmp_path / "programs" / "apptainer"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho apptainer version 1.4.5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def route(toy: Any, config: Any, profile: Profile | None, *alternatives: dict[str, Any]) -> SoftwareChoice:
    return routes.choose(toy(manifest={"software": list(alternatives)}), config, profile=profile)


def mapped(to: str) -> Profile:
    return msgspec.structs.replace(
        NODES, containers=Containers(runtimes=["apptainer"], map={"field/tool:1": to})
    )


def test_what_nodes_have_mounted_need_not_be_seen_here(toy: Any, config: Any) -> None:
    choice = route(toy, config, NODES, {"mounted": MOUNTED})
    assert choice.bin_dirs == [f"{MOUNTED}/bin", MOUNTED]
    assert choice.detail == f"{MOUNTED} at site"
    with pytest.raises(RefusedError, match="is not mounted here"):
        route(toy, config, None, {"mounted": MOUNTED})


@pytest.mark.parametrize(
    ("folder", "mounts"),
    [(MOUNTED, []), (MOUNTED, ["/cvmfs/other"]), ("/cvmfs/esap-wf/../x", ["/cvmfs/esap-wf"])],
)
def test_what_is_seen_here_alone_is_nothing_to_the_nodes(
    toy: Any, config: Any, tmp_path: Path, folder: str, mounts: list[str]
) -> None:
    profile = msgspec.structs.replace(NODES, software=SoftwareThere(mounts=mounts))
    (tmp_path / "mounted" / "bin").mkdir(parents=True)
    for named in (folder, str(tmp_path / "mounted")):
        with pytest.raises(RefusedError, match=r"software\.mounts in the profile of site"):
            route(toy, config, profile, {"mounted": named})


def test_folders_of_the_profile_come_before_the_path_of_steps(toy: Any, config: Any) -> None:
    software = SoftwareThere(mounts=["/cvmfs"], path=["/opt/site/bin"])
    profile = msgspec.structs.replace(NODES, software=software)
    assert route(toy, config, profile, {"mounted": MOUNTED}).bin_dirs[-1] == "/opt/site/bin"


@pytest.mark.parametrize(
    ("to", "form"), [("/cvmfs/esap-wf/images/tool.sif", "sif"), ("/cvmfs/esap-wf/images/tool", "rootfs")]
)
def test_an_image_below_a_mount_is_used_as_it_is(
    toy: Any, config: Any, apptainer: Path, to: str, form: str
) -> None:
    choice = route(toy, config, mapped(to), {"container": "field/tool:1"})
    assert choice.container is not None and choice.ready
    assert (choice.container.reference, choice.container.form) == (to, form)
    assert choice.container.program == str(apptainer)
    assert f"{to} at site" in choice.detail
    assert containers.is_ready(choice.container)


def test_an_image_that_is_nowhere_is_refused(toy: Any, config: Any, apptainer: Path) -> None:
    with pytest.raises(RefusedError, match=r"/opt/images/tool\.sif does not exist"):
        route(toy, config, mapped("/opt/images/tool.sif"), {"container": "field/tool:1"})
    with pytest.raises(RefusedError, match="is neither a SIF nor a folder"):
        route(toy, config, mapped("/cvmfs/esap-wf/tool.tar"), {"container": "field/tool:1"})


def test_the_images_that_a_pipeline_names_may_lie_below_a_mount(config: Any, apptainer: Path) -> None:
    profile = mapped("/cvmfs/esap-wf/images/tool")
    found = routes.images(["docker://field/tool:1"], Path(), config, profile)
    assert [c.reference for c in found.values()] == ["/cvmfs/esap-wf/images/tool"]
