"""What keeps a run from a place elsewhere, where this machine's files are not seen: found before it starts,
all at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from esap_wf.backends.places import Place
from esap_wf.catalogue.workflow import Workflow
from esap_wf.errors import EsapError, Problem
from esap_wf.formats import reading
from esap_wf.formats.quantities import human_bytes, to_bytes
from esap_wf.models.plan import EngineChoice
from esap_wf.models.request import DataRef, is_file_object, is_remote
from esap_wf.request.validation import Validated

#: Folders that every machine has, and the one in which anybody may write.
_EVERYWHERE = ("/dev", "/proc", "/bin", "/usr/bin")
_MAGIC = re.compile(r"[*?\[{]")


def obstacles(
    valid: Validated,
    values: dict[str, Any],
    options: Sequence[str],
    place: Place,
    choice: EngineChoice | None,
) -> list[Problem]:
    """
    Everything that is in the way.

    Parameters
    ----------
    valid : Validated
    values : dict
        All parameters.
    options : sequence of str
        The user's own for the engine.
    place : Place
    choice : EngineChoice, optional
        The engine there; None if there is none.
    """
    found = [
        *_in_parameters(values, place),
        *_in_options(options, place),
        *_beside_inputs(valid, place),
        *_size(valid, place),
    ]
    if choice is not None:
        found += _of_tasks(choice)
    return found


def _in_parameters(values: dict[str, Any], place: Place) -> Iterator[Problem]:
    """Files of this machine that parameters name."""
    for name, value in values.items():
        for path in _paths_in(value):
            if not place.profile.sees(path):
                hint = (
                    "give it as an input, or put it into a folder that is seen there: `shared` of its profile"
                )
                yield Problem(
                    f"parameter {name}",
                    f"names {path}, a file of this machine: {place.name} does not see it",
                    hint,
                )


def _in_options(options: Sequence[str], place: Place) -> Iterator[Problem]:
    """Files of this machine that are named to the engine: ``--configfile=/home/…``."""
    for word in options:
        path = word.partition("=")[2] if word.startswith("-") and "=" in word else word
        if _is_file_here(path) and not place.profile.sees(path):
            what = f"names {path}, a file of this machine: {place.name} does not see it"
            yield Problem("engine options", what, "put it into a folder that is seen there, or leave it out")


def _paths_in(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += part
        elif isinstance(part, dict):
            text = part.get("location") or part.get("path") if is_file_object(part) else None
            if isinstance(text, str) and not is_remote(text):
                yield unquote(urlsplit(text).path) if text.startswith("file:") else text
                stack += [v for k, v in part.items() if k not in ("location", "path")]
            else:
                stack += part.values()
        elif isinstance(part, str) and _is_file_here(part):
            yield part


def _is_file_here(text: str) -> bool:
    """Whether a text is the absolute path of something on this machine that is not on every machine."""
    if not text.startswith("/") or len(text) > 4096 or "\0" in text:
        return False
    path = os.path.normpath(text)
    if path in ("/", "//", "/tmp", "/var/tmp") or any(Path(path).is_relative_to(f) for f in _EVERYWHERE):
        return False
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False


def _beside_inputs(valid: Validated, place: Place) -> Iterator[Problem]:
    """Files that belong to an input and would not be found there as they are here."""
    for name, refs in valid.inputs.items():
        for ref in refs:
            if ref.cells:
                what = "names what lies elsewhere: its copy in the run names paths of this machine, which "
                hint = "run it here, or name files that are seen there: `shared` of its profile"
                yield Problem(f"input {name}: {ref.given}", f"{what}{place.name} does not see", hint)
            else:
                yield from _beside(name, ref, place)


def _beside(name: str, ref: DataRef, place: Place) -> Iterator[Problem]:
    if ref.path is None or not ref.beside:
        return
    outside = [p for p in ref.beside if not place.profile.sees(p)]
    root = _root(ref.path)
    apart = [p for p in outside if not Path(p).is_relative_to(root)]
    named = set(_named_absolutely(ref.path, outside))
    for what, paths in (
        ("needs {}, which is not in its folder or below", [p for p in apart if p not in named]),
        (f"names {{}} by a path of this machine, which {place.name} does not see", sorted(named)),
    ):
        if paths:
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            hint = "put them into a folder that is seen there: `shared` of its profile"
            yield Problem(f"input {name}: {ref.path}", what.format(", ".join(paths[:3]) + more), hint)


def _root(path: str) -> Path:
    """The folder of an input; of a pattern that before the first part which is one."""
    parts = Path(path).parts
    plain = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    return Path(*parts[: min(plain, len(parts) - 1)])


def _named_absolutely(table: str, paths: list[str]) -> Iterator[str]:
    """Those of some paths that stand in a table as they are."""
    if not paths or not Path(table).is_file():
        return
    try:
        text = reading.read_text(Path(table), strict=False)
    except EsapError:
        return
    yield from (path for path in paths if path in text)


def _size(valid: Validated, place: Place) -> Iterator[Problem]:
    """What is sent, held against what the profile and the place allow."""
    code, data = _bytes_of(valid.workflow), 0
    own = {str(file.source) for file in valid.workflow.code_files()}
    for refs in (*valid.inputs.values(), valid.nested):
        data += sum(
            ref.bytes or 0 for ref in refs if ref.path not in own and not place.profile.sees(ref.path or "")
        )
    total = code + data
    what = f"{human_bytes(total)} would be sent for one piece ({human_bytes(data)} of it inputs)"
    hint = "put inputs into a folder that is seen there (`shared` of its profile), or choose another place"
    limits = []
    if place.profile.bundle is not None:
        limits.append((to_bytes(place.profile.bundle), "the profile of {} allows {}: bundle"))
    if place.survey is not None:
        limits.append((place.survey.disk_bytes, "{} has {} of disk space"))
    for limit, text in limits:
        if total > limit:
            because = text.format(place.name, human_bytes(limit))
            yield Problem(f"backend {place.name}", f"{what}, and {because}", hint)


def _bytes_of(workflow: Workflow) -> int:
    total = 0
    for file in workflow.code_files():
        if not file.link:
            try:
                total += file.source.stat().st_size
            except OSError:
                continue
    return total


def _of_tasks(choice: EngineChoice) -> Iterator[Problem]:
    """What a task type needs beside its engine."""
    if choice.name == "notebook" and choice.path.startswith("@"):
        what = "a notebook's kernel is not found in an environment that is sent along"
        hint = f"name a papermill of {choice.place}: engines.notebook.path in its profile"
        yield Problem("engine notebook", what, hint)
