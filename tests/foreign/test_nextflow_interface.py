"""Interfaces of Nextflow pipelines without a manifest: schema of both generations, scripts, configuration; and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.engines.nextflow.groovy import Source
from esap_wf.engines.nextflow.groovy_values import value
from esap_wf.engines.nextflow.interface import derive
from esap_wf.errors import UsageError

PIPELINES = Path(__file__).parent / "pipelines/nextflow"


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_nf", ".nf").replace("_config", ".config")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def refused(path: Path, item: str | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        derive(path, item)
    return str(caught.value)


def test_a_script_without_parameters_is_a_pipeline() -> None:
    found = derive(PIPELINES / "greetings", None)
    assert (
        found is not None
        and found.file == "main.nf"
        and found.schema["properties"] == {}
        and found.inputs == {}
    )
    assert any("no results are published" in w for w in found.warnings)


def test_what_is_no_nextflow_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("rule all: input: []\n")
    assert derive(tmp_path, None) is None and derive(tmp_path / "Snakefile", None) is None
    script = tmp_path / "pipeline"
    script.write_text("#!/usr/bin/env nextflow\nparams.x = 1\n")
    found = derive(script, None)
    assert found is not None and "x" in found.schema["properties"]


def test_params_of_a_script_are_typed_by_what_it_sets() -> None:
    found = derive(PIPELINES / "quantify", None)
    assert found is not None
    properties = found.schema["properties"]
    assert properties["kmer"] == {"title": "kmer", "type": ["integer", "number"], "engine_default": 3}
    assert properties["fraction"]["engine_default"] == 0.5 and properties["upper"]["type"] == "boolean"
    assert properties["label"]["engine_default"] == "quant" and properties["filter"]["engine_default"] == {
        "min": 1,
        "max": 100,
    }
    assert properties["trim.right"]["engine_default"] == 2, (
        "nested scopes of a configuration have names with dots"
    )
    assert "string" in properties["adapter"]["type"] and "engine_default" not in properties["adapter"]
    assert properties["doubled"]["engine_default"] == "params.kmer * 2"
    assert any("params.doubled is computed by the engine" in w for w in found.warnings)
    assert "default" not in properties["kmer"], "what the pipeline itself sets is never filled in"
    assert properties["kmer"]["engine_default"] != 31, "a profile that is not asked for counts not"
    assert found.schema["required"] == []


def test_paths_are_inputs_with_the_pipelines_own_default() -> None:
    found = derive(PIPELINES / "quantify", None)
    assert found is not None
    assert set(found.inputs) == {"reads", "reference"}
    reads = found.inputs["reads"]
    assert reads.pattern and not reads.required and reads.engine_default == "$projectDir/data/gut_{1,2}.fq"
    assert (
        found.origins["inputs.reads"]
        == f"{PIPELINES}/quantify/main.nf:7, used as a path in {PIPELINES}/quantify/main.nf:28"
    )


def test_manifest_images_outputs_and_origins_are_reported() -> None:
    found = derive(PIPELINES / "quantify", None)
    assert found is not None
    assert (found.name, found.version, found.requires) == ("quantify", "1.2", ">=22.10.0")
    assert found.authors == ("The Authors", "Others") and found.citation == ("10.1000/xyz123",)
    assert set(found.images) == {"quay.io/example/salmon:1.10", "docker.io/example/quantify:v1"}
    assert [o.path for o in found.outputs] == ["outputs/**/*"]
    assert found.schema["properties"]["outdir"]["default"] == "outputs" and any(
        w.startswith("outdir is outputs") for w in found.warnings
    )
    assert found.origins["parameters.kmer"].endswith("main.nf:10")
    assert found.origins["parameters.trim.left"].endswith("nextflow.config:13")


@pytest.mark.parametrize("generation", ["2020-12", "draft-07"])
def test_a_schema_of_either_generation_is_the_interface(tmp_path: Path, generation: str) -> None:
    folder = tmp_path / "sheet"
    shutil.copytree(PIPELINES / "sheet", folder)
    file = folder / "nextflow_schema.json"
    if generation == "draft-07":
        text = file.read_text().replace(
            "https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema"
        )
        file.write_text(text.replace("$defs", "definitions"))
    found = derive(folder, None)
    assert found is not None
    sheet = found.inputs["input"]
    assert (sheet.required, sheet.kind, sheet.rows, sheet.extensions) == (
        True,
        "file",
        "assets/schema_input.json",
        [".csv"],
    )
    assert sheet.title.startswith("Path to comma-separated file") and "design file" in sheet.description
    properties = found.schema["properties"]
    assert properties["min_length"]["maximum"] == 500 and properties["min_length"]["engine_default"] == 20
    assert properties["min_length"]["group"] == "Processing options"
    assert properties["max_memory"]["hidden"] is True and properties["max_memory"]["pattern"]
    assert properties["email"]["error"] == "Please give an address such as me@example.org"
    assert "help" not in properties and "fa_icon" not in json.dumps(properties)
    assert properties["not_in_schema"]["hidden"] is True, "the configuration knows more than the schema"
    assert found.schema["required"] == [], "outdir is set for the run"
    line = (
        file.read_text()
        .splitlines()
        .index(next(row for row in file.read_text().splitlines() if '"min_length"' in row))
        + 1
    )
    assert found.origins["parameters.min_length"] == f"{file}:{line}"
    assert found.images == ("biocontainers/fastqc:0.12.1--hdfd78af_0",), (
        "of a choice by engine, the image that is no download"
    )
    assert any("nfcore_custom.config" in w and "not followed" in w for w in found.warnings)


def test_formats_of_a_schema_say_what_is_an_input(tmp_path: Path) -> None:
    properties = {
        "index": {"type": "string", "format": "directory-path", "default": "$projectDir/index"},
        "reads": {"type": "string", "format": "file-path-pattern"},
        "cache": {"type": "string", "format": "directory-path", "exists": False},
        "either": {"type": "string", "format": "path"},
        "mail": {"type": "string", "format": "email"},
    }
    files = {
        "main_nf": "",
        "nextflow_schema.json": json.dumps(
            {"type": "object", "properties": properties, "required": ["reads", "mail"]}
        ),
    }
    found = derive(written(tmp_path, **files), None)
    assert found is not None
    reported = {name: (i.kind, i.pattern, i.required, i.engine_default) for name, i in found.inputs.items()}
    assert reported == {
        "index": ("folder", False, False, "$projectDir/index"),
        "reads": ("any", True, True, ""),
        "either": ("any", False, False, ""),
    }
    assert set(found.schema["properties"]) == {"cache", "mail"}, "what need not be there is no input"
    assert found.schema["properties"]["mail"]["format"] == "email" and found.schema["required"] == ["mail"]


def test_newer_typed_parameters_are_read(tmp_path: Path) -> None:
    text = """params {
    // The input
    input: Path
    threads: Integer = 4
    label: String?
    ratio: Float = 0.5
    save: Boolean = false
    title: String
}
workflow { main: println params.title }
"""
    found = derive(written(tmp_path, main_nf=text), None)
    assert found is not None
    properties = found.schema["properties"]
    assert found.inputs["input"].required
    assert properties["threads"] == {"title": "threads", "type": ["integer"], "engine_default": 4}
    assert properties["ratio"]["type"] == ["integer", "number"] and properties["save"]["type"] == ["boolean"]
    assert found.schema["required"] == ["title"]


def test_included_configuration_counts_and_conditions_are_reported(tmp_path: Path) -> None:
    written(
        tmp_path,
        main_nf="params.a = 1\nif (params.fast) {\n    params.b = 2\n}\n",
        nextflow_config="params.a = 7\nincludeConfig 'conf/more.config'\nparams.c = System.getenv('X') ?: 'y'\n",
        conf__more_config="params { d = [1, 'two', [x: 3]]\n e = \"it's $projectDir\" }\n",
    )
    found = derive(tmp_path, None)
    assert found is not None
    properties = found.schema["properties"]
    assert properties["a"]["engine_default"] == 7, "the configuration counts before the script"
    assert properties["d"]["engine_default"] == [1, "two", {"x": 3}]
    assert properties["e"] == {"title": "e", "type": "string", "engine_default": "it's $projectDir"}
    assert any("params.b is set under a condition" in w for w in found.warnings)
    assert (
        any("params.c is computed" in w for w in found.warnings)
        and properties["c"]["engine_default"] == "System.getenv('X') ?: 'y'"
    )


def test_a_result_folder_by_another_name_is_seen_by_publish_dir(tmp_path: Path) -> None:
    text = """params.dest = 'here'
