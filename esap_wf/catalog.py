"""Workflows: where they are, and what their manifests say.

Imported by parameters, inputs, plan, render and the command line. `entries` is light; `find` validates.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from esap_wf import digests, documents, records, schemas
from esap_wf.config import Config
from esap_wf.documents import Document
from esap_wf.errors import EsapError, NotFoundError, Problem, UsageError
from esap_wf.models.manifest import MANIFEST_VERSION, Implementation, Manifest, Upstream


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
        Images that the steps of a pipeline without a manifest name; the bare engine uses them if it is `contained`.
    notes : tuple of str
        What a user should know of how it was found.
    upstream : dict of str to Path
        Place in a snapshot → folder of code in other repositories that the manifest wraps.
    files : tuple of str, optional
        All that is snapshotted of the folder, if its engine knows that; None: all that is code.
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
    files: tuple[str, ...] | None = None

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """Parameters by name."""
        properties: dict[str, dict[str, Any]] = self.schema.get("properties", {})
        return properties

    @property
    def place(self) -> str:
        """The workflow's folder inside a snapshot."""
        return f"workflows/{self.folder.name}"

    @property
    def is_derived(self) -> bool:
        """Whether there is no manifest: then the folder is somebody's repository, of which everything may be needed."""
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
    def is_plain(self) -> bool:
        """Whether it has a pipeline that was not written for esap-wf in its own folder."""
        return any(i.config == "plain" and not i.upstream for i in self.manifest.implementations)

    def whole_places(self) -> set[str]:
        """Places of `code_folders` that are somebody's repository: everything in them is snapshotted."""
        return {*self.upstream, *([self.place] if self.is_derived or self.is_plain else [])}

    def code_files(self, place: str, root: Path | None = None) -> Iterator[Path]:
        """Files of one of `code_folders` that are snapshotted; of a snapshot, if its `root` is given."""
        folder = root / place if root else self.code_folders()[place]
        if place == self.place and self.files is not None:
            return digests.listed_files(folder, self.files)
        return digests.code_files(folder, everything=place in self.whole_places() or root is not None)

    def code_digest(self, root: Path | None = None) -> str:
        """SHA-256 of all code; of a snapshot, if its `root` is given."""
        folders = {place: root / place if root else folder for place, folder in self.code_folders().items()}
        return digests.of_files(folders, {place: self.code_files(place, root) for place in folders})

    def code_folders(self) -> dict[str, Path]:
        """Place in a snapshot → folder: the workflow, and the shared rules beside the collection that it lives in."""
        folders = {self.place: self.folder, **self.upstream}
        rules = self.folder.parent.parent / "rules"
        if self.folder.parent.name == "workflows" and rules.is_dir():
            folders["rules"] = rules
        return folders


