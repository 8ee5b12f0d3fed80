"""
The steps of tools.cwl around the scripts that it shares with the other engines. Each reads inputs.json: the
inputs of its tool.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import summary
import units as unit_list


def values(inputs):
    """
    Return the configuration as the shared scripts read it: of the workflow's inputs, or of the file that the
    first step kept them in.
    """
    table = inputs.get("units_table")
    plain = (
        json.loads(Path(inputs["values"]["path"]).read_text(encoding="utf-8"))
        if "values" in inputs
        else inputs
    )
    return {**plain, "inputs": {"units_table": [table["path"]] if table else []}}


def link(source, target):
    """Give a file a second name: the folder of all units must not double their size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def listed(inputs):
    """Write the units, or those of a slice, and the fan-in groups for the workflow to scatter over."""
    records, told = described_units(inputs)
    give({"units": unit_list.share(records, inputs), **told})


def described_units(inputs):
    """Return the records of all units; the fan-in groups, and a file of what later steps are told."""
    found = unit_list.units(values(inputs))
    fails = {"fails": inputs["exit_code"]}
    records = [
        {"key": key, "seconds": unit["seconds"], "payload": unit["payload"]}
        | (fails if unit["number"] == inputs.get("fail_unit") else {"fails": 0})
        for key, unit in found.items()
    ]
    size = inputs["group_size"]
    groups = [f"g{start // size + 1:05d}" for start in range(0, len(records), size)] if size else []
    plain = {key: inputs[key] for key in ("units", "group_size", "output_bytes")}
    Path("values.json").write_text(json.dumps(plain), encoding="utf-8")
    return records, {"groups": groups, "values": {"class": "File", "path": "values.json"}}


def give(outputs):
    """Say what a tool gives back."""
    Path("cwl.output.json").write_text(json.dumps(outputs), encoding="utf-8")


def shards(inputs):
    """Write the units for the shard runner, and the parts of them that are shards."""
    records, told = described_units(inputs)
    with Path("units.jsonl").open("w", encoding="utf-8") as stream:
        for record in records:
            stream.write(json.dumps({"unit": record.pop("key"), **record}) + "\n")
    size = inputs["shard_size"]
    if not 1 <= size <= 1_000_000:
        raise SystemExit(f"shard_size is {size}; it must be a whole number between 1 and 1000000")
    parts = [f"{n + 1}-{min(n + size, len(records))}" for n in range(0, len(records), size)]
    give({"table": {"class": "File", "path": "units.jsonl"}, "parts": parts, **told})


def folders(inputs):
    """Gather the files in the folders of all shards."""
    Path("units").mkdir()
    for made in inputs["folders"]:
        for file in Path(made["path"]).iterdir():
            link(file, Path("units", file.name))


def folder(inputs):
    """Gather the units' files, of which a slice may have none."""
    Path("units").mkdir()
    for file in inputs["files"]:
        link(file["path"], Path("units", file["basename"]))


def described(step, inputs, output):
    """Run a step of summary.py: its files stand where it looks for them."""
    Path("outputs").mkdir()
    Path("outputs/units").symlink_to(inputs["folder"]["path"])
    for file in inputs.get("groups") or []:
        link(file["path"], Path("work/fan_in", file["basename"]))
    if inputs.get("summary"):
        link(inputs["summary"]["path"], Path("outputs/summary.json"))
    name = [inputs["group"]] if step == "group" else []
    sys.argv = ["summary.py", step, *name, "--values", json.dumps(values(inputs)), "--output", output]
    summary.main()
    shutil.rmtree("outputs")  # the tool's result is what it has written beside it
    shutil.rmtree("work", ignore_errors=True)


if __name__ == "__main__":
    given = json.loads(Path("inputs.json").read_text(encoding="utf-8"))
    if sys.argv[1] == "list":
        listed(given)
    elif sys.argv[1] in ("folder", "folders", "shards"):
        {"folder": folder, "folders": folders, "shards": shards}[sys.argv[1]](given)
    else:
        described(sys.argv[1], given, sys.argv[2])
