"""What lint finds: each fault of a workflow folder is told with its place, all at once, and nothing where nothing is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.paths import ROOT
from helpers.workflows import write_workflow
from services import engines

PROPERTIES = {
    "n": {"type": "integer", "title": "N", "minimum": 1, "default": 2},
    "mode": {"type": "string", "title": "M", "default": "a"},
}
SIZES = {"default": "small", "sizes": {"small": {"cores": 1, "memory": "1 GB"}}}
SNAKEFILE = """\
import os
SCRIPT = os.path.join(workflow.current_basedir, "scripts/make.py")
rule all:
    input: "outputs/result.txt"

rule make:
    input: config["inputs"]["table"]
    output: "outputs/result.txt"
    log: "logs/make/all.log"
    shell: "python3 {SCRIPT:q} {input:q} {output:q} 2> {log:q}"
"""
SCRIPT = "import sys\nprint(sys.argv)\n"

#: Fault → what is replaced in a sound folder (file, old, new), and where and what is told.
STATIC = {
    "unknown step": (("workflow.yaml", '"make"', '"mkae"'), "workflow.yaml:", "Snakemake has no step mkae"),
    "step of nobody": (
        ("workflow.yaml", '"default": "small"', '"default": "small", "steps": {"mkae": {"memory": "1 GB"}}'),
        "workflow.yaml:",
        "no engine has a step mkae",
    ),
    "memory of a step": (
        ("workflow.yaml", '"default": "small"', '"default": "small", "steps": {"make": {"memory": "1 GX"}}'),
        "workflow.yaml:",
        "'1 GX' is not",
    ),
    "memory": (("workflow.yaml", "1 GB", "1 GX"), "workflow.yaml:", "'1 GX' is not"),
    "place": (("workflow.yaml", "outputs/result.txt", "result.txt"), "workflow.yaml:", "is outside outputs/"),
    "image": (
        ("workflow.yaml", '"installed": [\n    "python3"\n   ]', '"container": "No Image"'),
        "workflow.yaml:",
        "name of an image",
    ),
    "default": (
        ("params.schema.json", '"default": 2', '"default": 0'),
        "params.schema.json:",
        "the default does not fit",
    ),
    "example": (
        ("params.schema.json", '"default": 2', '"default": 2, "examples": [0]'),
        "params.schema.json:",
        "the example does not fit",
    ),
    "test value": (("test/params.yaml", "n: 3", "n: -1"), "params.yaml:1", "n: -1 is less than the minimum"),
    "test name": (("test/params.yaml", "n: 3", "m: 1"), "params.yaml:1", "has no parameter m"),
    "model": (
        ("workflow.yaml", '"core_seconds": "n"', '"core_seconds": "1 / (n - 3)"'),
        "workflow.yaml:",
        "resource model fails",
    ),
    "syntax": (("scripts/make.py", "print(", "print(("), "scripts/make.py:2", "is not valid Python"),
    "name": (
        ("scripts/make.py", "sys.argv", "sy.argv"),
        "scripts/make.py:2",
        "sy is never given a value in this file",
    ),
    "colon": (("Snakefile", "output:", "output"), "Snakefile:8", "a colon is missing after output"),
    "engine": (("workflow.yaml", '"snakemake"', '"snakemaek"'), "workflow.yaml:", "snakemaek"),
    "shell": (("scripts/a.sh", "true", "if true"), "scripts/a.sh:", "is not a valid shell script"),
}
DRY = {
    "unknown name": (("Snakefile", "SCRIPT =", "SCRPT ="), "Snakefile:6", "'SCRIPT' is unknown"),
    "nobody makes it": (
        ("workflow.yaml", '"outputs/result.txt"', '"outputs/reslt.txt"'),
        "workflow.yaml:",
        "nothing in Snakemake makes",
    ),
    "nothing to read": (
        ("Snakefile", 'input: "outputs/result.txt"', 'input: "outputs/x.txt"'),
        "Snakefile:3",
        "nothing makes outputs/x",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest = {
        "inputs": {"table": {"title": "T", "extensions": [".csv"]}},
        "units": {"axis": "unit", "steps": ["make"]},
        "resources": {**SIZES, "estimate": {"core_seconds": "n"}},
    }
    files = {
        "Snakefile": SNAKEFILE,
        "scripts/make.py": SCRIPT,
        "scripts/a.sh": "true\n",
        "test/params.yaml": "n: 3\n",
        "test/table.csv": "1\n",
    }
    return write_workflow(tmp_path_factory.mktemp("lint") / "toy", PROPERTIES, manifest, files=files)


def spoilt(sound: Path, into: Path, change: tuple[str, str, str]) -> Path:
    folder = into / "toy"
    shutil.copytree(sound, folder)
    name, old, new = change
    text = (folder / name).read_text()
    assert old in text, (name, old, text)
    (folder / name).write_text(text.replace(old, new, 1))
    return folder


def told(answer: dict[str, Any]) -> list[str]:
    return [f"{p['where']}: {p['what']}" for p in answer["problems"]]


def test_nothing_is_said_of_a_sound_folder_and_nothing_is_left(place: Place, sound: Path) -> None:
    before = sorted(sound.rglob("*"))
    assert place.inside("lint", sound, "--json").json == {"valid": True, "problems": [], "warnings": []}
    assert sorted(sound.rglob("*")) == before
    assert not place.runs()


@pytest.mark.parametrize("fault", [*STATIC, *DRY])
def test_a_fault_is_told_with_its_place(place: Place, sound: Path, fault: str) -> None:
    change, where, what = (STATIC | DRY)[fault]
    folder = spoilt(sound, place.root, change)
    done = place.inside("lint", folder, "--dry-run", "every" if fault in DRY else "none", "--json")
    assert done.code == 2, done
    assert done.json["valid"] is False
    hits = [line for line in told(done.json) if what in line]
    assert hits, done.out
    assert where in hits[0]
    assert str(folder) in hits[0], "the author's file, not the copy that the engine has read"


def test_shards_that_cannot_be_are_told(place: Place, sound: Path) -> None:
    shards = '"shards": {"step": "unit", "job": "made", "file": "x.cwl"}, "engine": "snakemake"'
    folder = spoilt(sound, place.root, ("workflow.yaml", '"engine": "snakemake"', shards))
    text = "\n".join(told(place.inside("lint", folder, "--dry-run", "none", "--json").json))
    assert "unit is no step of units" in text and "there is no file x.cwl" in text
    shards = '"shards": {"step": "make", "job": "made"}, "engine": "snakemake"'
    shutil.rmtree(folder)
    folder = spoilt(sound, place.root, ("workflow.yaml", '"engine": "snakemake"', shards))
    (line,) = told(place.inside("lint", folder, "--dry-run", "none", "--json").json)
    assert "Snakemake has no step made in Snakefile" in line and "workflow.yaml:" in line


def test_all_faults_are_told_at_once(place: Place, sound: Path) -> None:
    folder = spoilt(sound, place.root, STATIC["memory"][0])
    for fault in ("default", "syntax", "unknown step", "colon"):
        (name, old, new), *_ = STATIC[fault]
        (folder / name).write_text((folder / name).read_text().replace(old, new, 1))
    done = place.inside("lint", folder, "--dry-run", "none", "--json")
    for fault in ("memory", "default", "syntax", "unknown step", "colon"):
        assert any(STATIC[fault][2] in line for line in told(done.json)), (fault, done.out)
    (folder / "workflow.yaml").write_text(
        (folder / "workflow.yaml").read_text().replace('"title"', '"titel"', 1)
    )
    broken = place.inside("lint", folder, "--json")
    assert any("titel" in line for line in told(broken.json))
    assert any(STATIC["syntax"][2] in line for line in told(broken.json)), (
        "scripts are read even if the manifest can't be"
    )


def test_warnings_are_no_errors(place: Place, sound: Path) -> None:
    folder = spoilt(sound, place.root, ("Snakefile", '    log: "logs/make/all.log"\n', ""))
    (folder / "Snakefile").write_text((folder / "Snakefile").read_text().replace(" 2> {log:q}", ""))
    schema = json.loads((folder / "params.schema.json").read_text())
    schema["properties"]["name"] = {"type": "string", "title": "Name", "default": "x"}
    (folder / "params.schema.json").write_text(json.dumps(schema))
    manifest = json.loads((folder / "workflow.yaml").read_text())
    manifest["software"] = [{"installed": ["no-such-program"]}, {"container": "example/image"}]
    manifest["implementations"].append({"engine": "snakemake", "file": "Snakefile", "requires": ">=99"})
    (folder / "workflow.yaml").write_text(json.dumps(manifest))
    done = place.inside("lint", folder, "--json")
    assert (done.code, done.json["problems"]) == (0, [])
    said = "\n".join(f"{p['where']}: {p['what']} ({p['hint']})" for p in done.json["warnings"])
    for part in (
        "the rule make has no log",
        "--name names the run",
        "--param name=VALUE",
        "no-such-program is not on PATH",
        "has no version",
    ):
        assert part in said, said
    assert "no engine was asked" in place.inside("lint", folder, "--dry-run", "none").err


def test_a_pipeline_of_others_is_read_too(place: Place) -> None:
    folder = place.root / "theirs"
    folder.mkdir()
    (folder / "Snakefile").write_text(
        'rule all:\n  input: "data.txt"\n  output: "o"\n  shell: "cat {input} {WRONG} > {output}"\n'
    )
    done = place.inside("lint", folder, "--json")
    assert (done.code, done.json["problems"]) == (0, []), "its data may come with its users"
    assert "nothing makes data.txt" in str(done.json["warnings"])
    (folder / "data.txt").write_text("x")
    done = place.inside("lint", folder, "--json")
    assert done.code == 2
    assert "'WRONG' is unknown" in str(done.json["problems"])


def test_what_is_no_workflow_is_said(place: Place) -> None:
    (place.root / "empty").mkdir()
    (place.root / "file.txt").write_text("x")
    for word in ("helo", "empty", "./empty", "./none", "./file.txt"):
        done = place.inside("lint", word, "--json")
        assert (done.code, "Traceback" in done.err) == (2, False), done
        assert done.json["error"]["problems"]
    assert "did you mean hello?" in place.inside("lint", "helo", "--json").problems


def test_our_own_workflows_are_sound(place: Place) -> None:
    done = place.inside("lint", "--dry-run", "none", *sorted((ROOT / "workflows").iterdir()), "--json")
    assert done.json["problems"] == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("engine", "old", "new", "where", "what"),
    [
        ("nextflow", "channel.value", "chanel.value", "main.nf:", "No such variable: chanel"),
        (
            "cwl",
            "out: [units, groups, values]",
            "out: [units, groups, vals]",
            "main.cwl:",
            "references unknown identifier 'list/values'",
        ),
    ],
)
def test_every_engine_is_asked(
    place: Place, tmp_path: Path, engine: str, old: str, new: str, where: str, what: str
) -> None:
    (place.root / "config.toml").write_text(engines.configuration(engine))
    for name in ("workflows/noop", "rules"):
        shutil.copytree(ROOT / name, tmp_path / "here" / name)
    entry = tmp_path / "here/workflows/noop" / where.rstrip(":")
    entry.write_text(entry.read_text().replace(old, new))
    done = place.inside("lint", entry.parent, "--dry-run", "every", "--json")
    assert done.code == 2, done
    told = done.json["error"]["problems"] if "error" in done.json else done.json["problems"]
    assert all(where in p["where"] and "checking" not in p["what"] for p in told) and any(
        what in p["what"] for p in told
    ), told
