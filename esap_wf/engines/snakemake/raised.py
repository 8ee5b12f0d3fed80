"""More memory and time for the jobs of some rules, as arguments of Snakemake."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from esap_wf.engines import queued

_OPTION = "--set-resources"


def arguments(run: Path) -> list[str]:
    """
    What sets the resources of rules whose jobs ran out of them; nothing if none did.

    The last ``--set-resources`` of a command line replaces those before it: what the run's own command says
    is said once more.
    """
    more = queued.raised(run)
    if not more:
        return []
    amounts = dict(_parted(word) for word in _said(_command(run)))
    for step, given in sorted(more.items()):
        if given.memory_bytes:
            amounts[f"{step}:mem_mb"] = str(math.ceil(given.memory_bytes / 2**20))
        if given.wall_seconds:
            amounts[f"{step}:runtime"] = str(math.ceil(given.wall_seconds / 60))
    return [_OPTION, *(f"{name}={amount}" for name, amount in amounts.items())]


def _command(run: Path) -> list[str]:
    try:
        return [str(word) for word in json.loads((run / "plan.json").read_bytes())["command"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _said(command: Sequence[str]) -> list[str]:
    """Values of the last such option."""
    if _OPTION not in command:
        return []
    first = len(command) - list(reversed(command)).index(_OPTION)
    last = next((i for i in range(first, len(command)) if command[i].startswith("-")), len(command))
    return list(command[first:last])


def _parted(word: str) -> tuple[str, str]:
    name, _, amount = word.partition("=")
    return name, amount
