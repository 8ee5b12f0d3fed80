"""The verbs workflows and show."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from esap_wf.api.result import config_of
from esap_wf.api.tables import Rows
from esap_wf.catalogue import manifests
from esap_wf.catalogue.workflows import find
from esap_wf.formats.summaries import clipped
from esap_wf.planning import descriptions


class Description(dict[str, Any]):
    """A workflow, as ``esap-wf show --json`` describes it; shown as a few lines."""

    def __repr__(self) -> str:
        parts = [("parameters", self["parameters"].get("properties", {})), ("inputs", self["inputs"])]
        parts += [("outputs", [o["name"] for o in self["outputs"]]), ("engines", self["engines"])]
        lines = [f"{kind}: {', '.join(names)}" for kind, names in parts if names]
        return "\n  ".join(
            [clipped(f"{self['name']} {self['version']}: {self['title']}"), *map(clipped, lines)]
        )


def workflows() -> Rows[dict[str, Any]]:
    """
    The workflows that come with esap-wf and those of the configuration's folders, as ``esap-wf workflows``
    lists them.

    Returns
    -------
    list of dict
        With name, title, version, engines and source; a broken one with its error.
    """
    rows = manifests.summaries(config_of(None))
    header = ("name", "version", "engines", "source", "title")
    return Rows(
        rows,
        header,
        lambda r: (
            r["name"],
            r["version"],
            ", ".join(r["engines"]),
            r["source"],
            r.get("error") or r["title"],
        ),
    )


def show(workflow: str | os.PathLike[str]) -> Description:
    """
    What a workflow does, takes, makes and needs, as ``esap-wf show --json`` says it.

    Parameters
    ----------
    workflow : str or path
        Name, path or URL.

    Returns
    -------
    dict
        With parameters (a JSON Schema), inputs, outputs, resources, software, …

    Raises
    ------
    NotFoundError
        There is none.
    """
    found = find(config_of(None), os.fspath(workflow))
    data = msgspec.to_builtins({**descriptions.of(found)}, enc_hook=str)
    return Description(data)
