"""Every case of notebooks and of commands: bare and through esap-wf."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign import bare, cases

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(("engine", "name"), cases.of("notebook", "command"))
def test_a_case_does_as_the_bare_engine_does(engine: str, name: str, tmp_path: Path, cache: Path) -> None:
    cases.check(name, engine, tmp_path, cache)


@pytest.mark.soak
@pytest.mark.parametrize(("engine", "name"), cases.of("notebook", "command", soak=True))
def test_what_bare_engines_make_is_made_anew(
    engine: str, name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bare.RENEW, "1")
    cases.check(name, engine, tmp_path, cache, soak=True)
