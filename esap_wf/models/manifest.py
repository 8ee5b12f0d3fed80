"""``workflow.yaml``: what a workflow adds to its engine's file (docs/workflows.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from esap_wf.models import Model

MANIFEST_VERSION = 1

Name = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="lower case, digits and dashes")
]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="snake_case")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
Expression = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
#: A path inside the workflow folder or the run directory: relative, no `..`, no option, nothing that can't be
#: printed.
RelativePath = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!\.\.?(/|$))(?!.*/\.\.?(/|$))[^/~\x00-\x1f\x7f-\x9f-][^\x00-\x1f\x7f-\x9f]{0,250}$",
        description="a relative path, without ..",
    ),
]
#: The same with ``*``, ``?`` and ``[…]``.
Pattern = RelativePath
#: Inputs and outputs of a pipeline that was not written for esap-wf keep the names that they have there.
InputName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$")]
Extension = Annotated[str, msgspec.Meta(pattern=r"^\.[A-Za-z0-9.]{1,20}$")]


class Author(Model, frozen=True, kw_only=True):
    """Who wrote the workflow."""

    name: Text
    orcid: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")] | None = None
    affiliation: str | None = None


class Upstream(Model, frozen=True, kw_only=True):
    """Code in another repository, which a manifest wraps without a change of it."""

    url: Text
    ref: Text | None = None


class Stage(Model, frozen=True, kw_only=True):
    """
    One of the two stages of an implementation whose units can be cut into slices: another file of the
    workflow, or another part of the same file. `map` gets the parameters, and `slice` (from 1) and `slices`;
    `join` gets the parameters, and what the slices gave as inputs, by the names of `gives`.

    Parameters
    ----------
    file : str, optional
        Default: the implementation's.
    item : str, optional
        As `Implementation.item`.
    gives : dict
        Of the `map` stage: name → pattern of files, relative to the run directory, that each slice makes for
        the `join` stage; there they lie in the same places.
    """

    file: RelativePath | None = None
    item: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")] | None = None
    gives: dict[Identifier, Pattern] = {}


class Shards(Model, frozen=True, kw_only=True):
    """
    How an implementation carries out many units in one job, if its configuration has ``shard_size``.

    Parameters
    ----------
    step : str
        The step that is one job a unit without shards; its journals are in ``work/shards/<step>``.
    job : str
        The rule, process or step whose jobs are the shards.
    file : str, optional
        Another file of the workflow that has them. Default: the implementation's.
    """

    step: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$")]
    job: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$")]
    file: RelativePath | None = None


class Implementation(Model, frozen=True, kw_only=True):
    """
    One engine that can run the workflow.

    `config` says what the engine gets: ``house`` (docs/workflows.md: parameters, `inputs`, `selected`), or
    ``plain``, the names that the pipeline itself has and only what was given. `item` is a part of the file
    (CWL ``#item``, Nextflow's entry), `workdir` the folder of the code in which the pipeline is at work
    (default: its top). `map` and `join` are its stages, if its units can be cut into slices; `shards` says
    how many units share a job, if they can.
    """

    engine: Name
    file: RelativePath
    requires: str | None = None
    config: Literal["house", "plain"] = "house"
    item: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")] | None = None
    upstream: Upstream | None = None
    workdir: RelativePath | None = None
    map: Stage | None = None
    join: Stage | None = None
    shards: Shards | None = None

    @property
    def stages(self) -> dict[str, Stage]:
        """Those that it has, by name."""
        return {name: stage for name, stage in (("map", self.map), ("join", self.join)) if stage}

    def part(self, stage: Stage) -> tuple[str, str | None]:
        """File and item of a stage: a part of another file is not the part of this one."""
        return stage.file or self.file, stage.item if stage.item or stage.file else self.item


class Rule(Model, frozen=True, kw_only=True):
    """A consistency rule over parameters, which JSON Schema cannot say."""

    that: Expression
    message: Text
    parameters: list[Identifier] = []


class Reading(Model, frozen=True, kw_only=True):
    """
    How a pipeline reads a table, in the words of ``pandas.read_csv``.

    Parameters
    ----------
    sep : str
        Empty: any white space.
    comment : str
        What stands behind this sign is no part of a line.
    skip : int
        Lines at the top.
    header : bool
        The first line names the columns.
    names : list of str
        Columns, in place of those of a header.
    without, only : list
        Columns (by name or number) that are the index, or that alone are read.
    texts : bool
        Every cell stays a text; else those of `text_columns`.
    blank : bool
        ``NA``, ``nan``, ``null`` and the like are nothing.
    """

    sep: str = ","
    comment: str = ""
    skip: int = 0
    header: bool = True
    names: list[str] = []
    without: list[str | int] = []
    only: list[str | int] = []
    texts: bool = False
    text_columns: list[str] = []
    blank: bool = True


class Region(Model, frozen=True, kw_only=True):
    """A circle on the sky: ICRS, degrees; `radius` with its unit, as ``"2 deg"``."""

    ra: Annotated[float, msgspec.Meta(ge=0, lt=360)]
    dec: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    radius: int | float | str


#: With ``*`` and ``?``, letters in either case differ.
Wild = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class BasketRule(Model, frozen=True, kw_only=True):
    """
    Which items of a shopping basket are for an input: those that meet all that is said here.

    Parameters
    ----------
    archive : list of str
        Where they were found: ``rucio``, ``astron_vo``, ``apertif``, ``samp``, ``vo_reg``, ``lofar``,
        ``zooniverse``; none: anywhere.
    scope, name : str, optional
        Patterns.
    product : list of str
        Data-product types, as ObsCore has them (``image``, ``event``) or Rucio (``file``, ``dataset``).
    metadata : dict
        What else is said of them: name → the value, or a list of values of which one is meant.
    begin, end : str, optional
        Observed within this time at least in part: ISO 8601, UTC.
    region : Region, optional
        Observed in it.
    """

    archive: list[Wild] = []
    scope: Wild | None = None
    name: Wild | None = None
    product: list[Wild] = []
    metadata: dict[str, bool | int | float | str | list[bool | int | float | str]] = {}
    begin: str | None = None
    end: str | None = None
    region: Region | None = None


class Input(Model, frozen=True, kw_only=True):
    """
    A named input; `rows` makes it a table with one row a unit; content that is only looked up (`select`) need
    not count (`identity`).

    `secondary` are CWL's patterns of files that lie beside it (``.bai``, ``^.dict``, at their end ``?`` if
    they may lack); `pattern` allows ``*``, ``?``, ``[…]`` and ``{a,b}`` in a path; `format` is the URI of the
    file's format; `engine_default` what the pipeline itself takes if nothing is given, as it is written
    there; `hidden` leaves it out of a form's first page; `reading` says how the pipeline reads a table, by
    default as RFC 4180 has it; `basket` which items of a shopping basket are for it: those that meet one of
    its rules.
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
    reading: Reading | None = None
    basket: list[BasketRule] = []


