"""Profiles of places: read, split into what every place has and what its kind has, and checked."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.backends.base import BackendBase
from esap_wf.config import Config
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.documents import Document
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.models.place import Profile

LOCAL = "local"
#: A place is called like this in names of jobs and of folders.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
#: Members of `Profile` that nobody writes: they follow from where a profile stands.
_NOT_WRITTEN = ("name", "settings")
_AMOUNTS = {"memory": to_bytes, "disk": to_bytes, "bundle": to_bytes, "wall": to_seconds}


def profiles(config: Config) -> dict[str, Profile]:
    """
    All profiles by name; the configuration's win.

    The keys of a kind stand beside those that every place has; they end in `Profile.settings`. Of a kind
    whose plug-in is missing or broken they can't be checked, and are kept as they are.

    Raises
    ------
    UsageError
        Profiles are broken: all that is wrong with all of them.
    """
    found = {LOCAL: Profile(name=LOCAL, kind=LOCAL, title="this machine")}
    documents_, problems = _written(config)
    kinds = _kinds(documents_)
    for name, document in documents_.items():
        try:
            found[name] = _read(name, document, kinds)
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError("a backend profile is not valid", problems)
    return found


def settings_of(profile: Profile, kind: type[msgspec.Struct]) -> Any:
    """The keys of a kind in a profile, as `BackendBase.settings` has them."""
    return msgspec.convert(profile.settings, kind)


def _written(config: Config) -> tuple[dict[str, Document], list[Problem]]:
    """What people have written, by the name of the place, and what can't be read."""
    found: dict[str, Document] = {}
    problems: list[Problem] = []
    package = Path(__file__).parent.parent
    for root in (package.parent / "profiles", package / "bundled" / "profiles"):
        for file in sorted(root.glob("*/backend.yaml")) if root.is_dir() else ():
            try:
                found[file.parent.name] = documents.load(file)
            except UsageError as error:
                problems += error.problems or [Problem(str(file), error.message)]
    for name, table in config.backends.items():
        from esap_wf.formats.toml_tables import TomlTable  # for those who have some

        found[name] = TomlTable(table, config.source, ("backends", name))
        try:
            documents.check(found[name])
        except UsageError as error:
            del found[name]
            problems += error.problems
    return found, problems


def _kinds(written: dict[str, Document]) -> dict[str, BackendBase]:
    """Plug-ins of the kinds that are named; none has to be loaded where there is only this machine."""
    named = [d.data.get("kind", LOCAL) for d in written.values() if isinstance(d.data, dict)]
    wanted = {kind for kind in named if isinstance(kind, str)} - {LOCAL}
    if not wanted:
        return {}
    from esap_wf import plugins

    return plugins.load("esap_wf.backends", wanted)[0]


def _read(name: str, document: Document, kinds: dict[str, BackendBase]) -> Profile:
    """One profile."""
    from esap_wf.formats import schemas

    if not isinstance(document.data, dict):
        raise UsageError("", [Problem(document.where(), "a profile is a mapping of keys")])
    common = {k: v for k, v in document.data.items() if k in _common() or k in _NOT_WRITTEN}
    own = {k: v for k, v in document.data.items() if k not in common}
    kind = common.get("kind", LOCAL)
    problems = [
        Problem(document.where([key]), f"unknown: {key}", "keys of a kind stand beside the others")
        for key in common
        if key == "settings"
    ]
    if not _NAME.fullmatch(name):
        what = f"a place can't be called {name!r}: letters, digits and . _ -, beginning with one of the first"
        problems.append(Problem(document.where(), what))
    if isinstance(kind, str) and (kind == LOCAL or kind in kinds):
        wrong, own = _of_kind(document, own, kinds.get(kind))
        problems += wrong
    profile = None
    try:
        part = _part(document, {k: v for k, v in common.items() if k not in _NOT_WRITTEN})
        profile = schemas.convert(part, Profile, "backend profile")
    except UsageError as error:
        problems += error.problems
    problems += _amounts(document, common)
    if profile:
        problems += [*_engines(document, profile), *_variables(document, profile)]
    if problems or profile is None:
        raise UsageError("a backend profile is not valid", problems)
    return msgspec.structs.replace(profile, name=name, settings=own)


def _of_kind(
    document: Document, own: dict[str, Any], kind: BackendBase | None
) -> tuple[list[Problem], dict[str, Any]]:
    """What is wrong with the keys that not every place has, and the keys as the kind understands them."""
    from esap_wf.formats import schemas

    try:
        settings = kind.settings if kind else None
        known = {f.encode_name for f in msgspec.structs.fields(settings)} if settings else set()
    except Exception:  # a plug-in's: whatever it is, planning says that it is broken
        return [], own
    strange = [key for key in own if key not in known]
    problems = [
        Problem(
            document.where([key]),
            f"unknown: {key}",
            schemas.closest(key, [*_common(), *sorted(known)])
            or (f"keys of its kind: {', '.join(sorted(known))}" if known else ""),
        )
        for key in strange
    ]
    if settings is None:
        return problems, {}
    try:
        part = _part(document, {k: v for k, v in own.items() if k in known})
        made = schemas.convert(part, settings, "backend profile")
        values: dict[str, Any] = msgspec.to_builtins(made)
        return problems, values
    except UsageError as error:
        return [*problems, *error.problems], own
    except Exception:  # a schema that can't be made
        return problems, own


def _part(document: Document, data: dict[str, Any]) -> Document:
    """A document with some of its keys, in the positions of all."""
    part = copy.copy(document)
    part.data = data
    return part


def _amounts(document: Document, common: dict[str, Any]) -> Iterator[Problem]:
    for key, read in _AMOUNTS.items():
        value = common.get(key)
        try:
            if isinstance(value, int | float | str) and not isinstance(value, bool):
                read(value)
        except ValueError as error:
            yield Problem(document.where([key]), str(error))


def _engines(document: Document, profile: Profile) -> Iterator[Problem]:
    """Where engines are: one place each, and names that there are."""
    from esap_wf import plugins
    from esap_wf.formats.schemas import closest

    known = plugins.BUILT_IN["esap_wf.engines"]
    for name, there in profile.engines.items():
        if sum(x is not None for x in (there.path, there.environment, there.image)) != 1:
            what = "takes exactly one of path, environment and image"
            yield Problem(document.where(["engines", name]), what)
        # it may be of another package, also of one that is not installed here
        strange = name not in known and name not in plugins.names("esap_wf.engines")
        if strange and (hint := closest(name, known)):
            yield Problem(document.where(["engines", name]), f"there is no engine {name!r}", hint)


def _variables(document: Document, profile: Profile) -> Iterator[Problem]:
    for name in profile.secrets:
        if name in profile.environment:
            what = f"{name} is also in `environment`, whose values are written down"
            yield Problem(document.where(["secrets"]), what, "name it in one of them")


@cache
def _common() -> tuple[str, ...]:
    """Keys that every place has."""
    return tuple(f.encode_name for f in msgspec.structs.fields(Profile) if f.name not in _NOT_WRITTEN)
