"""Inputs of one run: references to typed data with an identity, tables of units, rows selected from a
database.

Character sets, existence and readability are checked here, at the border.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.code import selection
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import digests, documents, schemas
from esap_wf.formats.printing import one_line
from esap_wf.formats.quantities import human_count
from esap_wf.models.manifest import Input
from esap_wf.models.request import DataRef, is_remote
from esap_wf.request import dataframes, references, sheets
from esap_wf.request.parameters import flag
from esap_wf.request.remote import Remote, placed, several
from esap_wf.request.rows import check_table

#: References of one input that are told one by one: a basket may have a million.
SHOWN = 50


def resolve(
    workflow: Workflow,
    given: Mapping[str, list[str]],
    cache: Path,
    described: Container[str] = (),
    remote: Remote | None = None,
) -> tuple[dict[str, list[DataRef]], list[Problem]]:
    """
    Typed data references of all inputs.

    Parameters
    ----------
    workflow : Workflow
    given : mapping
        Name → references, from the request.
    cache : Path
        Where hashes of files are remembered.
    described : container of str
        Inputs of which a job order says more than a reference can: they are among the parameters.
    remote : Remote, optional
        Who is asked for what lies elsewhere.

    Returns
    -------
    inputs : dict of str to list of DataRef
    problems : list of Problem
    """
    declared = workflow.manifest.inputs
    problems = [_unknown(name, workflow) for name in given if name not in declared]
    resolved: dict[str, list[DataRef]] = {}
    if remote:
        remote.ask(text for texts in given.values() for text in texts)
    for name, spec in declared.items():
        if name in described and name not in given:
            continue
        texts = list(given.get(name, []))
        if not texts and spec.default:
            texts = [str(workflow.folder / spec.default)]
        problems += _wrong_number(texts, name, spec, workflow)
        resolved[name] = []
        wrong: list[Problem] = []
        for text in texts:
            try:
                if remote and is_remote(text):
                    resolved[name] += _brought(text, name, spec, workflow, remote, len(resolved[name]))
                else:
                    resolved[name].append(_reference(text, name, spec, workflow, cache))
            except UsageError as error:
                wrong += error.problems
        if len(wrong) > SHOWN:
            more = human_count(len(wrong) - SHOWN, "more reference")
            wrong = [*wrong[:SHOWN], Problem(f"--input {name}", f"and {more} that can't be used")]
        problems += [*wrong, *_too_many(name, spec, resolved[name], len(texts))]
    return resolved, problems


def _unknown(name: str, workflow: Workflow) -> Problem:
    declared = workflow.manifest.inputs
    hint = schemas.closest(name, declared) or (
        f"it has {', '.join(declared)}" if declared else "it has no inputs"
    )
    return Problem(f"--input {name}", f"{workflow.manifest.name} has no input {name}", hint)


def _wrong_number(texts: list[str], name: str, spec: Input, workflow: Workflow) -> list[Problem]:
    """None of an input that is needed, or several of one that takes one."""
    if not texts and spec.required:
        how = f"{flag(name, workflow.kind)} PATH"
        how += f", or --input {name}=PATH" if workflow.kind is Kind.HOUSE else ""
        return [Problem(f"input {name}", f"{spec.title} is needed", how)]
    if len(texts) > 1 and not spec.many:
        return [Problem(f"--input {name}", f"takes one file or folder, but {len(texts)} were given")]
    return []


def _too_many(name: str, spec: Input, refs: list[DataRef], given: int) -> list[Problem]:
    """A dataset, or an output of several files, for an input that takes one."""
    if spec.many or len(refs) <= 1 or given > 1:
        return []
    return [Problem(f"--input {name}", *several(refs, f"{spec.title} takes one"))]


def _wrong(name: str, text: str) -> references.Wrong:
    """Makes the error of one reference."""

    def wrong(what: str, hint: str = "") -> UsageError:
        return UsageError("an input is not usable", [Problem(f"--input {name}={text[:200]}", what, hint)])

    return wrong


def _brought(
    text: str, name: str, spec: Input, workflow: Workflow, remote: Remote, start: int
) -> list[DataRef]:
    """What lies elsewhere; a table is looked at now."""
    wrong = _wrong(name, one_line(text))
    found = placed(remote.refs(text, spec, wrong), name, start, spec.identity)
    if not spec.rows:
        return found
    rows = [_described(remote.here(ref), name, spec, workflow, remote.config.cache, wrong) for ref in found]
    return [msgspec.structs.replace(ref, rows=row.rows) for ref, row in zip(found, rows, strict=True)]


def _reference(text: str, name: str, spec: Input, workflow: Workflow, cache: Path) -> DataRef:
    wrong = _wrong(name, text)
    try:
        path = _path(text, wrong)
        if not path.exists():
            if spec.pattern and references.is_pattern(text):
                return references.matching(path, spec, cache, wrong)
            hint = (
                schemas.closest(path.name, [p.name for p in path.parent.iterdir()])
                if path.parent.is_dir()
                else ""
            )
            raise wrong("there is no such file", hint)
    except (OSError, RuntimeError) as error:  # too long, a folder that may not be entered, ~nobody
        raise wrong(getattr(error, "strerror", None) or str(error)) from None
    if against := _unfit(path, spec):
        raise wrong(*against)
    try:
        return _described(path, name, spec, workflow, cache, wrong)
    except OSError as error:
        raise wrong(f"can't be read: {error.strerror or error}") from None


def _path(text: str, wrong: references.Wrong) -> Path:
    """Where a reference leads, absolute: a path, or a ``file://`` URL of this machine."""
    if references.BAD_IN_PATH.search(unquote(text)):
        raise wrong("the reference contains control characters")
    try:
        parts = urlsplit(text) if re.match(r"[a-z][a-z0-9+.-]*://", text) else None
    except ValueError as error:
        raise wrong(f"is not a URL: {error}") from None
    if parts and parts.scheme != "file":
        raise wrong(
            f"{parts.scheme}:// can't be fetched by this version of esap-wf",
            "download the file and give its path",
        )
    if parts and parts.netloc not in {"", "localhost"}:
        raise wrong("a file:// URL names a file of this machine")
    return (Path(unquote(parts.path)) if parts else Path(text).expanduser()).absolute()


