"""Find runs: by id, name, or through the index. Light: `list` and `status` import it.

Imported by flow and the command line.
"""

from __future__ import annotations

import socket
from urllib.parse import quote

from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem
from esap_wf.runs.index import Index
from esap_wf.runs.store import Run, Store


def index_of(store: Store, config: Config) -> Index:
    """The store's index on this machine, caught up. A file a host: SQLite's WAL must not span hosts, and homes are on networks."""
    return Index.open(store, config.cache / "index" / f"{store.id}-{quote(socket.gethostname(), safe='')}.sqlite")


def find_run(config: Config, text: str) -> Run:
    """
    A run by id, beginning of an id, or name.

    Raises
    ------
    NotFoundError, UsageError
        None, or several.
    """
    store = Store.open(config.store)
    if "/" in text:
        raise NotFoundError(
            f"there is no run {text!r}", [Problem("RUN", "a run is named by its id or name, not by a path", "esap-wf list")]
        )
    index = index_of(store, config)
    try:
        return store.find(text, named=[row.id for row in index.by_name(text)])
    finally:
        index.close()
