"""Quantities, expressions and parameters that were taken for something else, or ended in a traceback."""

from __future__ import annotations

import math
from typing import Any

import pytest

from esap_wf.catalogue.manifests import read_manifest
from esap_wf.config import Config
from esap_wf.errors import UsageError
from esap_wf.formats import expressions, quantities
from esap_wf.models.request import Request
from esap_wf.planning import making
from esap_wf.request import parameters
from esap_wf.request.validation import validate


def test_a_second_number_is_not_taken_for_a_scale() -> None:
    with pytest.raises(ValueError, match="30 deg"):
        quantities.in_unit("20 30 deg", "deg")


def test_a_conversion_beyond_floats_is_an_error_not_infinity() -> None:
    with pytest.raises(ValueError, match="too large"):
        quantities.in_unit("1e308 km", "m")


def test_a_decimal_amount_of_memory_is_exact() -> None:
    assert quantities.to_bytes("0.1 GB") == 100_000_000


def test_an_amount_beyond_64_bits_is_an_error() -> None:
    with pytest.raises(ValueError, match="too large"):
        quantities.to_seconds("99999999999999999 w")


@pytest.mark.parametrize(
    "text",
    [
        "9**3999999 > 1",
        "''.zfill(10**9)",
        "f'{1:>999999999}'",
        "'abc'[10]",
        "{}['a']",
        "x.real",
        "[x for x in 'ab']",
        "1 << 99",
        "x := 3",
    ],
)
def test_an_expression_has_no_methods_subscripts_or_huge_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="can't be evaluated"):
        expressions.evaluate(text, {"x": 1})


@pytest.mark.parametrize("text", ["10**400", "10**20", "1e400", "x * 1e308 * 10"])
def test_an_estimate_beyond_64_bits_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        expressions.number(text, {"x": 1})


def test_an_integer_beyond_64_bits_is_a_problem(toy: Any) -> None:
    workflow = toy({"n": {"type": "integer", "title": "N", "default": 1}})
    for n in (10**30, -(10**30), 10**400):
        _, problems = parameters.resolve(workflow, {"n": n}, {})
        assert [p.what for p in problems] == ["is not a finite number of at most 64 bits"], problems


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400])
def test_a_number_that_json_does_not_have_is_a_problem(toy: Any, value: float) -> None:
    workflow = toy({"x": {"type": "number", "title": "X", "default": 1}})
    _, problems = parameters.resolve(workflow, {"x": value}, {})
    assert problems


def test_half_a_surrogate_pair_is_a_problem(toy: Any) -> None:
    workflow = toy({"s": {"type": "string", "title": "S", "default": "", "pattern": "^a*$"}})
    _, problems = parameters.resolve(workflow, {"s": "a\udcff"}, {})
    assert any("U+DCFF" in p.what for p in problems)


def test_the_unit_of_an_array_is_that_of_its_items(toy: Any) -> None:
    workflow = toy(
        {"a": {"type": "array", "items": {"type": "number"}, "unit": "deg", "title": "A", "default": []}}
    )
    values, problems = parameters.resolve(workflow, {}, {"a": ("60 arcmin", "2")})
    assert not problems
    assert values["a"] == [1.0, 2.0]


def test_a_problem_names_the_option_that_was_written(toy: Any) -> None:
    workflow = toy({"name": {"type": "string", "title": "N", "default": "x", "maxLength": 2}})
    _, problems = parameters.resolve(workflow, {}, {"name": ("long",), "nme": ("y",)}, named={"name", "nme"})
    assert sorted(p.where for p in problems) == ["--param name", "--param nme"]


def test_a_default_that_is_no_number_is_a_problem(toy: Any) -> None:
    workflow = toy({"n": {"type": "number", "title": "N", "unit": "deg", "default": "much"}})
    _, problems = parameters.resolve(workflow, {}, {})
    assert any("much" in p.what for p in problems)


def test_what_a_problem_quotes_is_cut(toy: Any) -> None:
    workflow = toy({"n": {"type": "number", "title": "N", "unit": "deg", "default": 1}})
    _, problems = parameters.resolve(workflow, {"n": "5 " + "m" * 100_000, "y" * 100_000: 1}, {})
    assert {p.where[:12] for p in problems} == {"parameter n", "parameter yy"}, problems
    assert all(len(str(p)) < 1000 for p in problems)


@pytest.mark.parametrize(
    "properties",
    [
        {"a": 5},
        {"a": {"type": 5}},
        {"a": {"type": ["null"]}},
        {"a": {"type": "number", "unit": 5}},
        {"a": {"type": "string", "enum": 3}},
        {"a": {"type": "array", "items": 3}},
    ],
)
def test_a_schema_that_can_not_be_used_is_refused_when_it_is_read(
    toy: Any, properties: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=r"params\.schema\.json:\d+:\d+: properties\.a"):
        toy(properties)


def test_units_are_counted_in_the_table_that_the_manifest_names(
    toy: Any, config: Config, tmp_path: Any
) -> None:
    rows = '{"type": "object", "required": ["unit"], "properties": {"unit": {"type": "string"}}}'
    inputs = {n: {"title": n, "rows": "rows.json"} for n in ("calibration", "units_table")}
    made = toy(
        {},
        {"inputs": inputs, "units": {"axis": "unit", "count": "rows", "table": "units_table"}},
        files={"rows.json": rows},
    )
    (tmp_path / "c.csv").write_text("unit\na\nb\nc\n")
    (tmp_path / "u.csv").write_text("unit\na\n")
    request = Request(
        workflow=str(made.folder),
        inputs={"calibration": [str(tmp_path / "c.csv")], "units_table": [str(tmp_path / "u.csv")]},
    )
    valid, problems = validate(request, config, workflow=read_manifest(made.folder / "workflow.yaml"))
    assert not problems
    assert making.make(request, config, valid).units == 1
