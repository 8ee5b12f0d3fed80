"""Lists that show themselves as tables: runs, logs, results, workflows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from esap_wf.formats.printing import one_line, printable, table
from esap_wf.formats.summaries import ROWS, clipped, page, progress_text
from esap_wf.models.run import Phase, Progress
from esap_wf.runs.logs import end_of

T = TypeVar("T")


class Rows(list[T], Generic[T]):
    """
    A list that is shown as a table.

    Parameters
    ----------
    members : iterable
    header : sequence of str
    cells : callable
        What is shown of a member.
    """

    def __init__(
        self, members: Iterable[T], header: Sequence[str], cells: Callable[[T], Sequence[object]]
    ) -> None:
        super().__init__(members)
        self._header, self._cells = header, cells

    def __repr__(self) -> str:
        if not self:
            return "[]"
        shown = [[clipped("" if c is None else c) for c in self._cells(member)] for member in self[:ROWS]]
        more = f"\nand {len(self) - ROWS} more" if len(self) > ROWS else ""
        return table(shown, self._header) + more

    def _repr_html_(self) -> str:
        return page([self._cells(member) for member in self], self._header)


@dataclass(frozen=True)
class RunSummary:
    """
    A run as a list shows it. Every function that takes a run takes it.

    Parameters
    ----------
    id : str
    name : str or None
    workflow : str
    phase : Phase
    created, started, ended : str or None
        RFC 3339, UTC.
    progress : Progress
    owner : str
    dir : Path
        Run directory.
    """

    id: str
    name: str | None
    workflow: str
    phase: Phase
    created: str
    started: str | None
    ended: str | None
    progress: Progress
    owner: str
    dir: Path

    def __repr__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return one_line(
            f"<Run {self.id}{name}: {self.workflow} {self.phase}, "
            f"{progress_text(self.progress)}, created "
            f"{self.created}>"
        )

    def _cells(self) -> Sequence[object]:
        created = self.created[:19].replace("T", " ")
        return (
            self.id,
            self.phase,
            self.workflow,
            self.name,
            created,
            progress_text(self.progress),
            self.owner,
        )


class Runs(Rows[RunSummary]):
    """
    Runs, newest first.

    Parameters
    ----------
    members : iterable of RunSummary
    next : str, optional
        The `cursor` of the page that follows; None at the end.
    """

    def __init__(self, members: Iterable[RunSummary], next: str | None = None) -> None:
        header = ("run", "phase", "workflow", "name", "created (UTC)", "progress", "owner")
        super().__init__(members, header, RunSummary._cells)
        self.next = next


@dataclass(frozen=True)
class Log:
    """
    A log of a run.

    Parameters
    ----------
    step : str
        Step that wrote it; engine, software and supervisor are the run's own.
    unit : str or None
    attempt : int or None
    path : Path
    """

    step: str
    unit: str | None
    attempt: int | None
    path: Path

    def tail(self) -> str:
        """Its end as text, at most 20 kB."""
        return printable(end_of(self.path))

    def __repr__(self) -> str:
        return one_line(f"<Log of {self.step}{f' {self.unit}' if self.unit else ''}: {self.path}>")
