"""
ROOT files whose bytes follow from their content: the library writes the time and a random identifier into
them.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
import types
import uuid
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import uproot

#: the first moment that ROOT's dates can express
EPOCH = datetime.datetime(1995, 1, 1)


class _Still(datetime.datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return EPOCH


@contextlib.contextmanager
def recreate(path: str | Path) -> Iterator[uproot.WritableDirectory]:
    """
    A ROOT file to be written; it gets its name when it is complete.

    Equal content gives equal bytes. Date and identifier carry no information here; provenance is in the JSON
    beside the file.
    """
    path = Path(path)
    still = types.SimpleNamespace(datetime=_Still)
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, path.name)
    with contextlib.ExitStack() as stack:
        # a folder, not another name: the name is written into the file
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent))
        for module in (uproot.writing._cascade, uproot.writing._cascadetree):
            stack.enter_context(mock.patch.object(module, "datetime", still))
        part = Path(folder, path.name)
        with uproot.recreate(part, uuid_function=lambda: identifier) as file:
            yield file
        part.replace(path)
