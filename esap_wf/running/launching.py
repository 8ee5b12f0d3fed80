"""The engine of a run as a place is given it that shares the store: one piece, in the run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from esap_wf.backends import Piece
from esap_wf.engines import EngineBase
from esap_wf.models.plan import Plan
from esap_wf.running import render


def engine_piece(
    plan: Plan,
    engine: EngineBase,
    key: str,
    folder: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> Piece:
    """
    An engine that is to be started.

    Parameters
    ----------
    plan : Plan
    engine : EngineBase
        Of the plan.
    key : str
        ``run.epoch``.
    folder : Path
        The run directory.
    arguments : sequence of str
        Added to those of the command (`EngineBase.launch_additions`).
    environment : mapping
        All of its variables.
    """
    drains = engine.stop_signal(True)
    return Piece(
        key,
        folder,
        ("bash", render.COMMAND, *arguments),
        plan.allocation,
        environment,
        secrets=tuple(plan.profile.secrets) if plan.profile else (),
        # after this signal it starts no more jobs and lets those end that run
        drain=drains.number if drains and not drains.to_jobs else None,
        lead=_longest(plan),
    )


def _longest(plan: Plan) -> int:
    """Seconds that a job of a step may take."""
    if plan.queue is None:
        return 0
    return int(max([plan.queue.wall_seconds, *(s.wall_seconds or 0 for s in plan.steps.values())]))
