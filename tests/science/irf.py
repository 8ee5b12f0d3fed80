"""The workflow `irf`, small."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from helpers.paths import ROOT

WORKFLOW = ROOT / "workflows" / "irf"
#: What tests run with the workflow's own Python and modules.
PROGRAMS = ROOT / "tests" / "science" / "programs" / "irf"
#: seconds of simulation; enough gammas for a closure of 100 counts
TINY = {
    "gamma_showers": 4_000_000,
    "proton_showers": 1_000_000,
    "electron_showers": 300_000,
    "blocks": 2,
    "offset_bins": 6,
    "intended_excess": 80,
}

#: A program of the workflow, or with it.
Run = Callable[..., "subprocess.CompletedProcess[str]"]
