"""Parameters: precedence, units, and hostile texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esap_wf.catalogue.workflow import Kind
from esap_wf.formats import documents
from esap_wf.request import parameters

PROPERTIES = {
    "zenith": {
        "type": "number",
        "title": "Zenith",
        "unit": "deg",
        "minimum": 0,
        "maximum": 70,
        "default": 20,
    },
    "showers": {"type": "integer", "title": "Showers", "minimum": 1, "default": 1000},
    "site": {"type": "string", "title": "Site", "enum": ["North", "South"], "default": "North"},
    "plots": {"type": "boolean", "title": "Plots", "default": False},
    "seed": {"type": ["integer", "null"], "title": "Seed", "default": None},
    "lines": {
        "type": "array",
        "items": {"type": "number", "unit": "TeV"},
        "title": "Lines",
        "default": [],
        "maxItems": 3,
    },
    "label": {"type": "string", "title": "Label", "default": "", "maxLength": 50},
    "note": {"type": "string", "title": "Note", "default": "", "format": "multiline"},
}
RULES: list[dict[str, Any]] = [
    {"that": "site == 'North' or zenith < 60", "message": "too low", "parameters": ["site", "zenith"]}
]


@pytest.fixture
def workflow(toy: Any) -> Any:
    return toy(PROPERTIES, {"rules": RULES})


def good(workflow: Any, file: dict[str, Any] | None = None, **flags: str) -> dict[str, Any]:
    values, problems = parameters.resolve(workflow, file or {}, flags)
    assert not problems, problems
    return values


def bad(workflow: Any, file: dict[str, Any] | None = None, **flags: Any) -> str:
    _, problems = parameters.resolve(workflow, file or {}, flags)
    assert problems
    return "\n".join(map(str, problems))


def test_flags_win_over_the_file_and_the_file_over_defaults(workflow: Any) -> None:
    values = good(workflow, {"zenith": 30, "showers": 5}, zenith="40")
    assert (values["zenith"], values["showers"], values["site"]) == (40.0, 5, "North")


def test_every_parameter_has_a_value(workflow: Any) -> None:
    assert set(good(workflow)) == set(PROPERTIES)


@pytest.mark.parametrize("value", [20, 20.0, "20", "20 deg", "1200 arcmin", "0.349065850398866 rad"])
def test_the_same_angle_is_the_same_value_from_a_file(workflow: Any, value: Any) -> None:
    assert repr(good(workflow, {"zenith": value})["zenith"]) == "20.0"


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("5.0", 5), ("1e6", 1_000_000), (" 7 ", 7), ("+8", 8)])
def test_whole_numbers_are_integers_however_they_are_written(workflow: Any, text: str, value: int) -> None:
    found = good(workflow, showers=text)["showers"]
    assert found == value
    assert isinstance(found, int)


def test_texts_of_flags_become_what_the_schema_says(workflow: Any) -> None:
    values = good(workflow, plots="yes", seed="null", lines="1 TeV, 500 GeV", site="South")
    assert (values["plots"], values["seed"], values["lines"], values["site"]) == (
        True,
        None,
        [1.0, 0.5],
        "South",
    )
    assert good(workflow, lines="[]")["lines"] == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"zenith": "80"}, "--zenith"),
        ({"zenith": "5 s"}, "angle"),
        ({"zenith": "nan"}, "not a number"),
        ({"zenith": "inf"}, "not a number"),
        ({"zenith": "1e999"}, "not a number"),
        ({"showers": "2.5"}, "integer"),
        ({"showers": "0"}, "minimum"),
        ({"showers": "many"}, "not a number"),
        ({"site": "Nroth"}, "did you mean North?"),
        ({"plots": "perhaps"}, "neither true nor false"),
        ({"lines": "1,2,3,4"}, "items"),
        ({"zenit": "1"}, "did you mean zenith?"),
        ({"showers": "9" * 5000}, "--showers"),
        ({"zenith": ""}, "not a number"),
    ],
)
def test_wrong_flags_are_told_by_their_name(workflow: Any, flags: dict[str, Any], said: str) -> None:
    assert said in bad(workflow, **flags)


@pytest.mark.parametrize("value", [[], {}, True, None, [1], {"a": 1}])
def test_wrong_types_of_a_file_are_problems(workflow: Any, value: Any) -> None:
    assert "zenith" in bad(workflow, {"zenith": value})


def test_all_problems_are_told_at_once_with_line_and_unit(workflow: Any) -> None:
    document = documents.parse("parameters:\n  zenith: 80\n  sight: North\n  showers: 0\n", "p.yaml")
    _, problems = parameters.resolve(
        workflow, document.data["parameters"], {"site": "East"}, document, ("parameters",)
    )
    assert {p.where.split(": ")[0] for p in problems} == {"p.yaml:2:3", "p.yaml:3:3", "p.yaml:4:3", "--site"}
    assert any("(in deg)" in p.what for p in problems)


def test_a_rule_that_does_not_hold_shows_the_values(workflow: Any) -> None:
    text = bad(workflow, site="South", zenith="65")
    assert "too low: site == 'North' or zenith < 60 does not hold for site = South, zenith = 65.0" in text
    assert text.startswith("--site, --zenith")


def test_a_missing_value_is_asked_for_with_its_flag_and_unit(toy: Any) -> None:
    workflow = toy(
        {"energy": {"type": "number", "title": "E", "unit": "TeV"}}, schema={"required": ["energy"]}
    )
    assert parameters.missing(workflow, {}) == ["energy"]
    assert "a value is needed (--energy VALUE, in TeV)" in bad(workflow)


HOSTILE = ["a\nb", "a\0b", "\x1b[2J", "\u202eevil", "\u2066x", "\ud800", "a\rb", "\x7f", "\x85", "a\tb"]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_and_direction_characters_are_refused(workflow: Any, text: str) -> None:
    assert "control character U+" in bad(workflow, label=text)
    assert "control character U+" in bad(workflow, {"label": text})


@pytest.mark.parametrize(
    "text",
    [
        "$(touch x)",
        "`id`",
        "{{ config }}",
        "{input}",
        "../../etc",
        "'; rm -rf /",
        "!!python/object",
        "%s %d",
        "-rf",
        "漢字 مريم",
    ],
)
def test_what_only_a_shell_would_mind_is_carried_unchanged(workflow: Any, text: str) -> None:
    assert good(workflow, label=text)["label"] == text


def test_lines_are_taken_where_the_schema_says_multiline(workflow: Any) -> None:
    assert good(workflow, {"note": "a\n\tb"})["note"] == "a\n\tb"
    assert "U+0000" in bad(workflow, {"note": "a\n\0"})


def test_a_text_of_ten_megabytes_is_data_not_a_parameter(workflow: Any) -> None:
    text = bad(workflow, {"note": "x" * 10_000_000})
    assert "give data as an input" in text
    assert len(text) < 2000


@given(st.text(max_size=60))
@example("\u2028")
def test_any_text_is_carried_unchanged_or_refused(text: str) -> None:
    workflow = shared()
    values, problems = parameters.resolve(workflow, {"label": text}, {})
    assert problems or values["label"] == text
    for problem in problems:
        str(problem).encode()


@given(st.dictionaries(st.sampled_from(sorted(PROPERTIES)), st.text(max_size=20), max_size=4))
def test_any_flags_give_values_that_fit_or_problems(flags: dict[str, str]) -> None:
    workflow = shared()
    values, problems = parameters.resolve(workflow, {}, flags)
    if not problems:
        again, none = parameters.resolve(workflow, values, {})
        assert not none
        assert again == values, "what was resolved must resolve to itself"


def shared() -> Any:
    """One workflow for all examples of a property, without files."""
    from types import SimpleNamespace

    from esap_wf.models.manifest import Rule

    schema = {"type": "object", "additionalProperties": False, "properties": PROPERTIES}
    manifest = SimpleNamespace(name="toy", rules=[Rule(**r) for r in RULES], parameters="params.schema.json")
    return SimpleNamespace(
        manifest=manifest,
        schema=schema,
        properties=PROPERTIES,
        kind=Kind.HOUSE,
        takes_job_orders=False,
        takes_null=False,
        folder=Path("/none"),
    )


def test_rules_are_told_beside_other_problems_but_not_of_parameters_that_are_wrong_themselves(
    toy: Any,
) -> None:
    properties = {
        n: {"title": n, "type": "number", "default": d, "minimum": 0}
        for n, d in (("low", 1), ("high", 2), ("other", 3))
    }
    rules = [{"that": "low < high", "message": "empty"}, {"that": "other > low", "message": "small"}]
    _, problems = parameters.resolve(toy(properties, {"rules": rules}), {}, {"low": ("5",), "other": ("-1",)})
    assert [p.where for p in problems] == ["--other", "parameter high, --low"]
