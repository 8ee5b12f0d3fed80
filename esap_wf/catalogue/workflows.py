"""Workflows: where they are, and what their manifests say.

`entries` is light; `find` validates.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from esap_wf import files
from esap_wf.catalogue import consistency, records
from esap_wf.code import contents, selection
from esap_wf.code.contents import CodeFile
from esap_wf.config import Config
from esap_wf.errors import EsapError, NotFoundError, Problem, UsageError
from esap_wf.formats import digests, documents, schemas
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import MANIFEST_VERSION, Implementation, Manifest, Upstream

#: Engines whose users write job orders.
JOB_ORDERS = ("cwl", "toil")
#: Engines to which a parameter may be null although the pipeline sets another kind of value.
NULLS = {"nextflow", "snakemake"}


@dataclass(frozen=True)
class Workflow:
    """
    A workflow that can be planned.

    Parameters
    ----------
    manifest : Manifest
    document : Document
        The manifest's file, for positions.
    folder : Path
    schema : dict
        The parameters, JSON Schema.
    source : str
        ``built-in``, ``configured``, ``path``, or ``url``.
    reference : str
        A pinned text that finds it again, if its path alone doesn't.
    derived_from : dict of str to str
        For a pipeline without a manifest: what was derived → ``file:line`` that says so.
    images : tuple of str
        Images that the steps of a pipeline without a manifest name; the bare engine uses them if it is
        `contained`.
    notes : tuple of str
        What a user should know of how it was found.
    order : mapping
        Files and folders that are its inputs if nothing else is given, as a CWL job order has them.
    upstream : dict of str to Path
        Place in a snapshot → folder of code in other repositories that the manifest wraps.
    files : tuple of str, optional
        All that is snapshotted of the folder, if its engine knows that; None: all that is code.
    named : tuple of str
        What the pipeline in the folder names for sure: it is snapshotted even if git ignores it.
    beside : dict of str to str
        Path in the run directory → path in the pipeline's folder, of what the pipeline finds by a relative
        path.
    """

    manifest: Manifest
    document: Document
    folder: Path
    schema: dict[str, Any]
    source: str
    reference: str = ""
    derived_from: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    contained: bool = False
    upstream: dict[str, Path] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] | None = None
    named: tuple[str, ...] = ()
    beside: dict[str, str] = field(default_factory=dict)
    _seen: list[CodeFile] = field(default_factory=list, init=False, repr=False, compare=False)
    _told: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """Parameters by name."""
        properties: dict[str, dict[str, Any]] = self.schema.get("properties", {})
        return properties

    @property
    def place(self) -> str:
        """
        The workflow's folder inside a snapshot: without characters that mean something in a URL or to an
        engine.
        """
        return f"workflows/{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.folder.name).strip('-.') or 'workflow'}"

    @property
    def is_derived(self) -> bool:
        """
        Whether there is no manifest: then the folder is somebody's repository, of which everything may be
        needed.
        """
        return bool(self.derived_from)

    def home(self, implementation: Implementation) -> tuple[str, Path]:
        """Place in a snapshot, and folder, of the code that an implementation names."""
        place = upstream_place(implementation.upstream) if implementation.upstream else self.place
        return place, self.upstream.get(place, self.folder)

    @property
    def own_names(self) -> bool:
        """Whether parameters and inputs have the names of a pipeline that was not written for esap-wf."""
        return any(i.config == "plain" for i in self.manifest.implementations)

    @property
    def takes_job_orders(self) -> bool:
        """
        Whether what a user's file says reaches the engine as it stands: a CWL job order says more than names,
        paths and numbers.
        """
        return all(i.config == "plain" and i.engine in JOB_ORDERS for i in self.manifest.implementations)

    @property
    def takes_null(self) -> bool:
        """
        Whether null may be given for whatever a parameter is: the engine takes it, in the place of the
        pipeline's own value.
        """
        return all(i.config == "plain" and i.engine in NULLS for i in self.manifest.implementations)

    @property
    def is_plain(self) -> bool:
        """
        Whether its own folder holds a pipeline that was not written for esap-wf, as that of a derived
        workflow does.
        """
        return any(i.config == "plain" and not i.upstream for i in self.manifest.implementations)

    def whole_places(self) -> set[str]:
        """Places of `code_folders` that are somebody's repository: everything in them is snapshotted."""
        return {*self.upstream, *([self.place] if self.is_plain else [])}

    def code_files(self) -> Sequence[CodeFile]:
        """All that is snapshotted, looked up once."""
        if not self._seen:
            self._seen.extend(
                f
                for place, folder in sorted(self.code_folders().items())
                for f in self._files_at(place, folder)
            )
        return self._seen

    def told_of_code(self) -> list[str]:
        """What a user should know of what is snapshotted, and what is not."""
        self.code_files()
        return self._told

    def _files_at(self, place: str, folder: Path) -> Iterator[CodeFile]:
        if place == self.place and self.files is not None:
            return contents.contents(folder, place, digests.listed_files(folder, self.files))
        if place not in self.whole_places():
            return contents.contents(folder, place, digests.code_files(folder))
        chosen = selection.choose(folder, self.named if place == self.place else ())
        self._told.extend(chosen.warnings)
        return contents.kept(folder, place, chosen.names)

    def code_digest(self, root: Path | None = None) -> str:
        """SHA-256 of all code; of a snapshot, if its `root` is given."""
        return contents.digest(self.code_files(), root)

    def code_folders(self) -> dict[str, Path]:
        """
        Place in a snapshot → folder: the workflow, and the shared rules beside the collection that it lives
        in.
        """
        folders = {self.place: self.folder, **self.upstream}
        rules = self.folder.parent.parent / "rules"
        if self.folder.parent.name == "workflows" and rules.is_dir():
            folders["rules"] = rules
        return folders


