"""Interfaces of CWL processes without a manifest: types, references, outputs; and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.engines import Interface
from esap_wf.engines.cwl.interface import derive
from esap_wf.errors import UsageError
from esap_wf.formats.schemas import validator

PIPELINES = Path(__file__).parent / "pipelines/cwl"
TOOL = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: echo\n"


def of(path: Path, item: str | None = None) -> Interface:
    found = derive(path, item)
    assert found is not None
    return found


def tool(folder: Path, text: str, name: str = "tool.cwl") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(TOOL + text)
    return folder / name


def refused(path: Path, item: str | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        derive(path, item)
    return str(caught.value)


def test_what_is_no_cwl_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("inputs: {}\n")
    assert derive(tmp_path, None) is None and derive(tmp_path / "config.yaml", None) is None
    (tmp_path / "tool.yaml").write_text(TOOL + "inputs: []\noutputs: []\n")
    assert of(tmp_path / "tool.yaml").name == "tool"


def test_types_of_a_tool_become_flags_and_files_inputs() -> None:
    file = PIPELINES / "guide/inp.cwl"
    found = of(file)
    properties = found.schema["properties"]
    assert properties["example_flag"]["type"] == "boolean" and properties["example_int"]["type"] == "integer"
    assert properties["example_float"]["type"] == ["integer", "number", "null"], (
        "2 is handed on as 2, not as 2.0"
    )
    assert (
        properties["choice"]["enum"] == ["fast", "exact"]
        and properties["choice"]["engine_default"] == "exact"
    )
    assert (
        properties["max-mem"]["type"] == ["integer", "string", "null"]
        and properties["max-mem"]["cwl_type"] == "int or string?"
    )
    assert (properties["example_string"]["title"], properties["example_string"]["description"]) == (
        "A text",
        "It is printed.",
    )
    assert found.schema["required"] == ["example_flag", "example_string", "example_int"]
    assert found.inputs["example_file"].kind == "file" and not found.inputs["example_file"].required
    assert (
        found.origins["parameters.example_string"] == f"{file}:13"
        and found.origins["inputs.example_file"] == f"{file}:24"
    )
    assert [o.path for o in found.outputs] == ["outputs/args.txt"] and found.files == ("inp.cwl",)
    assert "default" not in json.dumps(properties).replace("engine_default", ""), (
        "what the document sets is never filled in"
    )


def test_arrays_records_and_alternatives_are_checked_by_the_schema() -> None:
    arrays = of(PIPELINES / "guide/array-inputs.cwl").schema
    assert arrays["properties"]["filesB"]["items"] == {"type": "string"}
    records = of(PIPELINES / "guide/record.cwl").schema
    check = validator(records)
    file = {"class": "File", "path": "/x"}
    good = {
        "dependent_parameters": {"itemA": "1", "itemB": "2"},
        "exclusive_parameters": {"itemD": "x"},
        "sample": {"reads": file},
    }
    assert check.is_valid(good)
    assert not check.is_valid({**good, "dependent_parameters": {"itemA": "1"}}), "both belong together"
    assert check.is_valid({**good, "exclusive_parameters": {"itemC": "x", "itemD": "x"}}), (
        "the engine takes the first record that fits"
    )
    assert not check.is_valid({**good, "sample": {"reads": "/x"}}), "in a record a file is an object"


def test_a_workflow_refers_to_types_tools_libraries_and_files() -> None:
    found = of(PIPELINES / "align")
    assert found.root == PIPELINES / "align" and found.file == "main.cwl"
    assert found.files == (
        "lib.js",
        "main.cwl",
        "tools/merge.cwl",
        "tools/sort.cwl",
        "types/header.txt",
        "types/settings.yml",
    )
    assert (
        found.inputs["reads"].many and found.inputs["reads"].format == "http://edamontology.org/format_1930"
    )
    assert found.inputs["reference"].secondary == [".fai", "^.dict", ".note?"]
    assert (found.inputs["header"].required, found.inputs["header"].engine_default) == (
        False,
        "types/header.txt",
    )
    assert found.inputs["extra"].kind == "folder"
    assert found.schema["properties"]["settings"]["properties"]["order"]["enum"] == ["up", "down"]
    assert found.images == ("debian:stable-slim",) and found.unit_steps == ("sort",)
    assert (found.authors, found.license, found.version, found.title) == (
        ("The Author",),
        "Apache-2.0",
        "1.4",
        "Align all reads",
    )
    assert [o.path for o in found.outputs] == ["outputs/merged.txt"]


def test_a_packed_document_is_read_by_its_short_names() -> None:
    found = of(PIPELINES / "packed")
    assert set(found.inputs) == {"text"} and found.inputs["text"].description == "Lines\nto count"
    assert found.schema["properties"]["how"]["enum"] == ["fast", "slow"]
    assert [o.path for o in found.outputs] == ["outputs/count.txt"]
    assert set(of(PIPELINES / "packed/pair.cwl", "count.cwl").inputs) == {"file"}
    assert "there is no #nothing (available: #count.cwl, #main)" in refused(PIPELINES / "packed", "nothing")


def test_a_graph_without_main_asks_which(tmp_path: Path) -> None:
    file = tmp_path / "two.cwl"
    one = "  - {class: CommandLineTool, id: NAME, baseCommand: echo, inputs: [], outputs: []}\n"
    file.write_text("cwlVersion: v1.2\n$graph:\n" + one.replace("NAME", "a") + one.replace("NAME", "b"))
    assert "contains #a, #b, and none of them is #main" in refused(file) and f"{file}#a" in refused(file)
    assert of(file, "b").outputs == ()


def test_a_folder_with_several_processes_asks_which_unless_one_uses_the_others(tmp_path: Path) -> None:
    reported = refused(PIPELINES / "guide")
    assert "say which" in reported and "1st-tool.cwl" in reported and "record.cwl" in reported
    tool(tmp_path, "inputs: []\noutputs: []\n", "part.cwl")
    step = "steps: {s: {run: part.cwl, in: [], out: []}}\n"
    (tmp_path / "whole.cwl").write_text(f"cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\n{step}")
    assert of(tmp_path).file == "whole.cwl"


def test_the_root_is_the_smallest_folder_that_holds_everything_in_the_repository(tmp_path: Path) -> None:
    tool(tmp_path / "repo/tools", "inputs: []\noutputs: []\n", "part.cwl")
    flow = tmp_path / "repo/flows/whole.cwl"
    flow.parent.mkdir()
    text = "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {s: {run: RUN, in: [], out: []}}\n"
    flow.write_text(text.replace("RUN", "../tools/part.cwl"))
    (tmp_path / "repo/.git").mkdir()
    (tmp_path / "repo/huge.bin").write_bytes(b"0")
    found = of(flow)
    assert (found.root, found.file, found.files) == (
        tmp_path / "repo",
        "flows/whole.cwl",
        ("flows/whole.cwl", "tools/part.cwl"),
    )
    tool(tmp_path / "outside", "inputs: []\noutputs: []\n", "part.cwl")
    flow.write_text(text.replace("RUN", "../../outside/part.cwl"))
    assert f"lies outside of {tmp_path}/repo" in refused(flow)


def test_files_that_a_document_names_as_values_are_part_of_it_with_what_belongs_to_them(
    tmp_path: Path,
) -> None:
    names = [
        "d.fa",
        "d.fa.fai",
        "d.dict",
        "d.other",
        "e.txt",
        "a b.txt",
        "in/deep/f.txt",
        "unused.txt",
        "e.txt.fai",
    ]
    for name in names:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    listing = "{listing: [{class: Directory, location: ../data/in}, {entryname: x, entry: {class: File, location: ../data/a%20b.txt}}]}"
    inputs = "x: {type: File, secondaryFiles: [.fai, ^.dict], default: {class: File, location: ../data/d.fa}}, y: {type: File, default: "
    text = f"requirements: {{InitialWorkDirRequirement: {listing}}}\ninputs: {{{inputs}{{class: File, path: ../data/e.txt}}}}}}\noutputs: []\n"
    found = of(tool(tmp_path / "tools", text))
    assert found.root == tmp_path and set(found.files or ()) == {
        "tools/tool.cwl",
        *(f"data/{n}" for n in names if n not in ("d.other", "unused.txt")),
    }
    (tmp_path / "tools/tool.cwl").write_text(
        (tmp_path / "tools/tool.cwl").read_text().replace("^.dict", "$(self.nameroot).other")
    )
    assert "data/d.other" in (of(tmp_path / "tools/tool.cwl").files or ()), "what only an expression tells"


def test_a_default_that_is_not_there_must_be_given(tmp_path: Path) -> None:
    found = of(
        tool(tmp_path, "inputs: {x: {type: File, default: {class: File, location: gone.txt}}}\noutputs: []\n")
    )
    assert found.inputs["x"].required and found.warnings == (
        f"{tmp_path}/tool.cwl:4: there is no file {tmp_path}/gone.txt",
    )


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ("{o: {type: File, outputBinding: {glob: out/a.txt}}}", ["outputs/a.txt"]),
        ("{o: {type: 'File[]', outputBinding: {glob: '*.txt'}}}", ["outputs/*.txt"]),
        ("{o: {type: Directory, outputBinding: {glob: d}}}", ["outputs/d"]),
        ("{o: {type: File, outputBinding: {glob: '$(inputs.x).txt'}}}", ["outputs/**/*"]),
        ("{o: {type: File, secondaryFiles: [.bai], outputBinding: {glob: a.bam}}}", ["outputs/**/*"]),
        ("{o: {type: File, outputBinding: {glob: 'a [1].txt'}}}", ["outputs/a??.txt"]),
        ("{o: {type: string, outputBinding: {glob: a, outputEval: $(1)}}}", []),
        ("{o: stdout, p: {type: File?, outputBinding: {glob: b.log}}}", ["outputs/**/*", "outputs/b.log"]),
    ],
)
def test_outputs_are_reported_where_the_document_names_them(
    tmp_path: Path, outputs: str, expected: list[str]
) -> None:
    assert [o.path for o in of(tool(tmp_path, f"inputs: []\noutputs: {outputs}\n")).outputs] == expected


@pytest.mark.parametrize("version", ["v1.0", "v1.1", "v1.2"])
def test_every_version_from_1_0_to_1_2_is_read(tmp_path: Path, version: str) -> None:
    file = tool(tmp_path, "inputs: {x: {type: File, secondaryFiles: [.bai]}}\noutputs: []\n")
    file.write_text(file.read_text().replace("v1.2", version))
    assert of(file).inputs["x"].secondary == [".bai"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "inputs: {x: strin}\noutputs: []\n",
            "tool.cwl:4:10: inputs.x.type: there is no type 'strin' (did you mean string?)",
        ),
        ("inputs:\n  x: [\noutputs: []\n", "tool.cwl:7"),
        ("outputs: []\n", "inputs: is missing"),
        ("inputs: {x: {type: {type: enum, symbols: 3}}}\noutputs: []\n", "an enum has a list of symbols"),
        ("inputs: {x: other.yml#t}\noutputs: []\n", "there is no such file"),
        ("inputs: {$import: nowhere.yml}\noutputs: []\n", "nowhere.yml"),
        (
            "inputs: {x: {type: File, secondaryFiles: [../x]}}\noutputs: []\n",
            "is not a pattern for a file beside",
        ),
        (
            "inputs: []\noutputs: []\nrequirements: [{class: InlineJavascriptRequirement, expressionLib: [{$include: gone.js}]}]\n",
            "gone.js",
        ),
        ("inputs: [{type: string}]\noutputs: []\n", "a mapping with an id is expected"),
    ],
)
def test_broken_documents_are_reported_with_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    message = refused(tool(tmp_path, text))
    assert expected in message and f"{tmp_path}/tool.cwl:" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cwlVersion: draft-3\nclass: Workflow\n", "is 'draft-3', not one of v1.0, v1.1, v1.2"),
        ("class: Workflow\ninputs: []\noutputs: []\n", "cwlVersion: is missing"),
        ("cwlVersion: v1.2\ninputs: []\noutputs: []\n", "class: is missing"),
        ("cwlVersion: v1.2\nclass: Tool\n", "is 'Tool', not one of"),
        ("- 1\n", "a CWL document must be a mapping"),
        (
            "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {a: {run: x.cwl, in: [], out: []}}\n",
            "x.cwl",
        ),
        (
            "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {a: {run: main.cwl, in: [], out: []}}\n",
            "runs itself",
        ),
        (
            "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {a: {in: [], out: []}}\n",
            "steps.a.run: is missing",
        ),
    ],
)
def test_broken_workflows_are_reported(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "main.cwl").write_text(text)
    assert expected in refused(tmp_path)


KEYS = """cwlVersion class inputs outputs steps run type items fields symbols id name $graph $import $include default location
secondaryFiles pattern format scatter requirements types outputSource glob outputBinding doc label hints dockerPull $namespaces $schemas
s:author required"""
TEXTS = """v1.2 Workflow CommandLineTool File Directory string string[]? array record enum main #main x.cwl main.cwl main.cwl#x a/b stdout
SchemaDefRequirement DockerRequirement $(x) null Any ? [] #"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(TEXTS.split()) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(KEYS.split()), VALUES, max_size=6), st.booleans())
def test_any_document_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object], whole: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    frame = {"cwlVersion": "v1.2", "class": "Workflow", "inputs": [], "outputs": []}
    (folder / "main.cwl").write_text(json.dumps({**(frame if whole else {}), **data}))
    try:
        found = derive(folder, None)
    except UsageError as error:
        assert error.problems
        return
    assert found is not None
    validator(found.schema)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "main.cwl").write_text(text, errors="surrogatepass")
    with pytest.raises(UsageError):
        derive(folder, None)
