"""The interface of a Snakemake pipeline without a manifest: from ``configfile:``, the schemas that it
validates with, and ``rule all``.

The Snakefile is read, not executed (`esap_wf.engines.snakemake.snakefile`).
"""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from esap_wf.code import repositories, selection
from esap_wf.engines import Interface
from esap_wf.engines.snakemake import constants, snakefile
from esap_wf.engines.snakemake.snakefile import Declarations, Text
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import documents, reading, schemas
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import Input, Output, Reading

#: The working directory of a pipeline that was not written for esap-wf: a copy of its repository in the run
#: directory.
PROJECT = "project"
_NAMES = ("Snakefile", "workflow/Snakefile")
#: What a property keeps of the pipeline's own schema.
_KEPT = schemas.VALUE_KEYWORDS | {"format"}
_FILE = re.compile(
    r"[^\s{}*?$:\\]+\.(tsv|csv|txt|dat|json|ya?ml|fa|fasta|fna|fq|fastq|bam|cram|sam|vcf|bcf|bed|gtf|gff3?|fits?|root|h5|hdf5|parquet|npz|npy"
    r"|nc|zarr|zip|tar|gz|bz2|xz|zst|ecsv|xml|ini|toml|pdb|nii|tiff?|png|md)(\.(gz|bz2|xz|zst))?"
)
#: Names of values that say where something goes, not where it comes from.
_GOES = re.compile(
    r"(^|[._-])(out|output|outputs|outdir|results?|logs?|logdir|tmp|temp|tmpdir|prefix|suffix|workdir|benchmarks?)([._-]|$)",
    re.I,
)
#: More files than these are shown as patterns.
_MOST_NAMED = 20
_TRUE, _FALSE = {"yes", "on", "y"}, {"no", "off", "n"}  # of YAML 1.1, which Snakemake reads


