"""Tests that others can run: `EngineSuite`, the questions that esap-wf asks of every engine
(docs/engine-tutorial.md shows how), `LauncherSuite`, those that it asks of what starts pieces at a place, and
`LakeSuite`, those that it asks of a data lake.

Only here pytest is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esap_wf.testing.engine_suite import EngineSuite, answers
    from esap_wf.testing.lake_suite import LakeSuite
    from esap_wf.testing.launcher_suite import LauncherSuite
    from esap_wf.testing.runs import runs_bare

__all__ = ["EngineSuite", "LakeSuite", "LauncherSuite", "answers", "runs_bare"]
_MODULES = {"LakeSuite": "lake_suite", "LauncherSuite": "launcher_suite"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        import pytest

        # a failed question shows both sides
        shown = ("engine_suite", "runs", "launcher_suite", "lake_suite", "pieces")
        pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in shown))
        module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'engine_suite')}")
        return getattr(module, name)
    raise AttributeError(f"module 'esap_wf.testing' has no attribute {name!r}")
