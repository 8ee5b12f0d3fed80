"""
What lies elsewhere and is named inside of something: of structured parameters
(``{class: File, location: rucio://…}``), of rows of a sample sheet. What each of it is, and its place in the
run directory, which the engine is given for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from esap_wf.catalogue.workflow import Workflow
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.printing import one_line
from esap_wf.models.manifest import Input
from esap_wf.models.request import INPUTS, DataRef, is_file_object, is_remote
from esap_wf.request import sheets
from esap_wf.request.dataframes import is_readable
from esap_wf.request.references import is_name, names_beside
from esap_wf.request.remote import Remote, name_of, several

#: A parameter of a job order may be called anything; a folder may not.
_NO_FOLDER = re.compile(r"[^A-Za-z0-9_.-]|^[.-]", re.ASCII)
_LONGEST = 100


@dataclass(frozen=True)
class Nested:
    """
    What was found.

    Parameters
    ----------
    values : dict
        Parameters that name such files, as an engine is given them.
    inputs : dict of str to list of DataRef
        Of sample sheets that do, the copies that an engine is given.
    refs : list of DataRef
        With their places.
    problems : list of Problem
    """

    values: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, list[DataRef]] = field(default_factory=dict)
    refs: list[DataRef] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def places(self) -> dict[str, DataRef]:
        """By place."""
        return {ref.path: ref for ref in self.refs if ref.path}


def resolve(
    workflow: Workflow, values: Mapping[str, Any], inputs: Mapping[str, list[DataRef]], remote: Remote
) -> Nested:
    """
    Ask for all files and folders that parameters and sample sheets name and that lie elsewhere.

    Parameters
    ----------
    workflow : Workflow
    values : mapping
        Parameters as they were given.
    inputs : mapping
        With their places.
    remote : Remote

    Raises
    ------
    LakeOutageError
    """
    wanted = {name: list(_addresses(value)) for name, value in values.items()}
    remote.ask(text for texts in wanted.values() for text in texts)
    placing = Placing(remote, inputs)
    changed = {name: placing.value(name, values[name]) for name, texts in wanted.items() if texts}
    declared = workflow.manifest.inputs
    lacking = [p for name, spec in declared.items() for p in _lacking(name, values.get(name), spec)]
    sheets_ = {
        name: [
            _sheet(name, i, ref, schema, placing)
            if spec.reading is None or is_readable(Path(ref.uri))
            else ref
            for i, ref in enumerate(inputs[name])
        ]
        for name, spec in declared.items()
        if inputs.get(name) and (schema := _schema(workflow, spec))
    }
    return Nested(changed, sheets_, placing.refs, [*placing.problems, *lacking])


def _schema(workflow: Workflow, spec: Input) -> dict[str, Any] | None:
    """That of a sample sheet, whose columns may be files; None for any other input."""
    if not spec.rows:
        return None
    schema = documents.load(workflow.folder / spec.rows, schema=True).data
    return schema if sheets.is_sheet(schema) else None


def _sheet(name: str, number: int, ref: DataRef, schema: Mapping[str, Any], placing: Placing) -> DataRef:
    """A sample sheet: the copy that an engine is given, if its rows name what lies elsewhere."""
    found = sheets.addresses(placing.remote.found(ref), schema)
    if not found:
        return ref
    placing.remote.ask(text for _, text in found)
    places: dict[str, str] = {}
    cells: dict[str, dict[str, str]] = {}
    for (column, text), (where, kind) in found.items():
        try:
            if text not in places:
                places[text] = placing.place(name, f"{where}: {column}", text, kind)
            cells.setdefault(column, {})[text] = places[text]
        except UsageError as error:
            placing.problems += error.problems
    named = {one.path: one for one in placing.refs if one.path in places.values()}
    if ref.is_brought:
        placing.original(name, ref)
    sizes = [one.bytes for one in (ref, *named.values())]
    return msgspec.structs.replace(
        ref,
        path=f"{INPUTS}/{name}/{number}/{name_of(ref)}",
        bytes=sum(size or 0 for size in sizes),
        cells=cells,
        beside=ref.beside | {place: one.checksum or one.uri for place, one in named.items() if place},
    )


def _address(value: Mapping[str, Any]) -> str:
    """Where a file object lies, if that is elsewhere; else nothing."""
    text = value.get("location") or value.get("path")
    return text if isinstance(text, str) and is_remote(text) else ""


def _addresses(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for member in value:
            yield from _addresses(member)
    elif isinstance(value, dict):
        if is_file_object(value) and (text := _address(value)):
            yield text
        yield from _addresses(list(value.values()))


def _lacking(name: str, value: Any, spec: Input) -> Iterator[Problem]:
    """What belongs to a file that lies elsewhere, where nobody can look for it, and isn't named with it."""
    if isinstance(value, list):
        for member in value:
            yield from _lacking(name, member, spec)
    elif is_file_object(value) and value["class"] == "File" and _address(value):
        named = {_called(p) for p in value.get("secondaryFiles") or () if is_file_object(p)}
        for other, is_needed in names_beside(_called(value), spec):
            if is_needed and other not in named:
                what, hint = f"{other} belongs to it, and isn't named", "name it under secondaryFiles"
                yield Problem(f"parameter {name}: {one_line(_address(value)[:200])}", what, hint)


