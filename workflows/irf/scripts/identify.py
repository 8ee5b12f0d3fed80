"""Step `identify`: give the simulation its id and see whether the production database has it already."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from database import productions_of
from documents import read_json, write_json
from parameters import RESPONSE, SIMULATION

SCHEME = "cta003-irf/1"


def simulation_id(parameters: Mapping[str, Any], selected: Mapping[str, Any]) -> str:
    """
    Id of a simulation: equal for equal physics, whoever asks and whenever.

    Cuts, binning, kind of response and observation time are no part of it, they do not change what is
    simulated. The selected instrument is: another database may describe a period of the same name otherwise.
    """

    # 20 and 20.0 are the same angle
    def plain(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            k: float(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in values.items()
        }

    identity = {
        "scheme": SCHEME,
        "parameters": plain({name: parameters[name] for name in SIMULATION}),
        "selected": plain(selected),
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sim-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--database", type=Path, required=True)
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    document = read_json(args.parameters)
    name = simulation_id(document["parameters"], document["selected"])
    # another response of the same simulation is another production
    given = document["parameters"]
    earlier = [
        p
        for p in productions_of(read_json(args.database), name)
        if all(k not in p.get("parameters", {}) or p["parameters"][k] == given[k] for k in RESPONSE)
    ]
    known = [{"kind": p.get("kind"), "irf": p.get("irf"), "valid": p.get("valid")} for p in earlier]
    if known and document["parameters"]["if_simulated"] == "stop":
        listed = "\n".join(
            f"  {p['kind']}, IRF sha256 {(p['irf'] or {}).get('sha256')}, valid: {p['valid']}" for p in known
        )
        raise SystemExit(
            f"{name} is already in the production database:\n{listed}\n"
            "Use that IRF, change the seed for an independent simulation, or set if_simulated to repeat."
        )
    write_json(args.out, {"simulation": name, "scheme": SCHEME, "already_recorded": known})
    print(name, "recorded before, repeated" if known else "not simulated before")


if __name__ == "__main__":
    main()
