"""Manifests and parameter schemas: all problems at once, each at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from esap_wf.authoring import linting
from esap_wf.authoring.linting import parameters
from esap_wf.backends import Profile
from esap_wf.catalogue import manifests
from esap_wf.config import Config
from esap_wf.errors import UsageError
from esap_wf.formats import documents, schemas
from esap_wf.models.manifest import Manifest
from esap_wf.models.request import Request, ResourceRequest

MANIFEST = """\
schema_version: 1
name: Toy
titel: A toy
version: one
implementations:
  - {engine: snakemake, fil: Snakefile}
outputs:
  - name: result
    path: ../../etc/passwd
    at_least: 0
"""


def lint(schema: Any, tmp_path: Path) -> str:
    return "\n".join(
        map(str, parameters.problems(documents.parse(json.dumps(schema, indent=1), "s.json", schema=True)))
    )


def flat(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def test_every_problem_of_a_manifest_is_reported_at_once_with_its_place() -> None:
    with pytest.raises(UsageError) as caught:
        schemas.convert(documents.parse(MANIFEST, "workflow.yaml"), Manifest, "manifest")
    found = {p.where: p for p in caught.value.problems}
    text = str(caught.value)
    assert "workflow.yaml:2:1: name" in found
    assert found["workflow.yaml:3:1: titel"].hint == "did you mean title?"
    assert "workflow.yaml:4:1: version" in found
    assert found["workflow.yaml:6:25: implementations[0].fil"].hint == "did you mean file?"
    assert "title is missing" in text
    assert "workflow.yaml:9:5: outputs[0].path" in text
    assert "workflow.yaml:10:5: outputs[0].at_least" in text


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "a\nb", "-rf", ".", "..", "x/..", "~/x", "a\x9fb"]
)
def test_paths_of_a_manifest_stay_inside_and_are_no_options(toy: Any, path: str) -> None:
    with pytest.raises(UsageError):
        toy({}, {"outputs": [{"name": "r", "path": path}]})
    with pytest.raises(UsageError):
        toy({}, {"parameters": path})


@pytest.mark.parametrize("name", ["a b", "$(id)", "a;b", "é", "a:b+c#d", "[x] 'y' \"z\""])
def test_names_of_files_may_hold_whatever_can_be_printed(toy: Any, name: str) -> None:
    """They reach engines as words, never as a shell line."""
    workflow = toy(
        {}, {"implementations": [{"engine": "snakemake", "file": name}]}, files={name: "rule all:\n"}
    )
    assert workflow.manifest.implementations[0].file == name


def test_references_of_a_manifest_are_checked_all_at_once(toy: Any) -> None:
    with pytest.raises(UsageError) as caught:
        toy(
            {"seed": {"type": "integer", "title": "Seed", "default": 1}},
            {
                "rules": [{"that": "sed > 1", "message": "m", "parameters": ["seeds"]}],
                "random": {"seed": "sead"},
                "units": {"axis": "unit", "count": "1 +", "table": "rows"},
                "identity": {"scheme": "x", "parameters": ["nothing"]},
                "resources": {
                    "default": "huge",
                    "sizes": {"small": {"cores": 1, "memory": 1}},
                    "estimate": {"core_seconds": "zeit"},
                },
                "software": [{"installed": ["a"], "python": "requirements.txt"}],
                "implementations": [{"engine": "snakemake", "file": "Snakefil"}],
                "outputs": [{"name": "r", "path": "a"}, {"name": "r", "path": "b"}],
            },
        )
    text = str(caught.value)
    for printed in (
        "there is no parameter sed (did you mean seed?)",
        "there is no parameter seeds",
        "there is no parameter sead",
        "does not parse",
        "there is no input rows",
        "there is no parameter nothing",
        "there is no size huge",
        "there is no parameter zeit",
        "exactly one of",
        "no file Snakefil",
        "is listed twice",
    ):
        assert printed in text, printed
    assert all("workflow.yaml:" in p.where for p in caught.value.problems)


def test_a_link_out_of_the_workflow_folder_is_refused(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    folder = toy().folder
    (folder / "Snakefile").unlink()
    (folder / "Snakefile").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match="leads out of the workflow folder"):
        manifests.read_manifest(folder / "workflow.yaml")


def test_a_newer_manifest_is_refused_as_newer(toy: Any) -> None:
    with pytest.raises(
        UsageError, match=r"it has version 99; this esap-wf reads versions up to 1 \(upgrade esap-wf\)"
    ):
        toy({}, {"schema_version": 99})


def test_a_good_schema_has_no_problems(tmp_path: Path) -> None:
    good = flat(
        zenith={"type": "number", "title": "Zenith", "unit": "deg", "minimum": 0, "default": 20},
        name={"type": ["string", "null"], "title": "Name", "default": None},
        lines={"type": "array", "items": {"type": "string"}, "title": "Lines", "default": []},
    )
    assert lint(good, tmp_path) == ""


@pytest.mark.parametrize(
    ("prop", "expected"),
    [
        ({"type": "number", "title": "A", "unit": "degre", "default": 1}, "degre"),
        ({"type": "string", "title": "A", "unit": "deg", "default": "x"}, "only a number can have a unit"),
        ({"type": "number", "title": "A", "unit": 5, "default": 1}, "a unit must be text"),
        ({"type": "number", "title": "A", "minimum": 5, "default": 1}, "the default does not fit"),
        ({"type": "number", "title": "A", "default": "20 degrees"}, "the default does not fit"),
        ({"type": "string", "title": "A"}, "neither required nor has a default"),
        ({"type": "string", "default": "x"}, "title is missing"),
        ({"type": "object", "title": "A", "default": {}}, "type must be one of"),
        ({"type": "null", "title": "A", "default": None}, "type must be one of"),
        ({"type": [["x"]], "title": "A", "default": None}, "type must be one of"),
        ({"title": "A", "default": 1}, "type must be one of"),
        ({"type": "string", "title": "A", "default": "x", "if": {}}, "outside the subset"),
        ({"type": "string", "title": "A", "default": "x", "oneOf": []}, "outside the subset"),
        ({"type": "string", "title": "A", "default": "x", "minLenght": 1}, "did you mean minLength?"),
        ({"type": "string", "title": "A", "default": "x", "pattern": "("}, "is not a"),
        ({"type": "string", "title": "A", "default": "x", "enum": 5}, "is not"),
        (5, "a property must be an object"),
    ],
)
def test_lint_says_what_is_wrong_with_a_property(tmp_path: Path, prop: Any, expected: str) -> None:
    assert expected in lint(flat(a=prop), tmp_path)


@pytest.mark.parametrize(
    "name", ["Zenith", "zenith-angle", "inputs", "selected", "workflow", "1st", "a b", "x" * 64, ""]
)
def test_lint_refuses_names_that_are_no_flags(tmp_path: Path, name: str) -> None:
    assert "snake_case" in lint(flat(**{name: {"type": "string", "title": "A", "default": "x"}}), tmp_path)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ([], "must be an object"),
        ({"type": "object"}, "flat object"),
        ({**flat(), "allOf": []}, "allOf is outside"),
        ({**flat(), "required": 5}, "list of names"),
        ({**flat(), "required": ["x"]}, "x is required, but is not a property"),
        ({"type": "object", "additionalProperties": False}, "properties is missing"),
    ],
)
def test_lint_says_what_is_wrong_with_the_whole(tmp_path: Path, schema: Any, expected: str) -> None:
    assert expected in lint(schema, tmp_path)


def test_lint_names_the_line(tmp_path: Path) -> None:
    assert "s.json:8:4: properties.a.unit" in lint(
        flat(a={"type": "number", "title": "A", "unit": "degre", "default": 1}), tmp_path
    )


def test_lint_of_a_workflow_covers_manifest_schema_rows_and_readme(toy: Any) -> None:
    folder = toy(
        {},
        {"inputs": {"u": {"title": "U", "rows": "rows.json"}}},
        files={"rows.json": '{"type": "nonsense"}'},
    ).folder
    (folder / "README.md").unlink()
    (found,) = linting.lint(
        Config(store=folder, cache=folder, source=folder / "c"), [str(folder)], engines=linting.NONE
    )
    text = "\n".join(map(str, found.errors))
    assert "rows.json" in text
    assert "README.md is missing" in text


WRITTEN_BY_PEOPLE = [
    (
        Manifest,
        {"implementations": [{"engine": "snakemake", "file": "S", "colour": 1}]},
        "implementations[0]",
    ),
    (Manifest, {"inputs": {"u": {"title": "U", "reading": {"colour": 1}}}}, "inputs.u.reading"),
    (Request, {"workflow": "hello", "resources": {"colour": 1}}, "resources"),
    (Request, {"workflow": "hello", "colour": 1}, ""),
    (Profile, {"containers": {"colour": 1}}, "containers"),
]


@pytest.mark.parametrize(("kind", "data", "inside"), WRITTEN_BY_PEOPLE)
def test_what_people_write_has_no_unknown_member_at_any_depth(kind: type, data: Any, inside: str) -> None:
    with pytest.raises(UsageError) as caught:
        schemas.convert(documents.Document(data, "x.yaml"), kind, "document")
    (unknown,) = [str(p) for p in caught.value.problems if "colour" in str(p)]
    assert inside in unknown


def test_what_is_stored_may_have_unknown_members_at_any_depth() -> None:
    stored = b'{"workflow": "hello", "colour": 1, "resources": {"cores": 2, "colour": 1}}'
    request = msgspec.json.decode(stored, type=Request)
    assert request == Request(workflow="hello", resources=ResourceRequest(cores=2))


def test_the_hint_is_the_closest_name_or_none() -> None:
    assert schemas.closest("zentih", ["zenith", "azimuth"]) == "did you mean zenith?"
    assert schemas.closest("xyz", ["zenith"]) == ""
