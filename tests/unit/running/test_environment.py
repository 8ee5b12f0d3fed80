"""What of a user's environment an engine is started with."""

from __future__ import annotations

import pytest

from esap_wf.running.environment import environment


def test_engines_get_neither_settings_of_the_shell_nor_tokens_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = {"MINE": "yes", "ESAP_WF_STORE": "/store"}
    left_out = {"NXF_HOME": "/x", "SNAKEMAKE_PROFILE": "x"}
    left_out |= {"ESAP_WF_GATEWAY_TOKEN": "secret", "ESAP_WF_TOKEN_ARCHIVE": "secret"}
    for name, value in {**kept, **left_out}.items():
        monkeypatch.setenv(name, value)
    made = environment({"ADDED": "1"})
    assert {**kept, "ADDED": "1"}.items() <= made.items()
    assert not set(left_out) & set(made)
