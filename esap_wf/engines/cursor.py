"""Up to where an engine's record has been passed on. Public through `esap_wf.engines`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

#: What a plug-in may write down as a position in its record (`esap_wf.models.run.Event.mark`).
Mark = int | str


@dataclass(frozen=True)
class Cursor:
    """
    Up to where an engine's record has been passed on, as `EngineBase.events` is given it.

    There are three kinds, and a plug-in's own values can't be taken for one of them: `Cursor.START`, nothing
    was passed on; ``Cursor.at(mark)``, everything up to the event that had this mark; `Cursor.LOST`, nobody
    knows, so that only what comes from now on is passed on (what was counted can't be taken back).

    Parameters
    ----------
    mark : int or str, optional
        As the plug-in has set it in the last event that was passed on; None: there was none.
    lost : bool
        Nobody knows.
    """

    mark: Mark | None = None
    lost: bool = False

    @classmethod
    def at(cls, mark: Mark | None) -> Cursor:
        """Behind the event that has this mark; `START` for None."""
        return cls(mark)

    START: ClassVar[Cursor]
    LOST: ClassVar[Cursor]


Cursor.START = Cursor()
Cursor.LOST = Cursor(lost=True)
