"""Write which units there are, one JSON object a line: for engines that can't call `units` themselves."""

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
        stream.writelines(json.dumps({"unit": key, **unit}) + "\n" for key, unit in found.items())


if __name__ == "__main__":
    main()
