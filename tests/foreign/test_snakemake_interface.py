"""What a Snakemake pipeline says of itself, read without executing it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.files import texts, write_files
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.engines import Interface
from esap_wf.engines.snakemake import snakefile
from esap_wf.engines.snakemake.interface import derive
from esap_wf.errors import UsageError

PIPELINES = Path(__file__).with_name("pipelines") / "snakemake"
#: In the style of the catalogue of standardized usage: workflow/, config/, schemas, a sample sheet, rules in files of their own.
STANDARD = texts(PIPELINES / "standard")


@pytest.fixture
def standard(tmp_path: Path) -> Path:
    return write_files(tmp_path / "standard", STANDARD)


def properties(found: Interface) -> dict[str, dict[str, Any]]:
    done: dict[str, dict[str, Any]] = found.schema["properties"]
    return done


def derived(path: Path, item: str | None = None) -> Interface:
    found = derive(path, item)
    assert found is not None
    return found


def test_schemas_type_what_the_configuration_shows(standard: Path) -> None:
    found = derived(standard)
    known = properties(found)
    assert known["ref.release"] == {
        "type": "integer",
        "minimum": 75,
        "title": "ref.release",
        "engine_default": 100,
    }
    assert known["ref.build"]["enum"] == ["GRCh38", "GRCh37"]
    assert known["trimming.quality"]["exclusiveMaximum"] == 1, "a definition is followed"
    assert known["trimming.skip"]["engine_default"] is False, "a default of the schema"
    assert found.schema["required"] == ["adapters"], "the configuration gives the rest"
    assert known["contrasts"]["type"] == "object"
    assert not any("default" in p for p in known.values()), (
        "what the pipeline sets itself is not passed to it"
    )


def test_values_without_a_schema_are_typed_by_their_defaults(standard: Path) -> None:
    known = properties(derived(standard))
    assert known["params.min-length"] == {
        "title": "params.min-length",
        "engine_default": 20,
        "type": ["integer", "number"],
    }
    assert known["params.verbose"] == {"title": "params.verbose", "engine_default": False, "type": "boolean"}
    assert known["params.kmers"]["items"] == {"type": ["integer", "number"]}
    assert "type" not in known["params.extra"], "null says nothing of the type"
    assert known["params.tool"]["type"] == "string"


def test_files_are_inputs_and_names_of_results_and_patterns_are_not(standard: Path) -> None:
    found = derived(standard)
    assert set(found.inputs) == {"samples", "gtf"}
    assert found.inputs["samples"].rows == "workflow/schemas/samples.schema.yaml"
    assert (
        found.inputs["samples"].engine_default == "config/samples.tsv"
        and not found.inputs["samples"].required
    )
    assert {"outdir", "reads"} <= set(properties(found))
    assert any("resources/genome.gtf.gz" in w for w in found.warnings)


def test_origins_name_file_and_line(standard: Path) -> None:
    origins = derived(standard).origins
    assert origins["parameters.ref.release"] == "workflow/schemas/config.schema.yaml:11"
    assert origins["parameters.params.min-length"] == "config/config.yaml:8"
    for name, where in origins.items():
        file, line = where.rsplit(":", 1)
        text = (standard / file).read_text().splitlines()[int(line) - 1]
        if name.startswith(("parameters.", "inputs.")):
            assert name.rsplit(".", 1)[1] in text or "fraction" in text, (name, where, text)


def test_outputs_are_what_rule_all_names_and_the_folder_of_results(standard: Path) -> None:
    found = derived(standard)
    reported = {o.path: o.required for o in found.outputs}
    assert reported == {
        "project/results/report.html": True,
        "project/results/*/counts.tsv": False,
        "project/results/*.txt": False,
        "project/results/**/*": False,
    }
    assert found.requires == ">=8.4.1"
    assert found.images == (
        "docker://continuumio/miniconda3:4.12.0",
        "docker://quay.io/biocontainers/samtools:1.17",
    ) or set(found.images) == {
        "docker://continuumio/miniconda3:4.12.0",
        "docker://quay.io/biocontainers/samtools:1.17",
    }
    assert any("conda" in w for w in found.warnings)


def test_a_rule_may_be_the_target(standard: Path) -> None:
    reported = [o.path for o in derived(standard, "count").outputs]
    assert "project/results/*/counts.tsv" in reported and "project/results/report.html" not in reported
    with pytest.raises(UsageError, match="no rule nope"):
        derive(standard, "nope")


def test_the_first_rule_of_an_included_file_is_no_target(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "Snakefile": 'include: "a.smk"\nrule b:\n    output: "results/b.txt"\n    shell: "touch {output}"\n',
            "a.smk": 'rule a:\n    input: "results/nothing.txt"\n    output: "results/a.txt"\n',
        },
    )
    assert [o.path for o in derived(tmp_path).outputs] == ["project/results/b.txt", "project/results/**/*"]


def test_the_file_may_be_named_and_the_old_layout_is_known(standard: Path, tmp_path: Path) -> None:
    assert derived(standard / "workflow/Snakefile").root == standard
    old = write_files(tmp_path / "old", {"Snakefile": 'rule all:\n    input: "x.txt"\n'})
    assert derived(old).file == "Snakefile"
    assert [o.path for o in derived(old).outputs] == ["project/x.txt"]
    assert derive(write_files(tmp_path / "none", {"a.txt": ""}), None) is None
    assert derive(old / "nothing", None) is None


def test_nothing_of_it_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    text = f'open("{mark}", "w")\nconfigfile: "c.yaml"\nrule all:\n    input: [__import__("os").system("touch {mark}")]\n'
    write_files(tmp_path, {"Snakefile": text, "c.yaml": "a: 1\n"})
    assert set(properties(derived(tmp_path))) == {"a"}
    assert not mark.exists()


def test_without_configuration_the_names_that_are_used_are_parameters(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"Snakefile": 'rule all:\n    input: config["target"]\n    params: x=config["a"]["b"]\n'}
    )
    found = derived(tmp_path)
    assert set(properties(found)) == {"target", "a.b"}
    assert found.origins["parameters.a.b"] == "Snakefile:3"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"Snakefile": "rule all:\n    input: (\n"}, ["Snakefile:", "is not a Snakefile"]),
        (
            {"Snakefile": 'include: "gone.smk"\ninclude: "lost.smk"\n'},
            ["Snakefile:1", "gone.smk", "Snakefile:2", "lost.smk"],
        ),
        (
            {"Snakefile": 'from snakemake.utils import validate\nvalidate(config, "gone.yaml")\n'},
            ["Snakefile:2", "gone.yaml"],
        ),
        ({"Snakefile": 'configfile: "c.yaml"\n', "c.yaml": "a: [1\n"}, ["c.yaml"]),
        ({"Snakefile": 'configfile: "c.yaml"\n', "c.yaml": "- a\n"}, ["c.yaml", "mapping"]),
        ({"Snakefile": 'validate(config, "../../x.yaml")\n'}, ["x.yaml"]),
    ],
)
def test_a_broken_pipeline_is_reported_with_file_and_line(
    tmp_path: Path, files: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(UsageError) as error:
        derive(write_files(tmp_path / "p", files), None)
    assert all(w in str(error.value) for w in words), str(error.value)


def test_what_is_not_known_is_reported(tmp_path: Path) -> None:
    text = """\
