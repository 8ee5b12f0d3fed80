"""A CWL document run as the supervisor runs it, without the supervisor: rendered, hooked, its record read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import yaml
from services import cwl

from esap_wf.engines import Cursor, Job, JobInput
from esap_wf.engines.cwl.engine import Cwltool
from esap_wf.engines.cwl.toil import Toil
from esap_wf.models.plan import Allocation, EngineChoice, SoftwareChoice
from esap_wf.models.request import DataRef
from esap_wf.models.run import Event
from esap_wf.running.render import command_script

ENGINES = {"cwl": Cwltool, "toil": Toil}


def tool(script: str, **more: Any) -> dict[str, Any]:
    """A bash command: the values of its inputs are $1, $2 …"""
    inputs = more.pop("inputs", {"x": "int"})
    return {
        "class": "CommandLineTool",
        "baseCommand": ["bash", "-c", script, "tool"],
        "inputs": inputs,
        "arguments": [f"$(inputs.{name})" for name in inputs],
        "outputs": more.pop("outputs", {}),
        **more,
    }


def scatter(run: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A workflow whose step ``many`` runs a tool once for each of `xs`."""
    out = list(run["outputs"])
    return {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "requirements": {"ScatterFeatureRequirement": {}},
        "inputs": {"xs": {"type": "int[]"}},
        "outputs": {n: {"type": "File[]", "outputSource": f"many/{n}"} for n in out},
        "steps": {"many": {"run": run, "scatter": "x", "in": {"x": "xs"}, "out": out}},
        **more,
    }


class CwlRun:
    """A run directory with one document."""

    def __init__(
        self,
        folder: Path,
        document: Any,
        engine: str = "cwl",
        inputs: dict[str, list[DataRef]] | None = None,
        **values: Any,
    ) -> None:
        self.dir, self.engine = folder, ENGINES[engine]()
        for name in ("outputs", "logs", "engine", "code"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "code" / "main.cwl").write_text(
            document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False)
        )
        self.choice = EngineChoice(name=engine, path=str(cwl.path(engine)), version="0", found="test")
        self.job = Job(
            workflow="t",
            entry="code/main.cwl",
            parameters=values,
            selected={},
            plain=True,
            inputs={n: JobInput(tuple(refs), many=len(refs) > 1) for n, refs in (inputs or {}).items()},
            allocation=Allocation(cores=2, memory_bytes=2 * 10**9, disk_bytes=0, wall_seconds=600),
            software=SoftwareChoice(route="installed", detail=""),
        )
        rendered = self.engine.render(self.choice, self.job)
        for name, content in rendered.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "plan.json").write_text('{"entry": "code/main.cwl"}')
        planned = _Planned(rendered.command, self.job.software)
        (folder / "command.sh").write_text(command_script(planned, rendered))  # type: ignore[arg-type]

    def start(self, epoch: int = 1) -> subprocess.Popen[bytes]:
        """Start the engine, in a session of its own."""
        added = self.engine.launch_additions(self.dir, epoch, epoch > 1)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CWL", "TOIL", "PYTEST"))}
        with (self.dir / "logs" / "engine.log").open("ab") as log:
            return subprocess.Popen(
                ["bash", "command.sh", *added.arguments],
                cwd=self.dir,
                env={**kept, **added.environment, "ESAP_WF_RUN": "a-run"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, epoch: int = 1) -> int:
        """To its end."""
        return self.start(epoch).wait(300)

    def events(self, epoch: int = 1, cursor: Cursor = Cursor.START, kind: str | None = None) -> list[Event]:
        """Everything that was told of an epoch."""
        source = self.engine.events(self.dir, epoch, cursor)
        found: list[Event] = []
        while part := source.read():
            found += part
        return [e for e in found if kind in (None, e.kind)]

    @property
    def log(self) -> str:
        return (self.dir / "logs" / "engine.log").read_text(errors="replace")


class _Planned:
    """The part of a plan that a script is made of."""

    title = "a test"
    queue = None
    inputs: ClassVar[dict[str, list[DataRef]]] = {}
    nested: ClassVar[list[DataRef]] = []

    def __init__(self, command: list[str], software: SoftwareChoice) -> None:
        self.command, self.software = command, software
