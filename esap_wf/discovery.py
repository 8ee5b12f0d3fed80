"""Any workflow: by name, by the path of its manifest, or a pipeline without one, whose interface its engine derives.

Imported by planning, plans, flow and the surfaces. A folder with a manifest is `esap_wf.catalog`'s; nothing is written here.
"""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf import catalog, plugins
from esap_wf.catalog import Workflow
from esap_wf.config import Config
from esap_wf.documents import Document
from esap_wf.engines import Engine, Interface
from esap_wf.errors import NotFoundError, Problem
from esap_wf.models.manifest import MANIFEST_VERSION, Author, Implementation, Manifest, Software, Units
from esap_wf.models.plan import Plan

_ITEM = re.compile(r"#([A-Za-z0-9_][A-Za-z0-9_.-]{0,99})$")


def find(config: Config, text: str) -> Workflow:
    """
    The workflow that a text names: ``NAME``, ``NAME@SOURCE``, ``PATH``, ``PATH#ITEM``.

    Raises
    ------
    NotFoundError, UsageError
        Unknown, ambiguous, or broken: every problem with its position.
    """
    path, item = split(text)
    if not (catalog.is_path(text) and path.exists()) or (path.is_dir() and catalog.manifests(path)) or catalog.is_manifest(path):
        return catalog.find(config, text)
    return derived(path.absolute(), item)


def split(text: str) -> tuple[Path, str | None]:
    """Path and item of ``PATH#ITEM``."""
    match = _ITEM.search(text)
    if match and not Path(text).exists():
        return Path(text[: match.start()]).expanduser(), match[1]
    return Path(text).expanduser(), None


def reference_of(workflow: Workflow) -> str:
    """What a stored request calls a workflow, so that it is found again from anywhere."""
    if workflow.reference:
        return workflow.reference
    return str(workflow.document.source) if workflow.source == "path" else workflow.manifest.name


def again(config: Config, plan: Plan) -> Workflow:
    """
    The workflow of a plan, as it is now.

    Raises
    ------
    NotFoundError
        It is gone.
    """
    if plan.reference:
        return find(config, plan.reference)
    file = Path(plan.source)
    if not file.is_file():
        raise NotFoundError("the workflow is gone", [Problem("workflow", f"there is no {file} any more")])
    return catalog.read(file)


def derived(path: Path, item: str | None = None) -> Workflow:
    """
    A pipeline without a manifest.

    Parameters
    ----------
    path : Path
        Its file, or a folder in which an engine knows where to look.
    item : str, optional
        Part of the file that is meant.

    Raises
    ------
    NotFoundError
        No engine knows it.
    UsageError
        It is broken.
    """
    usable, _ = plugins.load("esap_wf.engines")
    engine: Engine
    for engine in usable.values():
        interface = engine.interface(path, item)
        if interface is not None:
            return _workflow(engine.name, interface, path, item)
    looked = ", ".join(e.title for e in usable.values())
    hint = "a manifest (workflow.yaml) may say what it is: esap-wf new workflow NAME makes one"
    raise NotFoundError(f"no workflow at {path}", [Problem(str(path), f"neither a manifest nor a pipeline of {looked} is there", hint)])


def _workflow(engine: str, found: Interface, path: Path, item: str | None) -> Workflow:
    """Its manifest is made here and written nowhere: `esap-wf init` does that."""
    implementation = Implementation(engine=engine, file=found.file, requires=found.requires, config="plain", item=item)
    manifest = Manifest(
        schema_version=MANIFEST_VERSION, name=_name(found.root), title=found.title or found.root.name, version=_version(found.version),
        implementations=[implementation], description=found.description, authors=[Author(name=a) for a in found.authors],
        license=found.license, citation=list(found.citation), keywords=list(found.keywords), inputs=found.inputs,
        units=Units(axis="job", steps=list(found.unit_steps)) if found.unit_steps else None,
        software=[Software(installed=[])], outputs=list(found.outputs),
    )  # fmt: skip
    reference = str(path) + (f"#{item}" if item else "")
    source = found.root / found.file
    return Workflow(
        manifest, Document({}, str(found.root / "workflow.yaml"), ""), found.root, found.schema, "path", reference=reference,
        derived_from={"pipeline": str(source), **found.origins}, notes=found.warnings,
    )  # fmt: skip


def _name(root: Path) -> str:
    """The folder's name in the characters that a manifest's name has."""
    name = re.sub(r"[^a-z0-9-]+", "-", root.name.lower()).strip("-")[:60]
    return name if name[:1].isalpha() else f"pipeline-{name}".rstrip("-")


def _version(text: str) -> str:
    """Semantic version of what a pipeline says; 0.0.0 if it says none."""
    match = re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?([.+-].+)?$", text.strip())
    return f"{match[1]}.{match[2] or 0}.{match[3] or 0}{match[4] or ''}" if match else "0.0.0"
