"""Fixtures and marks of the engine tests."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.engine_runs import ROOT, SNAKEMAKE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts Snakemake: all but the texts."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.name != "test_snakemake_texts.py":
            item.add_marker(pytest.mark.integration)
            if not SNAKEMAKE.exists():
                item.add_marker(pytest.mark.skip(reason="snakemake is not installed beside this Python"))


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a read-only copy of workflows and rules, as a run directory holds it."""
    code = tmp_path_factory.mktemp("run") / "code" / "0123abcd"
    for part in ("workflows/hello", "workflows/noop", "rules"):
        shutil.copytree(ROOT / part, code / part, ignore=shutil.ignore_patterns("__pycache__", "README.md"))
    paths = [code, *code.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield code
    for path in paths:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
