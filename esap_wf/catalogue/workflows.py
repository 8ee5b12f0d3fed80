"""Any workflow: by name, by the path of its manifest, by the URL of a repository, or by the path of a
pipeline that has no manifest.

Nothing is written but the cache.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from esap_wf.catalogue import derivation, manifests, records
from esap_wf.catalogue.workflow import Kind, Workflow, upstream_position
from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, UsageError
from esap_wf.files import inside
from esap_wf.models.plan import Plan

if TYPE_CHECKING:
    from esap_wf.catalogue import addresses

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
        from esap_wf.catalogue import addresses

        if addresses.is_url(text):
            return _fetched(config, addresses.parse(text))
    path, item = split(text)
    # no name of a workflow holds a dot
    is_path = manifests.is_path(text) or ("." in path.name and path.is_file())
    if (
        not (is_path and path.exists())
        or (path.is_dir() and manifests.in_folder(path))
        or manifests.is_manifest(path)
    ):
        return wrapping(config, manifests.find(config, text))
    # what lies above a folder is what lies above the folder that a link leads to
    real = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    return derivation.derived(real, item)


def _fetched(config: Config, reference: addresses.Reference) -> Workflow:
    """
    A workflow of a repository; it is called by the commit, so that whoever runs it again means the same code.
    """
    from esap_wf.catalogue import repositories

    source = repositories.fetch(reference, config)
    pinned = str(replace(reference, ref=source.commit))
    part, item = (*reference.parts, None, None)[:2]
    file = _manifest_in(source.folder, part, str(reference))
    if file:
        return wrapping(config, replace(manifests.read_manifest(file, "url"), reference=pinned))
    path = source.folder
    if part:
        path = inside(source.folder, part)
        if not path.exists():
            path, item = source.folder, part
    if path.is_dir() and path != source.folder and (beside := manifests.in_folder(path)):
        return wrapping(config, replace(manifests.read_manifest(beside[0], "url"), reference=pinned))
    found = derivation.derived(path, item)
    return replace(found, source="url", reference=pinned)


def _manifest_in(folder: Path, part: str | None, text: str) -> Path | None:
    """
    The manifest that is meant in a repository: at its top or in ``workflows/NAME``, by its name if there are
    several.
    """
    tops = [folder, *sorted(p for p in (folder / "workflows").glob("*") if p.is_dir())]
    there = {
        manifests.name_of(f) if f.name != "workflow.yaml" or f.parent != folder else "": f
        for t in tops
        for f in manifests.in_folder(t)
    }
    if part:
        named = there.get(part) or next((f for f in there.values() if f == folder / part), None)
        if named is None and "" in there and manifests.read_manifest(there[""], "url").manifest.name == part:
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
        from esap_wf.catalogue import addresses, repositories

        where = workflow.document.where(["implementations", number, "upstream"])
        upstream = implementation.upstream
        text = upstream.url + (f"@{upstream.ref}" if upstream.ref else "")
        reference = addresses.parse(text)
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
        source = repositories.fetch(reference, config)
        homes[upstream_position(upstream)] = source.folder
        parts = [implementation.file, *(implementation.part(s)[0] for s in implementation.stages.values())]
        if absent := [file for file in dict.fromkeys(parts) if not (source.folder / file).is_file()]:
            what = f"{reference.url} at {source.commit[:12]} has no {', '.join(absent)}"
            raise UsageError("the manifest is not valid", [Problem(where, what)])
        if reference.ref != source.commit:
            notes.append(
                f"{reference.url} is at commit {source.commit} now; since the manifest names no "
                "commit, a "
                "later run may use different code"
            )
    manifest = workflow.manifest
    for home in homes.values():
        manifest = records.completed(manifest, records.read_record(home), derived=False)
    whole = (
        replace(workflow, manifest=manifest, upstream=homes, notes=(*workflow.notes, *notes))
        if homes
        else workflow
    )
    return whole if whole.kind is Kind.HOUSE else derivation.completed(whole)


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


def of_plan(config: Config, plan: Plan) -> Workflow:
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
    return wrapping(config, manifests.read_manifest(file))
