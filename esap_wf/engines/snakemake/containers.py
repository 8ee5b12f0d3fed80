"""How Snakemake runs the steps of a workflow in one image: by its own Apptainer deployment and a Snakefile
that names the image.

Snakemake knows no other runtime.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from esap_wf.engines import Job, Rendered
from esap_wf.models.plan import ContainerChoice

FILE = "container.smk"

_SNAKEFILE = """\
# The workflow's own Snakefile, and the image in which its steps run.
container: {image}
# as the directive `include` does, but the first rule there is what is wanted
workflow.include({entry}, overwrite_default_target=True)
"""


def contained(job: Job, container: ContainerChoice) -> Rendered:
    """
    What is added to the bare command: a Snakefile around the workflow's, the arguments, where the runtime is.

    Parameters
    ----------
    job : Job
    container : ContainerChoice
        A SIF or a root file system for Apptainer.

    Returns
    -------
    Rendered
        `command` holds the arguments that are added.
    """
    # JSON's texts are Python's, too; Snakemake takes braces for wildcards
    image, entry = (
        json.dumps(container.reference.replace("{", "{{").replace("}", "}}")),
        json.dumps(job.entry),
    )
    return Rendered(
        # one word: the options begin with dashes
        ["--software-deployment-method", "apptainer", f"--apptainer-args={options(job, container)}"],
        {FILE: _SNAKEFILE.format(image=image, entry=entry).encode()},
        dict(container.environment),
        bin_dirs=(str(Path(container.program).parent),),
    )


def own(job: Job, images: Mapping[str, ContainerChoice]) -> Rendered:
    """
    What is added for the images that the rules themselves name: Snakemake finds them where it would have put
    them after pulling.

    Parameters
    ----------
    job : Job
    images : mapping of str to ContainerChoice
        Name in the Snakefile → what stands for it here.

    Returns
    -------
    Rendered
        `command` holds the arguments that are added; `links` are relative to Snakemake's working directory.
    """
    first = next(iter(images.values()))
    return Rendered(
        ["--software-deployment-method", "apptainer", f"--apptainer-args={options(job, first)}"],
        environment=dict(first.environment),
        bin_dirs=(str(Path(first.program).parent),),
        links={
            f".snakemake/singularity/{_hash(name)}.simg": choice.reference for name, choice in images.items()
        },
    )


def _hash(name: str) -> str:
    """How Snakemake names the file of an image."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def options(job: Job, container: ContainerChoice) -> str:
    """
    Options of ``apptainer exec``, quoted: Snakemake pastes them into a shell line.

    Snakemake itself makes the run directory the home and mounts it; /tmp is this machine's (Apptainer's own
    has 64 MB).
    """
    # its own process ids: the end of the runtime is the end of the step; no evaluation of variables by a
    # shell inside
    words = [*container.options, "--no-eval", "--pid"]
    if not container.network:
        words += ["--net", "--network", "none"]
    for folder in outside(job):
        words += ["--bind", f"{folder}:{folder}:ro"]
    return shlex.join(words)


def outside(job: Job) -> list[str]:
    """Folders of inputs outside the run directory, read-only; one inside another is mounted with it."""
    found: list[str] = []
    paths = {
        ref.path if ref.folder else str(Path(ref.path).parent)
        for given in job.inputs.values()
        for ref in given.refs
        if ref.path
    }
    for path in sorted(p for p in paths if p.startswith("/")):
        if not found or not Path(path).is_relative_to(found[-1]):
            found.append(path)
    return found
