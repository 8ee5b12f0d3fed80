"""``plan.json``: everything that is decided before a run starts."""

from __future__ import annotations

from typing import Any

import msgspec

from esap_wf.models import Model
from esap_wf.models.manifest import Output
from esap_wf.models.place import Profile, Queue, StepNeeds
from esap_wf.models.request import DataRef, Request

PLAN_VERSION = 1


class EngineChoice(Model, frozen=True, kw_only=True):
    """
    The engine that will run: recorded, not part of the identity.

    `place` names where it is, empty for this machine; else `path` is a path there (in an environment that is
    sent along: ``@environments/<checksum>/bin/…``), `programs` are commands and `packages` the distributions
    of its Python that are known to be there. `container` is the image there in which it works, with its
    steps; then `path` is the name of its program.
    """

    name: str
    path: str
    version: str
    found: str
    detail: str = ""
    place: str = ""
    programs: list[str] = []
    packages: dict[str, str] = {}
    container: ContainerChoice | None = None


class ContainerChoice(Model, frozen=True, kw_only=True):
    """
    An image and the runtime that starts it here.

    Parameters
    ----------
    image : str
        As the workflow, the profile or the user names it.
    reference : str
        What the runtime is given: absolute path of a SIF or root file system, or a name:tag.
    form : str
        ``sif``, ``rootfs`` or ``name``.
    digest : str, optional
        ``sha256:…``, where known.
    runtime, program : str
        ``apptainer``, ``docker``, ``podman`` or ``udocker``, and the path of its program.
    network : bool
        False: the steps reach no network.
    archive : str, optional
        From which `reference` is loaded where the runtime doesn't know it yet.
    environment : dict
        What the program needs in its environment.
    options : list of str
        Further options of the runtime, before the image.
    unseen : bool
        Only the nodes of the place see it: it is used as it is.
    """

    image: str
    reference: str
    form: str
    digest: str | None = None
    runtime: str
    program: str
    network: bool = True
    archive: str | None = None
    environment: dict[str, str] = {}
    options: list[str] = []
    unseen: bool = False


class SoftwareChoice(Model, frozen=True, kw_only=True):
    """
    The route by which the steps find their software.

    `container` is the one image of a workflow that has one; `images` says for names of images that the
    pipeline itself uses what they stand for here (name → choice).
    """

    route: str
    detail: str
    bin_dirs: list[str] = []
    ready: bool = True
    refused: list[str] = []
    container: ContainerChoice | None = None
    images: dict[str, ContainerChoice] = {}

    @property
    def containers(self) -> list[ContainerChoice]:
        """Every image that a run may start, the workflow's own first."""
        return [*([self.container] if self.container else []), *self.images.values()]


class Estimate(Model, frozen=True, kw_only=True):
    """
    What the run is expected to cost; `measured_runs` earlier runs have corrected what the workflow's own
    model says.
    """

    core_hours: float
    memory_bytes: int
    disk_bytes: int
    wall_seconds: float
    measured_runs: int = 0
    model_core_hours: float = 0.0


class Allocation(Model, frozen=True, kw_only=True):
    """
    What the run may use: `cores` are slots for steps that run at the same time, `step_cores` those of its
    largest step; with `nodes` more than one, each has as much.

    `origin` says where a number comes from (cores, memory, wall); `exceeded` that steps ask for more, or for
    what only the engine can tell: one that does without a limit gets none.
    """

    cores: int
    memory_bytes: int
    disk_bytes: int
    wall_seconds: int
    gpus: int = 0
    nodes: int = 1
    step_cores: int = 1
    origin: dict[str, str] = {}
    exceeded: bool = False


