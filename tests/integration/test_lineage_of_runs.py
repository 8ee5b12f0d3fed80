"""The lineage of real runs."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.command_line import Place
from helpers.workflows import write_workflow

COPYING = """\
rule all:
    input: "outputs/result.txt"

rule make:
    input: config["inputs"]["data"]
    output: "outputs/result.txt"
    shell: "cat {input} > {output}"
"""


def test_results_that_other_runs_took_as_inputs_are_followed_both_ways(place: Place) -> None:
    needs = {"inputs": {"data": {"title": "Data"}}}
    copying = write_workflow(place.root / "copying", manifest=needs, files={"Snakefile": COPYING})
    sorting = write_workflow(
        place.root / "sorting", manifest=needs, files={"Snakefile": COPYING.replace("cat", "sort")}
    )
    first = place.inside("run", "hello", "--name", "first", "--json").json
    greeting = Path(first["dir"]) / "outputs" / "greeting.txt"
    second = place.inside("run", copying, "--data", greeting, "--name", "second", "--json").json
    third = place.inside("run", sorting, "--data", "run:second/result", "--json").json
    assert second["phase"] == third["phase"] == "COMPLETED"
    (source,) = place.inside("show", third["run"], "--lineage", "--json").json["from"]
    accepted = json.loads((greeting.parents[1] / "outputs.json").read_text())["outputs"]
    checksum = next(f"sha256:{output['sha256']}" for output in accepted if output["name"] == "greeting")
    assert source == {
        "input": "data",
        "uri": f"run:{second['run']}/result/outputs/result.txt",
        "checksum": checksum,
        "run": {
            "run": second["run"],
            "workflow": "copying",
            "phase": "COMPLETED",
            "from": [
                {
                    "input": "data",
                    "uri": greeting.as_uri(),
                    "checksum": checksum,
                    "run": {"run": first["run"], "workflow": "hello", "phase": "COMPLETED", "from": []},
                }
            ],
        },
    }
    (user,) = place.inside("show", "first", "--lineage", "--json").json["used_by"]
    assert (user["run"], user["workflow"], user["input"]) == (second["run"], "copying", "data")
    assert [u["run"] for u in user["used_by"]] == [third["run"]]
