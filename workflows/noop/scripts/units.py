"""Which units there are: counted from 1, or one a row of the units table; and those of a slice."""

import csv
import json
import re
from pathlib import Path

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def rows(path):
    """Yield the rows of a CSV, TSV or JSON-lines table as dicts."""
    path = Path(path)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        if path.suffix in (".jsonl", ".ndjson"):
            yield from (json.loads(line) for line in stream if line.strip())
        else:
            yield from csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")


def number(value):
    """Return seconds as a shell's `sleep` reads them, `0` for all that is none."""
    seconds = float(value or 0)
    if not 0 <= seconds < 1e6:
        raise SystemExit(f"seconds per unit: {value!r} is out of range")
    return f"{seconds:.6f}".rstrip("0").rstrip(".") if seconds else "0"


def units(config):
    """Return ``{key: {"number", "seconds", "payload"}}`` in the order of the table."""
    table = next(iter(config.get("inputs", {}).get("units_table") or []), None)
    seconds = config.get("seconds", 0)
    if table is None:
        count = int(config["units"])
        return {
            f"u{i:05d}": {"number": i, "seconds": number(seconds), "payload": ""} for i in range(1, count + 1)
        }
    found = {}
    for i, row in enumerate(rows(table), start=1):
        key = str(row.get("unit") or "")
        if not KEY.fullmatch(key) or key in found:
            problem = "there twice" if key in found else "not a plain name"
            raise SystemExit(f"{table}: row {i}: unit {key!r} is {problem}")
        own = row.get("seconds")
        found[key] = {
            "number": i,
            "seconds": number(seconds if own in (None, "") else own),
            "payload": str(row.get("payload") or ""),
        }
    if not found:
        raise SystemExit(f"{table}: no rows")
    return found


def share(keys, config):
    """Return the part of a list that is `slice`'s, of `slices` equal ones; all of it if it is not cut."""
    # Nextflow and CWL hand over a null where nothing is given
    number, slices = (1 if config.get(key) is None else int(config[key]) for key in ("slice", "slices"))
    if not 1 <= number <= slices:
        raise SystemExit(f"slice {number} of {slices}: slices are counted from 1")
    return keys[(number - 1) * len(keys) // slices : number * len(keys) // slices]
