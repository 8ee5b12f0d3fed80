"""What a CWL process gave back, in the engine's own words: files and folders by the names of its outputs, and
all other values.

The words themselves are kept in the run directory (`cwl_job.ANSWER`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from esap_wf.engines import Results
from esap_wf.engines.cwl import job_order
from esap_wf.formats import reading
from esap_wf.models.request import is_file_object

#: An answer stands at the end of the log of a run that an older version has rendered.
_TAIL = 50_000_000


def results(run: Path) -> Results | None:
    """
    Paths and values of a run's outputs; None if the engine left no answer, and of a house workflow, whose
    manifest says what counts.
    """
    answer = _answer(run)
    if answer is None or _is_house(run):
        return None
    paths: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, value in answer.items():
        paths[name] = [_inside(run, path) for path in _paths_of(value)]
        if not _is_files(value):
            values[name] = _readable(value, run)
    return Results(paths, values)


def is_whole(run: Path) -> bool:
    """Whether the file of the answer holds all of it."""
    try:
        return isinstance(json.loads((run / job_order.ANSWER).read_bytes()), dict)
    except (OSError, ValueError):
        return False


def _is_house(run: Path) -> bool:
    try:
        return bool(json.loads((run / "plan.json").read_bytes()).get("config", "house") == "house")
    except (OSError, ValueError, AttributeError):
        return False


def _answer(run: Path) -> dict[str, Any] | None:
    """The object that the engine wrote when it ended."""
    try:
        found = json.loads((run / job_order.ANSWER).read_bytes())
    except (OSError, ValueError):
        found = _last_object(run / "logs" / "engine.log")
    return found if isinstance(found, dict) else None


def _last_object(log: Path) -> Any:
    """The last object of a log that begins on a line of its own."""
    text = reading.tail(log, _TAIL)
    start = max(text.rfind("\n{\n"), text.rfind("\n{}\n"))
    try:
        return json.JSONDecoder().raw_decode(text, start + 1)[0]
    except ValueError:
        return None


def _paths_of(value: Any) -> Iterator[str]:
    """Local paths of the files and folders in a value, with what belongs to them."""
    if isinstance(value, list):
        for member in value:
            yield from _paths_of(member)
    elif isinstance(value, dict):
        if is_file_object(value) and (path := _path_of(value)) is not None:
            yield path
        for key, member in value.items():
            # what a folder holds is found with it
            if key != "listing" or not is_file_object(value):
                yield from _paths_of(member)


def _path_of(value: dict[str, Any]) -> str | None:
    path, location = value.get("path"), value.get("location")
    if isinstance(path, str):
        return path
    if not isinstance(location, str) or "://" in location.removeprefix("file://"):
        return None
    return unquote(urlsplit(location).path) if location.startswith("file:") else location


def _inside(run: Path, path: str) -> str:
    """A path of the run directory, relative to it: engines tell where links of its folders lead."""
    for top in (str(run), os.path.realpath(run)):
        if Path(path).is_relative_to(top):
            return Path(path).relative_to(top).as_posix()
    return path


def _is_files(value: Any) -> bool:
    """Whether a value is a file or a folder, or a list of nothing else."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_files, value))
    return isinstance(value, dict) and is_file_object(value) and _path_of(value) is not None


def _readable(value: Any, run: Path) -> Any:
    """A value as every reader of JSON takes it; a file in it by its path in the run directory."""
    if isinstance(value, list):
        return [_readable(v, run) for v in value]
    if isinstance(value, dict):
        if is_file_object(value) and (path := _path_of(value)) is not None:
            return {"class": value["class"], "path": _inside(run, path)}
        return {_readable(k, run): _readable(v, run) for k, v in value.items()}
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return float(value) if abs(value) < 10**300 else str(value)
    return value
