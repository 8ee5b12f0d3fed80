"""Names of files as people have them: spaces, colons, signs that mean something in a URL, letters outside of ASCII, in every engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.files import write_files
from helpers.repositories import commit
from services import engines

from esap_wf.catalogue import addresses

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]

#: Of the pipeline's folder and file, of the input; a store's path can't hold the colon.
NAME = "a b:c+d#e%20é,'x'"
STORE = "st ore+#%20é'x'"
#: Toil's workers can't be started in any place.
OF_TOIL = "store+%20é"

CWL = """\
cwlVersion: v1.2
class: CommandLineTool
inputs:
  text: File
  other: {type: File, default: {class: File, location: "%s"}}
baseCommand: [cat]
arguments: [$(inputs.text), $(inputs.other)]
outputs: {out: stdout}
stdout: o.txt
"""
SNAKEFILE = """\
configfile: "%s.yaml"
rule all:
    input: "results/o.txt"
rule o:
    input: config["text"], "../%s.txt"
    output: "results/o.txt"
    shell: "cat {input:q} > {output}"
"""
SCRIPT = """\
params.text = null
params.outdir = 'results'
process C {
  publishDir params.outdir, mode: 'copy'
  input: path x, stageAs: 'x'; path y, stageAs: 'y'
  output: path 'o.txt'
  script: "cat x y > o.txt"
}
workflow { C(file(params.text), file("${projectDir}/../%s.txt")) }
"""
SERIAL = {
    "inputs": {"files": ["*.txt"], "parameters": {"text": "t.txt"}},
    "workflow": {
        "type": "serial",
        "specification": {"steps": [{"environment": "x", "commands": ["cat ${text} ../*.txt > o.txt"]}]},
    },
    "outputs": {"files": ["o.txt"]},
}


def pipeline(engine: str, folder: Path) -> Path:
    """A pipeline in a folder of a repository that reads a file above it."""
    beside = NAME.replace("%", "%25").replace("#", "%23")
    texts = {
        "cwl": ("cwl", CWL % f"../{beside}.txt"),
        "toil": ("cwl", CWL % f"../{beside}.txt"),
        "snakemake": ("smk", SNAKEFILE % (NAME, NAME)),
        "nextflow": ("nf", SCRIPT % NAME),
    }
    ending, text = texts[engine]
    files = {
        f"{NAME}/{NAME}.{ending}": text,
        f"{NAME}.txt": "beside\n",
        f"{NAME}/{NAME}.yaml": "text: nothing.txt\n",
    }
    commit(write_files(folder, files))
    return folder / NAME / f"{NAME}.{ending}"


@pytest.mark.parametrize("engine", ["snakemake", "cwl", "toil", "nextflow"])
def test_names_reach_the_engine_as_they_are(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / (OF_TOIL if engine == "toil" else STORE)
    (root / "home").mkdir(parents=True)
    at = Place(root)
    for name, value in at.environment.items():
        monkeypatch.setenv(name, value)
    (root / "config.toml").write_text(engines.configuration(engine))
    text = write_files(tmp_path / NAME, {f"{NAME}.txt": "given\n"}) / f"{NAME}.txt"
    file = pipeline(engine, tmp_path / "r" / NAME)
    done = at.inside("run", file, "--engine", engine, "--text", text, "--json")
    assert done.code == 0, done.out + done.err
    (output,) = [
        o
        for o in at.inside("results", done.json["run"], "--json").json["outputs"]
        if o["path"].endswith("o.txt")
    ]
    assert (Path(done.json["dir"]) / output["path"]).read_text() == "given\nbeside\n"
    if engine == "cwl":  # by URL, too
        folder = tmp_path / "r" / NAME
        url = addresses.Reference(folder.as_uri(), None, (f"{NAME}/{file.name}",))
        assert addresses.parse(str(url)) == url
        shown = at.inside("show", url, "--json")
        assert shown.code == 0, shown.out
        assert Path(shown.json["derived_from"]["pipeline"]).name == file.name


@pytest.mark.parametrize(
    ("engine", "store"), [("toil", "st ore"), ("snakemake", "sto:re"), ("cwl", "sto:re")]
)
def test_a_store_where_the_engine_can_not_work_is_refused_with_the_plan(
    engine: str, store: str, place: Place, tmp_path: Path
) -> None:
    (place.root / "config.toml").write_text(engines.configuration(engine))
    text = write_files(tmp_path, {"t.txt": ""}) / "t.txt"
    done = place.inside(
        "--store",
        tmp_path / store,
        "plan",
        pipeline(engine, tmp_path / "r"),
        "--engine",
        engine,
        "--text",
        text,
        "--json",
    )
    assert done.code == 3
    assert store in done.problems and "--store DIR" in done.problems