def upstream_place(upstream: Upstream) -> str:
    """Place of another repository's code in a snapshot; by its address, so that it stays where it is when the commit changes."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", upstream.url.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1]).strip("-.")[:60]
    return f"upstream/{name or 'code'}-{digests.of_data([upstream.url, upstream.ref])[:8]}"


def builtin() -> Path:
    """Folder of the workflows that come with esap-wf: in a checkout beside the package, else inside it."""
    package = Path(__file__).parent
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
            row["authors"] = [str(a["name"]) for a in data.get("authors") or []] or [a.name for a in record.authors]
            row["citation"] = [str(c) for c in data.get("citation") or []] or list(record.citation)
        except (EsapError, KeyError, TypeError) as error:
            row["error"] = str(error).replace("\n", " ") if isinstance(error, EsapError) else "the manifest is not valid: see esap-wf lint"
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
            what = "the folder holds no workflow.yaml" if path.is_dir() else "there is no such file or folder"
        except (OSError, RuntimeError, ValueError) as error:  # too long, not permitted, ~nobody, NUL
            what = getattr(error, "strerror", None) or str(error)
        raise NotFoundError(f"no workflow at {name}", [Problem(name, what, "esap-wf workflows lists what there is")])
    known: dict[str, list[tuple[Path, str]]] = {}
    for known_name, file, source in entries(config):
        known.setdefault(known_name, []).append((file, source))
    bare, at, wanted = name.rpartition("@")
    there = [(f, s) for f, s in known.get(bare, []) if s == wanted] if at and bare in known else known.get(name, [])
    if len(there) == 1:
        return there[0]
    if there:
        choices = [(f"{bare or name}@{s}" if [x for _, x in there].count(s) == 1 else str(f), f, s) for f, s in there]
        raise UsageError(f"several workflows are named {name!r}", [Problem(str(f), s, f"choose it by {how}") for how, f, s in choices])
    hint = schemas.closest(name, known) or f"there are {', '.join(sorted(known))}"
    with contextlib.suppress(OSError, ValueError):
        if Path(name).exists():
            hint = f"write ./{name} for what lies here"
    raise NotFoundError(f"there is no workflow named {name!r}", [Problem("WORKFLOW", f"unknown workflow {name!r}", hint)])


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
        raise UsageError("a workflow is found by another name than its own", _misnamed(workflow))
    return workflow


def _misnamed(workflow: Workflow) -> list[Problem]:
    """In a collection the place is the name: otherwise a run would be recorded, and run again, as another workflow."""
    file, own = workflow.document.source, workflow.manifest.name
    if own == name_of(Path(file)):
        return []
    what = f"it calls itself {own!r}, its place says {name_of(Path(file))!r}"
    return [Problem(workflow.document.where(["name"]), what, "give both the same name")]


def read(file: Path, source: str = "path") -> Workflow:
    """Read and validate one manifest file; raises as `find`."""
    document = documents.load(file)
    version = document.data.get("schema_version") if isinstance(document.data, dict) else None
    if isinstance(version, int) and version > MANIFEST_VERSION:
        raise UsageError(
            "the manifest is newer than this esap-wf",
            [Problem(document.where(["schema_version"]), f"version {version}, at most {MANIFEST_VERSION} is known", "upgrade esap-wf")],
        )
    manifest = schemas.convert(document, Manifest, "manifest")
    folder = file.parent
    schema_document = documents.load(folder / manifest.parameters, schema=True)
    schema = schema_document.data
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise UsageError("the parameter schema is broken", [Problem(schema_document.where(), "an object with properties is expected")])
    if broken := list(_unusable(schema_document)):
        raise UsageError("the parameter schema is broken", broken)
    workflow = Workflow(manifest, document, folder, schema, source)
    problems = list(_references(workflow))
    if problems:
        raise UsageError("the manifest is not valid", problems)
    record = records.read(folder)
    return replace(workflow, manifest=records.completed(manifest, record, derived=False), notes=record.problems)


def _unusable(document: Document) -> Iterator[Problem]:
    """What no code here could read in a parameter schema; `lint` says all the rest."""
    required = document.data.get("required", [])
    if not isinstance(required, list) or not all(isinstance(n, str) for n in required):
        yield Problem(document.where(["required"]), "is a list of names")
    for name, prop in document.data["properties"].items():
        at = ["properties", name]
        if not isinstance(prop, dict):
            yield Problem(document.where(at), "a property is an object")
            continue
        kinds = prop.get("type", "string")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if kind not in schemas.TYPES | {"object"}:
                yield Problem(document.where([*at, "type"]), f"{kind!r} is no type", f"one of {', '.join(sorted(schemas.TYPES))}")
        if kinds == "null" or kinds == ["null"] or kinds == []:
            yield Problem(document.where([*at, "type"]), "a type beside null is needed")
        for key, kind_of, what in (("unit", str, "a text"), ("enum", list, "a list"), ("items", dict, "an object")):
            if not isinstance(prop.get(key, kind_of()), kind_of):
                yield Problem(document.where([*at, key]), f"is {what}")


def _references(workflow: Workflow) -> Iterator[Problem]:
    """Names and files that a manifest refers to and that aren't there."""
    from esap_wf import expressions

    m, where, known = workflow.manifest, workflow.document.where, set(workflow.properties)

    def unknown(name: str, pointer: list[str | int], names: set[str], what: str) -> Iterator[Problem]:
        if name not in names:
            yield Problem(where(pointer), f"{name} is no {what}", schemas.closest(name, names))

    def expression(text: str | float, pointer: list[str | int], extra: set[str]) -> Iterator[Problem]:
        try:
            for name in sorted(expressions.names_in(text)):
                yield from unknown(name, pointer, known | extra, "parameter")
        except ValueError as error:
            yield Problem(where(pointer), str(error))

    for i, rule in enumerate(m.rules):
        yield from expression(rule.that, ["rules", i, "that"], set())
        for name in rule.parameters:
            yield from unknown(name, ["rules", i, "parameters"], known, "parameter")
    if m.units:
        yield from expression(m.units.count, ["units", "count"], {"rows"})
        if m.units.table:
            yield from unknown(m.units.table, ["units", "table"], set(m.inputs), "input")
    for key in ("core_seconds", "serial_seconds", "memory_bytes", "disk_bytes"):
        yield from expression(getattr(m.resources.estimate, key), ["resources", "estimate", key], {"units", "cores", "input_bytes"})
    if m.resources.sizes:
        yield from unknown(m.resources.default, ["resources", "default"], set(m.resources.sizes), "size")
    for i, select in enumerate(m.select):
        yield from unknown(select.source, ["select", i, "from"], set(m.inputs), "input")
        for column, name in select.match.items():
            yield from unknown(name, ["select", i, "match", column], known, "parameter")
    if m.identity:
        for name in m.identity.parameters:
            yield from unknown(name, ["identity", "parameters"], known, "parameter")
        for name in m.identity.inputs:
            yield from unknown(name, ["identity", "inputs"], set(m.inputs), "input")
    if m.random:
        yield from unknown(m.random.seed, ["random", "seed"], known, "parameter")
    names = [o.name for o in m.outputs]
    for i, output in enumerate(m.outputs):
        if names.count(output.name) > 1:
            yield Problem(where(["outputs", i, "name"]), f"the output {output.name} stands here twice")
    for i, software in enumerate(m.software):
        if sum(v is not None for v in (software.installed, software.python, software.container, software.mounted)) != 1:
            yield Problem(where(["software", i]), "exactly one of installed, python, container, mounted is given")
    files: list[tuple[list[str | int], str]] = [
        (["implementations", i, "file"], impl.file) for i, impl in enumerate(m.implementations) if not impl.upstream
    ]
    files += [(["inputs", k, "default"], v.default) for k, v in m.inputs.items() if v.default]
    files += [(["inputs", k, "rows"], v.rows) for k, v in m.inputs.items() if v.rows]
    files += [(["outputs", i, "schema"], o.schema) for i, o in enumerate(m.outputs) if o.schema]
    for i, s in enumerate(m.software):
        for key, value in (("installed", s.installed), ("python", s.python)):
            if isinstance(value, str):
                files.append((["software", i, key], value))
    for pointer, name in files:
        target = (workflow.folder / name).resolve()
        if not target.is_relative_to(workflow.folder.resolve()):
            yield Problem(where(pointer), f"{name} leads out of the workflow folder")
        elif not target.is_file():
            yield Problem(where(pointer), f"there is no file {name} in {workflow.folder}")


def lint(file: Path) -> list[Problem]:
    """All that is wrong with a workflow: manifest, references, parameter schema."""
    try:
        workflow = read(file)
    except UsageError as error:
        return error.problems or [Problem(str(file), error.message)]
    found = _misnamed(workflow)
    plain = any(i.config == "plain" for i in workflow.manifest.implementations)
    found += schemas.lint_parameters(documents.load(workflow.folder / workflow.manifest.parameters, schema=True), plain)
    for where_, declared in workflow.manifest.inputs.items():
        if declared.rows:
            try:
                schemas.validator(documents.load(workflow.folder / declared.rows, schema=True).data)
            except UsageError as error:
                found += [Problem(f"{workflow.folder / declared.rows} ({where_})", p.what) for p in error.problems]
    if not (workflow.folder / "README.md").is_file():
        found.append(Problem(str(workflow.folder), "README.md is missing", "say what the workflow does, for whom, and what it costs"))
    return found
