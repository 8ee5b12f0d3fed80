"""Any workflow: by name, by the path of its manifest, by the URL of a repository, or a pipeline without a
manifest, whose interface its engine derives.

A folder with a manifest is `esap_wf.catalogue.workflows`'s. Nothing is written but the cache.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from esap_wf import plugins
from esap_wf.catalogue import records, workflows
from esap_wf.catalogue.workflows import Workflow
from esap_wf.config import Config
from esap_wf.engines import EngineBase, Interface
from esap_wf.errors import NotFoundError, Problem, UnavailableError, UsageError
from esap_wf.files import inside
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import MANIFEST_VERSION, Author, Implementation, Manifest, Software, Units
from esap_wf.models.plan import Plan

if TYPE_CHECKING:
    from esap_wf.catalogue import sources

#: A workflow's name, with its source.
_NAME = re.compile(r"[a-z][a-z0-9-]*(@[a-z-]+)?")
_ITEM = re.compile(r"#([A-Za-z0-9_][A-Za-z0-9_.-]{0,99})$")


def find(config: Config, text: str) -> Workflow:
    """
    The workflow that a text names: ``NAME``, ``NAME@SOURCE``, ``PATH``, ``PATH#ITEM``,
    ``URL[@REF][#PART][#ITEM]``.

    Raises
    ------
    NotFoundError, UsageError
        Unknown, ambiguous, or broken: every problem with its position.
    UnavailableError
        Its repository can't be fetched.
    """
    if not _NAME.fullmatch(text):  # a name loads nothing that repositories need
        from esap_wf.catalogue import sources

        if sources.is_url(text):
            return _fetched(config, sources.parse(text))
    path, item = split(text)
    # no name of a workflow holds a dot
    is_path = workflows.is_path(text) or ("." in path.name and path.is_file())
    if (
        not (is_path and path.exists())
        or (path.is_dir() and workflows.manifests(path))
        or workflows.is_manifest(path)
    ):
        return wrapping(config, workflows.find(config, text))
    # what lies above a folder is what lies above the folder that a link leads to
    real = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    return derived(real, item)


def _fetched(config: Config, reference: sources.Reference) -> Workflow:
    """
    A workflow of a repository; it is called by the commit, so that whoever runs it again means the same code.
    """
    from esap_wf.catalogue import sources

    source = sources.fetch(reference, config)
    pinned = str(replace(reference, ref=source.commit))
    part, item = (*reference.parts, None, None)[:2]
    file = _manifest_in(source.folder, part, str(reference))
    if file:
        return wrapping(config, replace(workflows.read(file, "url"), reference=pinned))
    path = source.folder
    if part:
        path = inside(source.folder, part)
        if not path.exists():
            path, item = source.folder, part
    if path.is_dir() and path != source.folder and (beside := workflows.manifests(path)):
        return wrapping(config, replace(workflows.read(beside[0], "url"), reference=pinned))
    found = derived(path, item)
    return replace(found, source="url", reference=pinned)


def _manifest_in(folder: Path, part: str | None, text: str) -> Path | None:
    """
    The manifest that is meant in a repository: at its top or in ``workflows/NAME``, by its name if there are
    several.
    """
    tops = [folder, *sorted(p for p in (folder / "workflows").glob("*") if p.is_dir())]
    there = {
        workflows.name_of(f) if f.name != "workflow.yaml" or f.parent != folder else "": f
        for t in tops
        for f in workflows.manifests(t)
    }
    if part:
        named = there.get(part) or next((f for f in there.values() if f == folder / part), None)
        if named is None and "" in there and workflows.read(there[""], "url").manifest.name == part:
            return there[""]
        return named
    if len(there) > 1 and "" not in there:
        problems = [
            Problem(str(f.relative_to(folder)), "is a workflow", f"{text}#{name}")
            for name, f in there.items()
        ]
        raise UsageError("there are several workflows in the repository: name one", problems)
    return there.get("") or next(iter(there.values()), None)


def wrapping(config: Config, workflow: Workflow) -> Workflow:
    """With the code in other repositories that the manifest points at."""
    homes: dict[str, Path] = {}
    notes = []
    for number, implementation in enumerate(workflow.manifest.implementations):
        if implementation.upstream is None:
            continue
        from esap_wf.catalogue import sources

        where = workflow.document.where(["implementations", number, "upstream"])
        upstream = implementation.upstream
        text = upstream.url + (f"@{upstream.ref}" if upstream.ref else "")
        reference = sources.parse(text)
        if reference.parts:
            raise UsageError(
                "the manifest is not valid",
                [Problem(where, "names a repository, and must name the file in it under `file`")],
            )
        if (
            workflow.source == "url"
            and reference.url.startswith("file:")
            and not workflow.reference.startswith("file:")
        ):
            raise UsageError(
                "the manifest is not valid",
                [Problem(where, "a manifest from elsewhere can't name a repository of this machine")],
            )
        source = sources.fetch(reference, config)
        homes[workflows.upstream_place(upstream)] = source.folder
        if not (source.folder / implementation.file).is_file():
            raise UsageError(
                "the manifest is not valid",
                [Problem(where, (f"{reference.url} at {source.commit[:12]} has no {implementation.file}"))],
            )
        if reference.ref != source.commit:
            notes.append(
                f"{reference.url} is at commit {source.commit} now; since the manifest names no "
                "commit, a "
                "later run may use different code"
            )
    manifest = workflow.manifest
    for home in homes.values():
        manifest = records.completed(manifest, records.read(home), derived=False)
    whole = (
        replace(workflow, manifest=manifest, upstream=homes, notes=(*workflow.notes, *notes))
        if homes
        else workflow
    )
    return _as_derived(whole) if whole.own_names else whole


def _as_derived(workflow: Workflow) -> Workflow:
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
            place = found.root.relative_to(home).as_posix()
            beside |= {k: posixpath.normpath(f"{place}/{v}") for k, v in found.beside.items()}
            if implementation.upstream is None:
                named += [posixpath.normpath(f"{place}/{n}") for n in found.named]
    return replace(workflow, named=tuple(named), beside=beside)


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
        raise NotFoundError(
            "the workflow is gone", [Problem("workflow", f"there is no longer a file {file}")]
        )
    return wrapping(config, workflows.read(file))


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

    told = reana.declared(path)
    usable, _ = plugins.load("esap_wf.engines")
    engine: EngineBase
    found: list[tuple[str, Interface]] = []
    for engine in usable.values():
        if told and engine.name not in told.engines:
            continue
        interface = engine.interface(told.pipeline if told else path, item)
        if interface is not None:
            found.append((engine.name, reana.completed(told, interface) if told else interface))
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
    if broken := list(workflows.unusable(Document(found.schema, str(found.root / found.file)), derived=True)):
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
    record = records.read(found.root)
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
