"""The interface of a Nextflow pipeline without a manifest: ``nextflow_schema.json``, else the ``params`` of
scripts and configuration.

Called by the Nextflow engine.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from esap_wf.code import repositories, selection
from esap_wf.engines import Interface
from esap_wf.engines.nextflow import beside as nextflow_beside
from esap_wf.engines.nextflow import profiles
from esap_wf.engines.nextflow import project as nextflow_project
from esap_wf.engines.nextflow import schema as nextflow_schema
from esap_wf.engines.nextflow import scripts as nextflow_scripts
from esap_wf.engines.nextflow.configuration import RUNTIMES
from esap_wf.engines.nextflow.parameters import FOLDER, IN_PROJECT, Parameters, clipped
from esap_wf.engines.nextflow.schema import Schema
from esap_wf.engines.nextflow.scripts import Scripts
from esap_wf.engines.nextflow.settings import Settings
from esap_wf.engines.nextflow.statements import read_config
from esap_wf.errors import Problem, UsageError
from esap_wf.models.manifest import Output


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
        self.warn = settings.warn
        for warning in schema.warnings:
            self.warn(warning)
        self.root, self.files, self.root_warnings = self._find_root()
        self.parameters = Parameters(settings, scripts, schema, project, self.root)
        self.origins = self.parameters.origins

    def interface(self) -> Interface:
        """Everything."""
        settings, parameters = self.settings, self.parameters
        for warning in profiles.elsewhere(settings):
            self.warn(warning)
        for warning in self.root_warnings:
            self.warn(warning)
        root, files = self.root, self.files
        outputs = self._outputs()
        beside = self._beside(outputs)
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
            named=(*self._named(), *beside.values()),
            beside=beside,
            schema={
                "type": "object",
                "additionalProperties": False,
                "properties": parameters.properties,
                "required": parameters.required,
            },
            inputs=parameters.inputs,
            outputs=outputs,
            requires=settings.text("manifest.nextflowVersion") or None,
            title=title,
            version=settings.text("manifest.version"),
            description=settings.text("manifest.description") or self.schema.description,
            authors=self._authors(),
            license=settings.text("manifest.license") or None,
            citation=tuple(d.strip() for d in settings.text("manifest.doi").split(",") if d.strip()),
            images=tuple(self._images()),
            contained=self._contained(),
            origins=self.origins,
            warnings=tuple(settings.warnings),
        )

    def _authors(self) -> tuple[str, ...]:
        contributors = self.settings.literal("manifest.contributors")
        people = (
            [c["name"] for c in contributors if isinstance(c, dict) and isinstance(c.get("name"), str)]
            if isinstance(contributors, list)
            else []
        )
        named = self.settings.text("manifest.author").split(",")
        return tuple(people) or tuple(a.strip() for a in named if a.strip())

    def _outputs(self) -> tuple[Output, ...]:
        """Patterns of all that is published."""
        folders: dict[str, str] = {}
        if self.parameters.results:
            first = sorted(self.parameters.results)[0]
            folders[FOLDER] = self.origins.get(f"parameters.{first}", "")
        for published, where in self.scripts.published:
            text = published.data if published.kind == "literal" else None
            if isinstance(text, str) and (folder := _own(text)):
                folders.setdefault(folder, where)
            elif isinstance(text, str) and os.path.normpath(text).startswith(("/", "..")):
                self.warn(
                    f"{where}: it publishes to {clipped(text)}, outside the run, so what it writes there is "
                    "not among the results"
                )
        if self.scripts.outputs:
            setting = self.settings.last("outputDir")
            folder = _own(self.settings.text("outputDir")) if setting else "results"
            if folder:
                folders.setdefault(folder, self.scripts.outputs)
        if not folders:
            self.warn(
                "no results are published, as far as the scripts show: they stay in the engine's work folder"
            )
        found = []
        for i, (folder, where) in enumerate(folders.items()):
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
                f"{where.origin if where else ''}: {enabled[0]}, but the image can't be told in advance: "
                "steps find their software on PATH"
            )
        return bool(enabled)

    def _find_root(self) -> tuple[Path, tuple[str, ...] | None, list[str]]:
        whole = self.is_project or self.scripts.needs_project
        return nextflow_project.root(self.main, {*self.scripts.files, *self.settings.files}, whole)

    def _beside(self, outputs: tuple[Output, ...]) -> dict[str, str]:
        """
        What is found by a relative path, in the script's folder, or at the top of the project or repository.
        """
        texts = {
            *self.scripts.texts,
            *(s.value.data for s in self.parameters.set.values() if isinstance(s.value.data, str)),
        }
        texts |= {i.engine_default for i in self.parameters.inputs.values()}
        written = {o.path.split("/")[0] for o in outputs}
        written |= {
            posixpath.normpath(t)
            for n in self.parameters.results
            if isinstance(t := self.settings.literal(f"params.{n}"), str)
        }
        starts = [self.project, self.launch.parent if self.launch else repositories.top_of(self.main)]
        found, clashes = nextflow_beside.beside(texts, list(filter(None, starts)), self.root, written)
        for name in clashes:
            own = name.split("/")[0]
            self.warn(
                f"{name} can't be found where Nextflow is started: a run has a {own} of its own; name it by "
                "projectDir"
            )
        return found

    def _named(self) -> Iterator[str]:
        """Files that the pipeline reads for sure, although git may ignore them."""
        defaults = [
            IN_PROJECT.sub(lambda _: str(self.project), i.engine_default).replace("}", "", 1)
            for i in self.parameters.inputs.values()
            if i.engine_default
        ]
        for path in (
            *self.scripts.files,
            *self.settings.files,
            self.project / nextflow_schema.FILE,
            *(self.project / d for d in defaults),
        ):
            normal = Path(os.path.normpath(path))
            if normal.is_relative_to(self.root) and normal != self.root and normal.exists():
                yield normal.relative_to(self.root).as_posix()


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
