"""Step `check`: the parameters of the campaign, completed and checked; everything that is wrong at once."""

from __future__ import annotations

import argparse
import re
import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from documents import read_json, write_json

#: keys of a configuration that are no parameters
OTHER_KEYS = ("workflow", "inputs", "selected")
INPUTS = ("events", "detector")
_TYPES: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "null": type(None)}


def _violations(name: str, value: Any, rule: Mapping[str, Any]) -> list[str]:
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    if isinstance(value, bool) or not any(isinstance(value, _TYPES[k]) for k in kinds):
        return [f"{name}: {value!r} is not of type {' or '.join(kinds)}"]
    if value is None:
        return []
    unit = f" {rule['unit']}" if "unit" in rule else ""
    found = []
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{name}: {value!r} is not one of {', '.join(rule['enum'])}")
    if "pattern" in rule and not re.search(rule["pattern"], value):
        found.append(f"{name}: {value!r} does not match {rule['pattern']}")
    # written so that NaN, which compares false with everything, fails too
    if "minimum" in rule and not value >= rule["minimum"]:
        found.append(f"{name}: {value}{unit} is below {rule['minimum']}{unit}")
    if "maximum" in rule and not value <= rule["maximum"]:
        found.append(f"{name}: {value}{unit} is above {rule['maximum']}{unit}")
    return found


def problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """
    Everything that is wrong.

    Parameters
    ----------
    config : mapping
        As given; parameters that are not named have their defaults.
    schema : mapping
        ``params.schema.json``.
    """
    rules, found = schema["properties"], []
    for key in sorted(set(config) - set(rules) - set(OTHER_KEYS)):
        near = get_close_matches(key, rules, n=1)
        found.append(f"{key}: no such parameter" + (f", did you mean {near[0]}?" if near else ""))
    values = with_defaults(config, schema)
    found += [p for name, rule in rules.items() for p in _violations(name, values[name], rule)]
    inputs = config.get("inputs") or {}
    if not isinstance(inputs, dict) or not all(
        isinstance(v, list) and all(isinstance(p, str) for p in v) for v in inputs.values()
    ):
        return [*found, "inputs: not of the form {name: [path, …]}"]
    found += [
        f"inputs: no input is called {name}; there are {', '.join(INPUTS)}"
        for name in sorted(set(inputs) - set(INPUTS))
    ]
    if len(inputs.get("detector", [])) > 1:
        found.append("inputs: one detector file belongs to a campaign, not several")
    if found:
        return found
    if values["energy_min"] >= values["energy_max"]:
        found.append("energy_min, energy_max: the energy range is empty")
    if values["tot_min"] >= values["tot_max"]:
        found.append("tot_min, tot_max: no time over threshold is left")
    if values["index_phase"] > values["index_group"]:
        found.append("index_phase, index_group: in sea water the group index is the larger one")
    if values["starts"] > values["start_directions"]:
        found.append("starts, start_directions: more starting points than directions tried")
    return found


def with_defaults(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of the schema, given or by default."""
    return {name: config.get(name, rule["default"]) for name, rule in schema["properties"].items()}


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--config", type=Path, required=True)
    cli.add_argument("--schema", type=Path, required=True)
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    config, schema = read_json(args.config), read_json(args.schema)
    if wrong := problems(config, schema):
        raise SystemExit("the parameters don't fit:\n" + "\n".join(f"  {w}" for w in wrong))
    values = with_defaults(config, schema)
    if values["seed"] is None:
        values["seed"] = secrets.randbelow(2**32)
    write_json(args.out, {"parameters": values})


if __name__ == "__main__":
    main()
