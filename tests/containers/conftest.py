"""Fixtures of the container tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from services.containers import Runtimes, container_runtimes  # noqa: F401

from esap_wf.models.plan import ContainerChoice
from esap_wf.software import containers
from esap_wf.software.containers import folder

IMAGES = Path(__file__).parents[2] / "containers"


@pytest.fixture
def runtimes(container_runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch) -> Runtimes:  # noqa: F811
    """The runtimes, as this process sees them."""
    for name, value in container_runtimes.environment.items():
        monkeypatch.setenv(name, value)
    return container_runtimes


@pytest.fixture
def noop(runtimes: Runtimes) -> Path:
    """Archive of the image noop."""
    return folder.build(folder.read_folder(IMAGES / "noop"), runtimes.cache)


Ready = Callable[..., ContainerChoice]


@pytest.fixture
def ready(runtimes: Runtimes) -> Ready:
    """Chooses one runtime for an image and makes it ready, or skips."""

    def make(
        runtime: str, image: str | Path, network: bool = True, cache: Path | None = None
    ) -> ContainerChoice:
        runtimes.need(runtime)
        chosen = containers.choose(
            str(image), containers.Settings(runtimes=(runtime,)), cache or runtimes.cache, network=network
        )
        assert chosen.choice, chosen.reasons
        containers.prepare(chosen.choice, cache or runtimes.cache)
        assert containers.is_ready(chosen.choice)
        return chosen.choice

    return make
