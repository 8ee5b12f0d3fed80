"""
The files of a run directory that the supervisor writes: ``run.json``, ``state.json``, ``events.jsonl``,
``outputs.json``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec

from esap_wf.formats.printing import clipped
from esap_wf.models import Model

RUN_VERSION = 1


class Phase(StrEnum):
    """
    Phases of UWS 1.1 (section 2.1.3). Each member says why it exists; `esap_wf.runs.states` has the
    transitions.
    """

    #: Created and claimed, no supervisor yet: what a killed command leaves behind, `resume` starts it.
    PENDING = "PENDING"
    #: A supervisor owns it and prepares (software, slots); the engine has not started.
    QUEUED = "QUEUED"
    #: The engine runs, or the outputs are being collected.
    EXECUTING = "EXECUTING"
    #: All declared outputs are there, valid and accepted. The only success.
    COMPLETED = "COMPLETED"
    #: A step failed, or an output is missing or invalid; resumable.
    ERROR = "ERROR"
    #: Stopped by a person; resumable.
    ABORTED = "ABORTED"
    #: Waits for something only a person can give: a renewed credential, space, permission.
    HELD = "HELD"
    #: Stopped by the system for a while (drained before a time limit); goes on by itself.
    SUSPENDED = "SUSPENDED"
    #: Nobody who knows can be asked: the supervisor is gone. Seen by an observer, never written by a
    #: supervisor.
    UNKNOWN = "UNKNOWN"
    #: Deleted or moved away; only the tombstone is left.
    ARCHIVED = "ARCHIVED"


class Reason(StrEnum):
    """Why a step, a unit or a run failed."""

    EXIT_CODE = "EXIT_CODE"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    NO_SPACE = "NO_SPACE"
    MISSING_OUTPUT = "MISSING_OUTPUT"
    INVALID_OUTPUT = "INVALID_OUTPUT"
    STAGE_IN = "STAGE_IN"
    INVALID_INPUT = "INVALID_INPUT"
    CANCELLED = "CANCELLED"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    PLACE = "PLACE"
    SIGNAL = "SIGNAL"
    SOFTWARE = "SOFTWARE"
    ENGINE = "ENGINE"
    #: Of a shard: some of its units failed, each of which says why.
    UNITS = "UNITS"
    UNKNOWN = "UNKNOWN"


class RunRecord(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``run.json``: what never changes."""

    schema_version: int = RUN_VERSION
    id: str
    workflow: str
    version: str
    created: str
    owner: str
    host: str
    name: str | None = None
    tags: list[str] = []
    identity: str = ""
    science: str | None = None
    engine: str = ""
    backend: str = ""
    deterministic: bool = True
    rerun_of: str | None = None
    cpu: str = ""


