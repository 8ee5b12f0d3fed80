"""Values that Python hands over and no document could hold."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.command_line import Place

import esap_wf
from esap_wf.errors import UsageError

ROUND: list[Any] = []
ROUND.append(ROUND)
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        ROUND,
        {"a": ROUND},
        DEEP,
        object(),
        b"x",
        {1},
        2**5000,
        [2**80],
        float("nan"),
        "\ud800",
        {1: 2},
        {"a": "\0"},
        lambda: 1,
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_value_that_no_document_holds_is_an_error(place: Place, value: Any) -> None:
    with pytest.raises(UsageError):
        esap_wf.plan("hello", {"who": value})


def test_a_name_that_is_no_text_is_an_error(place: Place) -> None:
    with pytest.raises(UsageError, match="not text"):
        esap_wf.plan("hello", {1: 2})  # type: ignore[dict-item]
