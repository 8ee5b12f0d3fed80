"""The places: the toy, installed once for the session, and a host by SSH, once for a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.conftest import end
from helpers import toy
from services import sshd
from services.sshd import Host

from .elsewhere import Elsewhere


@pytest.fixture(scope="session")
def toy_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables by which other processes find the toy place; this one finds it, too."""
    folder = tmp_path_factory.mktemp("toy-place")
    environment = toy.install(folder)
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(folder / "site"))
    return environment


@pytest.fixture
def there(tmp_path: Path, toy_environment: dict[str, str]) -> Iterator[Elsewhere]:
    """A place of the command line that knows a toy cluster; nothing of its runs is left afterwards."""
    made = Elsewhere(tmp_path, dict(toy_environment))
    yield made
    made.cluster.come_back()
    end(made)
    made.cluster.end()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host by SSH."""
    with sshd.running() as made:
        yield made
