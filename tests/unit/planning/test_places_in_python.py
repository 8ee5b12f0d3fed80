"""`esap_wf.places`: what the verb backends shows."""

from __future__ import annotations

import pytest
from helpers.command_line import Place

import esap_wf
from esap_wf.errors import UsageError


def test_needs_are_a_text_or_a_mapping(place: Place) -> None:
    (local,) = esap_wf.places()
    assert local.fits and local.ways
    assert "snakemake" in repr(esap_wf.places())
    for needs in ("gpu=1,memory=1GB", {"gpu": 1, "memory": "1 GB"}):
        (local,) = esap_wf.places(needs)
        assert local.reasons == ["1 GPU asked for, but it has 0"]
    with pytest.raises(UsageError, match="did you mean memory"):
        esap_wf.places({"memry": 1})
