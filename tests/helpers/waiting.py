"""Waiting for a condition, in place of sleeping."""

from __future__ import annotations

from esap_wf.testing.places import PATIENCE, until

__all__ = ["PATIENCE", "until"]
