"""
Copies of tables whose rows name what lies elsewhere: absolute paths of what was brought stand in the place of
the addresses. They can be made only when the run directory is there.
"""

from __future__ import annotations

from pathlib import Path

from esap_wf.errors import Problem, RefusedError
from esap_wf.formats import digests
from esap_wf.models.plan import Plan
from esap_wf.models.request import DataRef
from esap_wf.request import sheets


def copy_of(run: Path, plan: Plan, ref: DataRef) -> bytes:
    """
    The content of a copy.

    Parameters
    ----------
    run : Path
        The run directory, in which all is that had to be brought.
    plan : Plan
    ref : DataRef
        The table, one of `esap_wf.running.staging.copied`.

    Raises
    ------
    RefusedError
        The user's own was changed after the plan was made.
    """
    path = _original(run, plan, ref)
    kind, _, digits = (ref.checksum or "").partition(":")
    try:
        is_same = kind != "sha256" or digests.of_file(path) == digits
    except OSError:
        is_same = False
    if not is_same:
        what = "it was changed or removed after the plan was made"
        raise RefusedError("an input is not what it was", [Problem(ref.given, what, "make a new plan")])
    cells = {
        column: {text: str(run / place) for text, place in of.items()} for column, of in ref.cells.items()
    }
    return sheets.copied(path, cells)


def _original(run: Path, plan: Plan, ref: DataRef) -> Path:
    if not ref.is_brought:
        return Path(ref.original)
    return next(run / one.path for one in plan.nested if one.uri == ref.uri and one.path)
