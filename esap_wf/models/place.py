"""A place where runs go: its profile, as people write it, and what it says of itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from esap_wf.models import Model

#: A folder of a place: absolute, and of characters that need no quoting anywhere.
Folder = Annotated[
    str, msgspec.Meta(pattern=r"^/[A-Za-z0-9_./@+-]*$", description="absolute, without spaces")
]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="a variable")]
Amount = int | float | str
Count = Annotated[int, msgspec.Meta(ge=1)]


class Containers(Model, frozen=True, kw_only=True):
    """
    Runtimes that a place allows (none says: all), and what stands there for which image (docs/containers.md).
    """

    runtimes: list[Literal["apptainer", "podman", "docker", "udocker"]] = []
    map: dict[str, str] = {}


class EngineThere(Model, frozen=True, kw_only=True):
    """
    Where a place has an engine: exactly one of the three.

    Parameters
    ----------
    path : str, optional
        Its program there (installed, or on a mount such as CVMFS).
    environment : str, optional
        A packed environment on this machine (``esap-wf engines pack``), unpacked there once; a relative path
        is taken from the folder of the configuration.
    image : str, optional
        A container image by digest, started by a runtime there, with its steps in it.
    version : str
        What it is expected to be; empty: what the place says. Of an image it must be said.
    """

    path: Folder | None = None
    environment: str | None = None
    image: str | None = None
    version: str = ""


class SoftwareThere(Model, frozen=True, kw_only=True):
    """
    What steps find at a place.

    Parameters
    ----------
    path : list of str
        Folders before the PATH.
    modules : list of str
        Loaded before a piece starts (``module load``).
    mounts : list of str
        Such as ``/cvmfs/sw.escape.eu``: a workflow's route `mounted` below one of them can be used.
    """

    path: list[Folder] = []
    modules: list[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./+-]*$")]] = []
    mounts: list[Folder] = []


class Storage(Model, frozen=True, kw_only=True):
    """
    Storage near a place.

    Parameters
    ----------
    name : str
    access : str
        ``slow`` (tape), ``medium`` (a site's store), ``fast`` (seen by the steps).
    role : str
        ``data``, ``working`` (scratch space of pieces) or ``results``.
    where : str
        A path there, or a URL.
    """

    name: str
    access: Literal["slow", "medium", "fast"] = "medium"
    role: Literal["data", "working", "results"] = "data"
    where: str = ""


class Caps(Model, frozen=True, kw_only=True):
    """
    What one user may ask of a place at a time, over all runs; None: no limit.

    Parameters
    ----------
    heads : int, optional
        Pieces that wait or run.
    jobs : int, optional
        Jobs of one head at a time: a piece gets no more cores than that.
    submissions : int, optional
        Pieces started in a minute.
    """

    heads: Count | None = None
    jobs: Count | None = None
    submissions: Count | None = None


class Profile(Model, frozen=True, kw_only=True):
    """
    One place and its limits; None is what the place itself says.

    Parameters
    ----------
    cores, memory, disk, wall, gpus, nodes
        Of the place; for one piece where runs are cut.
    bundle : amount, optional
        Size of what is sent there for one piece, at most.
    shared : list of str
        Folders that are seen there under the same path: what lies in them is not copied.
    environment : list of str
        Variables of the user that a piece gets; no others.
    secrets : list of str
        Variables of the user that a piece gets and that are never written down here.
    poll : float, optional
        Seconds between two questions about pieces, for all runs together; without it 2, and up to 10 for
        pieces that work for long.
    options : list of str
        Handed to the place's own program as they are.
    settings : dict
        Keys of the kind of place (`BackendBase.settings`).
    """

    schema_version: int = 1
    name: str = ""
    kind: str = "local"
    title: str = ""
    cores: Count | None = None
    memory: Amount | None = None
    disk: Amount | None = None
    wall: Amount | None = None
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0
    nodes: Count = 1
    bundle: Amount | None = None
    containers: Containers | None = None
    shared: list[Folder] = []
    engines: dict[str, EngineThere] = {}
    software: SoftwareThere = SoftwareThere()
    storage: list[Storage] = []
    caps: Caps = Caps()
    environment: tuple[Variable, ...] = ("LANG", "LC_ALL", "TZ")
    secrets: list[Variable] = []
    poll: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    options: list[str] = []
    settings: dict[str, Any] = {}

    def sees(self, path: str | Path) -> bool:
        """Whether an absolute path means the same there: it is in a folder that is `shared`."""
        whole = Path(os.path.normpath(path))
        return whole.is_absolute() and any(whole.is_relative_to(folder) for folder in self.shared)


class StepNeeds(Model, frozen=True, kw_only=True):
    """
    What one job of a step asks for, where a workload manager gives each job its own; None: what the engine,
    or the queue, gives it.

    Parameters
    ----------
    cores, memory_bytes, wall_seconds, gpus
    memory_factor, wall_factor : float
        By what it is multiplied when a job has run out of it and is started again; 1: it isn't.
    times : int
        So often at most.
    """

    cores: Count | None = None
    memory_bytes: Count | None = None
    wall_seconds: Count | None = None
    gpus: int | None = None
    memory_factor: Annotated[float, msgspec.Meta(ge=1, le=100)] = 1.0
    wall_factor: Annotated[float, msgspec.Meta(ge=1, le=100)] = 1.0
    times: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0


class Queue(Model, frozen=True, kw_only=True):
    """
    The workload manager to which an engine itself submits the jobs of its steps (`BackendBase.queue`).

    Parameters
    ----------
    kind : str
        As engines know it (`EngineBase.queues`): ``slurm``.
    partition, account, qos, constraint, reservation : str
        Empty: what the workload manager takes by itself. They hold letters, digits and a few signs
        that mean nothing to a shell.
    gpus_as : str
        What a GPU is called there (Slurm's generic resource).
    jobs : int
        In flight at a time, of one engine.
    submissions : int, optional
        In a minute, of one engine.
    poll : float
        Seconds between two questions of the engine.
    cores, memory_bytes, wall_seconds
        Of a job whose step asks for nothing.
    most_memory_bytes, most_wall_seconds : int, optional
        More than that no job can be given.
    latency : int
        Seconds that a file written on a node may take until it is seen here.
    options : list of str
        Further options of the submitting command, each a whole argument.
    environment : dict
        What its commands need to find it.
    commands : str, optional
        Folder with its commands, if they are not on the PATH.
    """

    kind: str
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    reservation: str = ""
    gpus_as: str = "gpu"
    jobs: Count = 100
    submissions: Count | None = None
    poll: float = 10.0
    cores: Count = 1
    memory_bytes: Count = 2_000_000_000
    wall_seconds: Count = 3600
    most_memory_bytes: Count | None = None
    most_wall_seconds: Count | None = None
    latency: Count = 60
    options: list[str] = []
    environment: dict[Variable, str] = {}
    commands: Folder | None = None


class Nodes(Model, frozen=True, kw_only=True):
    """
    Nodes of one make: how many of them there are, and what each has.

    Parameters
    ----------
    count, cores, memory_bytes, disk_bytes, gpus
    gpu_types : list of str
        As the place calls them; empty: it doesn't say.
    features : list of str
    """

    count: int = 1
    cores: int
    memory_bytes: int
    disk_bytes: int | None = None
    gpus: int = 0
    gpu_types: list[str] = []
    features: list[str] = []


class Partition(Model, frozen=True, kw_only=True):
    """
    A part of a place to which jobs are submitted; amounts are those of its largest node.

    Parameters
    ----------
    name : str
    default, up : bool
    nodes, cores, memory_bytes, disk_bytes, wall_seconds, gpus
        None: without a limit, or nobody says it.
    free_cores : int, optional
        Of all its nodes, now.
    features : list of str
        Of any of its nodes.
    accounts, qos : list of str
        That may use it; empty: all.
    makes : list of Nodes
        Its nodes that can be used, by what they have.
    all_cores : int
        Of all of them together.
    """

    name: str
    default: bool = False
    up: bool = True
    nodes: int = 1
    cores: int
    memory_bytes: int
    disk_bytes: int | None = None
    wall_seconds: int | None = None
    gpus: int = 0
    free_cores: int | None = None
    features: list[str] = []
    accounts: list[str] = []
    qos: list[str] = []
    makes: list[Nodes] = []
    all_cores: int = 0


class Capacity(Model, frozen=True, kw_only=True):
    """What a place has, within the limits of its profile."""

    cores: int
    memory_bytes: int
    disk_bytes: int
    wall_seconds: int | None = None
    gpus: int = 0
    nodes: int = 1


class Found(Model, frozen=True, kw_only=True):
    """A program at a place."""

    path: str
    version: str


class Survey(Model, frozen=True, kw_only=True):
    """
    What a place says of itself when it is asked.

    Parameters
    ----------
    asked : str
        When (RFC 3339).
    cores, memory_bytes, disk_bytes, wall_seconds, gpus, nodes
        What there is for one piece.
    free_cores : int, optional
        What of it nobody uses now.
    programs : dict
        Command → path, of those that were asked for and are there: best all that are on the PATH (with the
        profile's `software.path` first), because steps may call any. A plan takes no other for there.
    engines : dict
        Engine → what is there (of `command` it is bash), at the path that the profile names if it does.
    python : dict
        Distribution → version, for the ``python`` that comes first.
    runtimes : dict
        Container runtime → what is there.
    system : str
        For people: ``Linux 6.1, x86_64``.
    partitions : list of Partition
        Where a workload manager says so.
    accounts, qos : list of str
        That this user may name there; empty: nobody says it.
    accounting : bool
        Whether it keeps what jobs have used.
    """

    schema_version: int = 1
    asked: str
    cores: int
    memory_bytes: int
    disk_bytes: int
    wall_seconds: int | None = None
    gpus: int = 0
    nodes: int = 1
    free_cores: int | None = None
    programs: dict[str, str] = {}
    engines: dict[str, Found] = {}
    python: dict[str, str] = {}
    runtimes: dict[str, Found] = {}
    system: str = ""
    partitions: list[Partition] = []
    accounts: list[str] = []
    qos: list[str] = []
    accounting: bool = False
