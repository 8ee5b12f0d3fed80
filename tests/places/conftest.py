"""The toy place, installed once for the session."""

from __future__ import annotations

import pytest
from helpers import toy


@pytest.fixture(scope="session")
def toy_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables by which other processes find the toy place; this one finds it, too."""
    folder = tmp_path_factory.mktemp("toy-place")
    environment = toy.install(folder)
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(folder / "site"))
    return environment
