"""
One event file of a shard (rules/shard): simulated if there is none, then filtered, calibrated and
reconstructed, by the scripts that are steps of their own without shards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import calibrate
import filter as filtering
import reconstruct
import simulate


def step(main: Callable[[], None], *arguments: object) -> None:
    """Carry out a script."""
    sys.argv = [main.__module__, *map(str, arguments)]
    main()


def unit(values: Mapping[str, Any], results: Mapping[str, str]) -> None:
    """From an event file to its tracks."""
    tracks, number = Path(results["result"]), values["number"]
    work, parameters, detector = tracks.parent, values["parameters"], values["detector"]
    events = Path(values.get("events") or work / "events")
    filtered, calibrated = work / "filtered.h5", work / "calibrated.h5"
    if not values.get("events"):
        events.mkdir()
        made = events / f"simulated-{values['unit']}.h5"
        step(
            simulate.main, "--parameters", parameters, "--detector", detector, "--file", number, "--out", made
        )
    step(filtering.main, "--parameters", parameters, "--events", events, "--out", filtered)
    step(calibrate.main, "--events", filtered, "--detector", detector, "--out", calibrated)
    given = ("--parameters", parameters, "--events", calibrated, "--detector", detector)
    step(reconstruct.main, *given, "--file", number, "--out", tracks)
