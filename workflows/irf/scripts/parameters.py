"""Parameters of a production: defaults, ranges and consistency. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from database import SELECTIONS, lookup

#: what makes two simulations the same
SIMULATION = (
    "period",
    "model",
    "systematics",
    "site",
    "array",
    "zenith",
    "azimuth",
    "nsb",
    "energy_min",
    "energy_max",
    "offset_max",
    "gamma_showers",
    "proton_showers",
    "electron_showers",
    "blocks",
    "seed",
)
#: what makes two responses of one simulation the same production; with `SIMULATION` `identity.parameters` of
#: workflow.yaml
RESPONSE = ("kind", "cut_mode", "gamma_efficiency", "offset_bins", "bins_per_decade", "observation_time")
SHOWERS = ("gamma_showers", "proton_showers", "electron_showers")
#: keys of a configuration that are no parameters
OTHER_KEYS = ("workflow", "inputs", "selected")
_TYPES = {"string": str, "integer": int, "number": (int, float), "null": type(None), "boolean": bool}


def with_defaults(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of the schema, from ``config`` or its default; a bare engine fills in none."""
    return {name: config.get(name, rule.get("default")) for name, rule in schema["properties"].items()}


def unknown(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Misspelt parameters; ignored, they would silently give a production with defaults."""
    names = schema["properties"]
    found = []
    for key in sorted(set(config) - set(names) - set(OTHER_KEYS)):
        near = get_close_matches(key, names, n=1)
        found.append(f"{key}: no such parameter" + (f", did you mean {near[0]}?" if near else ""))
    return found


def _violations(name: str, value: Any, rule: Mapping[str, Any]) -> list[str]:
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    accepted = tuple(t for k in kinds for t in (_TYPES[k] if isinstance(_TYPES[k], tuple) else (_TYPES[k],)))
    if not isinstance(value, accepted) or (isinstance(value, bool) and "boolean" not in kinds):
        return [f"{name}: {value!r} is not of type {' or '.join(kinds)}"]
    if value is None:
        return []
    found = []
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{name}: {value!r} is not one of {', '.join(map(str, rule['enum']))}")
    if "pattern" in rule and not re.search(rule["pattern"], value):
        found.append(f"{name}: {value!r} does not match {rule['pattern']}")
    unit = f" {rule['unit']}" if "unit" in rule else ""
    limits = (
        ("minimum", "below", lambda v, b: v < b),
        ("maximum", "above", lambda v, b: v > b),
        ("exclusiveMaximum", "not below", lambda v, b: v >= b),
    )
    # written so that NaN, which compares false with everything, fails too
    for key, word, outside in limits:
        if key in rule and (outside(value, rule[key]) or value != value):
            found.append(f"{name}: {value}{unit} is {word} {rule[key]}{unit}")
    return found


def problems(parameters: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """
    Everything that is wrong with the parameters, not only the first.

    Parameters
    ----------
    parameters : mapping
        Complete, see `with_defaults`.
    schema : mapping
        ``params.schema.json``.

    Returns
    -------
    list of str
        Empty if all is well.
    """
    found = [
        p for name, rule in schema["properties"].items() for p in _violations(name, parameters[name], rule)
    ]
    if found:
        return found
    p = parameters
    if p["energy_min"] * 10 > p["energy_max"]:
        found.append(
            f"energy_min, energy_max: {p['energy_min']} to {p['energy_max']} TeV is less than a decade"
        )
    found += [f"blocks, {n}: {p['blocks']} blocks for {p[n]} showers" for n in SHOWERS if p["blocks"] > p[n]]
    return found


def selected(
    config: Mapping[str, Any], parameters: Mapping[str, Any], database: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Instrument parameters that the production database holds for these parameters.

    What a planner has selected is taken as it is; a bare engine hands over nothing, so the database is asked
    here.

    Raises
    ------
    LookupError
        No row, or more than one, fits; or a given selection lacks a column.
    """
    given = config.get("selected") or {}
    columns = [c for _, _, names in SELECTIONS for c in names]
    if given:
        missing = [c for c in columns if c not in given]
        if missing:
            raise LookupError(f"selected lacks {', '.join(missing)}")
        return {c: given[c] for c in columns}
    return lookup(database, parameters)


def beyond_threshold(parameters: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    """The one rule that needs the instrument: it must see something inside the energy range."""
    if parameters["energy_max"] < 30 * chosen["threshold_tev"]:
        return [
            (
                f"energy_max: {parameters['energy_max']} TeV leaves no room above the threshold of "
                f"{chosen['threshold_tev']} TeV"
            )
        ]
    return []
