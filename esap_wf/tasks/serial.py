"""A serial workflow of REANA: commands, one after the other, each in an image (``reana.yaml``)."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Any

from esap_wf.engines import Interface, Job, settings
from esap_wf.errors import Problem, UsageError
from esap_wf.models.manifest import Input
from esap_wf.models.plan import EngineChoice
from esap_wf.tasks import SERIAL, Step, Steps, reana
from esap_wf.tasks.reana import PROJECT, Declared

#: REANA pastes values into shell lines: of a user's value nothing may mean anything to a shell.
_HARMLESS = re.compile(r"[A-Za-z0-9_./:,@%+= -]*")


class Serial:
    """See `esap_wf.tasks.Task`."""

    name = SERIAL
    title = "a serial workflow of REANA"
    engine = "command"

    def knows(self, file: str) -> bool:
        """``reana.yaml`` and ``reana-NAME.yaml``."""
        return re.fullmatch(r"reana(?:[-_.][A-Za-z0-9_.-]+)?\.ya?ml", Path(file).name) is not None

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """Parameters, files that they name, outputs."""
        found = reana.declared(path)
        if found is None or found.kind != "serial":
            return None
        given, document, pointer = reana.values(found)
        properties: dict[str, dict[str, Any]] = {}
        inputs: dict[str, Input] = {}
        outputs, origins = reana.outputs(found)
        files = reana.files(found)
        for name, value in given.items():
            where = document.line([*pointer, name])
            if isinstance(value, str) and files and value in files:
                inputs[name] = Input(title=name, required=False, engine_default=value)
                origins[f"inputs.{name}"] = where
            else:
                kind = {bool: "boolean", int: ["integer", "number"], float: "number"}.get(
                    type(value), "string"
                )
                properties[name] = {
                    "type": kind,
                    "title": name,
                    "default": value if isinstance(value, (bool, int, float)) else str(value),
                }
                origins[f"parameters.{name}"] = where
        images = list(dict.fromkeys(_image(step) for step in _steps(found)))
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "required": [],
        }
        return Interface(
            root=found.root,
            file=found.file.name,
            schema=schema,
            inputs=inputs,
            outputs=tuple(outputs),
            images=tuple(images),
            files=files,
            contained=True,
            origins={**origins, "reana": str(found.file)},
        )

    def steps(self, choice: EngineChoice, job: Job) -> Steps:
        """One step a command, in the workspace."""
        found = reana.declared(job.source) if job.source else None
        if found is None:
            raise UsageError(
                "the workflow can't be rendered", [Problem(job.entry, "its reana.yaml does not exist")]
            )
        job = settings.relocated(job)
        authors = reana.values(found)[0]
        values = {name: str(value) for name, value in authors.items()}
        problems = []
        for name, value in settings.plain(job).items():
            text = str(value)
            if text != values.get(name) and (
                not _HARMLESS.fullmatch(text) or (name in job.inputs and " " in text)
            ):
                hint = (
                    "letters, digits and _ . / : , @ % + = - only, because REANA pastes it into a shell line"
                )
                problems.append(
                    Problem(
                        f"{name} = {text[:80]!r}", "contains characters that are special to a shell", hint
                    )
                )
            values[name] = text
        if problems:
            raise UsageError("a value can't be used in a serial workflow", problems)
        steps = []
        outside = sorted(
            {
                p
                for given in job.inputs.values()
                for ref in given.refs
                if (p := ref.path) and p.startswith("/")
            }
        )
        for number, step in enumerate(_steps(found), start=1):
            name = (
                re.sub(r"[^A-Za-z0-9_-]+", "-", str(step.get("name") or f"step-{number}")).strip("-")
                or f"step-{number}"
            )
            container = job.software.images.get(_image(step))
            for i, command in enumerate(step["commands"], start=1):
                line = Template(command).safe_substitute(values)
                label = name if len(step["commands"]) == 1 else f"{name}-{i}"
                steps.append(Step(label, ["bash", "-c", line], PROJECT, container, tuple(outside)))
        return Steps(steps, {}, PROJECT)


def _steps(found: Declared) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = found.document.data["workflow"]["specification"]["steps"]
    return steps


def _image(step: dict[str, Any]) -> str:
    image = str(step["environment"])
    return image if "://" in image else f"docker://{image}"