def find(path: Path) -> tuple[Path, Path] | None:
    """Snakefile and own folder of a pipeline; None if there is none."""
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
    file, own = (p.absolute() for p in found)
    declared = snakefile.read_snakefile(file, own)
    at_top = _at_top(file, own, declared)
    root, notes = selection.root_of(
        file, own, sure=at_top or any(not f.is_relative_to(own) for f in declared.files)
    )
    if root != own:
        declared = snakefile.read_snakefile(file, root)  # what it says is told by names in the repository
    workdir = root if at_top else own
    config = _Config(root, workdir, declared)
    config.read()
    outputs, origins = _outputs(root, workdir, declared, item, file, config.flat)
    warnings = [*declared.warnings, *config.warnings, *notes]
    if declared.conda:
        warnings.append(
            "its rules name conda environments, which are not built: their software is taken from PATH "
            "(or give Snakemake its own option: -- --software-deployment-method conda)"
        )
    if workdir != own:
        place = workdir.relative_to(root).as_posix()
        warnings.append(
            f"it runs in {'the top of its repository' if place == '.' else place}, where its configuration is"
        )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": config.properties,
        "required": config.required,
    }
    return Interface(
        root=root,
        file=file.relative_to(root).as_posix(),
        name=own.name,
        schema=schema,
        inputs=config.inputs,
        outputs=tuple(outputs),
        workdir="" if workdir == root else workdir.relative_to(root).as_posix(),
        named=tuple(_named(root, workdir, declared, config)),
        requires=declared.requires,
        images=tuple(dict.fromkeys(declared.images)),
        origins={**config.origins, **origins},
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _at_top(file: Path, own: Path, declared: Declarations) -> bool:
    """
    Whether Snakemake is started at the top of the repository, not in the pipeline's own folder as one would
    in a clone.

    A README may say ``snakemake -s FOLDER/Snakefile``: it is so if the configuration is there, and only
    there.
    """
    top = repositories.top_of(file)
    files = [
        text.value for text, _ in declared.configfiles if text.literal and not text.value.startswith("/")
    ]
    return bool(
        top
        and files
        and not any((own / f).is_file() for f in files)
        and all((top / f).is_file() for f in files)
    )


def _named(root: Path, workdir: Path, declared: Declarations, config: _Config) -> Iterator[str]:
    """
    Files that the pipeline reads for sure, although git may ignore them: what it includes, configuration,
    defaults of inputs.
    """
    made = {t.value for rule in declared.rules for t in rule.directives.get("output", [])}
    found = [*declared.files, *config.files]
    found += [
        workdir / t.value
        for rule in declared.rules
        for t in rule.directives.get("input", [])
        if t.literal and t.value not in made
    ]
    for path in found:
        place = Path(os.path.normpath(path))
        if place.is_relative_to(root) and place != root and place.exists():
            yield place.relative_to(root).as_posix()


class _Config:
    """Parameters and inputs that configuration files and schemas tell."""

    def __init__(self, root: Path, workdir: Path, declared: Declarations) -> None:
        self.root, self.workdir, self.declared = root, workdir, declared
        self.files: list[Path] = []
        self.properties: dict[str, dict[str, Any]] = {}
        self.required: list[str] = []
        self.inputs: dict[str, Input] = {}
        self.origins: dict[str, str] = {}
        self.warnings: list[str] = []
        self.rows: dict[str, tuple[str, Reading]] = {}
        self.written = snakefile.written(declared)
        self.flat: dict[str, Any] = {}

    def read(self) -> None:
        """Schemas first: they type what the default configuration only shows."""
        defaults = list(self._defaults())
        problems: list[Problem] = []
        configurations = []
        for variable, name, file, line in self.declared.validates:
            target = reading.real(file.parent / name)
            if not target.is_file():
                problems.append(
                    Problem(
                        f"{file}:{line}", (f"validates {variable} with {name}, but there is no such file")
                    )
                )
            elif not target.is_relative_to(self.root.resolve()):
                problems.append(Problem(f"{file}:{line}", f"{name} leads out of the repository"))
            elif variable == "config":
                configurations.append(target)
            elif variable in self.declared.tables:
                table = self.declared.tables[variable]
                if table.reading is None:
                    self.warnings.append(
                        f"{file.name}:{line}: only Python can tell how {table.key} is read, so "
                        "its rows "
                        "are not checked"
                    )
                else:
                    self.rows[table.key] = target.relative_to(self.root.resolve()).as_posix(), table.reading
        if problems:
            raise UsageError("the Snakefile is broken", problems)
        for target in configurations:
            self.files.append(target)
            self._schema(documents.load(target, schema=True), [d.data for d in defaults])
        for document in defaults:
            self._values(document, document.data, [])
        for name, where in self.declared.used.items():
            known = any(k == name or k.startswith(f"{name}.") for k in (*self.properties, *self.inputs))
            if (
                (not defaults or name in self.declared.fallbacks)
                and not self.declared.validates
                and not known
                and _usable(name)
            ):
                default = self.declared.fallbacks.get(name)
                shown = {"engine_default": default} if isinstance(default, (bool, int, float, str)) else {}
                self.properties[name] = {"title": name, **shown}
                self.origins[f"parameters.{name}"] = where
        for name in self.properties.keys() & self.inputs.keys():
            del self.properties[name]
        self.required = [n for n in dict.fromkeys(self.required) if n in self.properties]

    def _defaults(self) -> Iterator[Document]:
        for text, _ in self.declared.configfiles:
            file = Path(os.path.normpath(self.workdir / text.value))
            shown = file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else text.value
            there = file.is_file() and reading.real(file).is_relative_to(self.root.resolve())
            if not there and text.certain:
                self.warnings.append(
                    f"the default configuration {shown} is not part of the repository: every "
                    "value must be "
                    "given"
                )
            elif not text.certain:
                what = ("its values may not be the defaults") if there else "it is not part of the repository"
                self.warnings.append(f"the configuration {shown} is read under a condition: {what}")
            if not there:
                continue
            try:
                # what no value of ours may hold is the pipeline's own matter
                document = documents.load(file, schema=True)
            except EsapError as error:
                raise UsageError(("the configuration of the pipeline is broken"), error.problems) from None
            self.files.append(file)
            if isinstance(document.data, dict):
                self.flat |= _flat(document.data)
                yield document
            elif document.data is not None:
                raise UsageError(
                    "the configuration of the pipeline is broken",
                    [Problem(str(file), "must be a mapping of names to values")],
                )

    # --- schemas

    def _schema(self, document: Document, defaults: list[Any]) -> None:
        if not isinstance(document.data, dict):
            raise UsageError(
                "a schema of the pipeline is broken", [Problem(document.source, "is not a JSON Schema")]
            )
        self._properties(document, document.data, [], [], defaults, set())

    def _properties(
        self,
        document: Document,
        schema: dict[str, Any],
        pointer: list[str | int],
        parents: list[str],
        defaults: list[Any],
        seen: set[str],
    ) -> None:
        required = schema.get("required", [])
        for name, prop in _mapping(schema.get("properties")).items():
            prop, at, marks = _followed(document.data, prop, [*pointer, "properties", name], seen)
            path = [*parents, name]
            full = ".".join(path)
            if not isinstance(prop, dict) or not _usable(full) or "." in name:
                self.warnings.append(
                    f"{self._line(document, at)}: the value {full[:80]} can't be given through esap-wf"
                )
                continue
            if "properties" in prop and prop.get("type", "object") == "object":
                self._properties(document, prop, at, path, defaults, marks)
                continue
            default = next(
                (v for v in (_value(d, path) for d in reversed(defaults)) if v is not None),
                prop.get("default"),
            )
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
            made["title"] = (
                str(prop.get("title") or prop.get("description") or full).strip().splitlines()[0][:200]
            )
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
        if name in self.written:  # a user's file must not be where a rule writes
            return False
        if any(name == table.key for table in self.declared.tables.values()) or prop.get("format") in {
            "file-path",
            "directory-path",
            "path",
        }:
            return True
        if "enum" in prop or _GOES.search(name):
            return False
        names = default if isinstance(default, list) else [default]
        if not names or not all(isinstance(n, str) and n.strip() for n in names):
            return False
        return all(_exists(self.workdir, n) or _FILE.fullmatch(n) for n in names)

    def _input(self, name: str, prop: Mapping[str, Any], default: Any, where: str, required: bool) -> None:
        title = str(prop.get("title") or prop.get("description") or name).strip().splitlines()[0][:200]
        many = isinstance(default, list)
        defaults = [str(d) for d in (default if many else [default]) if isinstance(d, str)]
        shown = ", ".join(defaults)
        rows, reading = self.rows.get(name, (None, None))
        self.inputs[name] = Input(
            title=title or name,
            required=required and not shown,
            rows=rows,
            reading=reading,
            engine_default=shown,
            kind="folder" if shown and all((self.workdir / d).is_dir() for d in defaults) else "any",
            many=many,
        )
        self.origins[f"inputs.{name}"] = where
        self.files += [self.workdir / d for d in defaults]
        if missing := [d for d in defaults if not _exists(self.workdir, d)]:
            what = (
                f"the default of {name}, {', '.join(missing)}, is not part of the repository: give "
                f"--input {name}=PATH"
            )
            self.warnings.append(f"{where}: {what}")

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


def _flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their names with dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _value(data: Any, path: list[str]) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _followed(
    document: Any, prop: Any, at: list[str | int], seen: set[str]
) -> tuple[Any, list[str | int], set[str]]:
    """
    A property with its ``$ref`` into the same document followed; one that leads in a circle, or elsewhere,
    means any value.
    """
    while isinstance(prop, dict) and isinstance(ref := prop.get("$ref"), str):
        if not ref.startswith("#/") or ref in seen:
            return {k: v for k, v in prop.items() if k != "$ref"}, at, seen
        seen, at = {*seen, ref}, [p.replace("~1", "/").replace("~0", "~") for p in ref[2:].split("/")]
        prop = _value(document, [str(p) for p in at])
    return prop, at, seen


def _typed(value: Any) -> dict[str, Any]:
    """
    Type and default of a value of a default configuration. A whole number may have been meant as any number.
    """
    if value is None:
        return {}
    if not _finite(value):  # it is left to the engine
        return {"type": "number"} if isinstance(value, float) else {}
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


def _finite(value: Any) -> bool:
    """Whether JSON can carry a value: a configuration may hold ``.nan`` and whole numbers of any size."""
    if isinstance(value, (dict, list)):
        return all(_finite(v) for v in (value.values() if isinstance(value, dict) else value))
    return math.isfinite(value) and abs(value) < 2**63 if isinstance(value, (int, float)) else True


def _outputs(
    root: Path, workdir: Path, declared: Declarations, item: str | None, file: Path, config: Mapping[str, Any]
) -> tuple[list[Output], dict[str, str]]:
    """
    What the target rule names, and the folders of results that rules write into.

    With the configuration's own values: what is wanted in a run, Snakemake itself tells at its end.
    """
    base = "/".join([PROJECT, *map(glob.escape, workdir.relative_to(root).parts)])
    if declared.workdir and _safe(declared.workdir):
        base = f"{base}/{declared.workdir.strip('/')}"
    target = next(
        (
            r
            for r in declared.rules
            if (
                r.name == item
                if item
                else any(t.value == "True" for t in r.directives.get("default_target", []))
            )
        ),
        None,
    )
    if item and target is None:
        raise UsageError(
            "no such target",
            [
                Problem(
                    str(file),
                    f"has no rule {item}",
                    f"it has {', '.join(r.name for r in declared.rules[:20])}",
                )
            ],
        )
    target = target or next((r for r in declared.rules if not r.included), None)
    outputs: dict[str, Output] = {}
    origins: dict[str, str] = {}

    def add(pattern: str, where: str, title: str = "", guess: bool = True) -> None:
        pattern = PurePosixPath(pattern).as_posix()
        if not _safe(pattern) or f"{base}/{pattern}" in (o.path for o in outputs.values()):
            return
        stem = re.sub(r"[^a-z0-9]+", "_", pattern.lower().replace("*", "x")).strip("_")[:50]
        name = stem if stem[:1].isalpha() else f"output_{stem}"
        while name in outputs:
            name += "_"
        outputs[name] = Output(
            name=name, path=f"{base}/{pattern}", title=title, required="*" not in pattern, guess=guess
        )
        origins[f"outputs.{name}"] = where

    if target is not None:
        kind = "output" if target.paths.get("output") or target.directives.get("output") else "input"
        once = {name: values[0] for name, values in declared.assigned.items() if len(values) == 1}
        found = [constants.texts(node, config, once) for node in target.paths.get(kind, [])]
        if (
            found
            and None not in found
            and len(plain := [t for part in found for t in part or []]) <= _MOST_NAMED
        ):
            for name in plain:
                add(re.sub(r"\{[^{}]*\}", "*", name), target.where)
        else:
            for text in target.directives.get(kind, []):
                pattern = re.sub(r"\{[^{}]*\}", "*", text.value)
                if not pattern.startswith("*"):  # anything might be meant
                    add(pattern, f"{target.where.rsplit(':', 1)[0]}:{text.line}")
    made: dict[str, str] = {}
    for rule in declared.rules:
        for text in rule.directives.get("output", []):
            made.setdefault(
                PurePosixPath(text.value).parts[0] if len(PurePosixPath(text.value).parts) > 1 else "",
                f"{rule.where}",
            )
    tops: list[str] = [n for n in ("results", "outputs", "output", "result") if n in made]
    others: list[str] = []
    if not outputs and not tops:
        tops = others = [
            n
            for n in made
            if n
            and "*" not in n
            and "{" not in n
            and n not in {"logs", "log", "resources", "tmp", "temp", "benchmarks"}
        ]
    for name in tops:
        add(f"{name}/**/*", made[name], f"everything below {name}", guess=bool(others))
    return list(outputs.values()), origins


def _safe(pattern: str) -> bool:
    return (
        re.fullmatch(r"(?!\.\.?(/|$))(?!.*/\.\.?(/|$))[A-Za-z0-9_.][A-Za-z0-9_./*?-]{0,250}", pattern)
        is not None
    )


__all__ = ["PROJECT", "Text", "derive", "find"]
