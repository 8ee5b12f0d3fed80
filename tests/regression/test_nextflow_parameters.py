"""Nextflow takes any parameter that a script reads; so they can be given although nothing in the pipeline sets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.files import write_files

from esap_wf.engines import Interface
from esap_wf.engines.nextflow.engine import Nextflow


def derived(folder: Path, main: str, **more: str) -> Interface:
    write_files(folder, {"main.nf": main, **more})
    found = Nextflow().interface(folder, None)
    assert found is not None
    return found


def test_they_are_optional_and_say_where_they_are_read(tmp_path: Path) -> None:
    found = derived(tmp_path, "workflow {\n    println params.need\n    println params.need\n}\n")
    assert found.schema["properties"] == {
        "need": {"title": "need", "type": ["string", "integer", "number", "boolean"]}
    }
    assert found.schema["required"] == []
    assert found.origins["parameters.need"] == f"{tmp_path}/main.nf:2"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("if (!params.need) { exit 1 }\n", {"need"}),
        ('println "a ${params.need ?: 3} $params.more. \\$params.none"\n', {"need", "more"}),
        ("x = params['need']\n", {"need"}),
        ("x = params.need.tokenize(',')\ny = \"${params.more.size()}\"\n", {"need", "more"}),
        ("x = params.map.inner\n", {"map.inner"}),
        ("x = params.need.name + params.need\n", {"need"}),
        ("y = params.containsKey('need') ? params.findAll { k, v -> v } : params.size()\n", set()),
        ("params.need = 1\nx = params.need\n", {"need"}),
        ("params.need.deep = 1\n", set()),
        ("x = task.params.need\n", set()),
        ("def f(a, params) { params.need }\n", set()),
        ("x = rows.collect { params -> params.need }\n", set()),
        ("x = params.help || params.version\n", set()),
        ("x = 'see params.need'\n", set()),
        ("// params.need\n", set()),
    ],
)
def test_only_what_is_read_is_one(tmp_path: Path, text: str, names: set[str]) -> None:
    assert set(derived(tmp_path, text + "workflow { }\n").schema["properties"]) == names


@pytest.mark.parametrize("given", ["addParams(own: 1)", "params(own: 1)", ""])
def test_what_an_included_script_is_given_is_no_parameter(tmp_path: Path, given: str) -> None:
    module = {"module.nf": 'process A {\n    script:\n    "echo ${params.own}"\n}\n'}
    found = derived(
        tmp_path, f"include {{ A }} from './module' {given}\nworkflow {{ A(params.need) }}\n", **module
    )
    assert set(found.schema["properties"]) == ({"need"} if given else {"need", "own"})


def test_what_the_configuration_sets_keeps_its_type(tmp_path: Path) -> None:
    found = derived(
        tmp_path,
        "workflow { println params.n + params.m.b + params.table[params.key] }\n",
        **{"nextflow.config": "params.n = 5\nparams { m { a = 1 } }\nparams.table = [x: 1]\n"},
    )
    assert set(found.schema["properties"]) == {"n", "m.a", "table.x", "key"}
    assert found.schema["properties"]["n"] == {
        "title": "n",
        "type": ["integer", "number"],
        "engine_default": 5,
    }


def test_paths_among_them_are_inputs_and_places_of_results_are_known(tmp_path: Path) -> None:
    text = "process A {\n    publishDir params.outdir\n    script:\n    'true'\n}\nworkflow { channel.fromPath(params.reads) | A }\n"
    found = derived(tmp_path, text)
    assert (list(found.inputs), found.inputs["reads"].required) == (["reads"], False)
    assert found.schema["properties"]["outdir"]["default"] == "outputs"


def test_their_options_are_known(place: Place) -> None:
    (place.root / "lab").mkdir()
    (place.root / "lab" / "main.nf").write_text("workflow { println params.need }\n")
    done = place.inside("validate", place.root / "lab", "--need", "3", "--json")
    assert done.code == 0, done.out + done.err
    assert place.inside("validate", place.root / "lab", "--ned", "3", "--json").code == 2
