"""The command line in an isolated place: `Place(…)` as a process, `Place.inside(…)` in this one."""

from __future__ import annotations

from esap_wf.testing.places import COMMAND, Done, Place, inside

__all__ = ["COMMAND", "Done", "Place", "inside"]
