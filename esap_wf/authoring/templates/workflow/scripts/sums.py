"""Sums of parts: an example of steps that write to a temporary name and rename."""

import argparse
import json
import os


def write(path, data):
    temporary = path + ".tmp"
    with open(temporary, "w") as f:
        json.dump(data, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="action", required=True)
    part = steps.add_parser("part")
    part.add_argument("file")
    part.add_argument("--number", type=int, required=True)
    part.add_argument("--parts", type=int, required=True)
    part.add_argument("--step", type=float, required=True)
    join = steps.add_parser("join")
    join.add_argument("files", nargs="+")
    for step in (part, join):
        step.add_argument("--output", required=True)
    a = parser.parse_args()
    if a.action == "part":
        with open(a.file) as f:
            numbers = [float(line) for line in f if line.strip()]
        write(a.output, {"sum": a.step * sum(numbers[a.number :: a.parts])})
    else:
        sums = []
        for name in a.files:
            with open(name) as f:
                sums.append(json.load(f)["sum"])
        write(a.output, {"sum": sum(sums), "parts": len(sums)})


if __name__ == "__main__":
    main()
