"""What the tools of a CWL document ask for: cores and memory (ResourceRequirement), time (ToolTimeLimit), a
container.

A requirement of a tool counts before its step's, that before a workflow's, and requirements before hints.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esap_wf.engines import Demand
from esap_wf.engines.cwl.documents import Node, Reader, short
from esap_wf.errors import EsapError

_INPUT = re.compile(r"\$\(inputs\.(\w+)\)")
#: Member of a class → what it is here, and in which unit.
_ASKED = {"cores": ("cores", 1), "ram": ("memory", 2**20)}
_CLASSES = ("ResourceRequirement", "ToolTimeLimit", "DockerRequirement")
_MAX_DEPTH = 100

#: Class → the requirement that counts so far, and whether it is one or only a hint.
_Inherited = dict[str, tuple[Node, bool]]


@dataclass(frozen=True)
class Tool:
    """
    A CommandLineTool where it is used.

    Parameters
    ----------
    node : Node
    counts : dict
        Class → the requirement that counts, and whether it is one or only a hint.
    step : str
        Empty for a tool alone.
    always, scattered : bool
        No condition decides whether it is run; it is run once an item of a list.
    """

    node: Node
    counts: _Inherited
    step: str
    always: bool
    scattered: bool

    @property
    def who(self) -> str:
        """For people."""
        return (
            f"step {self.step}" if self.step else f"tool {short(self.node.text('id')) or self.node.file.name}"
        )


def tools(reader: Reader, entry: Path, item: str | None) -> list[Tool]:
    """Every tool that a document runs; none if it is broken, which is told elsewhere."""
    try:
        root = reader.open(entry.absolute())
        part = item or (
            "main" if root is not None and isinstance(root.data, dict) and "$graph" in root.data else None
        )
        process = reader.refer(f"#{part}", root) if root is not None and part else root
        return list(_walk(reader, process, {}, "", True, False, 0)) if process is not None else []
    except EsapError:
        return []


def demands(
    entry: Path, item: str | None, values: Mapping[str, Any], limits: frozenset[str], fails: bool
) -> list[Demand]:
    """
    What the tools ask for.

    Parameters
    ----------
    entry : Path
    item : str, optional
    values : mapping
        Inputs that were given: ``$(inputs.threads)`` is one of them.
    limits : frozenset of str
        What the engine holds tools to.
    fails : bool
        It ends a run that asks for more of these than the machine has.
    """
    reader = Reader()
    found = []
    for tool in tools(reader, entry, item):
        # inside of a step an input's name means another thing
        given = _Inputs(reader, tool.node, None if tool.step else values)
        certain = tool.always and not tool.scattered
        for what, amount, node in _asked(tool.counts, given):
            found.append(
                Demand(what, amount, tool.who, node.line, what in limits, fails and what in limits, certain)
            )
    return found


def images(entry: Path, item: str | None) -> list[tuple[str, str, str]]:
    """
    Who is run in a container only, in which image, and which line says so: DockerRequirement under
    ``requirements``.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for tool in tools(Reader(), entry, item):
        node, required = tool.counts.get("DockerRequirement", (tool.node, False))
        if required and tool.always:
            image = node.text("dockerImageId") or node.text("dockerPull") or "one that is built or loaded"
            found.setdefault(node.line, (tool.who, image, node.line))
    return list(found.values())


def _walk(
    reader: Reader, process: Node, inherited: _Inherited, step: str, always: bool, scattered: bool, depth: int
) -> Iterator[Tool]:
    """The tools that a process runs, each with the requirements that count for it."""
    if not isinstance(process.data, dict) or depth > _MAX_DEPTH:
        return
    counts = _over(reader, process, inherited)
    if process.data.get("class") == "CommandLineTool":
        yield Tool(process, counts, step, always, scattered)
    if process.data.get("class") != "Workflow":
        return
    for name, member in reader.entries(process.at("steps")):
        if not isinstance(member.data, dict):
            continue
        run: Node | None = reader.resolved(member.at("run"))
        if isinstance(member.data.get("run"), str):
            text = member.data["run"]
            run = reader.refer(text, member) if "://" not in text or text.startswith("file:") else None
        if run is not None:
            many = scattered or bool(member.at("scatter").data)
            yield from _walk(
                reader,
                run,
                _over(reader, member, counts),
                name,
                always and not member.at("when").data,
                many,
                depth + 1,
            )


def _over(reader: Reader, node: Node, inherited: _Inherited) -> _Inherited:
    """With what a process or a step says itself."""
    found = dict(inherited)
    for key, required in (("hints", False), ("requirements", True)):
        for name in _CLASSES:
            member = _named(reader, node.at(key), name)
            if member is not None and (required or not found.get(name, (None, False))[1]):
                found[name] = (member, required)
    return found


def _named(reader: Reader, node: Node, name: str) -> Node | None:
    node = reader.resolved(node)
    if isinstance(node.data, dict):
        return node.at(name) if isinstance(node.data.get(name), dict) else None
    for i in range(len(node.data) if isinstance(node.data, list) else 0):
        member = reader.resolved(node.at(i))
        if isinstance(member.data, dict) and member.data.get("class") == name:
            return member
    return None


class _Inputs:
    """Values of a tool's inputs, as far as they are known."""

    def __init__(self, reader: Reader, process: Node, values: Mapping[str, Any] | None) -> None:
        self.reader, self.process, self.values = reader, process, values

    def number(self, value: Any) -> float | None:
        """A number, or ``$(inputs.x)`` of one; None if only the engine can tell."""
        if isinstance(value, str) and self.values is not None and (match := _INPUT.fullmatch(value.strip())):
            value = self.values.get(match[1])
            if value is None:
                inputs = dict(self.reader.entries(self.process.at("inputs"), "type"))
                value = inputs[match[1]].at("default").data if match[1] in inputs else None
        return (
            float(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53
            else None
        )


def _asked(counts: _Inherited, given: _Inputs) -> Iterator[tuple[str, int | None, Node]]:
    if "ResourceRequirement" in counts:
        node = counts["ResourceRequirement"][0]
        for member, (what, unit) in _ASKED.items():
            key = next((k for k in (f"{member}Min", f"{member}Max") if node.data.get(k)), None)
            if key is not None:
                number = given.number(node.data[key])
                yield what, None if number is None else math.ceil(number * unit), node.at(key)
    if "ToolTimeLimit" in counts:
        node = counts["ToolTimeLimit"][0]
        number = given.number(node.data.get("timelimit"))
        if number:  # 0 is none
            yield "wall", math.ceil(number), node.at("timelimit")
