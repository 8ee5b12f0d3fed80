"""What works with which engine is told by these tests: their results are docs/features.json, from which docs/compatibility.md is made."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import cast

import pytest
import session_outcome
from services.containers import container_runtimes  # noqa: F401

FEATURES = Path(__file__).parents[2] / "docs" / "features.json"
_found: dict[str, dict[str, str]] = {}
_asked: set[tuple[str, str]] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-features",
        action="store_true",
        help="Write docs/features.json from the results of this session.",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With the report, so that it reaches the process that writes, if there are several."""
    report = yield
    feature = getattr(getattr(item, "function", None), "feature", None)
    if feature and isinstance(item, pytest.Function) and report.when == "call" and report.passed:
        properties, params = dict(report.user_properties), item.callspec.params
        answers = properties.get("features") or {feature.format(**params): properties.get("value", "yes")}
        report.user_properties.append(("of engine", [str(params["engine"]), answers]))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties:
        if name == "of engine":
            column, answers = cast(tuple[str, dict[str, str]], value)
            for feature, answer in answers.items():
                _found.setdefault(feature, {})[column] = answer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI the committed table is what the tests find."""
    if not _found or hasattr(session.config, "workerinput"):
        return
    if session.config.getoption("--write-features"):
        kept = json.loads(FEATURES.read_text()) if FEATURES.exists() else {}
        for name, values in _found.items():
            kept[name] = {**kept.get(name, {}), **values}
        FEATURES.write_text(json.dumps(kept, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    elif os.environ.get("CI"):
        known = json.loads(FEATURES.read_text()) if FEATURES.exists() else {}
        wrong = [
            f"{n}, {e}: {v!r}, not {known.get(n, {}).get(e)!r}"
            for n, row in _found.items()
            for e, v in row.items()
            if known.get(n, {}).get(e) != v
        ]
        if wrong:
            session_outcome.blame(
                session.config, "docs/features.json says otherwise (make features): " + "; ".join(wrong)
            )
