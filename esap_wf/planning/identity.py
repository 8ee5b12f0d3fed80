"""What decides the bytes of a run, in one place: each field of a plan counts (*identity*) or is only kept
(*recorded*), with the reason.

The digest by which two runs are the same is derived from this list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from esap_wf.formats import digests
from esap_wf.models.plan import Plan
from esap_wf.models.request import DataRef, is_file_object

#: Raised with every change of what counts: digests of other schemes are never equal to today's.
SCHEME = 2


@dataclass(frozen=True)
class Identity:
    """
    A field that counts; `of` gives what of it does, from the plan and the part that holds the field. Without
    it the value does.
    """

    why: str
    of: Callable[[Plan, Any], Any] | None = None


@dataclass(frozen=True)
class Recorded:
    """A field that doesn't count."""

    why: str


def _file(plan: Plan, _: Plan) -> str:
    # code/<digest>/… : the digest of what counts as code stands by itself
    return "/".join(PurePosixPath(plan.entry).parts[2:])


def _version(_: Plan, engine: Any) -> list[str]:
    return list(engine.version.split(".")[:2])


def _content(_: Plan, ref: Any) -> str | None:
    return ref.checksum if ref.counts else None


def _beside(plan: Plan, ref: Any) -> Any:
    """In the order in which the input names them, so that two that change places are seen."""
    if not ref.counts:
        return None
    return (
        [[Path(p).name, c] for p, c in ref.beside.items()]
        if plan.config == "plain"
        else list(ref.beside.values())
    )


def _name(plan: Plan, ref: Any) -> str | None:
    return Path(ref.path or ref.uri).name if plan.config == "plain" else None


def _values(value: Any) -> Any:
    """Of files and folders in the way of CWL the name alone: their content is `inside`."""
    if isinstance(value, list):
        return [_values(v) for v in value]
    if not isinstance(value, dict):
        return value
    named = {k: _values(v) for k, v in value.items()}
    if is_file_object(value):
        named |= {k: Path(v).name for k in ("path", "location") if isinstance(v := value.get(k), str)}
    return named


_FOLLOWS = "follows from the other fields"
_MOMENT = "of the moment of planning"
_ALLOWED = "what a run may use changes when it ends, not what it computes"
_SAME_SOFTWARE = (
    "by its workflow's word the same software, whichever way it comes; a digest is not known of every image"
)

