"""The interface of a Snakemake pipeline without a manifest: from ``configfile:``, the schemas that it validates with, and ``rule all``.

Imported by esap_wf.engines.snakemake. The Snakefile is read, not executed (`esap_wf.engines.snakefile`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from esap_wf import documents
from esap_wf.documents import Document
from esap_wf.engines import Interface, snakefile
from esap_wf.engines.snakefile import Said, Text
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.models.manifest import Input, Output

#: The working directory of a pipeline that was not written for esap-wf: a copy of its repository in the run directory.
PROJECT = "project"
_NAMES = ("Snakefile", "workflow/Snakefile")
#: What a property keeps of the pipeline's own schema.
_KEPT = {"type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern", "minLength",
         "maxLength", "minItems", "maxItems", "uniqueItems", "items", "format", "examples", "deprecated"}  # fmt: skip
_FILE = re.compile(
    r"[^\s{}*?$:\\]+\.(tsv|csv|txt|dat|json|ya?ml|fa|fasta|fna|fq|fastq|bam|cram|sam|vcf|bcf|bed|gtf|gff3?|fits?|root|h5|hdf5|parquet|npz|npy"
    r"|nc|zarr|zip|tar|gz|bz2|xz|zst|ecsv|xml|ini|toml|pdb|nii|tiff?|png|md)(\.(gz|bz2|xz|zst))?"
)
#: Names of values that say where something goes, not where it comes from.
_GOES = re.compile(
    r"(^|[._-])(out|output|outputs|outdir|results?|logs?|logdir|tmp|temp|tmpdir|prefix|suffix|workdir|benchmarks?)([._-]|$)", re.I
)
_TRUE, _FALSE = {"yes", "on", "y"}, {"no", "off", "n"}  # of YAML 1.1, which Snakemake reads


def find(path: Path) -> tuple[Path, Path] | None:
    """Snakefile and root of a pipeline; None if there is none."""
    if path.is_dir():
        file = next((path / n for n in _NAMES if (path / n).is_file()), None)
        return (file, path) if file else None
    if path.is_file() and (path.name.startswith("Snakefile") or path.suffix == ".smk"):
        return path, path.parent.parent if path.parent.name == "workflow" else path.parent
    return None


def derive(path: Path, item: str | None) -> Interface | None:
    """
    The interface of the pipeline at a path.

    Parameters
    ----------
    path : Path
    item : str, optional
        The rule that is the target.

    Raises
    ------
    UsageError
        It is broken.
    """
    found = find(path)
    if found is None:
        return None
    file, root = found
    said = snakefile.read(file, root)
    config = _Config(root, said)
    config.read()
    outputs, origins = _outputs(root, said, item, file)
    warnings = [*said.warnings, *config.warnings]
    if said.conda:
        warnings.append(
            "its rules name conda environments, which are not built: their software is taken from PATH "
            "(or give Snakemake its own option: -- --software-deployment-method conda)"
        )
    if hidden := _hidden(root):
        warnings.append(f"hidden files are not part of the snapshot: {', '.join(hidden[:5])}" + (" …" if len(hidden) > 5 else ""))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": False,
              "properties": config.properties, "required": config.required}  # fmt: skip
    return Interface(
        root=root, file=file.relative_to(root).as_posix(), schema=schema, inputs=config.inputs, outputs=tuple(outputs),
        requires=said.requires, images=tuple(dict.fromkeys(said.images)), origins={**config.origins, **origins},
        warnings=tuple(dict.fromkeys(warnings)),
    )  # fmt: skip


#: Hidden files of repositories that no pipeline reads.
_USUAL = {
    ".git", ".gitignore", ".gitattributes", ".gitmodules", ".github", ".gitlab-ci.yml", ".gitlab", ".editorconfig", ".test", ".tests",
    ".pre-commit-config.yaml", ".snakemake", ".snakemake-workflow-catalog.yml", ".zenodo.json", ".travis.yml", ".template",
    ".devcontainer", ".prettierrc", ".prettierrc.yml", ".prettierignore", ".readthedocs.yaml", ".readthedocs.yml", ".DS_Store", ".vscode",
    ".idea", ".dockerignore", ".nf-core.yml", ".gitpod.yml", ".nextflow", ".nextflow.log", ".venv", ".mypy_cache", ".ruff_cache",
    ".pytest_cache",
}  # fmt: skip


def _hidden(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.name.startswith(".") and p.name not in _USUAL)


class _Config:
    """Parameters and inputs that configuration files and schemas tell."""

    def __init__(self, root: Path, said: Said) -> None:
        self.root, self.said = root, said
        self.properties: dict[str, dict[str, Any]] = {}
        self.required: list[str] = []
        self.inputs: dict[str, Input] = {}
        self.origins: dict[str, str] = {}
        self.warnings: list[str] = []
        self.rows: dict[str, str] = {}

    def read(self) -> None:
        """Schemas first: they type what the default configuration only shows."""
        defaults = list(self._defaults())
        problems: list[Problem] = []
        configurations = []
        for variable, name, file, line in self.said.validates:
            target = (file.parent / name).resolve()
            if not target.is_file():
                problems.append(Problem(f"{file}:{line}", f"validates {variable} with {name}, and there is no such file"))
            elif not target.is_relative_to(self.root.resolve()):
                problems.append(Problem(f"{file}:{line}", f"{name} leads out of the repository"))
            elif variable == "config":
                configurations.append(target)
            elif variable in self.said.tables:
                self.rows[self.said.tables[variable]] = target.relative_to(self.root.resolve()).as_posix()
        if problems:
            raise UsageError("the Snakefile is broken", problems)
        for target in configurations:
            self._schema(documents.load(target, schema=True), [d.data for d in defaults])
        for document in defaults:
            self._values(document, document.data, [])
        for name, where in self.said.used.items():
            known = any(k == name or k.startswith(f"{name}.") for k in (*self.properties, *self.inputs))
            if (not defaults or name in self.said.fallbacks) and not self.said.validates and not known and _usable(name):
                default = self.said.fallbacks.get(name)
                shown = {"engine_default": default} if isinstance(default, (bool, int, float, str)) else {}
                self.properties[name] = {"title": name, **shown}
                self.origins[f"parameters.{name}"] = where
        for name in self.properties.keys() & self.inputs.keys():
            del self.properties[name]
        self.required = [n for n in dict.fromkeys(self.required) if n in self.properties]

    def _defaults(self) -> Iterator[Document]:
        for text, _ in self.said.configfiles:
            file = self.root / text.value
            if not file.is_file():
                self.warnings.append(f"the default configuration {text.value} is not part of the repository: every value must be given")
                continue
            try:
                document = documents.load(file)
            except EsapError as error:
                raise UsageError("the configuration of the pipeline is broken", error.problems) from None
            if isinstance(document.data, dict):
                yield document
            elif document.data is not None:
                raise UsageError("the configuration of the pipeline is broken", [Problem(str(file), "is no mapping of names to values")])

    # --- schemas

    def _schema(self, document: Document, defaults: list[Any]) -> None:
        if not isinstance(document.data, dict):
            raise UsageError("a schema of the pipeline is broken", [Problem(document.source, "is no JSON Schema")])
        self._properties(document, document.data, [], [], defaults, set())

    def _properties(
        self, document: Document, schema: dict[str, Any], pointer: list[str | int], parents: list[str], defaults: list[Any], seen: set[str]
    ) -> None:
        required = schema.get("required", [])
        for name, prop in _mapping(schema.get("properties")).items():
            prop, at, marks = _followed(document.data, prop, [*pointer, "properties", name], seen)
            path = [*parents, name]
            full = ".".join(path)
            if not isinstance(prop, dict) or not _usable(full) or "." in name:
                self.warnings.append(f"{self._line(document, at)}: the value {full[:80]} can't be given through esap-wf")
                continue
            if "properties" in prop and prop.get("type", "object") == "object":
                self._properties(document, prop, at, path, defaults, marks)
                continue
            default = next((v for v in (_value(d, path) for d in reversed(defaults)) if v is not None), prop.get("default"))
            where = self._line(document, at)
            if self._is_input(full, prop, default):
                self._input(full, prop, default, where, name in required)
                continue
            made = {k: v for k, v in prop.items() if k in _KEPT}
            for low in ("exclusiveMinimum", "exclusiveMaximum"):  # draft-04 has them as booleans
                if isinstance(made.get(low), bool):
                    bound = made.pop(low)
                    plain = low.replace("exclusiveM", "m")
                    if bound and plain in made:
                        made[low] = made.pop(plain)
            if isinstance(made.get("items"), dict) and "$ref" in made["items"]:
                made["items"] = _followed(document.data, made["items"], at, marks)[0]
            made["title"] = str(prop.get("title") or prop.get("description") or full).strip().splitlines()[0][:200]
            if prop.get("description") and str(prop["description"]) != made["title"]:
                made["description"] = str(prop["description"])
            if default is not None:
                made["engine_default"] = default
            elif name in required:
                self.required.append(full)
            self.properties[full] = made
            self.origins[f"parameters.{full}"] = where

    # --- default configurations

    def _values(self, document: Document, values: Mapping[Any, Any], parents: list[str]) -> None:
        for key, value in values.items():
            path = [*parents, str(key)]
            full = ".".join(path)
            where = self._line(document, path)
            if full in self.properties or full in self.inputs:
                continue
            if not _usable(full) or "." in str(key):
                self.warnings.append(f"{where}: the value {full[:80]} can't be given through esap-wf")
            elif isinstance(value, dict) and value:
                self._values(document, value, path)
            elif self._is_input(full, {}, value):
                self._input(full, {}, value, where, False)
            else:
                self.properties[full] = {"title": full, **_typed(value)}
                self.origins[f"parameters.{full}"] = where

    # --- files

    def _is_input(self, name: str, prop: Mapping[str, Any], default: Any) -> bool:
        if name in self.said.tables.values() or prop.get("format") in {"file-path", "directory-path", "path"}:
            return True
        if not isinstance(default, str) or not default.strip() or "enum" in prop or _GOES.search(name):
            return False
        return _exists(self.root, default) or bool(_FILE.fullmatch(default))

    def _input(self, name: str, prop: Mapping[str, Any], default: Any, where: str, required: bool) -> None:
        title = str(prop.get("title") or prop.get("description") or name).strip().splitlines()[0][:200]
        shown = default if isinstance(default, str) else ""
        self.inputs[name] = Input(
            title=title or name, required=required and not shown, rows=self.rows.get(name), engine_default=shown,
            kind="folder" if shown and (self.root / shown).is_dir() else "any",
        )  # fmt: skip
        self.origins[f"inputs.{name}"] = where
        if shown and not _exists(self.root, shown):
            self.warnings.append(f"{where}: the default of {name}, {shown}, is not part of the repository: give --input {name}=PATH")

    def _line(self, document: Document, pointer: list[Any]) -> str:
        place = document.line(pointer)
        return place.removeprefix(f"{self.root}/").removeprefix(f"{self.root.resolve()}/")


def _exists(root: Path, text: str) -> bool:
    try:
        return not text.startswith(("~", "/")) and text not in {".", "./", ".."} and (root / text).exists()
    except (OSError, ValueError):
        return False


def _usable(name: str) -> bool:
    """Whether a name can be one of a parameter and of an input."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}", name) is not None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _value(data: Any, path: list[str]) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _followed(document: Any, prop: Any, at: list[str | int], seen: set[str]) -> tuple[Any, list[str | int], set[str]]:
    """A property with its ``$ref`` into the same document followed; one that leads in a circle, or elsewhere, means any value."""
    while isinstance(prop, dict) and isinstance(ref := prop.get("$ref"), str):
        if not ref.startswith("#/") or ref in seen:
            return {k: v for k, v in prop.items() if k != "$ref"}, at, seen
        seen, at = {*seen, ref}, [p.replace("~1", "/").replace("~0", "~") for p in ref[2:].split("/")]
        prop = _value(document, [str(p) for p in at])
    return prop, at, seen


