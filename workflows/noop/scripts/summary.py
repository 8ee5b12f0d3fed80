"""Fan-in of the units: sizes and checksums, and the check of what was written."""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import units as unit_list

UNIT_FOLDER = Path("outputs/units")


def describe(key):
    """Return name, size and SHA-256 of a unit's file."""
    data = hashlib.sha256()
    size = 0
    with (UNIT_FOLDER / f"{key}.dat").open("rb") as stream:
        while block := stream.read(1 << 20):
            data.update(block)
            size += len(block)
    return {"unit": key, "bytes": size, "sha256": data.hexdigest()}


def group(keys, size, name):
    """Describe the units of one fan-in group; the grouping is the Snakefile's."""
    start = (int(name[1:]) - 1) * size
    return [describe(key) for key in keys[start : start + size]]


def summary(keys, size):
    """Describe all units, sorted by name, from the groups where there are any."""
    if size:
        names = [f"g{start // size + 1:05d}" for start in range(0, len(keys), size)]
        parts = [
            json.loads(Path("work/fan_in", f"{name}.json").read_text(encoding="utf-8")) for name in names
        ]
        described = [unit for part in parts for unit in part]
    else:
        described = [describe(key) for key in keys]
    described.sort(key=lambda unit: unit["unit"])
    return {"count": len(described), "bytes": sum(unit["bytes"] for unit in described), "units": described}


def verdict(keys, expected_bytes):
    """Hold the summary against the units as they are now, not against what the fan-in read."""
    told = json.loads(Path("outputs/summary.json").read_text(encoding="utf-8"))
    now = [describe(key) for key in sorted(keys)]
    wrong_size = [unit["unit"] for unit in now if unit["bytes"] != expected_bytes]
    changed = [unit["unit"] for unit, other in zip(now, told["units"], strict=False) if unit != other]
    checks = [
        ("count", told["count"] == len(keys), f"{told['count']} units in the summary, {len(keys)} asked for"),
        (
            "sizes",
            not wrong_size,
            f"{len(wrong_size)} of another size than {expected_bytes} bytes {wrong_size[:5]}",
        ),
        ("checksums", not changed, f"{len(changed)} differ from the summary {changed[:5]}"),
    ]
    return {
        "valid": all(passed for _, passed, _ in checks),
        "checks": [{"name": name, "passed": passed, "detail": detail} for name, passed, detail in checks],
        "warnings": [],
    }


def write(path, document):
    """Write so that a reader sees all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=1, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def main():
    """Run one of the steps fan_in, summary and verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["group", "summary", "verdict"])
    parser.add_argument("name", nargs="?")
    parser.add_argument("--values", type=json.loads, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    keys = list(unit_list.units(args.values))
    size = int(args.values["group_size"])
    if args.step == "group":
        document = group(keys, size, args.name)
    elif args.step == "summary":
        document = summary(keys, size)
    else:
        document = verdict(keys, int(args.values["output_bytes"]))
    write(args.output, document)
    if args.step == "verdict" and not document["valid"]:
        # The run is finished and its outputs stand: who collects them reads the verdict. The log says it too.
        print("not valid:", [check for check in document["checks"] if not check["passed"]], file=sys.stderr)


if __name__ == "__main__":
    main()