#: Every field of a plan, those of its parts with a dot; of what a list or a mapping holds, too.
FIELDS: dict[str, Identity | Recorded] = {
    "schema_version": Recorded("of the document"),
    "created": Recorded(_MOMENT),
    "expires": Recorded(_MOMENT),
    "workflow": Identity("whose results these are"),
    "version": Recorded("a word of the author's: the code counts"),
    "title": Recorded("for people"),
    "source": Identity(
        "which of a folder's manifests; its place doesn't count", lambda plan, _: Path(plan.source).name
    ),
    "reference": Recorded("how the workflow is found again; what is found there counts"),
    "place": Recorded("`entry` says which file is meant"),
    "code": Identity("all files that are run"),
    "entry": Identity("the file that the engine is given: one folder may hold several", _file),
    "config": Identity("what the engine gets beside the parameters"),
    "item": Identity("target, part or entry of the file"),
    "parameters": Identity(
        "values; of a file in them its name, its content is `inside`",
        lambda plan, _: _values(plan.parameters),
    ),
    "inside": Identity("content of files that parameters name"),
    "nested": Recorded("`inside` and `inputs.beside` have the content of these files"),
    "inputs.uri": Recorded("where a file lies; its content counts"),
    "inputs.path": Identity("its name, to pipelines of others: they call results after it", _name),
    "inputs.bytes": Recorded("the content counts"),
    "inputs.checksum": Identity("content, unless it is only looked up", _content),
    "inputs.strength": Recorded("how sure the checksum is"),
    "inputs.rows": Recorded("the content counts"),
    "inputs.counts": Identity("whether the content does"),
    "inputs.folder": Recorded("the content counts"),
    "inputs.checksums": Recorded("`checksum` is made of them"),
    "inputs.modified": Recorded("the content counts"),
    "inputs.before": Recorded("`before` looks for runs of the time when the content was not known"),
    "inputs.cells": Recorded("the table and `beside` have the content"),
    "inputs.beside": Identity("content of the files that belong to it", _beside),
    "volume": Recorded(_MOMENT),
    "selected": Identity("what was looked up"),
    "outputs.name": Identity("what is given out as a result"),
    "outputs.path": Identity("what is given out as a result"),
    "outputs.title": Recorded("for people"),
    "outputs.media_type": Recorded("for people and programs that read it"),
    "outputs.required": Identity("what a run must give"),
    "outputs.at_least": Identity("what a run must give"),
    "outputs.min_bytes": Identity("what a run must give"),
    "outputs.schema": Identity("what a run must give"),
    "outputs.verdict": Identity("what a run must give"),
    "outputs.guess": Identity("what a run must give"),
    "outputs.compare": Recorded("how results are looked at"),
    "nonce": Identity("a run that draws its seed is identical to no other"),
    "request.schema_version": Recorded("of the document"),
    "request.workflow": Recorded("how it was named; what is found there counts"),
    "request.parameters": Recorded("`parameters` has them with their defaults"),
    "request.inputs": Recorded("`inputs` has them with their content"),
    "request.literals": Identity("numbers as they are written: command lines are made of them"),
    "request.backend": Recorded("where it runs"),
    "request.engine": Recorded("`engine` has the one that was found"),
    "request.engine_options": Identity("they may change anything"),
    "request.size": Recorded(_ALLOWED),
    "request.resources": Recorded(_ALLOWED),
    "request.software": Recorded(_SAME_SOFTWARE),
    "request.results": Recorded("where results are copied to"),
    "request.name": Recorded("for people"),
    "request.tags": Recorded("for people"),
    "engine.name": Identity("each engine has an implementation of its own"),
    "engine.version": Identity("major and minor; a patch mends", _version),
    "engine.path": Recorded("where it is"),
    "engine.found": Recorded("where it is"),
    "engine.detail": Recorded("where it is"),
    "engine.place": Recorded("where it is"),
    "engine.programs": Recorded("where it is"),
    "engine.packages": Recorded("where it is"),
    "engine.container": Recorded("where it is"),
    "software": Recorded(_SAME_SOFTWARE),
    "backend": Recorded("where it runs"),
    "profile": Recorded("where it runs"),
    "queue": Recorded("where the work is done"),
    "steps": Recorded(_ALLOWED),
    "slicing": Recorded("how the work is spread; a workflow that can be cut gives the same bytes"),
    "sharding": Recorded("how the work is spread; units have the same bytes in shards of any size"),
    "allocation": Recorded(_ALLOWED),
    "units": Recorded(_FOLLOWS),
    "estimate": Recorded(_MOMENT),
    "offers": Recorded(_MOMENT),
    "duplicates": Recorded(_MOMENT),
    "digest": Recorded(_FOLLOWS),
    "command": Recorded(_FOLLOWS),
    "files": Recorded(_FOLLOWS),
    "warnings": Recorded("for people"),
    "checksum": Recorded(_FOLLOWS),
}


def of(plan: Plan) -> str:
    """
    The digest by which a run is the same as another.

    Raises
    ------
    KeyError
        A field is neither identity nor recorded: `FIELDS` must say which.
    """
    return digests.of_data({"scheme": SCHEME, **dict(_parts(plan, plan, ""))})


def before(plan: Plan) -> str | None:
    """The digest that the same plan had before the content of its inputs was known; None if it was always."""
    nested = {ref.checksum: ref.before for ref in plan.nested if ref.before}
    if not nested and not any(ref.before for refs in plan.inputs.values() for ref in refs):
        return None

    def known(ref: DataRef) -> DataRef:
        beside = {p: nested.get(c, c) for p, c in ref.beside.items()} if ref.cells else ref.beside
        return msgspec.structs.replace(ref, checksum=ref.before or ref.checksum, beside=beside)

    inputs = {name: [known(ref) for ref in refs] for name, refs in plan.inputs.items()}
    inside = {name: [nested.get(c, c) for c in found] for name, found in plan.inside.items()}
    return of(msgspec.structs.replace(plan, inputs=inputs, inside=inside))


def _parts(plan: Plan, part: msgspec.Struct, prefix: str) -> Iterator[tuple[str, Any]]:
    """What counts of a struct: name and value."""
    for name in part.__struct_fields__:
        value, rule = getattr(part, name), FIELDS.get(prefix + name)
        if isinstance(rule, Identity):
            yield name, rule.of(plan, part) if rule.of else value
        elif rule is None:
            yield name, _below(plan, value, f"{prefix}{name}.")


def _below(plan: Plan, value: Any, prefix: str) -> Any:
    if isinstance(value, msgspec.Struct):
        return dict(_parts(plan, value, prefix))
    if isinstance(value, dict):
        return {key: _below(plan, item, prefix) for key, item in value.items()}
    if isinstance(value, list):
        return [_below(plan, item, prefix) for item in value]
    raise KeyError(
        f"{prefix.removesuffix('.')}: neither identity nor recorded, say which in esap_wf/identity.py"
    )
