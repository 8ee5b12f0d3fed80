"""Step `check`: complete the parameters, look up the instrument, and stop if something does not fit."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path

from documents import read_json, write_json
from parameters import beyond_threshold, problems, selected, unknown, with_defaults


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--schema", type=Path, required=True)
    cli.add_argument("--database", type=Path, required=True)
    cli.add_argument(
        "--out", type=Path, required=True, help="parameters and selected instrument, read by all later steps"
    )
    args = cli.parse_args()
    config, schema = json.load(sys.stdin), read_json(args.schema)
    parameters, chosen = with_defaults(config, schema), {}
    found = unknown(config, schema) + problems(parameters, schema)
    if not found:
        try:
            chosen = selected(config, parameters, read_json(args.database))
        except LookupError as error:
            found = [str(error.args[0])]
        else:
            found = beyond_threshold(parameters, chosen)
    if found:
        raise SystemExit("\n".join(["parameters do not fit together:", *(f"  {line}" for line in found)]))
    drawn = parameters["seed"] is None
    if drawn:
        parameters["seed"] = secrets.randbits(32)
    write_json(args.out, {"parameters": parameters, "selected": chosen, "seed_drawn": drawn})
    print(f"{len(parameters)} parameters, {len(chosen)} selected from the production database: consistent")


if __name__ == "__main__":
    main()
