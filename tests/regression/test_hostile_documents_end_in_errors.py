"""Documents that once ended in a crash or a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from esap_wf import documents
from esap_wf.errors import UsageError


def refused(text: str, source: str = "x.yaml") -> str:
    with pytest.raises(UsageError) as caught:
        documents.parse(text, source)
    return str(caught.value)


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "], ids=["list", "mapping", "block list", "key"])
def test_deep_nesting_is_refused_and_does_not_end_the_process(opened: str) -> None:
    code = f"from esap_wf import documents\ntry: documents.parse({opened!r} * 200000, 'x.yaml')\nexcept Exception as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, "the parser overflowed its stack"
    assert "x.yaml:1: nested too deeply" in done.stdout


@pytest.mark.parametrize("value", ["!!timestamp foo", "!!bool foo", "!!int foo", "!!float foo", "!!binary é"])
def test_a_scalar_that_does_not_fit_its_tag_is_a_problem(value: str) -> None:
    assert "x.yaml" in refused(f"a: {value}")


@pytest.mark.parametrize("key", ["a\\ud800", "a\\u0000"])
def test_a_key_with_nul_or_half_a_surrogate_is_a_problem(key: str) -> None:
    message = refused(f'{{"{key}": 1}}', "x.json")
    assert "NUL or half of a surrogate" in message
    message.encode()