configfile: f"config/{name}.yaml"
include: "https://example.org/x.smk"
module other:
    snakefile: github("a/b", path="workflow/Snakefile", tag="v1")
pepfile: "pep.yaml"
"""
    found = derived(write_files(tmp_path, {"Snakefile": text}))
    for words in ("configfile is not known", "included from elsewhere", "module other", "pepfile"):
        assert any(words in w for w in found.warnings), (words, found.warnings)


def test_includes_in_a_circle_end(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "Snakefile": 'include: "a.smk"\n',
            "a.smk": 'include: "Snakefile"\nrule x:\n    output: "results/x"\n',
        },
    )
    assert derived(tmp_path).outputs


def test_a_schema_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    loop = {"type": "object", "properties": {"x": {"$ref": "#/definitions/o"}}}
    top = {"a": {"$ref": "#/definitions/a"}, "o": {"$ref": "#/definitions/o"}}
    schema = json.dumps({"definitions": {"a": {"$ref": "#/definitions/a"}, "o": loop}, "properties": top})
    write_files(tmp_path, {"Snakefile": 'validate(config, "s.json")\n', "s.json": schema})
    assert "a" in properties(derived(tmp_path))


PIECES = [
    "rule a:",
    "    input: 'x'",
    "  output:",
    "        'y',",
    "include: 'b'",
    "configfile: 1",
    "x = {",
    "}",
    "(",
    ")",
    '"""',
    "f'{a}'",
    "if x:",
    "checkpoint:",
    "rule :",
    ":",
    "    shell: '''",
    "\\",
    "é",
    "\x00",
    "validate(config)",
    "min_version()",
    "container: ''",
    "read_csv(",
    "module m:",
]
LINES = st.lists(st.sampled_from(PIECES), max_size=12).map("\n".join)