process A {
    publishDir path: { "${params.dest}/a" }, mode: 'copy'
    publishDir 'fixed/place', mode: 'copy'
    output: path 'x'
    script:
    "touch x"
}
workflow { A() }
"""
    found = derive(written(tmp_path, main_nf=text), None)
    assert found is not None
    assert found.schema["properties"]["dest"]["results"] is True
    assert [o.path for o in found.outputs] == ["outputs/**/*", "fixed/place/**/*"]


def test_a_script_outside_of_a_project_is_snapshotted_with_what_it_uses_only(tmp_path: Path) -> None:
    written(
        tmp_path,
        one_nf="include { A } from './lib/a'\nworkflow { A() }\n",
        lib__a_nf="process A { script: 'true' }\n",
    )
    (tmp_path / "huge.bin").write_bytes(b"0")
    found = derive(tmp_path / "one.nf", None)
    assert found is not None and found.files == ("lib/a.nf", "one.nf") and found.name == "one"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"main_nf": "params.x = 'never ends\nworkflow {}\n"},
            "main.nf:1: the text that begins here with ' has no end",
        ),
        ({"main_nf": "workflow {\n  foo(\n}\n"}, "main.nf:3: } closes nothing"),
        ({"main_nf": "workflow {\n"}, "main.nf:1: the { that opens here is never closed"),
        ({"main_nf": "/* no end\n"}, "main.nf:1: the comment"),
        ({"main_nf": "\ninclude { A } from './a'\n"}, "main.nf:2: there is no"),
        (
            {"main_nf": "", "nextflow_config": "\n\nincludeConfig 'nowhere.config'\n"},
            "nextflow.config:3: there is no file",
        ),
        ({"x_nf": "", "nextflow_config": "manifest.mainScript = 'y.nf'\n"}, "nextflow.config:1"),
        (
            {"main_nf": "", "nextflow_schema.json": '{"$defs": {},\n "allOf": [{"$ref": "#/$defs/a"}]}'},
            "there is no #/$defs/a",
        ),
        ({"main_nf": "", "nextflow_schema.json": '{\n"properties": }'}, "nextflow_schema.json:2"),
        (
            {"main_nf": "", "nextflow_schema.json": '{"properties": {"x": {"type": "file"}}}'},
            "'file' is not a type",
        ),
        ({"a_nf": "workflow {}", "b_nf": "workflow {}"}, "say which"),
        ({"main_nf": "include { A } from '" + "../" * 30 + "etc/passwd'\n"}, "passwd"),
    ],
)
def test_broken_pipelines_are_reported_with_file_and_line(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    assert expected in refused(written(tmp_path, **files))


def test_several_scripts_of_which_one_uses_the_others_are_one_pipeline(tmp_path: Path) -> None:
    written(
        tmp_path, top_nf="include { A } from './a'\nworkflow { A() }", a_nf="process A { script: 'true' }"
    )
    found = derive(tmp_path, None)
    assert found is not None and found.file == "top.nf"


def test_an_entry_must_be_there(tmp_path: Path) -> None:
    written(tmp_path, main_nf="workflow ONE { }\nworkflow TWO { }\nworkflow { ONE() }\n")
    assert derive(tmp_path, "TWO") is not None
    assert "there is no workflow THREE (it has ONE, TWO)" in refused(tmp_path, "THREE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-2.5e3", -2500.0),
        ("1_000L", 1000),
        ("0x1F", 31),
        ("'a\\'b'", "a'b"),
        ('"a\\tb"', "a\tb"),
        ("'''x\ny'''", "x\ny"),
        ("8.GB", "8.GB"),
        ("'1.h' as Duration", "1.h"),
        ("[]", []),
        ("[:]", {}),
        ("[a: 1, 'b': [2, 3]]", {"a": 1, "b": [2, 3]}),
        ("true", True),
        ("null", None),
        ('"costs \\$5"', "costs $5"),
        ("'\\u00e9'", "é"),
    ],
)
def test_literals_are_read(text: str, expected: object) -> None:
    source = Source(text, "x")
    found = value(source, 0, len(source.tokens))
    assert (found.kind, found.data) == ("literal", expected)


@pytest.mark.parametrize(
    "text", ["a + 1", "foo()", "[1, x]", "1 + 2", "{ 1 }", "params.x ?: 2", "'a' + 'b'", "1e999", "9" * 30]
)
def test_what_must_be_evaluated_is_never_guessed(text: str) -> None:
    source = Source(text, "x")
    assert value(source, 0, len(source.tokens)).kind == "code"


def test_a_division_is_no_text_and_a_regular_expression_is_one() -> None:
    kinds = [t.kind for t in Source("x = a / b / c\ny = z.replaceAll(/[\"']/, '')\n", "x").tokens]
    assert kinds.count("template") == 1


GROOVY = st.text(
    alphabet=st.sampled_from(list("abinprcludefoms.params01eExX_ \n\t\\'\"$/{}[]():=,-+*;#!?&|<>²é")),
    max_size=120,
)
WORDS = (
    "params . x = { } [ ] ( ) \" ' ${ include from './a' process publishDir container profiles standard includeConfig if else : "
    "1 , / // /* */ workflow file ? \\"
)
PARTS = st.lists(st.sampled_from([*WORDS.split(), '"' * 3, "\n"]), max_size=40).map(" ".join)


@given(st.text(max_size=200) | GROOVY | PARTS)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "main.nf").write_text(text, errors="surrogatepass")
    (folder / "nextflow.config").write_text(text, errors="surrogatepass")
    try:
        found = derive(folder, None)
    except UsageError as error:
        assert error.problems
        return
    assert found is not None
    json.dumps(found.schema, allow_nan=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "properties",
                    "$defs",
                    "definitions",
                    "allOf",
                    "$ref",
                    "type",
                    "format",
                    "required",
                    "default",
                    "x",
                    "pattern",
                    "title",
                    "schema",
                    "enum",
                    "exists",
                    "hidden",
                    "description",
                    "minimum",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(JSON)
def test_any_schema_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "main.nf").write_text("")
    (folder / "nextflow_schema.json").write_text(json.dumps(data))
    try:
        derive(folder, None)
    except UsageError as error:
        assert error.problems
