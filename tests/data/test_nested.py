"""Files that lie elsewhere, inside of structured parameters, job orders and sample sheets, with real engines."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from helpers.files import write_files
from helpers.waiting import until
from helpers.websites import File, Site
from helpers.workflows import write_workflow
from services import engines

from esap_wf.datalakes import Content, Did

from .gathering import Gathering

pytestmark = pytest.mark.integration

#: Tells what it was given: names and content of files, of what belongs to them, and of a folder's members.
TOOL = r"""cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}, ShellCommandRequirement: {}}
baseCommand: [bash, -c]
arguments:
  - |
    for path in "$@"; do
      if [ -d "$path" ]; then path=\$(ls -d "$path"/*); fi
      echo "\$(basename "$path") \$(cat "$path")"
    done
  - tool
  - valueFrom: $(inputs.pair.one.path)
  - valueFrom: $(inputs.pair.many[0].path)
  - valueFrom: $(inputs.pair.many[1].path)
  - valueFrom: $(inputs.main.path)
  - valueFrom: $(inputs.main.secondaryFiles[0].path)
  - valueFrom: $(inputs.made.path)
inputs:
  pair:
    type:
      type: record
      name: pair
      fields: {one: File, many: "File[]"}
  main: {type: File, secondaryFiles: [.idx]}
  made: Directory
stdout: told.txt
outputs: {told: stdout}
"""


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def plan_of(place: Gathering, run: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((place.run(run).dir / "plan.json").read_text())
    return read


def file(location: str, **more: object) -> dict[str, object]:
    return {"class": "File", "location": location, **more}


def order(place: Gathering, earlier: str) -> dict[str, object]:
    """A job order whose every file lies in the lake, or is a result of an earlier run."""
    lying = {n: place.put(f"d/{n}.dat", n.encode()) for n in ("one", "two", "three", "main", "main.idx")}
    return {
        "pair": {
            "one": file(lying["one"]),
            "many": [file(lying["two"], basename="deux.dat"), {"class": "File", "path": lying["three"]}],
        },
        "main": file(
            lying["main"],
            basename="x y#.dat",
            secondaryFiles=[file(lying["main.idx"], basename="x y#.dat.idx")],
        ),
        "made": {"class": "Directory", "location": f"run:{earlier}/folder", "basename": "renamed"},
    }


def makes_a_folder(place: Gathering) -> str:
    """The id of a run with a folder as a result."""
    folder = write_workflow(
        place.root / "earlier",
        manifest={"outputs": [{"name": "folder", "path": "outputs/made/"}]},
        files={
            "Snakefile": 'rule all:\n    output: directory("outputs/made")\n'
            '    log: "logs/all/all.log"\n'
            '    shell: "mkdir -p {output} && printf inner > {output}/inside.txt 2> {log}"\n'
        },
    )
    return str(place.ok("run", str(folder))["run"])


def given(place: Gathering, values: object, engine: str = "cwl") -> list[str]:
    """Words of a command that runs the tool with a job order."""
    (place.root / "config.toml").write_text(engines.configuration(engine))
    (place.root / "tool.cwl").write_text(TOOL)
    (place.root / "order.json").write_text(json.dumps(values))
    words = [str(place.root / "tool.cwl"), "--params", str(place.root / "order.json")]
    return [*words, "--engine", engine]


TOLD = [
    "one.dat one",
    "deux.dat two",
    "three.dat three",
    "x y#.dat main",
    "x y#.dat.idx main.idx",
    "inside.txt inner",
]


@pytest.mark.parametrize("engine", ["cwl", "toil"])
def test_files_in_records_lists_and_beside_others_are_brought_for_a_job_order(
    place: Gathering, engine: str
) -> None:
    done = place.ok("run", *given(place, order(place, makes_a_folder(place)), engine))
    assert (place.run(done["run"]).dir / "outputs/told.txt").read_text().splitlines() == TOLD
    place.sound()


def test_a_plan_has_places_for_the_engine_and_its_request_keeps_the_addresses(place: Gathering) -> None:
    earlier = makes_a_folder(place)
    values = order(place, earlier)
    run = place.ok("run", *given(place, values))["run"]
    plan = plan_of(place, run)
    assert plan["request"]["parameters"] == values
    assert plan["parameters"]["pair"]["many"][1]["path"] == "inputs/pair/2/three.dat"
    main = plan["parameters"]["main"]
    assert main["location"] == "inputs/main/0/x%20y%23.dat"
    assert main["secondaryFiles"][0]["location"] == "inputs/main/0/x%20y%23.dat.idx"
    assert set(plan["inside"]["main"]) == {digest(b"main"), digest(b"main.idx")}
    assert {ref["path"]: ref["uri"] for ref in plan["nested"]} == {
        "inputs/pair/0/one.dat": "rucio://local/toy/d/one.dat",
        "inputs/pair/1/deux.dat": "rucio://local/toy/d/two.dat",
        "inputs/pair/2/three.dat": "rucio://local/toy/d/three.dat",
        "inputs/main/0/x y#.dat": "rucio://local/toy/d/main.dat",
        "inputs/main/0/x y#.dat.idx": "rucio://local/toy/d/main.idx.dat",
        "inputs/made/0/renamed": f"run:{earlier}/folder/outputs/made",
    }
    assert plan["volume"]["files"] == 6
    sources = place.look("show", run, "--lineage")["from"]
    assert {s["uri"] for s in sources} == {ref["uri"] for ref in plan["nested"]}
    # it is asked for once more, and all is fetched again or found in the cache
    again = place.ok("rerun", run)["run"]
    assert again != run
    assert plan_of(place, again)["nested"] == plan["nested"]
    assert place.results(again) == place.results(run)


def test_a_job_order_with_paths_of_the_same_files_is_the_same_run(place: Gathering) -> None:
    values = order(place, "")
    folder = place.root / "mine"
    (folder / "made").mkdir(parents=True)
    (folder / "made/inside.txt").write_text("inner")
    here = {"made": {"class": "Directory", "path": str(folder / "made"), "basename": "renamed"}}
    done = place.ok("run", *given(place, values | here))
    called = {
        "one.dat": "one",
        "deux.dat": "two",
        "three.dat": "three",
        "x y#.dat": "main",
        "x y#.dat.idx": "main.idx",
    }
    text = json.dumps(values | here)
    for name, content in called.items():
        (folder / name).write_text(content)
        text = text.replace(f"rucio://local/toy/d/{content}.dat", str(folder / name))
    # a location is a URL
    local = json.loads(text.replace(f'"location": "{folder}', f'"location": "file://{folder}'))
    for part in (local["main"], local["main"]["secondaryFiles"][0]):
        part["location"] = part["location"].replace(" ", "%20").replace("#", "%23")
    again = place.ok("run", *given(place, local))
    assert (again["run"], again["reused"]) == (done["run"], True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"location": "rucio://local/toy/d/on.dat"}, "has no toy:d/on.dat that you may read"),
        ({"location": "rucio://local/toy/set"}, "it holds 2 files, and one is meant"),
        ({"location": "run:0000000000000000/all"}, "no run"),
        ({"location": "ftp://host/one.dat"}, "can't be fetched by this version"),
        ({"location": "rucio://local/toy/d/%00.dat"}, "control characters"),
        ({"location": "basket:rucio:toy:*"}, "no basket was given"),
        ({"secondaryFiles": []}, "x y#.dat.idx belongs to it, and isn't named"),
    ],
)
def test_what_is_not_there_is_told_with_its_parameter_before_the_start(
    place: Gathering, change: dict[str, object], words: str
) -> None:
    values: dict[str, Any] = order(place, "")
    place.lake.register(
        Did("toy", "set"), Content.DATASET, [Did("toy", "d/one.dat"), Did("toy", "d/two.dat")]
    )
    values["main"] |= change
    (place.root / "made").mkdir()
    values["made"] = {"class": "Directory", "path": "made"}
    done = place.inside("plan", *given(place, values))
    assert done.code == 2, done
    assert "parameter main: " in done.err
    assert words in " ".join(done.err.split()), done.err


def test_a_folder_is_no_file_and_a_file_no_folder(place: Gathering) -> None:
    values: dict[str, Any] = order(place, makes_a_folder(place))
    values["pair"]["one"]["location"] = values["made"]["location"]
    values["made"]["location"] = "rucio://local/toy/d/one.dat"
    done = place.inside("plan", *given(place, values))
    assert done.code == 2
    assert "a file is expected, but this is a folder" in done.err
    assert "a folder is expected, but this is a file" in done.err


def test_a_file_at_an_address_in_a_job_order_is_brought_and_known_by_its_content(place: Gathering) -> None:
    with Site() as site:
        site.pages["/a.dat"] = File(b"from the web", {"ETag": '"one"'})
        values: dict[str, Any] = order(place, makes_a_folder(place))
        values["pair"]["one"] = file(site.url("/a.dat"))
        words = given(place, values)
        with (place.root / "config.toml").open("a") as config:
            config.write(f"[web]\nhosts = {json.dumps(site.hosts)}\n")
        run = place.ok("run", *words)["run"]
        assert (place.run(run).dir / "outputs/told.txt").read_text().splitlines()[0] == "a.dat from the web"
        # its content is known now: the run of the time when it was not is found all the same
        again = place.ok("run", *words)
        assert (again["run"], again["reused"]) == (run, True)
        other = plan_of(place, place.ok("rerun", run)["run"])
    assert any(i.startswith("address:") for i in plan_of(place, run)["inside"]["pair"])
    assert digest(b"from the web") in other["inside"]["pair"]


_SNAKEFILE = """\
import json

rule all:
    output: "outputs/result.txt"
    log: "logs/all/all.log"
    run:
        one, many = config["job"]["one"], config["job"]["many"]
        with open(output[0], "w") as made:
            for part in (one, *many):
                made.write(open(part["path"]).read() + "\\n")
"""


def structured(place: Gathering) -> dict[str, Any]:
    one, two = place.put("d/one.dat", b"one"), place.put("d/two.dat", b"two")
    return {"one": {"class": "File", "path": one}, "many": [{"class": "File", "path": two}]}


def test_a_structured_parameter_of_snakemake_has_paths_in_the_run_directory(place: Gathering) -> None:
    folder = write_workflow(place.root / "w", {"job": {"type": "object"}}, files={"Snakefile": _SNAKEFILE})
    (place.root / "values.json").write_text(json.dumps({"job": structured(place)}))
    run = place.ok("run", str(folder), "--params", str(place.root / "values.json"))["run"]
    assert (place.run(run).dir / "outputs/result.txt").read_text() == "one\ntwo\n"


_PLAIN = """\
configfile: "config.yaml"

rule all:
    output: "results/all.txt"
    run:
        with open(output[0], "w") as made:
            for part in config["files"]:
                made.write(open(part["path"]).read() + "\\n")
"""


def test_a_pipeline_that_works_in_its_own_copy_finds_what_was_brought(place: Gathering) -> None:
    folder = place.root / "plain"
    write_files(folder, {"Snakefile": _PLAIN, "config.yaml": "files: []\n"})
    one, two = place.put("d/one.dat", b"one"), place.put("d/two.dat", b"two")
    values = {"files": [{"class": "File", "path": one}, {"class": "File", "path": two, "basename": "2.dat"}]}
    (place.root / "values.json").write_text(json.dumps(values))
    run = place.ok("run", str(folder / "Snakefile"), "--params", str(place.root / "values.json"))["run"]
    assert (place.run(run).dir / "project/results/all.txt").read_text() == "one\ntwo\n"
    made = {o["path"] for o in place.look("results", run)["outputs"]}
    assert made == {"project/results/all.txt"}


# --- sample sheets

_SHEET = {
    "main.nf": """\
workflow {
    rows = Channel.fromPath(params.input).splitCsv(header: true)
    TELL(rows.map { row -> [row.sample, row.note, file(row.reads, checkIfExists: true)] })
}

process TELL {
    publishDir params.outdir, mode: 'copy'

    input:
    tuple val(sample), val(note), path(reads)

    output:
    path "*.txt"

    script:
    "echo $note \\$(basename $reads) \\$(cat $reads) > ${sample}.txt"
}
""",
    "nextflow.config": "params { input = null; outdir = null }\n",
    "nextflow_schema.json": json.dumps(
        {
            "type": "object",
            "required": ["input", "outdir"],
            "properties": {
                "input": {"type": "string", "format": "file-path", "schema": "assets/rows.json"},
                "outdir": {"type": "string", "format": "directory-path"},
            },
        }
    ),
    "assets/rows.json": json.dumps(
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["sample", "reads"],
                "properties": {
                    "sample": {"type": "string"},
                    "reads": {"type": "string", "format": "file-path", "exists": True},
                    "note": {"type": "string"},
                },
            },
        }
    ),
}


def sheet(place: Gathering, *rows: str) -> list[str]:
    """Words of a command that runs the pipeline with a sheet."""
    (place.root / "config.toml").write_text(engines.configuration("nextflow"))
    write_files(place.root / "sheet", _SHEET)
    (place.root / "samples.csv").write_text("sample,reads,note\n" + "".join(f"{row}\n" for row in rows))
    return [str(place.root / "sheet"), "--input", str(place.root / "samples.csv")]


def test_rows_of_a_sheet_name_what_lies_elsewhere(place: Gathering) -> None:
    earlier = place.ok(*place.given([place.put("d/zero.dat", b"zero")]))["run"]
    uri = place.put("d/one.fq", b"one")
    (place.root / "mine.fq").write_text("mine")
    rows = (f"a,{uri},{uri}", f"b,{place.root}/mine.fq,b", f"c,run:{earlier}/all,c", f"d,{uri},d")
    words = sheet(place, *rows)
    run = place.ok("run", *words)["run"]
    folder = place.run(run).dir
    assert {p.name: p.read_text().strip() for p in (folder / "outputs").glob("*.txt")} == {
        "a.txt": f"{uri} one.fq one",
        "b.txt": "b mine.fq mine",
        "c.txt": "c all.dat zero",
        "d.txt": "d one.fq one",
    }
    assert (folder / "inputs/input/0/samples.csv").read_text().splitlines()[1] == (
        f"a,{folder}/inputs/input/1/one.fq,{uri}"
    )
    plan = plan_of(place, run)
    (ref,) = plan["inputs"]["input"]
    assert ref["uri"] == (place.root / "samples.csv").as_uri()
    assert ref["beside"]["inputs/input/1/one.fq"] == digest(b"one")
    assert plan["volume"]["files"] == 2
    sources = place.look("show", run, "--lineage")["from"]
    assert [s["run"]["run"] for s in sources if "run" in s] == [earlier]
    # the same sheet is the same run, and is asked for again with its addresses
    assert place.ok("run", *words)["reused"]
    again = place.ok("rerun", run)["run"]
    assert plan_of(place, again)["nested"] == plan["nested"]


def test_a_sheet_that_lies_elsewhere_itself_is_brought_and_copied(place: Gathering) -> None:
    uri = place.put("d/one.fq", b"one")
    words = sheet(place)
    whole = place.put("samples.csv", f"sample,reads,note\na,{uri},n\n".encode())
    run = place.ok("run", words[0], "--input", whole)["run"]
    folder = place.run(run).dir
    assert (folder / "outputs/a.txt").read_text() == "n one.fq one\n"
    assert {ref["uri"] for ref in plan_of(place, run)["nested"]} == {uri, whole}


def test_a_cell_with_nothing_behind_it_is_told_with_its_line(place: Gathering) -> None:
    uri = place.put("d/one.fq", b"one")
    words = sheet(place, f"a,{uri},n", f"b,{uri[:-1]},n", "c,run:0000000000000000/all,n")
    done = place.inside("plan", *words)
    assert done.code == 2
    told = " ".join(done.err.split())
    assert "samples.csv:3: reads: rucio://local/toy/d/one.f: local has no toy:d/one.f" in told
    assert "samples.csv:4: reads: run:0000000000000000/all: " in told


def test_a_sheet_that_was_changed_after_the_plan_is_no_input(place: Gathering) -> None:
    uri = place.put("d/one.fq", b"one")
    (copy,) = (place.store / "lake/files").rglob("one.fq")
    copy.rename(place.root / "aside")
    words = sheet(place, f"a,{uri},n")
    run = place.ok("run", *words, "--detach")["run"]
    until(lambda: "waiting for local since" in place.run(run).observe().reason, what="the reason")
    (place.root / "samples.csv").write_text(f"sample,reads,note\nb,{uri},n\n")
    (place.root / "aside").rename(copy)
    place.ended(run)
    (failure,) = place.status(run)["failures"]
    assert failure["step"] == "input"
    assert "changed or removed after the plan was made" in failure["detail"]
