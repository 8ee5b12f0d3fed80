"""
What a lake says of one file after the other, asked for many at a time: by whoever needs the first of them,
for all that will be needed next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Generic, TypeVar

from esap_wf.datalakes import BATCH, Lake
from esap_wf.models.data import Did

T = TypeVar("T")
#: Seconds after which an answer is too old: somebody may have lost the right to read meanwhile.
FRESH = 60.0


class Together(Generic[T]):
    """
    One question about the files of one lake. Threads may share it.

    Parameters
    ----------
    ask : callable
        Asks a lake about some of them. What is missing in its answer isn't there.
    dids : iterable of Did
        All that will be asked for, in about this order.
    """

    def __init__(self, ask: Callable[[Lake, list[Did]], Mapping[Did, T]], dids: Iterable[Did]) -> None:
        self._ask = ask
        self._order = list(dict.fromkeys(dids))
        self._position = {did: n for n, did in enumerate(self._order)}
        self._known: dict[Did, tuple[float, T | None]] = {}
        self._lock = threading.Lock()

    def of(self, lake: Lake, did: Did) -> T | None:
        """
        The answer about one file; None if the lake has none. Each is given once: who asks again is told anew.

        Parameters
        ----------
        lake : Lake
            That of the calling thread.
        did : Did

        Raises
        ------
        LakeOutageError
        """
        with self._lock:
            moment = time.monotonic()
            # one that is asked for again stands alone: those behind it had their turn
            start = self._position.pop(did, len(self._order))
            told = self._known.pop(did, None)
            if told and moment - told[0] <= FRESH:
                return told[1]
            behind = islice(self._order, start + 1, start + BATCH)
            batch = [did, *(one for one in behind if self._is_open(one, moment))]
            answer = self._ask(lake, batch)
            self._known |= {one: (moment, answer.get(one)) for one in batch[1:]}
            return answer.get(did)

    def _is_open(self, did: Did, moment: float) -> bool:
        told = self._known.get(did)
        return did in self._position and not (told and moment - told[0] <= FRESH)
