"""
What lint asks of the CWL engines: steps, names of files, what is wrong with a document, and whether a job
order fits it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from esap_wf.engines import DryRun, Job, Outline
from esap_wf.engines.cwl import check as cwl_check
from esap_wf.engines.cwl import interface as cwl_interface
from esap_wf.engines.cwl import job_order
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import schemas

#: What the stage `map` gets beside the parameters.
SLICE = ("slice", "slices")
_LOGGED = re.compile(r"^(?P<level>ERROR|WARNING)\s+(?P<text>.*)", re.MULTILINE)
_PLACE = re.compile(
    r"(?P<file>\S+\.(?:cwl|ya?ml|json)):(?P<line>\d+):(?P<column>\d+):[ \t]*(?P<text>.*(?:\n[ \t]+\S.*)*)"
)

#: Leads to what stands at an inner place, or behind it.
_WAY = re.compile(r"^(?:(?:\* )?checking (?:field|object) [`'][^`']*[`'] ?)+")
_OUTER = re.compile(
    r"(?:\*\s*)?(?:checking|tried|Expecting|the `\w+` field is not valid because|.*contains undefined).*"
)


def outline(entry: Path, item: str | None) -> Outline:
    """As the document's files show it."""
    try:
        found = cwl_check.check(entry, item)
    except UsageError as error:
        return Outline(problems=tuple(error.problems))
    steps = (
        {name for _, name, _ in found.steps.placed}
        | {tool for _, _, tool in found.steps.placed if tool}
        | set(found.steps.scattered)
    )
    try:
        interface = cwl_interface.derive(entry, item)
    except UsageError as error:
        return Outline(tuple(steps), problems=tuple(error.problems))
    made = tuple(o.path for o in interface.outputs) if interface else None
    return Outline(tuple(steps), made, tuple(found.problems))


def incompatibilities(entry: Path, item: str | None, job: Job) -> list[Problem]:
    """What a document asks for and a job order of example values doesn't give, or gives as something else."""
    try:
        found = cwl_interface.derive(entry, item)
    except UsageError:
        return []
    if found is None:
        return []
    given = json.loads(job_order.order(job))
    cut = [name for name in SLICE if name in given and name not in found.schema["properties"]]
    values = {name: value for name, value in given.items() if name in found.schema["properties"]}
    check = schemas.validator({**found.schema, "additionalProperties": True})
    problems = []
    for error in check.iter_errors(values):
        pointer, what, _ = schemas.wording(error, found.schema)
        name = str(pointer[0]) if pointer else str(getattr(error.kind, "property", ""))
        where = found.origins.get(f"parameters.{name}", str(entry))
        message = (
            f"its input {name} is given {values[name]!r}: {what}"
            if name in values
            else f"its input {name} is given nothing"
        )
        problems.append(
            Problem(
                where,
                schemas.clipped(message),
                "parameters and inputs of the manifest are the document's, by name and type",
            )
        )
    problems += [
        Problem(
            found.origins.get(f"inputs.{name}", str(entry)),
            f"its input {name} is given nothing",
            "an input of that name in the manifest",
        )
        for name, spec in found.inputs.items()
        if spec.required and name not in given
    ]
    what = f"it has no input {' and '.join(cut)}, so each slice would make all units"
    return [*problems, *([Problem(str(entry), what, "inputs: {slice: int, slices: int}")] if cut else [])]


def read_check(exit_code: int, text: str, entry: str) -> DryRun:
    """Places and sentences of cwltool's check; the last of nested ones is the reason."""
    if exit_code == 0:
        return DryRun()
    wrong = "".join(
        part
        for part in re.split(r"^(?=(?:INFO|WARNING|ERROR)\b)", text, flags=re.MULTILINE)
        if not part.startswith(("INFO", "WARN"))
    )
    placed = [
        (f"{m['file']}:{m['line']}:{m['column']}", _WAY.sub("", " ".join(m["text"].split())))
        for m in _PLACE.finditer(wrong)
    ]
    placed = [(at, sentence) for at, sentence in placed if sentence]
    found: dict[str, str] = {}
    where = ""
    # an outer sentence only leads to an inner one; one may go on at the next place
    for at, sentence in [p for p in placed if not _OUTER.match(p[1])] or placed:
        where = where if where and sentence.startswith("with ") else at
        found[where] = f"{found.get(where, '')} {sentence.split(', tried')[0].lstrip('* ')}".strip()
    problems = [Problem(where, what[:600]) for where, what in found.items()]
    if not problems:
        errors = [
            m["text"] for m in _LOGGED.finditer(text) if m["level"] == "ERROR"
        ] or text.strip().splitlines()[-1:]
        problems = [Problem(entry, (errors[0] if errors else f"cwltool: exit code {exit_code}")[:600])]
    return DryRun(tuple(problems[:20]))
