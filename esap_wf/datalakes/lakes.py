"""The configured lakes: ``[datalakes.NAME]``, and the one that every store has."""

from __future__ import annotations

from typing import Any

from esap_wf import plugins
from esap_wf.config import Config
from esap_wf.datalakes.base import Lake, LakeBase, LakeProfile
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import schemas
from esap_wf.formats.documents import Document
from esap_wf.models.data import SCOPE

#: The lake of a store, if the configuration has none of this name.
OWN = "local"


def names(config: Config) -> list[str]:
    """Of all lakes, sorted."""
    return sorted({OWN, *config.datalakes})


def profile(config: Config, name: str) -> LakeProfile:
    """
    A lake's profile.

    Raises
    ------
    UsageError
        There is none, or its keys are wrong.
    """
    table: dict[str, Any] = dict(config.datalakes.get(name, {}))
    where = f"{config.source}: datalakes.{name}"
    if name not in config.datalakes:
        if name != OWN:
            known = names(config)
            hint = schemas.closest(name, known) or f"known: {', '.join(known)}"
            raise UsageError(
                f"there is no data lake {name!r}",
                [Problem(f"rucio://{name}/", f"the configuration has no [datalakes.{name}]", hint)],
            )
        table = {"kind": "directory", "folder": str(config.store / "lake")}
    if not SCOPE.fullmatch(name):
        raise UsageError(
            "a data lake can't be used", [Problem(where, "its name has other letters than a-z A-Z 0-9 _ . -")]
        )
    kind = table.pop("kind", None)
    if not isinstance(kind, str):
        known = plugins.names("esap_wf.datalakes")
        raise UsageError(
            "a data lake can't be used", [Problem(where, "kind is missing", f"known: {', '.join(known)}")]
        )
    plugin: LakeBase = plugins.one("esap_wf.datalakes", kind)
    settings = schemas.convert(Document(table, where), plugin.settings, f"data lake {name}")
    return LakeProfile(name=name, kind=kind, settings=settings, folder=config.source.parent)


def lake(config: Config, name: str) -> Lake:
    """
    A configured lake.

    Raises
    ------
    UsageError
        As `profile`.
    """
    found = profile(config, name)
    plugin: LakeBase = plugins.one("esap_wf.datalakes", found.kind)
    return plugin.open(found, config.cache / "lakes" / name)
