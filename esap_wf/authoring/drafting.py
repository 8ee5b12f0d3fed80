"""A manifest to be edited, from what a pipeline says of itself.

Written are a manifest, its parameter schema and, where there is none, a README; nothing that is there is
touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.code import repositories
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.models.manifest import Implementation, Upstream

_ABOUT = {
    "schema_version": "What esap-wf needs to know about this pipeline; docs/workflows.md explains every key.",
    "name": "Runs are listed under this name: lower-case letters, digits and dashes.",
    "title": "One line, shown in lists.",
    "version": "The version of this workflow: major.minor.patch.",
    "authors": "Who wrote it: name, orcid.",
    "implementations": (
        "The file for the engine. `config: plain`: the pipeline keeps its own parameter names, and is "
        "given only the values that users set."
    ),
    "parameters": (
        "The parameters, as a JSON Schema. `engine_default` is the pipeline's own default; a "
        "`default` would be passed to it."
    ),
    "inputs": "Files and folders, under the pipeline's own names.",
    "software": (
        "Alternatives, in order of preference; the first that works is used. An empty list means "
        "whatever is on PATH."
    ),
    "outputs": "What is collected, checked and delivered: paths and patterns relative to the run directory.",
    "units": "The axis along which the work splits.",
    "citation": "What users are asked to cite: DOIs or texts.",
    "license": "SPDX identifier.",
}


def make(workflow: Workflow, into: Path | None = None, upstream: Upstream | None = None) -> list[Path]:
    """
    Write the manifest of a pipeline that has none.

    Parameters
    ----------
    workflow : Workflow
        As `esap_wf.catalogue.workflows.find` derived it.
    into : Path, optional
        Folder of the manifest; the pipeline's own if it is None.
    upstream : Upstream, optional
        Where the pipeline is, if it isn't in that folder: the manifest wraps it.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    UsageError
        It has a manifest.
    RefusedError
        A file already exists, or can't be written.
    """
    if workflow.kind is not Kind.DERIVED:
        raise UsageError(
            "there is a manifest",
            [Problem(str(workflow.document.source), "already exists", "edit it, or delete it first")],
        )
    folder = into or workflow.folder
    if repositories.is_kept(folder):
        what = "is the cache of a commit, to which nothing is ever written"
        raise RefusedError(
            "the manifest needs a folder", [Problem(str(folder), what, "name one: --into DIR")]
        )
    named = folder.name == workflow.manifest.name
    schema_name = "params.schema.json" if named else f"{workflow.manifest.name}.params.schema.json"
    manifest = folder / ("workflow.yaml" if named else f"{workflow.manifest.name}.workflow.yaml")
    changed = msgspec.structs.replace(
        workflow.manifest,
        parameters=schema_name,
        implementations=[_wrapping(i, upstream) for i in workflow.manifest.implementations],
    )
    if upstream:  # files of the pipeline are no files beside the manifest
        inputs = {n: msgspec.structs.replace(i, default=None, rows=None) for n, i in changed.inputs.items()}
        changed = msgspec.structs.replace(changed, inputs=inputs)
    texts = {
        manifest: "\n".join(_lines(msgspec.to_builtins(changed), workflow)) + "\n",
        folder / schema_name: json.dumps(workflow.schema, indent=2, ensure_ascii=False) + "\n",
    }
    if not (folder / "README.md").exists():
        texts[folder / "README.md"] = _readme(workflow)
    there = [
        Problem(str(p), "already exists", "nothing was written; choose another folder with --into DIR")
        for p in texts
        if p.exists()
    ]
    if there:
        raise RefusedError("nothing is overwritten", there)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise RefusedError(
            f"{folder} can't be written",
            [Problem(str(error.filename or folder), error.strerror or str(error))],
        ) from None
    return written


def _wrapping(implementation: Implementation, upstream: Upstream | None) -> Implementation:
    return msgspec.structs.replace(implementation, upstream=upstream) if upstream else implementation


def _lines(data: dict[str, Any], workflow: Workflow) -> Iterator[str]:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Texts that another reader of YAML could take for a number, a date or a boolean are quoted."""

    def text(dumper: Any, value: str) -> Any:
        unquoted = re.fullmatch(r"[A-Za-z_][A-Za-z_ ./-]*(?<! )", value) and value.lower() not in _WORDS
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if unquoted else '"')

    Dumper.add_representer(str, text)
    data.setdefault("parameters", "params.schema.json")
    for key, value in data.items():
        if about := _ABOUT.get(key):
            yield f"\n# {about}" if key != "schema_version" else f"# {about}"
        derived = [(n.partition("."), where) for n, where in workflow.derived_from.items()]
        origins = {name: where for (kind, _, name), where in derived if kind == key and name}
        if origins and key in {"inputs", "outputs"}:
            shown = (f"{_one_line(name)}: {_one_line(where)}" for name, where in origins.items())
            yield from (f"#   {line}" for line in shown)
        # one key at a time, so that the comments stand where they belong
        yield yaml.dump({key: value}, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120).rstrip(
            "\n"
        )


_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "none"}


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:160]


def _readme(workflow: Workflow) -> str:
    m = workflow.manifest
    listed = "\n".join(
        f"- `{name}`: {_one_line(str(p.get('title', name)))}" for name, p in workflow.properties.items()
    )
    inputs = "\n".join(f"- `{name}`: {_one_line(i.title)}" for name, i in m.inputs.items())
    parts = [
        f"# {_one_line(m.title)}",
        _one_line(m.description) if m.description else "",
        f"```\nesap-wf run {m.name}\n```",
        f"## Parameters\n\n{listed}" if listed else "",
        f"## Inputs\n\n{inputs}" if inputs else "",
    ]
    return "\n\n".join(p for p in parts if p) + "\n"
