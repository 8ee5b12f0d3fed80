"""What is asked of the index, as SQL."""

from __future__ import annotations

import json

from esap_wf.runs.index.schema import COLUMNS


def rows_of(source: str) -> str:
    """The statement for all columns of a `Row` of some tables, among which that of the runs is called r."""
    return f"SELECT {', '.join(f'r.{c}' for c in COLUMNS)} FROM {source}"


class Question:
    """
    What is asked of the tables, newest first.

    Parameters
    ----------
    tag : str, optional
        Only runs that have it.
    few : list of str, optional
        Only these runs.
    """

    def __init__(self, tag: str | None, few: list[str] | None) -> None:
        self._source, self.created, self.key = "runs r", "r.created", "r.id"
        self._where: list[str] = []
        self._values: list[object] = []
        if few is not None:
            self._source = "json_each(?) w CROSS JOIN runs r ON r.id = w.value"
            self._values.append(json.dumps(few))
            if tag:
                of_run = "t.created = r.created AND t.run = r.id"
                self.demand(f"EXISTS (SELECT 1 FROM tags t WHERE t.tag = ? AND {of_run})", tag)
        elif tag:  # its own table leads: it is in the same order
            self._source = "tags t CROSS JOIN runs r ON r.id = t.run"
            self.created, self.key = "t.created", "t.run"
            self.demand("t.tag = ?", tag)

    def demand(self, term: str, *values: object) -> None:
        """A further condition, with a value for each of its question marks."""
        self._where.append(term)
        self._values.extend(values)

    def sql(self, phase: str | None, limit: int) -> tuple[str, list[object]]:
        """Statement and values; of one phase, or of all."""
        where, values = list(self._where), list(self._values)
        if phase:
            where.append("r.phase = ?")
            values.append(phase)
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        order = f"{self.created} DESC, {self.key} DESC"
        return f"{rows_of(self._source)}{condition} ORDER BY {order} LIMIT ?", [*values, limit]