class Offer(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    A backend profile, and why it does not fit. Named after the offers of the IVOA ExecutionBroker.

    `starts` is when a job would begin there now, as the place expects it (RFC 3339); left out if it
    doesn't say. `moves` are the bytes of inputs that would have to be brought there, because no storage near
    it has them; left out where no place has any near it.
    """

    backend: str
    fits: bool
    reasons: list[str] = []
    starts: str | msgspec.UnsetType = msgspec.UNSET
    moves: int | msgspec.UnsetType = msgspec.UNSET


class Duplicate(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    An earlier run. `level`: ``request`` (same digest) or ``science`` (same scientific identity, `differs`
    says in what).
    """

    run: str
    level: str
    phase: str
    owner: str
    created: str
    differs: list[str] = []


class Digest(Model, frozen=True, kw_only=True):
    """
    `identity` decides whether two runs are the same (`esap_wf.planning.identity` says what counts);
    `recorded` is kept, but does not count.

    `scheme` is the one by which the identity was made: those of different schemes can't be compared.
    """

    identity: str
    recorded: dict[str, Any]
    science: str | None = None
    science_values: dict[str, Any] = {}
    deterministic: bool = True
    scheme: int = 1


class Slicing(Model, frozen=True, kw_only=True):
    """
    Into how many slices of its units a run is cut, each an engine run of its own, and why.

    The plan's `allocation` is that of one slice, its `command` that of the whole run.
    """

    slices: int = 1
    why: str = ""


class Sharding(Model, frozen=True, kw_only=True):
    """
    How many units share one job of the engine, and why; of `size` 0 each is a job of its own.

    `step` is the step of the units, `job` that of the shards, `shards` how many there are.
    """

    step: str = ""
    job: str = ""
    size: int = 0
    shards: int = 0
    why: str = ""


class Volume(Model, frozen=True, kw_only=True):
    """
    Inputs that lie elsewhere when the run is planned.

    `here` are those of its `files` that need no transfer (in the cache, or results of other runs),
    `missing_bytes` is what is to be brought, `unknown` how many files have a size that nobody says, `cold`
    how many are to be recalled from tape, `recall_seconds` for how long.
    """

    files: int = 0
    bytes: int = 0
    here: int = 0
    missing_bytes: int = 0
    unknown: int = 0
    cold: int = 0
    recall_seconds: float = 0.0


class Plan(Model, frozen=True, kw_only=True):
    """
    One run, decided. `checksum` covers the rest of the document, so that an edited plan is seen.

    `reference` finds the workflow again (a pinned URL; empty: `source` does); `place` is its folder inside
    the snapshot. `inside` is the identity of files that parameters name, `nested` are those that lie
    elsewhere, also of rows of a table (`parameters` has their places, `request` their addresses), `outputs`
    what is given out as results, `nonce` makes a run that draws its seed like no other. Whether a field
    counts for the identity of a run says `esap_wf.planning.identity`: a new one must be entered there.
    `profile` is that of `backend` if it is not this machine; in it everything is decided
    (`BackendBase.ways`). `queue` is where the engine submits the jobs of its steps, if it does, and `steps`
    what these ask for, by name.
    """

    schema_version: int = PLAN_VERSION
    created: str
    expires: str
    workflow: str
    version: str
    title: str
    source: str
    reference: str = ""
    place: str = ""
    code: str
    entry: str
    config: str = "house"
    item: str | None = None
    request: Request
    parameters: dict[str, Any]
    inside: dict[str, list[str]] = {}
    inputs: dict[str, list[DataRef]]
    nested: list[DataRef] = []
    volume: Volume = Volume()
    selected: dict[str, Any] = {}
    outputs: list[Output] = []
    nonce: str = ""
    engine: EngineChoice
    software: SoftwareChoice
    backend: str
    profile: Profile | None = None
    slicing: Slicing = Slicing()
    sharding: Sharding = Sharding()
    queue: Queue | None = None
    steps: dict[str, StepNeeds] = {}
    allocation: Allocation
    units: int
    estimate: Estimate
    offers: list[Offer]
    duplicates: list[Duplicate] = []
    digest: Digest
    command: list[str]
    files: list[str]
    warnings: list[str] = []
    checksum: str = ""

    def __repr__(self) -> str:
        from esap_wf.formats.summaries import plan_line

        return plan_line(self)

    def _repr_html_(self) -> str:
        from esap_wf.formats.summaries import plan_page

        return plan_page(self)


def checksum(plan: Plan) -> str:
    """SHA-256 over the plan without its checksum and without what may change until it runs (duplicates)."""
    import hashlib

    # through JSON first: what was built with 300 reads back as 300.0
    stored = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    bare = msgspec.structs.replace(stored, checksum="", duplicates=[])
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()
