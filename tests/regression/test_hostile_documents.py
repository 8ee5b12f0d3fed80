"""Documents that once ended in a crash or a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.workflows import write_workflow

from esap_wf.errors import UsageError
from esap_wf.formats import documents


def refused(text: str, source: str = "x.yaml") -> str:
    with pytest.raises(UsageError) as caught:
        documents.parse(text, source)
    return str(caught.value)


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "], ids=["list", "mapping", "block list", "key"])
def test_deep_nesting_is_refused_and_does_not_end_the_process(opened: str) -> None:
    code = f"from esap_wf.formats import documents\ntry: documents.parse({opened!r} * 200000, 'x.yaml')\nexcept Exception as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, "the parser overflowed its stack"
    assert "x.yaml:1: nested too deeply" in done.stdout


@pytest.mark.parametrize("value", ["!!timestamp foo", "!!bool foo", "!!int foo", "!!float foo", "!!binary é"])
def test_a_scalar_that_does_not_fit_its_tag_is_a_problem(value: str) -> None:
    assert "x.yaml" in refused(f"a: {value}")


@pytest.mark.parametrize("key", ["a\\ud800", "a\\u0000"])
def test_a_key_with_nul_or_half_a_surrogate_is_a_problem(key: str) -> None:
    message = refused(f'{{"{key}": 1}}', "x.json")
    assert "NUL or half of a surrogate" in message
    message.encode()


@pytest.mark.parametrize(
    "prop",
    [
        {"type": {}},
        {"type": {"a": 1}},
        {"type": [["string"]]},
        {"type": 1},
        {"enum": {}},
        {"unit": []},
        {"title": {}, "group": []},
        {"items": 1},
    ],
)
def test_a_property_of_another_form_is_reported(inside: Any, tmp_path: Path, prop: dict[str, Any]) -> None:
    folder = write_workflow(tmp_path / "toy", {"a": {"title": "A", "default": 1, **prop}})
    for verb in (("show",), ("validate",), ("plan",), ("lint",), ("run", "--help")):
        done = inside(verb[0], folder, *verb[1:])
        assert done.code in (0, 2), done
    assert inside("lint", folder).code == 2


@pytest.mark.parametrize("metadata", ["text", 1, ["a"], {"tags": "parameters"}, {"tags": 1}])
def test_metadata_of_a_notebook_that_are_none_are_reported(
    inside: Any, tmp_path: Path, metadata: Any
) -> None:
    cell = {"cell_type": "code", "source": "n = 1", "metadata": metadata, "outputs": []}
    (tmp_path / "x.ipynb").write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": [cell]}))
    done = inside("show", tmp_path / "x.ipynb")
    assert done.code == 2 and "cell 1" in done.err
    (tmp_path / "x.ipynb").write_text(json.dumps({"nbformat": 4, "metadata": metadata, "cells": []}))
    assert inside("show", tmp_path / "x.ipynb").code in (0, 2)


def test_numbers_of_thousands_of_digits_are_reported(inside: Any, tmp_path: Path) -> None:
    digits = "9" * 5000
    folder = write_workflow(tmp_path / "toy", {"a": {"title": "A", "type": "integer", "default": 1}})
    (tmp_path / "p.yaml").write_text(f"a: {digits}")
    (tmp_path / "p.json").write_text(f'{{"a": {digits}}}')
    for more in (
        ("--a", digits),
        ("--params", tmp_path / "p.yaml"),
        ("--params", tmp_path / "p.json"),
        ("--cores", digits),
    ):
        done = inside("validate", folder, *more)
        assert done.code == 2 and len(done.err) < 20_000, done.err[-500:]


def test_a_link_in_the_place_of_the_schema_leads_nowhere_else(inside: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"type": "object", "properties": {"password": 1}}')
    folder = write_workflow(tmp_path / "toy")
    (folder / "params.schema.json").unlink()
    (folder / "params.schema.json").symlink_to(tmp_path / "secret.json")
    done = inside("validate", folder)
    assert done.code == 2 and "password" not in done.err and "leads out" in done.err


@pytest.mark.parametrize(
    "prop",
    [
        {"type": {}},
        {"type": 1},
        {"type": [{}]},
        {"enum": 1},
        {"items": []},
        {"type": "number", "enum": {"a": 1}},
    ],
)
def test_a_property_of_another_form_in_a_pipelines_own_schema_is_reported(
    inside: Any, tmp_path: Path, prop: dict[str, Any]
) -> None:
    head = 'configfile: "c.yaml"\nfrom snakemake.utils import validate\nvalidate(config, "s.yaml")\n'
    (tmp_path / "Snakefile").write_text(head + 'rule all:\n    output: "o"\n    shell: "touch {output}"\n')
    (tmp_path / "c.yaml").write_text("n: 1")
    (tmp_path / "s.yaml").write_text(
        json.dumps({"type": "object", "properties": {"n": prop, "o": {"properties": {"x": prop}}}})
    )
    for verb in (("show",), ("show", "--json"), ("validate",), ("run", "--help")):
        assert inside(verb[0], tmp_path, *verb[1:]).code in (0, 2)