def _typed(value: Any) -> dict[str, Any]:
    """Type and default of a value of a default configuration. A whole number may have been meant as any number."""
    if value is None:
        return {}
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return {"type": "boolean", "engine_default": value.lower() in _TRUE}
    made: dict[str, Any] = {"engine_default": value}
    if isinstance(value, bool):
        made["type"] = "boolean"
    elif isinstance(value, int):
        made["type"] = ["integer", "number"]
    elif isinstance(value, float):
        made["type"] = "number"
    elif isinstance(value, str):
        made["type"] = "string"
    elif isinstance(value, list):
        made["type"] = "array"
        kinds = {str(_typed(v).get("type", "")) for v in value}
        if len(kinds) == 1 and all(isinstance(v, (str, int, float, bool)) for v in value):
            made["items"] = {"type": _typed(value[0])["type"]}
    elif isinstance(value, dict):
        made["type"] = "object"
    return made


def _outputs(root: Path, said: Said, item: str | None, file: Path) -> tuple[list[Output], dict[str, str]]:
    """What the target rule names, and the folders of results that rules write into."""
    base = f"{PROJECT}/{said.workdir.strip('/')}" if said.workdir and _safe(said.workdir) else PROJECT
    target = next(
        (r for r in said.rules if (r.name == item if item else any(t.value == "True" for t in r.said.get("default_target", [])))), None
    )
    if item and target is None:
        raise UsageError(
            "no such target", [Problem(str(file), f"has no rule {item}", f"it has {', '.join(r.name for r in said.rules[:20])}")]
        )
    target = target or next((r for r in said.rules if not r.included), None)
    outputs: dict[str, Output] = {}
    origins: dict[str, str] = {}

    def add(pattern: str, where: str, title: str = "") -> None:
        pattern = PurePosixPath(pattern).as_posix()
        if not _safe(f"{base}/{pattern}") or f"{base}/{pattern}" in (o.path for o in outputs.values()):
            return
        stem = re.sub(r"[^a-z0-9]+", "_", pattern.lower().replace("*", "x")).strip("_")[:50]
        name = stem if stem[:1].isalpha() else f"output_{stem}"
        while name in outputs:
            name += "_"
        outputs[name] = Output(name=name, path=f"{base}/{pattern}", title=title, required="*" not in pattern)
        origins[f"outputs.{name}"] = where

    wanted = [] if target is None else [*target.said.get("input", []), *(target.said.get("output", []) if item else [])]
    for text in wanted:
        add(re.sub(r"\{[^{}]*\}", "*", text.value), f"{target.where.rsplit(':', 1)[0]}:{text.line}" if target else "")
    made: dict[str, str] = {}
    for rule in said.rules:
        for text in rule.said.get("output", []):
            made.setdefault(PurePosixPath(text.value).parts[0] if len(PurePosixPath(text.value).parts) > 1 else "", f"{rule.where}")
    tops: list[str] = [n for n in ("results", "outputs", "output", "result") if n in made]
    if not outputs and not tops:
        tops = [
            n for n in made if n and "*" not in n and "{" not in n and n not in {"logs", "log", "resources", "tmp", "temp", "benchmarks"}
        ]
    for name in tops:
        add(f"{name}/**/*", made[name], f"everything below {name}")
    return list(outputs.values()), origins


def _safe(pattern: str) -> bool:
    return re.fullmatch(r"(?!\.\.?(/|$))(?!.*/\.\.?(/|$))[A-Za-z0-9_.][A-Za-z0-9_./*?-]{0,250}", pattern) is not None


__all__ = ["PROJECT", "Text", "derive", "find"]