@given(LINES | st.text(max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("p")
    (folder / "Snakefile").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        derive(folder, None)
    except UsageError as error:
        assert error.problems


@given(st.lists(st.text("ab/{}.x", min_size=1, max_size=8), min_size=1, max_size=3))
def test_literal_texts_are_read_as_python_does(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("p")
    quoted = ",\n        ".join(repr(t) for t in texts)
    (folder / "Snakefile").write_text(f"rule all:\n    input:\n        {quoted}\n")
    declared = snakefile.read_snakefile(folder / "Snakefile", folder)
    assert [t.value for t in declared.rules[0].directives["input"]] == list(ast.literal_eval(f"[{quoted}]"))


# --- configuration wherever it is


@pytest.mark.parametrize(
    "expected",
    [
        'os.path.join(workflow.basedir, "..", "config", "c.yaml")',
        'workflow.basedir + "/../config/c.yaml"',
        'f"{workflow.basedir}/../config/c.yaml"',
        'Path(workflow.basedir).parent / "config" / "c.yaml"',
        "CONFIG",
        'os.path.join(os.path.dirname(workflow.basedir), "config/c.yaml")',
        "str(HERE / 'config/c.yaml')",
    ],
)
def test_configuration_is_found_from_the_place_of_the_snakefile(tmp_path: Path, expected: str) -> None:
    text = f'CONFIG = "config/c.yaml"\nHERE = Path(workflow.basedir).parent\nconfigfile: {expected}\nrule all:\n    shell: "true"\n'
    write_files(
        tmp_path, {"workflow/Snakefile": text, "config/c.yaml": "n: 1\ntable: data/t.tsv\n", "data/t.tsv": ""}
    )
    found = derive(tmp_path, None)
    assert found is not None
    assert set(found.schema["properties"]) == {"n"} and set(found.inputs) == {"table"}
    assert not found.warnings
    assert {"config/c.yaml", "data/t.tsv"} <= set(found.named)


def test_configuration_under_a_condition_is_shown_and_said_to_be(tmp_path: Path) -> None:
    text = """\
configfile: "a.yaml"
if Path("mine.yaml").exists():
    configfile: "mine.yaml"
if config["n"] > 1:
    configfile: "b.yaml"
    include: "not-there.smk"
rule all:
    shell: "true"
"""
    write_files(tmp_path, {"Snakefile": text, "a.yaml": "n: 1\n", "b.yaml": "m: 2\n"})
    found = derive(tmp_path, None)
    assert found is not None
    assert {n: p["engine_default"] for n, p in found.schema["properties"].items()} == {"n": 1, "m": 2}
    reported = "\n".join(found.warnings)
    assert "mine.yaml is read under a condition: it is not part of the repository" in reported
    assert "b.yaml is read under a condition: its values may not be the defaults" in reported
    assert "not-there.smk is included under a condition" in reported
    assert "every value must be given" not in reported


def test_a_list_of_files_in_a_configuration_is_an_input(tmp_path: Path, inside: Any) -> None:
    text = 'configfile: "c.yaml"\nrule all:\n    input: config["reads"]\n    output: "o"\n    shell: "cat {input} > {output}"\n'
    values = "reads: [data/a.fq, data/b.fq]\nwords: [one, two]\noutputs: [x.txt]\n"
    folder = write_files(
        tmp_path / "p", {"Snakefile": text, "c.yaml": values, "data/a.fq": "", "data/b.fq": ""}
    )
    found = derive(folder, None)
    assert found is not None
    assert found.inputs["reads"].many and found.inputs["reads"].engine_default == "data/a.fq, data/b.fq"
    assert set(found.schema["properties"]) == {"words", "outputs"}
    mine = write_files(tmp_path / "m", {"1.fq": "", "2.fq": ""})
    done = inside(
        "plan",
        folder,
        f"--input=reads={mine}/1.fq",
        f"--input=reads={mine}/2.fq",
        "-o",
        tmp_path / "plan.json",
        "--json",
    )
    assert done.code == 0, done.out
    assert [
        Path(r["path"]).name for r in json.loads((tmp_path / "plan.json").read_text())["inputs"]["reads"]
    ] == ["1.fq", "2.fq"]
