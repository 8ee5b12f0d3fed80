"""Where the results of a CWL process are: CWL engines put them, by their own names, into one folder.

A pattern is told where the document shows the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from esap_wf.engines.cwl import types
from esap_wf.engines.cwl.documents import Node, Reader, short
from esap_wf.models.manifest import Output

FOLDER = "outputs"
_MAX_DEPTH = 40
#: What a manifest's output may be called (`esap_wf.models.manifest.InputName`).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


def outputs(reader: Reader, process: Node) -> tuple[tuple[Output, ...], dict[str, str]]:
    """
    Outputs of a process that hold files, by the names that they have there, and which line says each.

    Their places are for people, and for a run whose engine left no answer: what it gives back, values as
    well, is in that (`esap_wf.engines.cwl.answer`).
    """
    named = types.definitions(reader, process)
    declared: list[Output] = []
    origins: dict[str, str] = {}
    for name, node in reader.entries(process.at("outputs"), "type"):
        kind = types.read_type(reader, node.at("type"), named)
        title = node.text("label") or name
        origins[f"outputs.{name}"] = node.line
        if kind.files() is None and not _holds_files(kind):
            continue
        pattern = _pattern(reader, process, name, node, kind, 0)
        required = not kind.optional and kind.core().kind in types.FILES
        if not _NAME.fullmatch(name):
            name = _identifier(name)
        if all(o.name != name for o in declared):
            declared.append(
                Output(
                    name=name, title=title, path=pattern or f"{FOLDER}/**/*", required=required, guess=True
                )
            )
    return tuple(declared), origins


def _identifier(name: str) -> str:
    """A name of an output that a manifest can hold."""
    text = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
    return text[:63] if text[:1].isalpha() else f"output_{text}"[:63]


def _holds_files(kind: types.Type) -> bool:
    return kind.kind in {*types.FILES, "Any"} or any(_holds_files(p) for p in kind.parts)


def _pattern(
    reader: Reader, process: Node, name: str, node: Node, kind: types.Type, depth: int
) -> str | None:
    """Pattern below the run directory; None if only the run can tell."""
    if depth > _MAX_DEPTH or kind.files() is None or node.at("secondaryFiles").data:
        return None
    if process.data.get("class") == "Workflow":
        source = node.at("outputSource").data
        if not isinstance(source, str):
            return None
        return _of_step(reader, process, source, depth)
    if process.data.get("class") != "CommandLineTool":
        return None
    stream = _stream(node)
    glob = process.at(stream).data if stream else node.at("outputBinding").at("glob").data
    if (
        not isinstance(glob, str)
        or node.at("outputBinding").at("outputEval").data
        or "$(" in glob
        or "${" in glob
    ):
        return None
    glob = glob.removeprefix("./").rstrip("/")
    if not glob or glob.startswith(("/", "..")) or "/../" in glob or glob == ".":
        return None
    # an engine moves what it finds in a sub-folder of a job to the top
    glob = re.sub(r"[^A-Za-z0-9_./*?-]", "?", re.sub(r"\[[^]]*\]", "?", glob.rsplit("/", 1)[-1]))
    if kind.files()[0] == "any" or len(glob) > 200:  # type: ignore[index]
        return None
    return f"{FOLDER}/{glob}"


def _stream(node: Node) -> str:
    kind = node.at("type").data
    return kind if isinstance(kind, str) and kind in {"stdout", "stderr"} else ""


def _of_step(reader: Reader, workflow: Node, source: str, depth: int) -> str | None:
    """
    What a step's process says of one of its outputs; nothing if the step runs many times, or maybe not at
    all.
    """
    parts = source.rsplit("#", 1)[-1].split("/")
    if len(parts) < 2:
        return None
    step = dict(reader.entries(workflow.at("steps"))).get(parts[-2])
    if step is None or step.at("scatter").data or step.at("when").data:
        return None
    process = process_of(reader, step)
    if process is None:
        return None
    found = dict(reader.entries(process.at("outputs"), "type")).get(parts[-1])
    if found is None:
        return None
    kind = types.read_type(reader, found.at("type"), types.definitions(reader, process))
    return _pattern(reader, process, parts[-1], found, kind, depth + 1)


def process_of(reader: Reader, step: Node) -> Node | None:
    """The process that a step runs, None if it is not to be had from here."""
    run = reader.resolved(step.at("run"))
    if isinstance(run.data, str):
        if "$(" in run.data:
            return None
        found = reader.refer(run.data, run)
        if (
            found is not None
            and "#" not in run.data
            and isinstance(found.data, dict)
            and "$graph" in found.data
        ):
            found = reader.refer("#main", found)
        run = found or Node(None, step.document, step.pointer)
    elif run.data is None:
        reader.wrong(step.at("run"), "is missing")
    return run if isinstance(run.data, dict) and "class" in run.data else None


def reachable(reader: Reader, process: Node) -> Iterator[Node]:
    """A process and all that its steps run, each once."""
    seen: set[tuple[str, tuple[str | int, ...]]] = set()
    stack: list[tuple[Node, tuple[object, ...]]] = [(process, ())]
    while stack:
        part, above = stack.pop()
        mark = (part.document.source, part.pointer)
        if mark in above:
            reader.wrong(part, "runs itself", "a workflow can't be a step of its own steps")
            continue
        if mark in seen:
            continue
        seen.add(mark)
        yield part
        if part.data.get("class") == "Workflow":
            for _, step in reader.entries(part.at("steps")):
                inner = process_of(reader, step)
                yield step
                if inner is not None:
                    stack.append((inner, (*above, mark)))


__all__ = ["FOLDER", "outputs", "process_of", "reachable", "short"]