class Select(Model, frozen=True, kw_only=True):
    """Rows looked up in a JSON input when planning and handed to the job."""

    source: Identifier = msgspec.field(name="from")
    table: Identifier
    match: dict[str, Identifier]
    columns: list[Identifier]


class Units(Model, frozen=True, kw_only=True):
    """The axis along which the work splits."""

    axis: Text
    count: str | int = 1
    table: Identifier | None = None
    steps: list[str] = []


class Size(Model, frozen=True, kw_only=True):
    """Resources of one size; memory and disk in bytes or with a unit, wall in seconds or with a unit."""

    cores: Annotated[int, msgspec.Meta(ge=1)]
    memory: int | float | str
    disk: int | float | str = 0
    wall: int | float | str = 3600
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0


class More(Model, frozen=True, kw_only=True):
    """
    The rule by which a job that has run out of memory or time is started again with more of it: multiplied by
    `memory` or `wall`, at most `times` times. Finished work is kept.
    """

    memory: Annotated[float, msgspec.Meta(ge=1, le=100)] = 2.0
    wall: Annotated[float, msgspec.Meta(ge=1, le=100)] = 2.0
    times: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2


class StepResources(Model, frozen=True, kw_only=True):
    """
    What one job of a step asks for, where a workload manager gives each job its own; `sizes` are other
    amounts for sizes of the workflow.
    """

    cores: Annotated[int, msgspec.Meta(ge=1)] | None = None
    memory: int | float | str | None = None
    wall: int | float | str | None = None
    gpus: Annotated[int, msgspec.Meta(ge=0)] | None = None
    more: More | None = None
    sizes: dict[Name, StepResources] = {}


class Estimate(Model, frozen=True, kw_only=True):
    """Expressions over parameters, `units`, `cores`, `input_bytes`."""

    core_seconds: str | int | float = 0
    serial_seconds: str | int | float = 0
    memory_bytes: str | int | float = 0
    disk_bytes: str | int | float = 0


class Resources(Model, frozen=True, kw_only=True):
    """Sizes of the workflow and its resource model."""

    default: Name = "small"
    sizes: dict[Name, Size] = {}
    steps: dict[str, StepResources] = {}
    estimate: Estimate = Estimate()


class Software(Model, frozen=True, kw_only=True):
    """One alternative: exactly one of the routes is set; `network` False cuts a container off."""

    installed: str | list[str] | None = None
    python: RelativePath | None = None
    container: Text | None = None
    mounted: Text | None = None
    network: bool = True


class Identity(Model, frozen=True, kw_only=True):
    """The scientific identity: equal values are the same production, whoever ran it."""

    scheme: Text
    parameters: list[Identifier]
    inputs: list[InputName] = []


class Random(Model, frozen=True, kw_only=True):
    """Which parameter is the seed."""

    seed: Identifier


class Comparison(Model, frozen=True, kw_only=True):
    """
    How `diff` compares the numbers of a FITS or JSON output: not by bytes, which differ between kinds of CPU.

    `rtol` is the relative tolerance, `columns` another one of a column (FITS) or key (JSON), `ignore` columns
    and keys that don't count.
    """

    rtol: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    columns: dict[str, Annotated[float, msgspec.Meta(ge=0, lt=1)]] = {}
    ignore: list[str] = []


class Output(Model, frozen=True, kw_only=True):
    """
    A declared output and what makes it valid; `compare` says how two of them are compared.

    `guess`: read off a pipeline that was not written for esap-wf. It may be missing, and what the engine
    itself names counts instead of it.
    """

    name: InputName
    path: Pattern
    title: str = ""
    media_type: str = "application/octet-stream"
    required: bool = True
    at_least: Annotated[int, msgspec.Meta(ge=1)] = 1
    min_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    schema: RelativePath | None = None
    verdict: RelativePath | None = None
    guess: bool = False
    compare: Comparison | None = None


class Manifest(Model, frozen=True, kw_only=True):
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