def _unfit(path: Path, spec: Input) -> tuple[str, ...]:
    """Why something that is there can't be this input, and what to do; empty if it can."""
    if not os.access(path, os.R_OK):
        return ("the file can't be read: permission denied",)
    if spec.extensions and not any(path.name.endswith(e) for e in spec.extensions):
        return (f"{spec.title} must be a file whose name ends with {' or '.join(spec.extensions)}",)
    if not path.is_file() and not path.is_dir():
        return ("neither a file nor a folder",)
    if selection.is_pointer(path):
        return (
            "is a Git LFS pointer: its content was not fetched",
            "git lfs pull, in the clone that it is in",
        )
    if spec.rows and path.is_dir():
        return (f"{spec.title} must be a table, but this is a folder",)
    if spec.kind == "file" and path.is_dir():
        return ("a file is expected, but this is a folder",)
    if spec.kind == "folder" and not path.is_dir():
        return ("a folder is expected, but this is a file",)
    return ()


def _described(
    path: Path, name: str, spec: Input, workflow: Workflow, cache: Path, wrong: references.Wrong
) -> DataRef:
    rows, others = None, references.secondary(path, spec, wrong)
    if spec.rows and (spec.reading is None or dataframes.is_readable(path)):
        file = workflow.folder / spec.rows
        schema = documents.load(file, schema=True).data
        if sheets.is_sheet(schema):
            rows, others = sheets.check(path, schema, file, workflow.folder)
        else:
            rows = check_table(
                path,
                schema,
                keyed=workflow.kind not in (Kind.PLAIN, Kind.DERIVED),
                reading=spec.reading,
                file=file,
                root=workflow.folder,
            )
    identity, strength = digests.of_input(path, cache)
    size = (
        path.stat().st_size
        if path.is_file()
        else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    )
    return DataRef(
        uri=path.as_uri(),
        path=str(path),
        bytes=size + sum(p.stat().st_size for p in others),
        checksum=identity,
        strength=strength,
        rows=rows,
        counts=spec.identity,
        folder=path.is_dir(),
        beside={str(p): digests.of_input(p, cache)[0] for p in others},
    )


def select(
    workflow: Workflow,
    values: Mapping[str, Any],
    inputs: Mapping[str, list[DataRef]],
    here: Callable[[DataRef], Path] = lambda ref: Path(ref.path or ""),
) -> tuple[dict[str, Any], list[Problem]]:
    """
    Columns looked up in JSON inputs, as the manifest's `select` says.

    Parameters
    ----------
    workflow : Workflow
    values : mapping
    inputs : mapping
    here : callable, optional
        Where a file is that can be read now.

    Returns
    -------
    selected : dict
        Column → value.
    problems : list of Problem
        No row, or more than one, fits; says which values there are.
    """
    selected: dict[str, Any] = {}
    problems: list[Problem] = []
    for rule in workflow.manifest.select:
        refs = inputs.get(rule.source) or []
        if not refs or not refs[0].path:
            continue
        data = documents.load(here(refs[0])).data
        table = data.get(rule.table) if isinstance(data, dict) else None
        if not isinstance(table, list) or not all(isinstance(r, dict) for r in table):
            problems.append(Problem(f"{refs[0].path}: {rule.table}", "a list of objects is expected"))
            continue
        wanted = {column: values[name] for column, name in rule.match.items()}
        fitting = [r for r in table if all(r.get(c) == v for c, v in wanted.items())]
        if len(fitting) != 1:
            shown = ", ".join(f"{c} = {v}" for c, v in wanted.items())
            there = sorted({", ".join(f"{c} = {r.get(c)}" for c in wanted) for r in table})
            hint = "the table has: " + "; ".join(there[:8]) + ("; …" if len(there) > 8 else "")
            problems.append(
                Problem(
                    f"{refs[0].path}: {rule.table}",
                    f"{human_count(len(fitting), 'row matches', 'rows match')} {shown}",
                    hint,
                )
            )
            continue
        absent = [c for c in rule.columns if c not in fitting[0]]
        if absent:
            problems.append(Problem(f"{refs[0].path}: {rule.table}", f"the row lacks {', '.join(absent)}"))
            continue
        selected |= {c: fitting[0][c] for c in rule.columns}
    return selected, problems
