"""The published questions, asked of every engine that has pipelines of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from services import engines

from esap_wf.testing import EngineSuite, runs_bare
from esap_wf.testing.engine_suite import UNITS
from esap_wf.testing.runs import Ended

pytestmark = [
    pytest.mark.parametrize("engine", ["snakemake", "nextflow", "cwl", "toil"], scope="class"),
    pytest.mark.apart("engine"),
]


class TestEveryEngine(EngineSuite):
    @classmethod
    def configuration(cls, engine: str) -> str:
        return engines.configuration(engine)

    @pytest.fixture(scope="class")
    @classmethod
    def completed(cls, engine: str, request: Any, tmp_path_factory: Any) -> Ended:
        """
        Where a run costs many seconds, `make test` takes the one that went through two kills;
        `make soak` and `make features` don't.
        """
        if engine in {"nextflow", "toil"} and request.config.option.markexpr == "not soak":
            return request.getfixturevalue("troubled").ended()
        words = ("--units", UNITS, "--group-size", UNITS)
        return cls.ended(tmp_path_factory.mktemp("completed"), engine, *words)

    @pytest.mark.soak  # also in tests/foreign
    def test_many_steps_run_without_esap_wf(self, engine: str, completed: Any, tmp_path: Path) -> None:
        runs_bare(completed, tmp_path / "bare")
