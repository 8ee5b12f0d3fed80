"""Where things are."""

from __future__ import annotations

import os
from pathlib import Path

#: The checkout.
ROOT = Path(__file__).parents[2]
#: What is kept between sessions, by content. Set before any test changes HOME.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esap-wf-tests"
