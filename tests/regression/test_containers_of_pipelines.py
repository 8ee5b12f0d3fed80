"""A pipeline whose own configuration starts containers: the plan says so, and one container engine is enabled at most."""

from __future__ import annotations

from pathlib import Path

import pytest

from esap_wf.engines import Interface, Job
from esap_wf.engines.nextflow import configuration
from esap_wf.engines.nextflow.engine import Nextflow
from esap_wf.models.plan import Allocation, ContainerChoice, SoftwareChoice

MAIN = "process A {{\n    {image}\n    script:\n    'true'\n}}\nworkflow {{ A() }}\n"


def derived(folder: Path, config: str, image: str = "container 'field/tool:1'") -> Interface:
    (folder / "main.nf").write_text(MAIN.format(image=image))
    (folder / "nextflow.config").write_text(config)
    found = Nextflow().interface(folder, None)
    assert found is not None
    return found


def rendered(software: SoftwareChoice, *options: str) -> str:
    allocation = Allocation(cores=1, memory_bytes=10**9, disk_bytes=0, wall_seconds=60)
    return configuration.text(
        Job("toy", "main.nf", {}, {}, {}, allocation, software, plain=True, options=options)
    )


@pytest.mark.parametrize(
    "config",
    [
        "docker.enabled = true",
        "docker { enabled = true }",
        "process { cpus = 1 }\nsingularity.enabled = true",
    ],
)
def test_what_the_configuration_enables_is_in_the_interface(tmp_path: Path, config: str) -> None:
    found = derived(tmp_path, config)
    assert (found.contained, found.images) == (True, ("field/tool:1",))


@pytest.mark.parametrize(
    "config", ["docker.enabled = false", "profiles { docker { docker.enabled = true } }"]
)
def test_what_it_does_not_enable_is_not(tmp_path: Path, config: str) -> None:
    assert not derived(tmp_path, config).contained


def test_an_image_that_can_not_be_reported_is_a_warning(tmp_path: Path) -> None:
    assert any(
        "nextflow.config:1: docker.enabled" in w
        for w in derived(tmp_path, "docker.enabled = true", "cpus 1").warnings
    )


def test_only_the_runtime_of_the_plan_is_enabled() -> None:
    image = ContainerChoice(
        image="field/tool:1", form="sif", runtime="apptainer", program="/x/apptainer", reference="/x/tool.sif"
    )
    printed = rendered(SoftwareChoice(route="container", detail="", images={"field/tool:1": image}))
    assert "docker.enabled = false" in printed
    assert "apptainer.enabled = false" not in printed
    assert "docker.enabled = false" in rendered(SoftwareChoice(route="installed", detail=""))


def test_a_profile_that_the_user_names_counts() -> None:
    assert "docker.enabled" not in rendered(
        SoftwareChoice(route="installed", detail=""), "-profile", "docker"
    )
