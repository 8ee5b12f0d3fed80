"""Sizes of shards that nobody can mean."""

from __future__ import annotations

import pytest
from helpers.command_line import Place

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("size", ["0", "-1", "many", "1.5", "1000000000", ""])
def test_a_size_that_cannot_be_is_refused_before_anything_is_planned(place: Place, size: str) -> None:
    done = place("plan", "noop", "--units", "3", "--shard-size", size, "--json")
    assert done.code == 2
    assert "--shard-size" in done.json["error"]["message"]