class Step(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    Counts of one step (rule, process), and what its ended jobs used: CPU time of all, largest memory of one;
    null where nobody tells. `seconds` is how long all of them took.
    """

    name: str
    total: int = 0
    done: int = 0
    failed: int = 0
    running: int = 0
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    seconds: float | None = None


class Failure(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    Why one unit of a step failed, and where to read on; `epoch`: of the engine that told it, `job_id`: the
    engine's own number of it. Of a job of a workload manager `job` is its id there, `node` where it was, and
    `state` the manager's own word.
    """

    step: str
    unit: str | None = None
    attempt: int | None = None
    reason: str = Reason.UNKNOWN
    exit_code: int | None = None
    job_id: str | None = None
    log: str | None = None
    tail: list[str] = []
    detail: str = ""
    epoch: int | None = None
    job: str | None = None
    node: str | None = None
    state: str | None = None


class Raised(Model, frozen=True, kw_only=True):
    """
    What a job of a step gets now beyond the plan, because others ran out of it; `times`: so often it was
    raised.
    """

    memory_bytes: int | None = None
    wall_seconds: int | None = None
    times: int = 0


class Waiting(Model, frozen=True, kw_only=True, omit_defaults=False):
    """Jobs that wait at a workload manager for one reason: how many, why in plain words, and since when."""

    jobs: int
    reason: str
    since: str = ""


class Progress(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    Units along the workflow's axis; jobs of all steps. `second_executions` are units of shards that were
    begun again because an earlier attempt at them was lost: they are accepted once.
    """

    units_total: int = 0
    units_done: int = 0
    units_failed: int = 0
    units_running: int = 0
    jobs_total: int = 0
    jobs_done: int = 0
    jobs_failed: int = 0
    jobs_running: int = 0
    second_executions: int = 0


class Fold(Model, frozen=True, kw_only=True):
    """
    What `esap_wf.runs.progress` must remember between two looks at ``events.jsonl``, besides the counts.

    `announced` is the largest total that a plan told of a step, of any epoch; `open` and `failed` are keys of
    jobs; `attempts` has the present attempt of open ones that were tried again; `forgotten` counts failed
    jobs beyond the remembered ones; `expected` is the number of units that the run was created with; `begun`
    the epoch whose engine has told of jobs: what failed before it is to be done again; `recent` the last jobs
    that are done, with their epoch: an engine may repeat what the one before did last.
    """

    epoch: int = 0
    plan_epoch: int = -1
    planned: list[str] = []
    earlier: dict[str, int] = {}
    announced: dict[str, int] = {}
    open: list[str] = []
    failed: list[str] = []
    attempts: dict[str, int] = {}
    begun: int = -1
    forgotten: int = 0
    starts: list[str] = []
    unit_steps: list[str] | None = None
    garbage: int = 0
    expected: int | None = None
    recent: dict[str, int] = {}


class State(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    ``state.json``: the phase, and a checkpoint of ``events.jsonl`` (`offset` bytes are folded into the
    counts).
    """

    schema_version: int = RUN_VERSION
    phase: Phase
    rev: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    epoch: int = 0
    since: str = ""
    reason: str = ""
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    progress: Progress = Progress()
    steps: list[Step] = []
    failures: list[Failure] = []
    failures_more: int = 0
    offset: int = 0
    fold: Fold = Fold()
    warnings: list[str] = []
    waiting: list[Waiting] = []

    def __repr__(self) -> str:
        from esap_wf.formats.summaries import state_line

        return state_line(self)


class Event(Model, frozen=True, kw_only=True):
    """
    One line of ``events.jsonl``. Every field but `t` and `kind` is nullable: engines know different things
    (docs/compatibility.md).

    `kind`: phase, plan (totals by step), start, done, failed, engine, note, anew (an engine that knows
    nothing of an earlier epoch does everything again), job (what a workload manager says of one that has
    ended; `batch` is its id there, also where the engine tells it), again (a unit of a shard is executed a
    second time). `mark` (``source`` in the file) says, in the engine plug-in's own words, up to where the
    engine's record has been passed on, so that a successor of a killed supervisor goes on exactly there: the
    last one of an epoch counts. `journal` says the same of the journal of a shard (``NAME:BYTES``), `seconds`
    how long a job took.
    """

    t: float
    kind: str
    epoch: int | None = None
    phase: str | None = None
    step: str | None = None
    unit: str | None = None
    job: str | None = None
    attempt: int | None = None
    exit_code: int | None = None
    reason: str | None = None
    detail: str | None = None
    log: str | None = None
    host: str | None = None
    batch: str | None = None
    state: str | None = None
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    totals: dict[str, int] | None = None
    seconds: float | None = None
    journal: str | None = None
    mark: int | str | None = msgspec.field(default=None, name="source")


#: A path that does not lead out of the folder that it starts in.
Inside = Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!([\s\S]*/)?\.\.(/|$))[^\x00]+$")]


#: Media type of a folder.
FOLDER_TYPE = "inode/directory"


class OutputFile(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    One accepted file or folder.

    The `path` of a folder ends in ``/``, its `bytes` are the sum and its `sha256` is one over names, kinds
    and contents of what it holds. The files in it, and folders in it that hold nothing, follow it under the
    same name.
    """

    name: str
    path: Inside
    bytes: int
    sha256: str
    media_type: str
    checks: list[dict[str, object]] = []

    def __repr__(self) -> str:
        from esap_wf.formats.summaries import output_line

        return output_line(self)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.endswith("/")


class Outputs(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    ``outputs.json``: written once, by the epoch that accepted the results. `values` are what an engine gave
    back that is no file.
    """

    schema_version: int = RUN_VERSION
    run: str
    epoch: int
    accepted: str
    outputs: list[OutputFile]
    values: dict[str, Any] = {}
    warnings: list[str] = []

    def tops(self) -> list[tuple[OutputFile, int]]:
        """
        Files and folders that don't lie in another of the same name, each with the number of entries below
        it.
        """
        found: list[tuple[OutputFile, int]] = []
        for output in self.outputs:
            if (
                found
                and found[-1][0].is_folder
                and output.name == found[-1][0].name
                and output.path.startswith(found[-1][0].path)
            ):
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((output, 0))
        return found


def counted(output: OutputFile, inner: int) -> str:
    """A result's path for people; of a folder with the number of what it holds."""
    return output.path if not output.is_folder else f"{output.path} ({inner or 'nothing'} in it)"


def json_line(value: Any) -> str:
    """A value as people see it: one line of JSON, cut if it is long."""
    return clipped(msgspec.json.encode(value).decode(), 200)


def now() -> str:
    """RFC 3339 in UTC, milliseconds."""
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(document: msgspec.Struct) -> bytes:
    """A document as it is stored: indented JSON with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
