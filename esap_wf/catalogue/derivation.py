"""A workflow of a pipeline without a manifest: its interface is derived by its engine.

Nothing is written.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from dataclasses import replace
from pathlib import Path

from esap_wf import plugins
from esap_wf.catalogue import manifests, records
from esap_wf.catalogue.workflow import Workflow
from esap_wf.engines import EngineBase, Interface
from esap_wf.errors import NotFoundError, Problem, UnavailableError, UsageError
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import MANIFEST_VERSION, Author, Implementation, Manifest, Software, Units


def completed(workflow: Workflow) -> Workflow:
    """
    What a manifest doesn't say of a pipeline that was not written for esap-wf: files that it names, and where
    it finds them.
    """
    named: list[str] = []
    beside: dict[str, str] = {}
    for implementation in workflow.manifest.implementations:
        _, home = workflow.home(implementation)
        if implementation.config != "plain" or implementation.engine in ("cwl", "toil", "command"):
            continue
        with contextlib.suppress(UsageError, NotFoundError, UnavailableError):
            engine: EngineBase = plugins.one("esap_wf.engines", implementation.engine)
            found = engine.interface(home / implementation.file, None)
            if found is None or not found.root.is_relative_to(home):
                continue
            root = found.root.relative_to(home).as_posix()
            beside |= {k: posixpath.normpath(f"{root}/{v}") for k, v in found.beside.items()}
            if implementation.upstream is None:
                named += [posixpath.normpath(f"{root}/{n}") for n in found.named]
    return replace(workflow, named=tuple(named), beside=beside)


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
    from esap_wf.tasks import reana

    declared = reana.declared(path)
    usable, _ = plugins.load("esap_wf.engines")
    engine: EngineBase
    found: list[tuple[str, Interface]] = []
    for engine in usable.values():
        if declared and engine.name not in declared.engines:
            continue
        interface = engine.interface(declared.pipeline if declared else path, item)
        if interface is not None:
            found.append((engine.name, reana.completed(declared, interface) if declared else interface))
    files = {i.root / i.file: name for name, i in found}
    if len(files) > 1:
        problems = [
            Problem(str(file), f"is a pipeline of {usable[name].title}", "give this file")
            for file, name in files.items()
        ]
        raise UsageError(f"several pipelines are at {path}", problems)
    if found:
        return _workflow([name for name, _ in found], found[0][1], path, item)
    looked = ", ".join(e.title for e in usable.values() if e.name not in ("command", "notebook"))
    hint = "a manifest (workflow.yaml) may say what it is: esap-wf new workflow NAME makes one"
    if path.suffix == ".json":
        hint = f"a saved plan is run by --plan {path.name}; " + hint
    raise NotFoundError(
        f"no workflow at {path}",
        [Problem(str(path), f"it contains neither a manifest nor a pipeline for {looked}", hint)],
    )


def _workflow(engines: list[str], found: Interface, path: Path, item: str | None) -> Workflow:
    """Its manifest is made here and written nowhere: `esap-wf init` does that."""
    if broken := list(manifests.unusable(Document(found.schema, str(found.root / found.file)), derived=True)):
        raise UsageError("the parameters of the pipeline can't be read", broken)
    implementations = [
        Implementation(
            engine=e,
            file=found.file,
            requires=found.requires,
            config="plain",
            item=item,
            workdir=found.workdir or None,
        )
        for e in engines
    ]
    manifest = Manifest(
        schema_version=MANIFEST_VERSION,
        name=_name(found.name or found.root.name),
        title=found.title or found.root.name,
        version=_version(found.version),
        implementations=implementations,
        description=found.description,
        authors=[Author(name=a) for a in found.authors],
        license=found.license,
        citation=list(found.citation),
        keywords=list(found.keywords),
        inputs=found.inputs,
        units=Units(axis="job", steps=list(found.unit_steps)) if found.unit_steps else None,
        software=list(found.software) or [Software(installed=[])],
        outputs=list(found.outputs),
    )
    record = records.read_record(found.root)
    manifest = records.completed(manifest, record, derived=True)
    reference = str(path) + (f"#{item}" if item else "")
    source = found.root / found.file
    return Workflow(
        manifest,
        Document({}, str(found.root / "workflow.yaml"), ""),
        found.root,
        found.schema,
        "path",
        reference=reference,
        derived_from={"pipeline": str(source), **found.origins},
        notes=(*found.warnings, *record.problems),
        files=found.files,
        named=found.named,
        beside=dict(found.beside),
        images=() if found.software else found.images,
        contained=found.contained,
        order=found.order,
    )


def _name(text: str) -> str:
    """A name in the characters that a manifest's name has."""
    name = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:60]
    return name if name[:1].isalpha() else f"pipeline-{name}".rstrip("-")


def _version(text: str) -> str:
    """Semantic version of what a pipeline says (``1.0dev`` is common); 0.0.0 if it says none."""
    match = re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?([.+-].+|[a-z][a-z0-9.]*)?$", text.strip())
    if not match:
        return "0.0.0"
    rest = match[4] or ""
    return f"{match[1]}.{match[2] or 0}.{match[3] or 0}{'-' if rest[:1].isalpha() else ''}{rest}"