def upstream_place(upstream: Upstream) -> str:
    """
    Place of another repository's code in a snapshot; by its address, so that it stays where it is when the
    commit changes.
    """
    name = re.sub(
        r"[^A-Za-z0-9_.-]+", "-", upstream.url.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1]
    ).strip("-.")[:60]
    return f"upstream/{name or 'code'}-{digests.of_data([upstream.url, upstream.ref])[:8]}"


def builtin() -> Path:
    """Folder of the workflows that come with esap-wf: in a checkout beside the package, else inside it."""
    package = Path(__file__).parents[1]
    beside = package.parent / "workflows"
    return beside if beside.is_dir() else package / "bundled" / "workflows"


def _sources(config: Config) -> Iterator[tuple[str, Path]]:
    yield "built-in", builtin()
    for folder in config.workflows:
        yield "configured", folder


def manifests(folder: Path) -> list[Path]:
    """Manifest files of one workflow folder."""
    return [f for f in [folder / "workflow.yaml", *sorted(folder.glob("*.workflow.yaml"))] if f.is_file()]


def name_of(file: Path) -> str:
    """The name that a manifest's place gives its workflow."""
    return file.parent.name if file.name == "workflow.yaml" else file.name.removesuffix(".workflow.yaml")


def entries(config: Config) -> Iterator[tuple[str, Path, str]]:
    """Name (from the file's place), manifest file and source of every workflow; nothing is parsed."""
    for source, root in _sources(config):
        if root.is_dir():
            for folder in sorted(p for p in root.iterdir() if p.is_dir()):
                for file in manifests(folder):
                    yield name_of(file), file, source


def summaries(config: Config) -> list[dict[str, Any]]:
    """What ``esap-wf workflows`` lists; a broken manifest is listed with its error."""
    rows = []
    for name, file, source in entries(config):
        row: dict[str, Any] = {"name": name, "title": "", "version": "", "engines": [], "source": source}
        try:
            data = documents.load(file).data
            row |= {"title": str(data["title"]), "version": str(data["version"])}
            row["engines"] = [str(i["engine"]) for i in data["implementations"]]
            record = records.read(file.parent)
            row["license"] = data.get("license") or record.license
            row["authors"] = [str(a["name"]) for a in data.get("authors") or []] or [
                a.name for a in record.authors
            ]
            row["citation"] = [str(c) for c in data.get("citation") or []] or list(record.citation)
        except (EsapError, KeyError, TypeError) as error:
            row["error"] = (
                str(error).replace("\n", " ")
                if isinstance(error, EsapError)
                else "the manifest is not valid: see esap-wf lint"
            )
        rows.append(row)
    return rows


def is_path(name: str) -> bool:
    """Whether a workflow is meant by its path, not by its name."""
    endings = (".yaml", ".yml", ".cwl", ".nf", ".smk")
    return "/" in name or name in {".", "..", "Snakefile"} or name.partition("#")[0].endswith(endings)


def is_manifest(path: Path) -> bool:
    """Whether a file is a manifest by its name."""
    return path.name == "workflow.yaml" or path.name.endswith(".workflow.yaml")


