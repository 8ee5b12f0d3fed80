"""What a ``reana.yaml`` declares: pipeline, parameters, files and outputs."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from esap_wf.code import repositories
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import Output

#: Type in the file → engines that may run it.
ENGINES = {"serial": ("command",), "snakemake": ("snakemake",), "cwl": ("cwl", "toil")}
PROJECT = "project"
_NAME = re.compile(r"reana(?:[-_.][A-Za-z0-9_.-]+)?\.ya?ml")
#: A path inside the workspace.
INSIDE = re.compile(r"(?!/)(?!.*(?:^|/)\.\.(?:/|$))[^\x00-\x1f\x7f]{1,250}")


@dataclass(frozen=True)
class Declared:
    """What the file says: its folder is the workspace; `pipeline` is what the engine reads."""

    document: Document
    root: Path
    kind: str
    pipeline: Path

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines that may run it."""
        return ENGINES[self.kind]

    @property
    def file(self) -> Path:
        """The file itself."""
        return Path(self.document.source)


def find(path: Path) -> Path | None:
    """The file that is meant: itself, or ``reana.yaml`` of a folder."""
    if path.is_dir():
        return path / "reana.yaml" if (path / "reana.yaml").is_file() else None
    return path if _NAME.fullmatch(path.name) and path.is_file() else None


def declared(path: Path) -> Declared | None:
    """
    Read the file at a path, if there is one.

    Raises
    ------
    UsageError
        Every problem with its line.
    """
    file = find(path)
    if file is None:
        return None
    document = documents.load(file)
    problems = list(_problems(document, file.parent))
    if problems:
        raise UsageError("the reana.yaml is not valid", problems)
    workflow = document.data["workflow"]
    kind = workflow["type"]
    pipeline = file if kind == "serial" else file.parent / workflow["file"]
    return Declared(document, file.parent, kind, pipeline)


def _problems(document: Document, root: Path) -> Iterator[Problem]:
    """What is wrong with the file."""
    data = document.data
    workflow = data.get("workflow") if isinstance(data, dict) else None
    if not isinstance(workflow, dict):
        yield Problem(document.where(), "workflow is missing; it needs type, and file or specification")
        return
    kind = workflow.get("type")
    if kind not in ENGINES:
        where = document.where(["workflow", "type"])
        yield Problem(where, f"{kind!r} can't be run", f"one of {', '.join(ENGINES)}")
        return
    yield from _serial(document, workflow) if kind == "serial" else _file(document, workflow, root)
    inputs = data.get("inputs") or {}
    if not isinstance(inputs, dict) or not isinstance(inputs.get("parameters") or {}, dict):
        yield Problem(document.where(["inputs"]), "must be a mapping with files, directories and parameters")
        return
    for part in ("inputs", "outputs"):
        for key in ("files", "directories"):
            yield from _paths(document, root, part, key)


def _serial(document: Document, workflow: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the steps of a serial workflow."""
    specification = workflow.get("specification")
    steps = specification.get("steps") if isinstance(specification, dict) else None
    if not isinstance(steps, list) or not steps:
        yield Problem(document.where(["workflow"]), "a serial workflow needs specification.steps")
        return
    for i, step in enumerate(steps):
        at: list[str | int] = ["workflow", "specification", "steps", i]
        commands = step.get("commands") if isinstance(step, dict) else None
        if not isinstance(commands, list) or not commands or not all(isinstance(c, str) for c in commands):
            yield Problem(document.where(at), "a step needs a list of commands")
        if not isinstance(step, dict) or not isinstance(step.get("environment"), str):
            yield Problem(document.where(at), "a step needs an environment, the name of an image")


def _file(document: Document, workflow: dict[str, Any], root: Path) -> Iterator[Problem]:
    """What is wrong with the file that an engine is to read."""
    name = workflow.get("file")
    if not isinstance(name, str) or not INSIDE.fullmatch(name) or not (root / name).is_file():
        yield Problem(document.where(["workflow", "file"]), f"there is no file {name!r} beside it")


def _paths(document: Document, root: Path, part: str, key: str) -> Iterator[Problem]:
    """What is wrong with ``files`` or ``directories`` of inputs or outputs."""
    declared_part = document.data.get(part) or {}
    names = declared_part.get(key) or [] if isinstance(declared_part, dict) else None
    if not isinstance(names, list):
        yield Problem(document.where([part]), f"{key} must be a list of paths")
        return
    for i, name in enumerate(names):
        if not isinstance(name, str) or not INSIDE.fullmatch(name):
            yield Problem(document.where([part, key, i]), "is not a path inside the workspace")
        elif part == "inputs" and not (root / name).exists():
            yield Problem(document.where([part, key, i]), f"there is no {name} beside it")


def values(found: Declared) -> tuple[dict[str, Any], Document, list[str]]:
    """
    Parameters, the document in which they stand, and where in it: REANA's ``parameters.input`` names a file
    of them.
    """
    parameters = (found.document.data.get("inputs") or {}).get("parameters") or {}
    if (
        found.kind != "serial"
        and isinstance(parameters.get("input"), str)
        and (found.root / parameters["input"]).is_file()
    ):
        document = documents.load(found.root / parameters["input"])
        if not isinstance(document.data, dict):
            raise UsageError(
                "the reana.yaml is not valid",
                [Problem(document.source, "is not a mapping of names to values")],
            )
        return document.data, document, []
    return parameters, found.document, ["inputs", "parameters"]


def files(found: Declared) -> tuple[str, ...] | None:
    """What REANA would upload: that, and the file itself, is the snapshot. None if the file names nothing."""
    inputs = found.document.data.get("inputs") or {}
    names = [*(inputs.get("files") or []), *(inputs.get("directories") or [])]
    taken = {found.file.relative_to(found.root).as_posix(), found.pipeline.relative_to(found.root).as_posix()}
    for name in names:
        path = found.root / name
        inside = repositories.look(path).names if path.is_dir() else [""]
        taken |= {(PurePosixPath(name) / n).as_posix() for n in inside}
    return tuple(sorted(taken)) if names else None


def outputs(found: Declared) -> tuple[list[Output], dict[str, str]]:
    """Declared results, in the workspace."""
    declared_outputs = found.document.data.get("outputs") or {}
    made: dict[str, Output] = {}
    origins: dict[str, str] = {}
    for key in ("files", "directories"):
        for i, text in enumerate(declared_outputs.get(key) or []):
            path = f"{PROJECT}/{glob.escape(str(PurePosixPath(text)))}"
            name = re.sub(r"[^a-z0-9]+", "_", str(text).lower()).strip("_")[:50] or "output"
            name = name if name[0].isalpha() else f"output_{name}"
            while name in made:
                name += "_"
            made[name] = Output(name=name, path=path, required=True)
            origins[f"outputs.{name}"] = found.document.line(["outputs", key, i])
    return list(made.values()), origins
