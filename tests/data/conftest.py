"""A place with a lake, and a server of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.conftest import end
from helpers.websites import Site

from .gathering import Gathering


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Gathering]:
    made = Gathering(tmp_path)
    yield made
    end(made)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made
