"""Names and relative paths that meant something else the second time, without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from adapter import Place, write_workflow

TABLE = "seconds\n0\n"


@pytest.fixture
def collection(place: Place) -> Path:
    (place.root / "config.toml").write_text("workflows = ['mine']\n")
    (place.root / "mine").mkdir()
    return place.root / "mine"


def test_a_name_of_two_workflows_is_refused_and_a_source_or_the_path_chooses(inside: Any, collection: Path) -> None:
    write_workflow(collection / "hello", manifest={"name": "hello", "version": "7.7.0"})
    rows = [(r["source"], r["version"]) for r in inside("workflows", "--json").json["workflows"] if r["name"] == "hello"]
    assert len(rows) == 2
    assert ("configured", "7.7.0") in rows
    refused = inside("plan", "hello", "--json")
    assert refused.code == 2
    assert "hello@built-in" in refused.problems
    assert "hello@configured" in refused.problems
    assert inside("show", "hello@configured", "--json").json["version"] == "7.7.0"
    assert inside("show", collection / "hello", "--json").json["version"] == "7.7.0"
    assert inside("show", "hello@built-in", "--json").json["source"] == "built-in"
    assert inside("show", "hello@elsewhere", "--json").code == 2
    assert "software" in str(inside("doctor", "--json").json["checks"])


def test_a_workflow_is_not_found_by_a_name_that_is_not_its_own(inside: Any, collection: Path) -> None:
    write_workflow(collection / "my-hello", manifest={"name": "hello"})
    refused = inside("plan", "my-hello", "--json")
    assert refused.code == 2
    assert "calls itself 'hello', its place says 'my-hello'" in refused.problems
    assert "calls itself" in inside("lint", collection / "my-hello", "--json").out
    assert inside("plan", collection / "my-hello", "--json").code == 0, "a path is no name"
