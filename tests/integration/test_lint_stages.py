"""What lint finds in the stages map and join of a workflow: each fault with its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.paths import ROOT
from helpers.workflows import write_workflow

PROPERTIES = {"n": {"type": "integer", "title": "N", "minimum": 1, "default": 3}}
IMPLEMENTATION = {
    "engine": "snakemake",
    "file": "Snakefile",
    "map": {"item": "map", "gives": {"parts": "work/*.part"}},
    "join": {"item": "join"},
}
SNAKEFILE = """\
N, SLICE, SLICES = int(config["n"]), int(config.get("slice", 1)), int(config.get("slices", 1))
rule all:
    input: "outputs/result.txt"
rule map:
    input: expand("work/{i}.part", i=range((SLICE - 1) * N // SLICES, SLICE * N // SLICES))
rule join:
    input: rules.all.input
if "parts" not in config["inputs"]:
    rule part:
        output: "work/{i}.part"
        log: "logs/part/{i}.log"
        shell: "echo {wildcards.i} > {output} 2> {log}"
rule result:
    input: expand("work/{i}.part", i=range(N))
    output: "outputs/result.txt"
    log: "logs/result/all.log"
    shell: "cat {input} > {output} 2> {log}"
"""

#: Fault → what the implementation says in place of something (None: nothing), where it is told, and how.
DECLARED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no join": ({"join": None}, "implementations[0].map", "there is no join beside map"),
    "no map": ({"map": None}, "implementations[0].join", "there is no map beside join"),
    "nothing given": (
        {"map": {"item": "map"}},
        "implementations[0].map",
        "gives nothing that could be joined",
    ),
    "given by the join": (
        {"join": {"item": "join", "gives": {"x": "outputs/*"}}},
        "implementations[0].join.gives",
        "only map gives something",
    ),
    "a parameter's name": (
        {"map": {"item": "map", "gives": {"n": "work/*.part"}}},
        "implementations[0].map.gives.n",
        "n is the name of a parameter",
    ),
    "an absolute pattern": (
        {"map": {"item": "map", "gives": {"parts": "/tmp/*.part"}}},
        "implementations[0].map.gives",
        "/tmp/*.part",
    ),
    "no such file": (
        {"join": {"file": "join.smk"}},
        "implementations[0].join.file",
        "there is no file join.smk",
    ),
    "no such rule": ({"join": {"item": "jion"}}, "Snakefile", "there is no rule jion"),
}
#: Fault → what is written in place of what, and what the dry run of a stage has to do with it.
READ: dict[str, tuple[str, str, str, str, str]] = {
    "nothing makes it": (
        "workflow.yaml",
        "work/*.part",
        "work/*.prt",
        "workflow.yaml:",
        "nothing in the stage map of Snakemake makes work/*.prt",
    ),
    "the join wants more": (
        "Snakefile",
        "i=range(N))\n    output",
        "i=range(N + 1))\n    output",
        "Snakefile:",
        "work/3.part",
    ),
    "only a stage stumbles": (
        "Snakefile",
        "rules.all.input\n",
        'rules.all.input, "outputs/none.txt"\n',
        "Snakefile:",
        "nothing makes outputs/none.txt",
    ),
    "an output of no stage": (
        "Snakefile",
        "    input: rules.all.input\n",
        '    input: "work/0.part"\n',
        "workflow.yaml:",
        "nothing in the stages of Snakemake makes outputs/result.txt",
    ),
}


def write(folder: Path, changes: dict[str, Any] | None = None, **manifest: Any) -> Path:
    described = {k: v for k, v in {**IMPLEMENTATION, **(changes or {})}.items() if v is not None}
    units = {"units": {"axis": "part", "count": "n", "steps": ["part"]}}
    return write_workflow(
        folder,
        PROPERTIES,
        {"implementations": [described], **units, **manifest},
        files={"Snakefile": SNAKEFILE},
    )


def told(place: Place, folder: Path, dry_runs: str) -> list[str]:
    done = place.inside("lint", folder, "--dry-run", dry_runs, "--json")
    assert done.code == 2, done
    problems = done.json["error"]["problems"] if "error" in done.json else done.json["problems"]
    return [f"{p['where']}: {p['what']}" for p in problems]


def test_nothing_is_said_of_sound_stages(place: Place) -> None:
    done = place.inside("lint", write(place.root / "toy"), "--json")
    assert done.json == {"valid": True, "problems": [], "warnings": []}


@pytest.mark.parametrize("fault", DECLARED)
def test_a_fault_of_the_manifest_is_told_with_its_place(place: Place, fault: str) -> None:
    changes, where, what = DECLARED[fault]
    folder = write(place.root / "toy", changes)
    hits = [line for line in told(place, folder, "none") if what in line]
    assert hits and where in hits[0] and str(folder) in hits[0], hits


def test_stages_need_units_and_the_names_of_their_parameters(place: Place) -> None:
    folder = write(place.root / "toy", units=None)
    assert any("no units that could be cut" in line for line in told(place, folder, "none"))
    schema = json.loads((folder / "params.schema.json").read_text())
    schema["properties"]["slice"] = {"type": "integer", "title": "S", "default": 1}
    (folder / "params.schema.json").write_text(json.dumps(schema))
    assert any("properties.slice: the stage map gets" in line for line in told(place, folder, "none"))


@pytest.mark.parametrize("fault", READ)
def test_what_an_engine_says_of_a_stage_is_told(place: Place, fault: str) -> None:
    name, old, new, where, what = READ[fault]
    folder = write(place.root / "toy")
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    hits = [line for line in told(place, folder, "every") if what in line]
    assert hits and where in hits[0] and str(folder) in hits[0], hits


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("map.cwl", "  slices: int\n", "", "map.cwl: it has no input slices"),
        ("join.cwl", "unit_files", "files_of_units", "its input files_of_units is given nothing"),
        ("workflow.yaml", "{file: map.nf,", "{file: map.nf, item: mapp,", "there is no workflow mapp"),
        ("workflow.yaml", "{file: map.cwl,", "{file: map.cwl, item: mapp,", "mapp"),
    ],
)
def test_stages_of_other_engines_are_read_without_them(
    place: Place, tmp_path: Path, file: str, old: str, new: str, what: str
) -> None:
    for name in ("workflows/noop", "rules"):
        shutil.copytree(ROOT / name, tmp_path / "here" / name)
    path = tmp_path / "here/workflows/noop" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    found = told(place, path.parent, "none")
    assert any(what in line for line in found), found
