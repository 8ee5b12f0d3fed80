"""What lint asks of Nextflow: processes and names of files, from its scripts, and what a preview says."""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.engines import DryRun, Outline
from esap_wf.engines.nextflow import scripts as nextflow_scripts
from esap_wf.engines.nextflow.settings import Settings
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import reading, schemas

_STRING = re.compile(r"'([^'\n]{1,200})'|\"([^\"\n]{1,200})\"")
_HOLE = re.compile(r"\$\{[^}]*\}|\$\w[\w.]*")
_ALIAS = re.compile(r"\bas\s+(\w+)")
_LINE = re.compile(r"-- Check script '(?P<file>[^']+)' at line: (?P<line>\d+)")
_COMPILE = re.compile(
    r"- file : (?P<file>.+)\n- cause: (?P<what>.+?)(?: @ line (?P<line>\d+), column \d+\.)?\n"
)
_TALK = re.compile(
    (
        r"\* PREVIEW \*|DSL2 - revision|^\s*(?:-- Check|N E X T F L O W|Launching|WARN|Picked up|\d+ "
        r"errors?\s*$|\^|Nextflow \S+ is available)"
    ),
    re.IGNORECASE,
)


def outline(entry: Path, item: str | None = None) -> Outline:
    """
    Processes with their other names, and last parts of all texts, of which some are names of what is made;
    a workflow to begin with that isn't there.
    """
    settings = Settings()
    try:
        scripts = nextflow_scripts.read_scripts(entry, entry.parent, settings)
    except UsageError as error:
        return Outline(problems=tuple(error.problems))
    names, made = [*scripts.processes, *scripts.workflows], set()
    for file in scripts.files:
        try:
            text = reading.read_text(file, strict=False)
        except EsapError:
            continue
        names += _ALIAS.findall(text)
        made |= {
            _HOLE.sub("*", a or b).rstrip("/").rpartition("/")[2] or "*" for a, b in _STRING.findall(text)
        }
    absent = (
        [Problem(str(entry), f"there is no workflow {item}", schemas.closest(item, names))]
        if item and item not in names
        else []
    )
    return Outline(tuple(names) or None, tuple(sorted(made)), (*settings.problems, *absent))


def read_preview(exit_code: int, text: str, entry: str) -> DryRun:
    """What it complains of; a preview says nothing of files."""
    if exit_code == 0:
        return DryRun()
    if match := _COMPILE.search(text):
        where = match["file"] + (f":{match['line']}" if match["line"] else "")
        return DryRun((Problem(where, f"can't be compiled: {match['what'].strip()}"),))
    lines = [
        line.strip().removeprefix("ERROR ~ ")
        for line in text.splitlines()
        if line.strip() and not _TALK.search(line)
    ]
    at = _LINE.search(text)
    where = f"{at['file']}:{at['line']}" if at else entry
    if at and Path(at["file"]).name == Path(entry).name:
        where = f"{entry}:{at['line']}"
    return DryRun(
        (Problem(where, (" ".join(lines[:4]) or f"Nextflow can't read it: exit code {exit_code}")[:600]),)
    )