def locate(config: Config, name: str) -> tuple[Path, str]:
    """
    Manifest file of a workflow given by name, by ``NAME@SOURCE`` (built-in or configured), or by path.

    Raises
    ------
    NotFoundError
        With what was probably meant.
    UsageError
        Several have this name.
    """
    if is_path(name):
        try:
            path = Path(name).expanduser()
            if path.is_file():
                return path.absolute(), "path"
            found = manifests(path) if path.is_dir() else []
            if found:
                return found[0].absolute(), "path"
            what = (
                "the folder contains no workflow.yaml" if path.is_dir() else "there is no such file or folder"
            )
        except (OSError, RuntimeError, ValueError) as error:  # too long, not permitted, ~nobody, NUL
            what = getattr(error, "strerror", None) or str(error)
        raise NotFoundError(
            f"no workflow at {name}", [Problem(name, what, "esap-wf workflows lists them all")]
        )
    known: dict[str, list[tuple[Path, str]]] = {}
    for known_name, file, source in entries(config):
        known.setdefault(known_name, []).append((file, source))
    bare, at, wanted = name.rpartition("@")
    there = (
        [(f, s) for f, s in known.get(bare, []) if s == wanted]
        if at and bare in known
        else known.get(name, [])
    )
    if len(there) == 1:
        return there[0]
    if there:
        choices = [
            (f"{bare or name}@{s}" if [x for _, x in there].count(s) == 1 else str(f), f, s) for f, s in there
        ]
        raise UsageError(
            f"several workflows are named {name!r}",
            [Problem(str(f), s, f"choose it by {how}") for how, f, s in choices],
        )
    hint = schemas.closest(name, known) or f"known: {', '.join(sorted(known))}"
    with contextlib.suppress(OSError, ValueError):
        if Path(name).exists():
            hint = f"for the folder of that name, write ./{name}"
    raise NotFoundError(
        f"there is no workflow named {name!r}", [Problem("WORKFLOW", f"unknown workflow {name!r}", hint)]
    )


def find(config: Config, name: str) -> Workflow:
    """
    A workflow by name or path, its manifest validated.

    Raises
    ------
    NotFoundError, UsageError
        Unknown, or the manifest or the schema is broken: every problem with its position.
    """
    file, source = locate(config, name)
    workflow = read(file, source)
    if source != "path" and workflow.manifest.name != name_of(file):
        raise UsageError("a workflow's manifest and its folder disagree about its name", misnamed(workflow))
    return workflow


def read(file: Path, source: str = "path") -> Workflow:
    """Read and validate one manifest file; raises as `find`."""
    workflow, problems = opened(file, source)
    if problems:
        raise UsageError("the manifest is not valid", problems)
    return workflow


def opened(file: Path, source: str = "path") -> tuple[Workflow, list[Problem]]:
    """
    A workflow, and what its manifest refers to that isn't there; raises as `find` if there is nothing to go
    on with.
    """
    document = documents.load(file)
    version = document.data.get("schema_version") if isinstance(document.data, dict) else None
    if isinstance(version, int) and version > MANIFEST_VERSION:
        raise UsageError(
            "the manifest is newer than this esap-wf",
            [
                Problem(
                    document.where(["schema_version"]),
                    f"it has version {version}; this esap-wf reads versions up to {MANIFEST_VERSION}",
                    "upgrade esap-wf",
                )
            ],
        )
    manifest = schemas.convert(document, Manifest, "manifest")
    folder = file.parent
    # a link may lead to any file of this machine, and errors quote what they are about
    files.inside(folder, manifest.parameters)
    schema_document = documents.load(folder / manifest.parameters, schema=True)
    schema = schema_document.data
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise UsageError(
            "the parameter schema is broken",
            [Problem(schema_document.where(), "an object with properties is expected")],
        )
    if broken := list(unusable(schema_document)):
        raise UsageError("the parameter schema is broken", broken)
    workflow = Workflow(manifest, document, folder, schema, source)
    problems = list(consistency.problems(workflow))
    record = records.read(folder)
    return replace(
        workflow, manifest=records.completed(manifest, record, derived=False), notes=record.problems
    ), problems


def unusable(document: Document, derived: bool = False) -> Iterator[Problem]:
    """
    What no code here could read in a parameter schema, also in one that was `derived` from a pipeline's;
    `lint` says all the rest.
    """
    required = document.data.get("required", [])
    if not isinstance(required, list) or not all(isinstance(n, str) for n in required):
        yield Problem(document.where(["required"]), "must be a list of names")
    for name, prop in document.data["properties"].items():
        at = ["properties", name]
        if not isinstance(prop, dict):
            yield Problem(document.where(at), "a property must be an object")
            continue
        kinds = prop.get("type", "string")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if not isinstance(kind, str) or kind not in schemas.TYPES | {"object"}:
                yield Problem(
                    document.where([*at, "type"]),
                    f"{kind!r} is not a type",
                    f"one of {', '.join(sorted(schemas.TYPES))}",
                )
        if not derived and (kinds == "null" or kinds == ["null"] or kinds == []):
            yield Problem(document.where([*at, "type"]), "a type other than null is needed")
        for key, kind_of, what in (
            ("unit", str, "a text"),
            ("enum", list, "a list"),
            ("items", dict, "an object"),
        ):
            if not isinstance(prop.get(key, kind_of()), kind_of):
                yield Problem(document.where([*at, key]), f"is {what}")


def misnamed(workflow: Workflow) -> list[Problem]:
    """
    In a collection the place is the name: otherwise a run would be recorded, and run again, as another
    workflow.
    """
    file, own = workflow.document.source, workflow.manifest.name
    if own == name_of(Path(file)):
        return []
    what = f"it calls itself {own!r}, but its path says {name_of(Path(file))!r}"
    return [Problem(workflow.document.where(["name"]), what, "use the same name for both")]
