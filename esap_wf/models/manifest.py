"""``workflow.yaml``: what a workflow adds to its engine's file (docs/workflows.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

MANIFEST_VERSION = 1

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="lower case, digits and dashes")]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="snake_case")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
Expression = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
#: A path inside the workflow folder or the run directory: relative, no `..`, nothing that a shell or a glob could twist.
RelativePath = Annotated[str, msgspec.Meta(pattern=r"^(?!\.\.?(/|$))(?!.*/\.\.?(/|$))[A-Za-z0-9_.][A-Za-z0-9_./-]{0,250}$")]
Pattern = Annotated[str, msgspec.Meta(pattern=r"^(?!\.\.?(/|$))(?!.*/\.\.?(/|$))[A-Za-z0-9_.][A-Za-z0-9_./*?-]{0,250}$")]
#: Inputs of a pipeline that was not written for esap-wf keep the names that they have there.
InputName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$")]
Extension = Annotated[str, msgspec.Meta(pattern=r"^\.[A-Za-z0-9.]{1,20}$")]


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all parts of a manifest share."""


class Author(Base, frozen=True, kw_only=True):
    """Who wrote the workflow."""

    name: Text
    orcid: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")] | None = None
    affiliation: str | None = None


class Upstream(Base, frozen=True, kw_only=True):
    """Code in another repository, which a manifest wraps without a change of it."""

    url: Text
    ref: Text | None = None


class Implementation(Base, frozen=True, kw_only=True):
    """
    One engine that can run the workflow.

    `config` says what the engine gets: ``house`` (docs/workflows.md: parameters, `inputs`, `selected`), or ``plain``, the names that the
    pipeline itself has and only what was given. `item` is a part of the file (CWL ``#item``, Nextflow's entry).
    """

    engine: Name
    file: RelativePath
    requires: str | None = None
    config: Literal["house", "plain"] = "house"
    item: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")] | None = None
    upstream: Upstream | None = None


class Rule(Base, frozen=True, kw_only=True):
    """A consistency rule over parameters, which JSON Schema cannot say."""

    that: Expression
    message: Text
    parameters: list[Identifier] = []


class Input(Base, frozen=True, kw_only=True):
    """
    A named input; `rows` makes it a table with one row a unit; content that is only looked up (`select`) need not count (`identity`).

    `secondary` are CWL's patterns of files that lie beside it (``.bai``, ``^.dict``, at their end ``?`` if they may lack); `pattern`
    allows ``*``, ``?``, ``[…]`` and ``{a,b}`` in a path; `format` is the URI of the file's format; `engine_default` what the pipeline
    itself takes if nothing is given, as it is written there; `hidden` leaves it out of a form's first page.
    """

    title: Text
    description: str = ""
    required: bool = True
    many: bool = False
    default: RelativePath | None = None
    extensions: list[Extension] = []
    rows: RelativePath | None = None
    identity: bool = True
    kind: Literal["any", "file", "folder"] = "any"
    secondary: list[str] = []
    pattern: bool = False
    format: str = ""
    hidden: bool = False
    engine_default: str = ""


class Select(Base, frozen=True, kw_only=True):
    """Rows looked up in a JSON input when planning and handed to the job."""

    source: Identifier = msgspec.field(name="from")
    table: Identifier
    match: dict[str, Identifier]
    columns: list[Identifier]


class Units(Base, frozen=True, kw_only=True):
    """The axis along which the work splits."""

    axis: Text
    count: str | int = 1
    table: Identifier | None = None
    steps: list[str] = []


class Size(Base, frozen=True, kw_only=True):
    """Resources of one size; memory and disk in bytes or with a unit, wall in seconds or with a unit."""

    cores: Annotated[int, msgspec.Meta(ge=1)]
    memory: int | float | str
    disk: int | float | str = 0
    wall: int | float | str = 3600
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0


class Estimate(Base, frozen=True, kw_only=True):
    """Expressions over parameters, `units`, `cores`, `input_bytes`."""

    core_seconds: str | int | float = 0
    serial_seconds: str | int | float = 0
    memory_bytes: str | int | float = 0
    disk_bytes: str | int | float = 0


class Resources(Base, frozen=True, kw_only=True):
    """Sizes of the workflow and its resource model."""

    default: Name = "small"
    sizes: dict[Name, Size] = {}
    estimate: Estimate = Estimate()


class Software(Base, frozen=True, kw_only=True):
    """One alternative: exactly one of the routes is set; `network` False cuts a container off."""

    installed: str | list[str] | None = None
    python: RelativePath | None = None
    container: Text | None = None
    mounted: Text | None = None
    network: bool = True


class Identity(Base, frozen=True, kw_only=True):
    """The scientific identity: equal values are the same production, whoever ran it."""

    scheme: Text
    parameters: list[Identifier]
    inputs: list[InputName] = []


class Random(Base, frozen=True, kw_only=True):
    """Which parameter is the seed."""

    seed: Identifier


class Output(Base, frozen=True, kw_only=True):
    """A declared output and what makes it valid."""

    name: Identifier
    path: Pattern
    title: str = ""
    media_type: str = "application/octet-stream"
    required: bool = True
    at_least: Annotated[int, msgspec.Meta(ge=1)] = 1
    min_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    schema: RelativePath | None = None
    verdict: RelativePath | None = None


class Manifest(Base, frozen=True, kw_only=True):
    """A workflow."""

    schema_version: int
    name: Name
    title: Text
    version: Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+\.\d+([.+-].+)?$")]
    implementations: Annotated[list[Implementation], msgspec.Meta(min_length=1)]
    description: str = ""
    authors: list[Author] = []
    license: str | None = None
    citation: list[str] = []
    keywords: list[str] = []
    parameters: RelativePath = "params.schema.json"
    rules: list[Rule] = []
    inputs: dict[InputName, Input] = {}
    select: list[Select] = []
    units: Units | None = None
    resources: Resources = Resources()
    software: list[Software] = []
    identity: Identity | None = None
    random: Random | None = None
    outputs: list[Output] = []


ParameterSchema = dict[str, Any]
