"""Parameters and inputs of a Snakemake pipeline, from its configuration files and their schemas."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from esap_wf.engines.snakemake.declarations import Declarations, written
from esap_wf.engines.snakemake.properties import Property, followed, kept, mapping, title_of, typed, value_at
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import documents, reading
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import Input, Reading

_FILE = re.compile(
    r"[^\s{}*?$:\\]+\.(tsv|csv|txt|dat|json|ya?ml|fa|fasta|fna|fq|fastq|bam|cram|sam|vcf|bcf|bed|gtf|gff3?|fits?|root|h5|hdf5|parquet|npz|npy"
    r"|nc|zarr|zip|tar|gz|bz2|xz|zst|ecsv|xml|ini|toml|pdb|nii|tiff?|png|md)(\.(gz|bz2|xz|zst))?"
)
#: Names of values that say where something goes, not where it comes from.
_GOES = re.compile(
    r"(^|[._-])(out|output|outputs|outdir|results?|logs?|logdir|tmp|temp|tmpdir|prefix|suffix|workdir|benchmarks?)([._-]|$)",
    re.I,
)


class Configuration:
    """
    What a pipeline can be given.

    Parameters
    ----------
    root : Path
        The folder that is snapshotted.
    workdir : Path
        Where Snakemake is started.
    declared : Declarations

    Attributes
    ----------
    properties : dict
        Parameters: name → JSON Schema.
    inputs : dict of str to Input
        Files and folders.
    required : list of str
        Parameters that must be given.
    origins : dict of str to str
        ``parameters.NAME`` and ``inputs.NAME`` → ``file:line``.
    warnings : list of str
    files : list of Path
        What is read for it.
    flat : dict
        The default configuration, by names with dots.
    """

    def __init__(self, root: Path, workdir: Path, declared: Declarations) -> None:
        self.root, self.workdir, self.declared = root, workdir, declared
        self.files: list[Path] = []
        self.properties: dict[str, dict[str, Any]] = {}
        self.required: list[str] = []
        self.inputs: dict[str, Input] = {}
        self.origins: dict[str, str] = {}
        self.warnings: list[str] = []
        self.flat: dict[str, Any] = {}
        self._rows: dict[str, tuple[str, Reading]] = {}
        self._written = written(declared)
        self._read()

    def _read(self) -> None:
        """Schemas first: they type what the default configuration only shows."""
        defaults = list(self._defaults())
        for target in self._schemas():
            self.files.append(target)
            self._schema(documents.load(target, schema=True), [d.data for d in defaults])
        for document in defaults:
            self._values(document, document.data, [])
        if not self.declared.validates:
            self._used(bool(defaults))
        for name in self.properties.keys() & self.inputs.keys():
            del self.properties[name]
        self.required = [n for n in dict.fromkeys(self.required) if n in self.properties]

    def _schemas(self) -> list[Path]:
        """
        Schemas of the configuration; those of sample sheets are noted in `_rows`.

        Raises
        ------
        UsageError
            One is not there.
        """
        found: list[Path] = []
        problems: list[Problem] = []
        top = self.root.resolve()
        for variable, name, file, line in self.declared.validates:
            target = reading.real(file.parent / name)
            where = f"{file}:{line}"
            if not target.is_file():
                problems.append(
                    Problem(where, f"validates {variable} with {name}, but there is no such file")
                )
            elif not target.is_relative_to(top):
                problems.append(Problem(where, f"{name} leads out of the repository"))
            elif variable == "config":
                found.append(target)
            elif table := self.declared.tables.get(variable):
                if table.reading is None:
                    self.warnings.append(
                        f"{file.name}:{line}: only Python can tell how {table.key} is read, so its rows are "
                        "not checked"
                    )
                else:
                    self._rows[table.key] = target.relative_to(top).as_posix(), table.reading
        if problems:
            raise UsageError("the Snakefile is broken", problems)
        return found

    def _used(self, has_defaults: bool) -> None:
        """
        What the Snakefile uses and no configuration shows, where no schema says what there is: all of it, or
        beside a default configuration what has a default in the Snakefile.
        """
        fallbacks = self.declared.fallbacks
        for name, where in self.declared.used.items():
            known = any(k == name or k.startswith(f"{name}.") for k in (*self.properties, *self.inputs))
            if known or not _usable(name) or (has_defaults and name not in fallbacks):
                continue
            default = fallbacks.get(name)
            shown = {"engine_default": default} if isinstance(default, (bool, int, float, str)) else {}
            self.properties[name] = {"title": name, **shown}
            self.origins[f"parameters.{name}"] = where

    def _defaults(self) -> Iterator[Document]:
        """
        The default configuration files that are part of the repository, in the order in which they count.
        """
        for text, _ in self.declared.configfiles:
            file = Path(os.path.normpath(self.workdir / text.value))
            shown = file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else text.value
            there = file.is_file() and reading.real(file).is_relative_to(self.root.resolve())
            if not there and text.certain:
                self.warnings.append(
                    f"the default configuration {shown} is not part of the repository: every value must be "
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
        """The properties of a schema, or of a part of it, whose names begin with `parents`."""
        required = schema.get("required", [])
        for name, content in mapping(schema.get("properties")).items():
            prop, at, marks = followed(document.data, content, [*pointer, "properties", name], seen)
            path = [*parents, name]
            full = ".".join(path)
            if not isinstance(prop, dict) or not _usable(full) or "." in name:
                self.warnings.append(
                    f"{self._line(document, at)}: the value {full[:80]} can't be given through esap-wf"
                )
            elif "properties" in prop and prop.get("type", "object") == "object":
                self._properties(document, prop, at, path, defaults, marks)
            else:
                known = (v for v in (value_at(d, path) for d in reversed(defaults)) if v is not None)
                default = next(known, prop.get("default"))
                self._property(document, Property(full, prop, at, marks, name in required), default)

    def _property(self, document: Document, prop: Property, default: Any) -> None:
        where = self._line(document, prop.pointer)
        if self._is_input(prop.name, prop.content, default):
            self._input(prop.name, prop.content, default, where, prop.required)
            return
        made = kept(document, prop)
        if default is not None:
            made["engine_default"] = default
        elif prop.required:
            self.required.append(prop.name)
        self.properties[prop.name] = made
        self.origins[f"parameters.{prop.name}"] = where

    # --- default configurations

    def _values(self, document: Document, values: Mapping[Any, Any], parents: list[str]) -> None:
        """What a default configuration shows and no schema declares."""
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
                self.properties[full] = {"title": full, **typed(value)}
                self.origins[f"parameters.{full}"] = where

    # --- files

    def _is_input(self, name: str, prop: Mapping[str, Any], default: Any) -> bool:
        """Whether a value names a file or folder that is read: by its schema, its name, or what it is."""
        if name in self._written:  # a user's file must not be where a rule writes
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
        """Note a file or folder that a user may give, and what stands for it if nobody does."""
        many = isinstance(default, list)
        defaults = [str(d) for d in (default if many else [default]) if isinstance(d, str)]
        shown = ", ".join(defaults)
        rows, reading = self._rows.get(name, (None, None))
        self.inputs[name] = Input(
            title=title_of(name, prop),
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
        position = document.line(pointer)
        return position.removeprefix(f"{self.root}/").removeprefix(f"{self.root.resolve()}/")


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
