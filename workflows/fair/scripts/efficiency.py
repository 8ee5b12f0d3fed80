"""
The part of the decays that is found, from a simulation that has nothing to do with the data, and the yield
corrected for it.

Standard library only.
"""

from __future__ import annotations

import math
from typing import Any

import systematics


def simulated(parts: list[dict[str, Any]], data: list[dict[str, Any]]) -> dict[str, Any]:
    """
    What was found in the simulation: counts of all its files.

    Parameters
    ----------
    parts : list of dict
        Of analyse.py, one a file of the simulation.
    data : list of dict
        The files of the data.

    Raises
    ------
    SystemExit
        All files without a truth, or that are also among the data; no decay at all.
    """
    wrong, known = [], {f["sha256"]: f["name"] for f in data}
    files = [
        p["file"] | {"events": p["counts"]["events"], "candidates": p["counts"]["in_window"]} for p in parts
    ]
    for part in parts:
        name, content = part["file"]["name"], part["file"]["sha256"]
        if not part["truth"]:
            wrong.append(
                f"{name}: given as simulation, but it has no truth (trk_mother, mc_decays), and an "
                "efficiency needs it"
            )
        if content in known:
            wrong.append(
                f"{name}: the same content as {known[content]}; an efficiency must come from "
                "other events "
                "than those that it corrects"
            )
        known.setdefault(content, name)
    decays, found = (sum(p["counts"][key] for p in parts) for key in ("decays", "true_in_window"))
    if not wrong and not decays:
        wrong.append(f"the simulation ({', '.join(f['name'] for f in files)}) has no decay Λ → p π⁻")
    if wrong:
        raise SystemExit("\n".join(wrong))
    return {"files": files, "decays": decays, "found": found}


def of(simulation: dict[str, Any]) -> dict[str, Any] | None:
    """
    Efficiency with its binomial error; None if nothing was found.

    Parameters
    ----------
    simulation : dict
        Of `simulated`.
    """
    decays, found = simulation["decays"], simulation["found"]
    if not found:
        return None
    part = found / decays
    # of few decays all may be found: an error of nothing would be wrong, so one is taken as lost
    lost = max(1 - part, 1 / (decays + 1))
    origin = "generated" if all(f["origin"] == "generated" for f in simulation["files"]) else "given"
    return {
        "value": part,
        "error": math.sqrt(part * lost / decays),
        "decays": decays,
        "found": found,
        "origin": origin,
    }


def corrected(signal: dict[str, float], efficiency: dict[str, Any]) -> dict[str, float]:
    """
    Decays in all events.

    Parameters
    ----------
    signal : dict
        `value` and `error` of the fitted yield.
    efficiency : dict
        Of `of`; its sample is independent of the data, so relative errors add in squares.

    Returns
    -------
    dict
        `value`; `error` (statistical, of data and simulation), of which `error_of_efficiency` is the
        simulation's; `systematic`.
    """
    value = signal["value"] / efficiency["value"]
    simulation = value * efficiency["error"] / efficiency["value"]
    return {
        "value": value,
        "error": math.hypot(signal["error"] / efficiency["value"], simulation),
        "error_of_efficiency": simulation,
        "systematic": systematics.YIELD * value,
    }
