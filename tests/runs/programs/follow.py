"""Read the first page of an index again and again: ``follow.py STORE INDEX``."""

from __future__ import annotations

import sys
from pathlib import Path

from esap_wf.runs.index import Index
from esap_wf.runs.store import Store

for _ in range(15):
    with Index.open(Store.open(Path(sys.argv[1])), Path(sys.argv[2])) as index:
        index.page()