def _called(value: Mapping[str, Any]) -> str:
    if is_name(value.get("basename")):
        return str(value["basename"])
    return name_of(DataRef(uri=str(value.get("location") or value.get("path") or "")))


class Placing:
    """
    Gives what lies elsewhere its places, beside those that inputs have.

    Parameters
    ----------
    remote : Remote
    inputs : mapping
        What has its place already.
    """

    def __init__(self, remote: Remote, inputs: Mapping[str, list[DataRef]]) -> None:
        self.remote = remote
        self.refs: list[DataRef] = []
        self.problems: list[Problem] = []
        self._numbers = Counter({folder_of(name): len(refs) for name, refs in inputs.items()})
        self._taken: set[str] = set()

    def value(self, name: str, value: Any, beside: str = "") -> Any:
        """
        A part of a parameter, with the place of each file in it.

        Parameters
        ----------
        name : str
            Of the parameter.
        value : object
        beside : str, optional
            The folder of the file to which it belongs.
        """
        if isinstance(value, list):
            return [self.value(name, member, beside) for member in value]
        if not isinstance(value, dict):
            return value
        place = ""
        if is_file_object(value) and (text := _address(value)):
            place = self._described(name, text, value, beside)
        # what belongs to a file is looked for in its folder
        inner = str(PurePosixPath(place).parent) if place else ""
        moved = {k: self.value(name, v, inner if k == "secondaryFiles" else "") for k, v in value.items()}
        if place:
            moved |= {k: v for k, v in (("path", place), ("location", quote(place))) if k in value}
        return moved

    def _described(self, name: str, text: str, value: Mapping[str, Any], beside: str) -> str:
        called = value.get("basename")
        kind: Literal["file", "folder"] = "file" if value["class"] == "File" else "folder"
        try:
            return self.place(name, f"parameter {name}", text, kind, called, beside)
        except UsageError as error:
            self.problems += error.problems
            return ""

    def place(
        self,
        name: str,
        where: str,
        text: str,
        kind: Literal["any", "file", "folder"],
        called: object = None,
        beside: str = "",
    ) -> str:
        """
        The place of one file or folder, relative to the run directory.

        Parameters
        ----------
        name : str
            Of the parameter or input.
        where : str
            Where it is named, for errors.
        text : str
            The reference.
        kind : str
            What it must be.
        called : str, optional
            The name that it is given.
        beside : str, optional
            A folder in the run directory to which it belongs, if its name is free there.

        Raises
        ------
        UsageError
            There is no such thing, or it is several files.
        """

        def wrong(what: str, hint: str = "") -> UsageError:
            problem = Problem(f"{where}: {one_line(text[:200])}", what, hint)
            return UsageError("an input is not usable", [problem])

        try:
            found = self.remote.refs(text, Input(title=name, kind=kind), wrong)
        except UsageError as error:  # of a lake, say, which doesn't know who asks
            told = [p if p.where.startswith(where) else _within(where, p) for p in error.problems]
            raise UsageError(error.message, told) from None
        if len(found) != 1:
            raise wrong(*several(found, "one is meant"))
        base = called if is_name(called) else name_of(found[0])
        place = f"{beside}/{base}"
        if not beside or place in self._taken:
            place = self._free(name, base)
        self._taken.add(place)
        self.refs.append(msgspec.structs.replace(found[0], path=place))
        return place

    def original(self, name: str, ref: DataRef) -> None:
        """What is brought only to be copied."""
        self.refs.append(msgspec.structs.replace(ref, path=self._free(name, name_of(ref))))

    def _free(self, name: str, base: str) -> str:
        folder = folder_of(name)
        self._numbers[folder] += 1
        return f"{INPUTS}/{folder}/{self._numbers[folder] - 1}/{base}"


def _within(where: str, problem: Problem) -> Problem:
    return Problem(f"{where}: {problem.where}", problem.what, problem.hint)


def folder_of(name: str) -> str:
    """What the folder of a parameter's files is called."""
    return _NO_FOLDER.sub("_", name[:_LONGEST]) or "_"
