"""Of the jobs that an engine submits to a workload manager: what the directory of their run says of them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.formats import reading
from esap_wf.models.run import Raised

#: Amounts that a run has been given beyond its plan, by step.
RAISED = "engine/raised.json"
_decode = msgspec.json.Decoder(dict[str, Raised]).decode


def submits(run: Path) -> bool:
    """Whether the engine of a run submits jobs."""
    try:
        return json.loads((run / "plan.json").read_bytes()).get("queue") is not None
    except (OSError, ValueError, AttributeError):
        return False


def raised(run: Path) -> dict[str, Raised]:
    """What jobs get beyond the plan, because earlier ones ran out of it; nothing if it can't be read."""
    try:
        with reading.opened(run / RAISED) as file:
            return _decode(file.read())
    except (OSError, *files.BROKEN):
        return {}


def keep_raised(run: Path, amounts: dict[str, Raised], mode: int | None) -> None:
    """Write it down, for the launch of the next engine."""
    data = msgspec.json.format(msgspec.json.encode(amounts, order="sorted"), indent=1) + b"\n"
    files.write_atomic(run / RAISED, data, mode=mode)
