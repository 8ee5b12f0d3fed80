"""
A bare container with a command: ``task.yaml`` names the image and the words of the command (docs/tasks.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esap_wf.engines import Interface, Job, settings
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.formats.documents import Document
from esap_wf.models import Model
from esap_wf.models.manifest import Input, InputName, Output, Software, Text
from esap_wf.models.plan import EngineChoice
from esap_wf.tasks import CONTAINER, Step, Steps

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TaskFile(Model, frozen=True, kw_only=True):
    """
    ``task.yaml``.

    `command` is a list of words, in which ``{name}`` stands for a parameter or an input. A list in the list
    is left out if what it names has no value. What stands beside `command` and `image` describes the task
    where no manifest does.
    """

    command: list[Text | list[Text]]
    image: Text | None = None
    task: Text = CONTAINER
    title: str = ""
    description: str = ""
    version: str = ""
    parameters: dict[str, dict[str, Any]] = {}
    required: list[str] = []
    inputs: dict[InputName, Input] = {}
    outputs: list[Output] = []


class Container:
    """See `esap_wf.tasks.Task`."""

    name = CONTAINER
    title = "a container with a command"
    engine = "command"

    def knows(self, file: str) -> bool:
        """``task.yaml``, ``NAME.task.yaml``."""
        return Path(file).name == "task.yaml" or file.endswith(".task.yaml")

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """What the file says of itself."""
        file = path / "task.yaml" if path.is_dir() else path
        if not (self.knows(file.name) and file.is_file()):
            return None
        document = documents.load(file)
        task = read_task(document)
        problems = [
            Problem(
                document.where(["command"]),
                f"{{{name}}} is neither a parameter nor an input",
                schemas.closest(name, _names(task)),
            )
            for name in sorted(named_in(task) - _names(task))
        ]
        if task.image is None:
            problems.append(
                Problem(
                    document.where(),
                    "image is missing: without a manifest nothing else says where the software is",
                )
            )
        if problems:
            raise UsageError("the task is not valid", problems)
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": False,
            "properties": {n: {"title": n, **p} for n, p in task.parameters.items()},
            "required": task.required,
        }
        origins = {
            f"{kind}.{name}": document.line([kind, name])
            for kind in ("parameters", "inputs")
            for name in getattr(task, kind)
        }
        return Interface(
            root=file.parent,
            file=file.name,
            schema=schema,
            inputs=task.inputs,
            outputs=tuple(task.outputs),
            title=task.title,
            version=task.version,
            description=task.description,
            images=(task.image or "",),
            software=(Software(container=task.image),),
            origins=origins,
        )

    def steps(self, choice: EngineChoice, job: Job) -> Steps:
        """One command, in the image if the software's route is one."""
        if job.source is None:
            raise UsageError("the task can't be rendered", [Problem(job.entry, "its file does not exist")])
        task = read_task(documents.load(job.source))
        values: dict[str, Any] = dict(job.parameters)
        values |= dict(job.selected)
        for name, given in job.inputs.items():
            values[name] = [settings.path_of(given, i) for i in range(len(given.refs))] or None
        words = list(_words(task, values, job.source))
        outside = {
            str(Path(p))
            for given in job.inputs.values()
            for ref in given.refs
            if (p := ref.path) and p.startswith("/")
        }
        name = re.sub(r"[^a-z0-9-]+", "-", job.workflow.lower()).strip("-") or "command"
        return Steps(
            [Step(name, words, container=job.software.container, read_only=tuple(sorted(outside)))], {}
        )


def read_task(document: Document) -> TaskFile:
    """A task's file; UsageError with every problem."""
    task = schemas.convert(document, TaskFile, "task")
    if not task.command or not isinstance(task.command[0], str):
        raise UsageError(
            "the task is not valid", [Problem(document.where(["command"]), "must begin with the program")]
        )
    broken = [
        w
        for w in _flat(task)
        for m in _PLACE.finditer(w)
        if m[0] in "{}" or (m[1] is not None and not m[1].strip())
    ]
    if broken:
        hint = "to write a brace, double it: {{ }}"
        raise UsageError(
            "the task is not valid",
            [
                Problem(document.where(["command"]), f"{w!r} contains an unmatched brace", hint)
                for w in broken
            ],
        )
    return task


def named_in(task: TaskFile) -> set[str]:
    """Parameters and inputs that a command names."""
    return {m[1] for w in _flat(task) for m in _PLACE.finditer(w) if m[1] is not None}


def _names(task: TaskFile) -> set[str]:
    return {*task.parameters, *task.inputs}


def _flat(task: TaskFile) -> Iterator[str]:
    for word in task.command:
        yield from [word] if isinstance(word, str) else word


def _words(task: TaskFile, values: dict[str, Any], file: Path) -> Iterator[str]:
    """The words of the command with their values; a list whose value is missing is left out."""
    for entry in task.command:
        words = [entry] if isinstance(entry, str) else entry
        names = {m[1] for w in words for m in _PLACE.finditer(w) if m[1] is not None}
        absent = [n for n in names if values.get(n) is None]
        if absent and not isinstance(entry, str):
            continue
        if absent:
            hint = "write its words as a list within the list, which is then left out"
            raise UsageError(
                "the command is not complete", [Problem(f"{file}: {n}", "has no value", hint) for n in absent]
            )
        for word in words:
            match = re.fullmatch(r"\{([^{}]*)\}", word)
            if match and isinstance(values[match[1]], list):
                yield from (_shown(v) for v in values[match[1]])
            else:
                yield _PLACE.sub(lambda m: m[0][0] if m[1] is None else _one(values[m[1]]), word)


def _one(value: Any) -> str:
    return ",".join(_shown(v) for v in value) if isinstance(value, list) else _shown(value)


def _shown(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)
