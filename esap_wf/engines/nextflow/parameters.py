"""Parameters and inputs of a Nextflow pipeline: those of its schema, and those that only its scripts and its
configuration know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esap_wf.engines.nextflow import scripts as nextflow_scripts
from esap_wf.engines.nextflow.groovy_values import Value
from esap_wf.engines.nextflow.schema import FILE, Declared, Schema
from esap_wf.engines.nextflow.scripts import Scripts
from esap_wf.engines.nextflow.settings import TYPES, Setting, Settings
from esap_wf.formats import printing, reading
from esap_wf.models.manifest import Input

#: Where results are looked for in a run.
FOLDER = "outputs"
#: Names under which pipelines let one say where results go, without case and separators.
_RESULTS = {
    "outdir",
    "outputdir",
    "publishdir",
    "resultsdir",
    "resultdir",
    "outputfolder",
    "outfolder",
    "outpath",
    "outputpath",
}
#: Nextflow's own, and those of the frameworks that only print something.
_NOT_ASKED = {"help", "helpFull", "help_full", "showHidden", "show_hidden", "version"}
_INPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
_PARAMETER = re.compile(r"[^\s=\0]{1,100}")
#: What begins with the project's folder.
IN_PROJECT = re.compile(r"^\$\{?(?:workflow\.)?(?:projectDir|baseDir)\b")
#: A map with more entries is a table of the pipeline's own.
_TABLE = 40
_UNTYPED = ["string", "integer", "number", "boolean"]


class Parameters:
    """
    What a pipeline can be given.

    Parameters
    ----------
    settings : Settings
        Of scripts and configuration; warnings go there.
    scripts : Scripts
    schema : Schema
    project, root : Path
        The script's folder; the folder that is snapshotted.

    Attributes
    ----------
    properties : dict
        Parameters: name → JSON Schema.
    inputs : dict of str to Input
        Files and folders.
    required : list of str
        Parameters that must be given.
    results : set of str
        Parameters that say where results go.
    origins : dict of str to str
        ``parameters.NAME`` and ``inputs.NAME`` → ``file:line``.
    """

    def __init__(
        self, settings: Settings, scripts: Scripts, schema: Schema, project: Path, root: Path
    ) -> None:
        self._settings, self._scripts, self._schema = settings, scripts, schema
        self._project, self._root, self._warn = project, root, settings.warn
        self.properties: dict[str, dict[str, Any]] = {}
        self.inputs: dict[str, Input] = {}
        self.required: list[str] = []
        self.origins: dict[str, str] = {}
        #: What scripts and configuration set.
        self.set = self._set()
        asked = {n: s for n, s in self.set.items() if n not in _NOT_ASKED}
        self.results = self._result_names(asked)
        for name, declared in schema.parameters.items():
            if name not in _NOT_ASKED:
                self._declared(name, declared, asked.get(name))
        for name, setting in asked.items():
            if name not in schema.parameters:
                self._undeclared(name, setting)
        for name in sorted(self.results):
            self._result(name)

    def _set(self) -> dict[str, Setting]:
        """Parameters that scripts and configuration set; a large map is one, and none that one gives."""
        found = self._settings.below("params")
        tops: dict[str, int] = {}
        for name in found:
            tops[name.split(".")[0]] = tops.get(name.split(".")[0], 0) + 1
        tables = {n for n, count in tops.items() if count > _TABLE}
        for name in sorted(tables):
            self._warn(f"params.{name} is a table of the pipeline's own and can't be given")
        # a.b beside a: the later says what it is
        parents = {n.rsplit(".", i)[0] for n in found for i in range(1, n.count(".") + 1)}
        there = {n: s for n, s in found.items() if n.split(".")[0] not in tables and n not in parents}
        return {**there, **self._used({n.split(".")[0] for n in (*found, *self._schema.parameters)})}

    def _used(self, known: set[str]) -> dict[str, Setting]:
        """Parameters that scripts only read: the bare engine takes them, too."""
        used = {n: where for n, where in self._scripts.used.items() if n.split(".")[0] not in known}
        alone = {n for n in used if not any(n.startswith(f"{other}.") for other in used)}
        return {
            n: Setting(f"params.{n}", Value("literal", None, ""), where)
            for n, where in used.items()
            if n in alone
        }

    def _result_names(self, set_: Mapping[str, Setting]) -> set[str]:
        """Parameters that say where results go: what `publishDir` begins with, else one that is named so."""
        known = {*self._schema.parameters, *set_}
        named = {n for n in known if re.sub(r"[_-]", "", n.rsplit(".", 1)[-1].lower()) in _RESULTS}
        for published, _ in self._scripts.published:
            begins = nextflow_scripts.parameter_of(published)
            if begins and begins[0] in known and (not begins[1] or begins[1].startswith("/")):
                named.add(begins[0])
        # a folder that is read from is none
        return {
            n
            for n in named
            if self._scripts.paths.get(n, ("", ""))[0] != "pattern"
            or re.sub(r"[_-]", "", n.lower()) in _RESULTS
        }

    def _declared(self, name: str, declared: Declared, setting: Setting | None) -> None:
        """
        A parameter of the schema; what the configuration sets counts before the schema's word of the default.
        """
        if not _PARAMETER.fullmatch(name):
            self._warn(f"{declared.origin}: {name!r} can't be given here")
            return
        prop = dict(declared.property)
        if setting is not None and setting.value.kind != "literal":
            prop["engine_default"] = setting.value.text
        elif setting is not None and setting.value.data is not None:
            prop["engine_default"] = setting.value.data
        default = prop.get("engine_default")
        needed = declared.required and default in (None, "") and name not in self.results
        kind = declared.kind
        if name in self._scripts.paths and not kind and "string" in _kinds(prop) and "enum" not in prop:
            kind = "folder" if self._scripts.paths[name][0] == "folder" else "any"
        if (
            kind
            and name not in self.results
            and declared.exists is not False
            and _INPUT_NAME.fullmatch(name)
            and "array" not in _kinds(prop)
        ):
            self.inputs[name] = Input(
                title=prop["title"],
                description=prop.get("description", ""),
                required=needed,
                kind=kind,  # type: ignore[arg-type]
                pattern=declared.pattern or self._scripts.paths.get(name, ("", ""))[0] == "pattern",
                rows=self._sheet(declared),
                extensions=declared.extensions,
                engine_default=_shown(default),
                hidden=bool(prop.get("hidden")),
            )
            self.origins[f"inputs.{name}"] = declared.origin
            return
        self.properties[name] = prop
        self.origins[f"parameters.{name}"] = declared.origin
        if needed:
            self.required.append(name)

    def _sheet(self, declared: Declared) -> str | None:
        """Schema of a sample sheet's rows, relative to the root."""
        if not declared.sheet:
            return None
        path = self._project / declared.sheet
        if not path.is_file():
            self._warn(f"{declared.origin}: there is no {path}, so rows are not checked")
            return None
        relative = (
            Path(os.path.normpath(path)).relative_to(self._root).as_posix()
            if reading.real(path).is_relative_to(self._root.resolve())
            else ""
        )
        if not relative or relative.startswith(("..", "-")) or not relative.isprintable():
            self._warn(f"{declared.origin}: {declared.sheet} is not read, so rows are not checked")
            return None
        return relative

    def _undeclared(self, name: str, setting: Setting) -> None:
        """A parameter that only a script or the configuration knows."""
        if not _PARAMETER.fullmatch(name):
            self._warn(f"{setting.origin}: params.{name} can't be given here")
            return
        value = setting.value
        missing = (
            bool(setting.type) and not value.text and value.data is None and not setting.type.endswith("?")
        )
        if name not in self.results and _INPUT_NAME.fullmatch(name) and self._is_path(name, setting):
            used, where = self._scripts.paths.get(name, ("", ""))
            self.inputs[name] = Input(
                title=name,
                required=missing,
                kind="folder" if used == "folder" else "any",
                pattern=used == "pattern" or "*" in value.text,
                engine_default=_shown(value.data) if value.kind == "literal" else value.text,
            )
            self.origins[f"inputs.{name}"] = setting.origin + (
                f", used as a path in {where}" if where else ""
            )
            return
        group = {"group": f"Not in {FILE}", "hidden": True} if self._schema.parameters else {}
        self.properties[name] = {**self._property(name, setting), **group}
        self.origins[f"parameters.{name}"] = setting.origin
        if missing:
            self.required.append(name)

    def _is_path(self, name: str, setting: Setting) -> bool:
        """Whether a parameter is used as a path, set relative to the project, or declared as one."""
        value, declared = setting.value, _declared_type(setting)
        beside = value.kind == "template" and IN_PROJECT.match(value.text) is not None
        texts = declared in {"", "Path"} and (
            value.kind != "literal" or isinstance(value.data, (str, type(None)))
        )
        return texts and (bool(self._scripts.paths.get(name, ("", ""))[0]) or beside or declared == "Path")

    def _property(self, name: str, setting: Setting) -> dict[str, Any]:
        """JSON Schema of a parameter, by its declared type, else by what it is set to."""
        value, declared = setting.value, _declared_type(setting)
        prop: dict[str, Any] = {"title": name, "type": list(_UNTYPED)}
        if declared in TYPES:
            prop["type"] = TYPES[declared]
        elif value.kind == "literal" and value.data is not None:
            prop["type"] = _type_of(value.data)
        elif value.kind == "template":
            prop["type"] = "string"
        elif value.kind == "code":
            self._warn(f"{setting.origin}: params.{name} is computed by the engine: {clipped(value.text)}")
        if not setting.certain:
            self._warn(f"{setting.origin}: params.{name} is set under a condition")
        if value.kind != "literal":
            prop["engine_default"] = value.text
        elif value.data is not None:
            prop["engine_default"] = value.data
        return prop

    def _result(self, name: str) -> None:
        """
        Results are looked for in one folder of the run's: what the user names is where they are copied to.
        """
        prop = self.properties.get(name)
        if prop is None:
            return
        for key in ("pattern", "format", "enum", "const"):
            prop.pop(key, None)
        prop |= {"default": FOLDER, "results": True}
        self._warn(
            f"{name} is {FOLDER} for the run; {name}=PLACE lets the results be copied there when it ends"
        )


def _kinds(prop: Mapping[str, Any]) -> list[str]:
    kinds = prop.get("type", "string")
    return kinds if isinstance(kinds, list) else [kinds]


def _type_of(data: Any) -> str | list[str]:
    """Type of a parameter by what the pipeline sets; a whole number doesn't say that no other one fits."""
    if isinstance(data, bool):
        return "boolean"
    if isinstance(data, (int, float)):
        return ["integer", "number"]
    return "array" if isinstance(data, list) else "object" if isinstance(data, dict) else "string"


def _shown(default: Any) -> str:
    return "" if default is None else clipped(str(default))


def clipped(text: str) -> str:
    """In one line that can be shown."""
    return printing.clipped(" ".join(text.split()), 200)


def _declared_type(setting: Setting) -> str:
    """``List`` of ``List<Path>?``."""
    return setting.type.removesuffix("?").split("<")[0].strip()
