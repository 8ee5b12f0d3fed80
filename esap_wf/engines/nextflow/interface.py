"""The interface of a Nextflow pipeline without a manifest: ``nextflow_schema.json``, else the ``params`` of
scripts and configuration.

Called by the Nextflow engine.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from esap_wf.code import repositories, selection
from esap_wf.engines import Interface
from esap_wf.engines.nextflow import beside as nextflow_beside
from esap_wf.engines.nextflow import profiles
from esap_wf.engines.nextflow import project as nextflow_project
from esap_wf.engines.nextflow import schema as nextflow_schema
from esap_wf.engines.nextflow import scripts as nextflow_scripts
from esap_wf.engines.nextflow.configuration import RUNTIMES
from esap_wf.engines.nextflow.groovy_values import Value
from esap_wf.engines.nextflow.schema import Declared, Schema
from esap_wf.engines.nextflow.scripts import Scripts
from esap_wf.engines.nextflow.settings import TYPES, Setting, Settings, read_config
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import reading
from esap_wf.models.manifest import Input, Output

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
_HERE = re.compile(r"^\$\{?(?:workflow\.)?(?:projectDir|baseDir)\b")
#: A map with more entries is a table of the pipeline's own.
_TABLE = 40
_UNTYPED = ["string", "integer", "number", "boolean"]


def derive(path: Path, item: str | None) -> Interface | None:
    """
    The interface of a pipeline.

    Parameters
    ----------
    path : Path
        A script, or a project: ``manifest.mainScript``, ``main.nf``, or its only script that no other one
        includes.
    item : str, optional
        Named workflow of the script (``-entry``).

    Returns
    -------
    Interface or None
        None if there is no Nextflow script.

    Raises
    ------
    UsageError
        Every problem with file and line; several scripts that may be meant.
    """
    settings = Settings()
    main = nextflow_project.main_script(path)
    if main is None:
        return None
    main = main.absolute()
    project = main.parent
    scripts = nextflow_scripts.read_scripts(main, project, settings)
    config, launch = project / nextflow_project.CONFIG, nextflow_project.launch_config(path, main)
    for file in filter(None, (config if config.is_file() else None, launch)):
        read_config(settings, file, project)
    schema = Schema()
    if described := next(
        (d for f in (config, launch) if f and (d := f.parent / nextflow_schema.FILE).is_file()), None
    ):
        try:
            schema = nextflow_schema.read_schema(described)
        except UsageError as error:
            settings.problems += error.problems
    problems = settings.problems + schema.problems
    if item and item not in scripts.workflows:
        has = f"it has {', '.join(scripts.workflows)}" if scripts.workflows else "it has no named workflow"
        problems.append(Problem(str(main), f"there is no workflow {item}", has))
    if problems:
        raise UsageError(f"{main} is not a valid Nextflow pipeline", problems)
    return _Derivation(
        main, project, settings, scripts, schema, path.is_dir() or config.is_file(), launch
    ).interface()


class _Derivation:
    """All that was read, brought together."""

    def __init__(
        self,
        main: Path,
        project: Path,
        settings: Settings,
        scripts: Scripts,
        schema: Schema,
        is_project: bool,
        launch: Path | None,
    ) -> None:
        self.main, self.project, self.settings, self.scripts, self.schema = (
            main,
            project,
            settings,
            scripts,
            schema,
        )
        self.is_project, self.launch = is_project or launch is not None, launch
        self.properties: dict[str, dict[str, Any]] = {}
        self.inputs: dict[str, Input] = {}
        self.required: list[str] = []
        self.origins: dict[str, str] = {}
        self.warn = settings.warn

    def interface(self) -> Interface:
        """Everything."""
        for warning in self.schema.warnings:
            self.warn(warning)
        set_ = {n: s for n, s in self._set().items() if n not in _NOT_ASKED}
        results = self._results(set_)
        for name, declared in self.schema.parameters.items():
            if name in _NOT_ASKED:
                continue
            self._declared(name, declared, set_.get(name), results)
        for name, setting in set_.items():
            if name not in self.schema.parameters:
                self._found(name, setting, results)
        for name in sorted(results):
            self._result(name)
        settings = self.settings
        for warning in profiles.elsewhere(settings):
            self.warn(warning)
        contributors = settings.literal("manifest.contributors")
        people = (
            [c["name"] for c in contributors if isinstance(c, dict) and isinstance(c.get("name"), str)]
            if isinstance(contributors, list)
            else []
        )
        authors = tuple(people) or tuple(
            a.strip() for a in settings.text("manifest.author").split(",") if a.strip()
        )
        root, files, warnings = self._root
        for warning in warnings:
            self.warn(warning)
        outputs = self._outputs(results)
        beside = self._beside(root, results, outputs)
        if files is not None:
            files = tuple(sorted({*files, *(n for b in beside.values() for n in selection.below(root, b))}))
        name = settings.text("manifest.name").rsplit("/", 1)[-1]
        name = name or (self.main.stem if files is not None else self.project.name)
        title = settings.text("manifest.name") or (
            self.project.name if self.main.name == "main.nf" else self.main.stem
        )
        return Interface(
            root=root,
            file=self.main.relative_to(root).as_posix(),
            name=name,
            files=files,
            named=(*self._named(root), *beside.values()),
            beside=beside,
            schema={
                "type": "object",
                "additionalProperties": False,
                "properties": self.properties,
                "required": self.required,
            },
            inputs=self.inputs,
            outputs=outputs,
            requires=settings.text("manifest.nextflowVersion") or None,
            title=title,
            version=settings.text("manifest.version"),
            description=settings.text("manifest.description") or self.schema.description,
            authors=authors,
            license=settings.text("manifest.license") or None,
            citation=tuple(d.strip() for d in settings.text("manifest.doi").split(",") if d.strip()),
            images=tuple(self._images()),
            contained=self._contained(),
            origins=self.origins,
            warnings=tuple(settings.warnings),
        )

    def _set(self) -> dict[str, Setting]:
        """Parameters that scripts and configuration set; a large map is one, and none that one gives."""
        found = self.settings.below("params")
        tops: dict[str, int] = {}
        for name in found:
            tops[name.split(".")[0]] = tops.get(name.split(".")[0], 0) + 1
        tables = {n for n, count in tops.items() if count > _TABLE}
        for name in sorted(tables):
            self.warn(f"params.{name} is a table of the pipeline's own and can't be given")
        # a.b beside a: the later says what it is
        parents = {n.rsplit(".", i)[0] for n in found for i in range(1, n.count(".") + 1)}
        there = {n: s for n, s in found.items() if n.split(".")[0] not in tables and n not in parents}
        return {**there, **self._used({n.split(".")[0] for n in (*found, *self.schema.parameters)})}

    def _used(self, known: set[str]) -> dict[str, Setting]:
        """Parameters that scripts only read: the bare engine takes them, too."""
        used = {n: where for n, where in self.scripts.used.items() if n.split(".")[0] not in known}
        alone = {n for n in used if not any(n.startswith(f"{other}.") for other in used)}
        return {
            n: Setting(f"params.{n}", Value("literal", None, ""), where)
            for n, where in used.items()
            if n in alone
        }

    def _results(self, set_: Mapping[str, Setting]) -> set[str]:
        """Parameters that say where results go: what `publishDir` begins with, else one that is named so."""
        known = {*self.schema.parameters, *set_}
        named = {n for n in known if re.sub(r"[_-]", "", n.rsplit(".", 1)[-1].lower()) in _RESULTS}
        for published, _ in self.scripts.published:
            begins = nextflow_scripts.parameter_of(published)
            if begins and begins[0] in known and (not begins[1] or begins[1].startswith("/")):
                named.add(begins[0])
        # a folder that is read from is none
        return {
            n
            for n in named
            if self.scripts.paths.get(n, ("", ""))[0] != "pattern"
            or re.sub(r"[_-]", "", n.lower()) in _RESULTS
        }

    def _declared(self, name: str, declared: Declared, setting: Setting | None, results: set[str]) -> None:
        """
        A parameter of the schema; what the configuration sets counts before the schema's word of the default.
        """
        if not _PARAMETER.fullmatch(name):
            self.warn(f"{declared.origin}: {name!r} can't be given here")
            return
        prop = dict(declared.property)
        if setting is not None and setting.value.kind != "literal":
            prop["engine_default"] = setting.value.text
        elif setting is not None and setting.value.data is not None:
            prop["engine_default"] = setting.value.data
        default = prop.get("engine_default")
        needed = declared.required and default in (None, "") and name not in results
        kind = declared.kind
        if name in self.scripts.paths and not kind and "string" in _kinds(prop) and "enum" not in prop:
            kind = "folder" if self.scripts.paths[name][0] == "folder" else "any"
        if (
            kind
            and name not in results
            and declared.exists is not False
            and _INPUT_NAME.fullmatch(name)
            and "array" not in _kinds(prop)
        ):
            self.inputs[name] = Input(
                title=prop["title"],
                description=prop.get("description", ""),
                required=needed,
                kind=kind,  # type: ignore[arg-type]
                pattern=declared.pattern or self.scripts.paths.get(name, ("", ""))[0] == "pattern",
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
        path = self.project / declared.sheet
        root = self._root[0]
        if not path.is_file():
            self.warn(f"{declared.origin}: there is no {path}, so rows are not checked")
            return None
        relative = (
            Path(os.path.normpath(path)).relative_to(root).as_posix()
            if reading.real(path).is_relative_to(root.resolve())
            else ""
        )
        if not relative or relative.startswith(("..", "-")) or not relative.isprintable():
            self.warn(f"{declared.origin}: {declared.sheet} is not read, so rows are not checked")
            return None
        return relative

    def _found(self, name: str, setting: Setting, results: set[str]) -> None:
        """A parameter that only a script or the configuration knows."""
        if not _PARAMETER.fullmatch(name):
            self.warn(f"{setting.origin}: params.{name} can't be given here")
            return
        value, declared = setting.value, setting.type.removesuffix("?").split("<")[0].strip()
        missing = (
            bool(setting.type) and not value.text and value.data is None and not setting.type.endswith("?")
        )
        used, where = self.scripts.paths.get(name, ("", ""))
        beside = value.kind == "template" and _HERE.match(value.text) is not None
        group = {"group": f"Not in {nextflow_schema.FILE}", "hidden": True} if self.schema.parameters else {}
        is_path = bool(used) or beside or declared == "Path"
        texts = declared in {"", "Path"} and (
            value.kind != "literal" or isinstance(value.data, (str, type(None)))
        )
        if is_path and texts and name not in results and _INPUT_NAME.fullmatch(name):
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
        prop: dict[str, Any] = {"title": name, "type": list(_UNTYPED)}
        if declared in TYPES:
            prop["type"] = TYPES[declared]
        elif value.kind == "literal" and value.data is not None:
            prop["type"] = _type_of(value.data)
        elif value.kind == "template":
            prop["type"] = "string"
        elif value.kind == "code":
            self.warn(f"{setting.origin}: params.{name} is computed by the engine: {_clipped(value.text)}")
        if not setting.certain:
            self.warn(f"{setting.origin}: params.{name} is set under a condition")
        if value.kind != "literal":
            prop["engine_default"] = value.text
        elif value.data is not None:
            prop["engine_default"] = value.data
        self.properties[name] = {**prop, **group}
        self.origins[f"parameters.{name}"] = setting.origin
        if missing:
            self.required.append(name)

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
        self.warn(
            f"{name} is {FOLDER} for the run; {name}=PLACE lets the results be copied there when it ends"
        )

    def _outputs(self, results: set[str]) -> tuple[Output, ...]:
        """Patterns of all that is published."""
        places: dict[str, str] = {}
        if results:
            first = sorted(results)[0]
            places[FOLDER] = self.origins.get(f"parameters.{first}", "")
        for published, where in self.scripts.published:
            text = published.data if published.kind == "literal" else None
            if isinstance(text, str) and (folder := _own(text)):
                places.setdefault(folder, where)
            elif isinstance(text, str) and os.path.normpath(text).startswith(("/", "..")):
                self.warn(
                    f"{where}: it publishes to {_clipped(text)}, outside the run, so what it "
                    "writes there "
                    "is not among the results"
                )
        if self.scripts.outputs:
            setting = self.settings.last("outputDir")
            folder = _own(self.settings.text("outputDir")) if setting else "results"
            if folder:
                places.setdefault(folder, self.scripts.outputs)
        if not places:
            self.warn(
                "no results are published, as far as the scripts show: they stay in the engine's work folder"
            )
        found = []
        for i, (folder, where) in enumerate(places.items()):
            name = "results" if not i else f"results_{i + 1}"
            found.append(
                Output(
                    name=name, title=f"files in {folder}", path=f"{folder}/**/*", required=False, guess=True
                )
            )
            self.origins[f"outputs.{name}"] = where
        return tuple(found)

    def _images(self) -> list[str]:
        found: dict[str, None] = {}
        values = [*self.scripts.images]
        values += [
            (s.value, s.origin)
            for s in self.settings.found
            if s.name.startswith("process.") and s.name.endswith(".container")
        ]
        for image, where in values:
            names = nextflow_scripts.images_of(image)
            found |= dict.fromkeys(names)
            if image.kind != "literal":
                self.warn(f"{where}: the image is chosen when it runs")
        return list(found)

    def _contained(self) -> bool:
        """Whether the pipeline's configuration itself starts containers."""
        enabled = [f"{name}.enabled" for name in RUNTIMES if self.settings.literal(f"{name}.enabled") is True]
        if enabled and not self._images():
            where = self.settings.last(enabled[0])
            self.warn(
                f"{where.origin if where else ''}: {enabled[0]}, but the image can't be told in "
                "advance: "
                "steps find their software on PATH"
            )
        return bool(enabled)

    @cached_property
    def _root(self) -> tuple[Path, tuple[str, ...] | None, list[str]]:
        whole = self.is_project or self.scripts.needs_project
        return nextflow_project.root(self.main, {*self.scripts.files, *self.settings.files}, whole)

    def _beside(self, root: Path, results: set[str], outputs: tuple[Output, ...]) -> dict[str, str]:
        """
        What is found by a relative path, in the script's folder, or at the top of the project or repository.
        """
        texts = {
            *self.scripts.texts,
            *(s.value.data for s in self._set().values() if isinstance(s.value.data, str)),
        }
        texts |= {i.engine_default for i in self.inputs.values()}
        written = {o.path.split("/")[0] for o in outputs}
        written |= {
            posixpath.normpath(t)
            for n in results
            if isinstance(t := self.settings.literal(f"params.{n}"), str)
        }
        starts = [self.project, self.launch.parent if self.launch else repositories.top_of(self.main)]
        found, clashes = nextflow_beside.beside(texts, list(filter(None, starts)), root, written)
        for name in clashes:
            own = name.split("/")[0]
            self.warn(
                f"{name} can't be found where Nextflow is started: a run has a {own} of its own; "
                "name it "
                "by projectDir"
            )
        return found

    def _named(self, root: Path) -> Iterator[str]:
        """Files that the pipeline reads for sure, although git may ignore them."""
        defaults = [
            _HERE.sub(lambda _: str(self.project), i.engine_default).replace("}", "", 1)
            for i in self.inputs.values()
            if i.engine_default
        ]
        for path in (
            *self.scripts.files,
            *self.settings.files,
            self.project / nextflow_schema.FILE,
            *(self.project / d for d in defaults),
        ):
            place = Path(os.path.normpath(path))
            if place.is_relative_to(root) and place != root and place.exists():
                yield place.relative_to(root).as_posix()


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
    return "" if default is None else _clipped(str(default))


def _clipped(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:197] + "…"


def _own(text: str) -> str:
    """A folder below the launch folder in which results may be looked for; empty if it is none."""
    folder = os.path.normpath(text)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,200}", folder) or folder.split("/")[0] in {
        "code",
        "engine",
        "logs",
        "work",
    }:
        return ""
    return folder
