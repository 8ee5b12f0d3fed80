"""Tests that others can run: `EngineSuite`, the questions that esap-wf asks of every engine.
docs/engine-tutorial.md shows how.

Only here pytest is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esap_wf.testing.engine_suite import EngineSuite, answers
    from esap_wf.testing.runs import runs_bare

__all__ = ["EngineSuite", "answers", "runs_bare"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import pytest

        # a failed question shows both sides
        pytest.register_assert_rewrite("esap_wf.testing.engine_suite", "esap_wf.testing.runs")
        from esap_wf.testing import engine_suite

        return getattr(engine_suite, name)
    raise AttributeError(f"module 'esap_wf.testing' has no attribute {name!r}")
