"""
Write which units there are, or those of a slice, one JSON object a line: for engines that can't call `units`
themselves.
"""

import argparse
import json
from pathlib import Path

import units as unit_list


def main():
    """Read the values from one JSON argument, as the workflow passes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=json.loads, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    found = unit_list.units(args.values)
    with args.output.open("w", encoding="utf-8") as stream:
        for key in unit_list.share(list(found), args.values):
            to_fail = found[key]["number"] == args.values.get("fail_unit")
            fails = args.values.get("exit_code") if to_fail else 0
            stream.write(json.dumps({"unit": key, **found[key], "fails": fails}) + "\n")


if __name__ == "__main__":
    main()
