"""A workflow that can be planned, however it was found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from esap_wf.code import contents, selection
from esap_wf.code.contents import CodeFile
from esap_wf.formats import digests
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import Implementation, Manifest, Upstream

#: Engines whose users write job orders.
JOB_ORDERS = ("cwl", "toil")
#: Engines to which a parameter may be null although the pipeline sets another kind of value.
NULLS = {"nextflow", "snakemake"}


class Kind(Enum):
    """
    For whom a workflow was written: all but `HOUSE` keep the names that the pipeline has for its parameters
    and inputs, and are given only what is set.
    """

    #: For esap-wf, with a manifest and one flat configuration.
    HOUSE = "house"
    #: A manifest for a plain workflow in another repository.
    WRAPPER = "wrapper"
    #: A plain workflow, with a manifest in its folder.
    PLAIN = "plain"
    #: A plain workflow without a manifest: its engine derives what there is to know.
    DERIVED = "derived"


@dataclass(frozen=True)
class Workflow:
    """
    A workflow that can be planned.

    Parameters
    ----------
    manifest : Manifest
    document : Document
        The manifest's file, for positions.
    folder : Path
    schema : dict
        The parameters, JSON Schema.
    source : str
        ``built-in``, ``configured``, ``path``, or ``url``.
    reference : str
        A pinned text that finds it again, if its path alone doesn't.
    derived_from : dict of str to str
        For a pipeline without a manifest: what was derived → ``file:line`` that says so.
    images : tuple of str
        Images that the steps of a pipeline without a manifest name; the bare engine uses them if it is
        `contained`.
    notes : tuple of str
        What a user should know of how it was found.
    order : mapping
        Files and folders that are its inputs if nothing else is given, as a CWL job order has them.
    upstream : dict of str to Path
        Position in a snapshot → folder of code in other repositories that the manifest wraps.
    files : tuple of str, optional
        All that is snapshotted of the folder, if its engine knows that; None: all that is code.
    named : tuple of str
        What the pipeline in the folder names for sure: it is snapshotted even if git ignores it.
    beside : dict of str to str
        Path in the run directory → path in the pipeline's folder, of what the pipeline finds by a relative
        path.
    """

    manifest: Manifest
    document: Document
    folder: Path
    schema: dict[str, Any]
    source: str
    reference: str = ""
    derived_from: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    contained: bool = False
    upstream: dict[str, Path] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] | None = None
    named: tuple[str, ...] = ()
    beside: dict[str, str] = field(default_factory=dict)
    _seen: list[CodeFile] = field(default_factory=list, init=False, repr=False, compare=False)
    _warnings: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """Parameters by name."""
        properties: dict[str, dict[str, Any]] = self.schema.get("properties", {})
        return properties

    @property
    def position(self) -> str:
        """
        The workflow's folder inside a snapshot: without characters that mean something in a URL or to an
        engine.
        """
        return f"workflows/{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.folder.name).strip('-.') or 'workflow'}"

    @property
    def kind(self) -> Kind:
        """For whom it was written."""
        if self.derived_from:
            return Kind.DERIVED
        plain = [i for i in self.manifest.implementations if i.config == "plain"]
        if not plain:
            return Kind.HOUSE
        return Kind.WRAPPER if all(i.upstream for i in plain) else Kind.PLAIN

    def home(self, implementation: Implementation) -> tuple[str, Path]:
        """Position in a snapshot, and folder, of the code that an implementation names."""
        position = upstream_position(implementation.upstream) if implementation.upstream else self.position
        return position, self.upstream.get(position, self.folder)

    @property
    def takes_job_orders(self) -> bool:
        """
        Whether what a user's file says reaches the engine as it stands: a CWL job order says more than names,
        paths and numbers.
        """
        return all(i.config == "plain" and i.engine in JOB_ORDERS for i in self.manifest.implementations)

    @property
    def takes_null(self) -> bool:
        """
        Whether null may be given for whatever a parameter is: the engine takes it, in the place of the
        pipeline's own value.
        """
        return all(i.config == "plain" and i.engine in NULLS for i in self.manifest.implementations)

    def repositories(self) -> set[str]:
        """Positions of `code_folders` that are somebody's repository: everything in them is snapshotted."""
        return {*self.upstream, *([self.position] if self.kind in (Kind.PLAIN, Kind.DERIVED) else [])}

    def code_files(self) -> Sequence[CodeFile]:
        """All that is snapshotted, looked up once."""
        if not self._seen:
            self._seen.extend(
                f
                for position, folder in sorted(self.code_folders().items())
                for f in self._files_at(position, folder)
            )
        return self._seen

    def code_warnings(self) -> list[str]:
        """What a user should know of what is snapshotted, and what is not."""
        self.code_files()
        return self._warnings

    def _files_at(self, position: str, folder: Path) -> Iterator[CodeFile]:
        if position == self.position and self.files is not None:
            return contents.contents(folder, position, digests.listed_files(folder, self.files))
        if position not in self.repositories():
            return contents.contents(folder, position, digests.code_files(folder))
        chosen = selection.choose(folder, self.named if position == self.position else ())
        self._warnings.extend(chosen.warnings)
        return contents.kept(folder, position, chosen.names)

    def code_digest(self, root: Path | None = None) -> str:
        """SHA-256 of all code; of a snapshot, if its `root` is given."""
        return contents.digest(self.code_files(), root)

    def code_folders(self) -> dict[str, Path]:
        """
        Position in a snapshot → folder: the workflow, and the shared rules beside the collection that it is
        in.
        """
        folders = {self.position: self.folder, **self.upstream}
        rules = self.folder.parent.parent / "rules"
        if self.folder.parent.name == "workflows" and rules.is_dir():
            folders["rules"] = rules
        return folders


def upstream_position(upstream: Upstream) -> str:
    """
    Position of another repository's code in a snapshot; by its address, so that it stays where it is when the
    commit changes.
    """
    name = re.sub(
        r"[^A-Za-z0-9_.-]+", "-", upstream.url.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1]
    ).strip("-.")[:60]
    return f"upstream/{name or 'code'}-{digests.of_data([upstream.url, upstream.ref])[:8]}"
