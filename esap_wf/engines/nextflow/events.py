"""Nextflow's log and trace in the words of `esap_wf.models.run.Event`.

The log says what was submitted and why something failed, the trace how it ended and what it used.
Only what is new in both is read.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec

from esap_wf.engines import Cursor, following
from esap_wf.engines.nextflow.reasons import reason_of
from esap_wf.engines.nextflow.tasks import Names, moment
from esap_wf.formats import reading
from esap_wf.models.run import Event, Reason

#: Where the log is, relative to the run directory; at its start Nextflow renames an older one to ``….1`` and
#: so on.
LOG = "logs/nextflow.log"
#: Columns of the trace. The name comes last: it holds what a pipeline puts in a tag, and that may be a line
#: break.
FIELDS = (
    "task_id",
    "hash",
    "native_id",
    "process",
    "status",
    "exit",
    "submit",
    "start",
    "complete",
    "realtime",
    "%cpu",
    "peak_rss",
    "attempt",
    "workdir",
    "error_action",
    "name",
)
CHUNK = 4_000_000
#: An error's text is written at once; if its end can't be found within this many bytes it is none that we
#: know.
BLOCK = 65_536

_LOGGED = re.compile(
    rb"^(?P<stamp>\S+-\d\d \d\d:\d\d:\d\d\.\d{3}) \[[^\n]*?\] (?:INFO |WARN |ERROR|DEBUG) \S+ - (?:"
    rb"\[(?P<hash>[0-9a-f]{2}/[0-9a-f]{6})\] (?:(?P<what>Submitted|Re-submitted|Cached) process > "
    rb"(?P<name>[^\n]*)"
    rb"|NOTE: (?P<note>[^\n]*))"
    rb"|Task completed > TaskHandler\[[^\n]* error: (?!-;)[\w.$]*:? ?(?P<why>[^\n]*);"
    rb" workDir: [^\n]*?/(?P<place>[0-9a-f]{2}/[0-9a-f]{6})[0-9a-f]*\]"
    rb"|Session UUID: (?P<session>[^\n]*)"
    rb"|(?P<error>Error executing process > '[^\n]*'\n\nCaused by:\n  (?P<cause>[^\n]*)\n)"
    rb")",
    re.MULTILINE,
)
_WORKDIR = re.compile(rb"Work dir:\n  \S*?/([0-9a-f]{2}/[0-9a-f]{6})[0-9a-f]*\n")
_ERROR = b"Error executing process > '"
_NEXT = re.compile(rb"^\S+-\d\d \d\d:\d\d:\d\d\.\d{3} \[", re.MULTILINE)


def run_name(run: Path, epoch: int) -> str:
    """Nextflow's name of what an epoch runs: unique in a history, in the characters that Nextflow takes."""
    name = re.sub(r"[^a-z0-9]+", "-", run.name.lower()).strip("-")[:60]
    return f"run-{name}-{epoch}" if name else f"run-{epoch}"


def trace_path(run: Path, epoch: int) -> Path:
    """Trace of an epoch."""
    return run / "engine" / f"{epoch}.trace.tsv"


def log_path(run: Path, epoch: int) -> Path | None:
    """The log of an epoch, wherever it was renamed to; None if Nextflow didn't get so far."""
    name = f" -name {run_name(run, epoch)} ".encode()
    for path in [run / LOG, *(run / f"{LOG}.{n}" for n in range(1, 10))]:
        try:
            with reading.opened(path) as file:
                if name in file.readline(BLOCK).rstrip(b"\n") + b" ":
                    return path
        except OSError:
            return None
    return None


class NextflowEvents:
    """
    Follow log and trace of one epoch.

    Parameters
    ----------
    run : Path
        Run directory: log paths are told relative to it.
    epoch : int
    cursor : Cursor
        Its mark is ``log:BYTES,trace:BYTES``: what lies before was told; it is read again for what later
        lines refer to.
    """

    def __init__(self, run: Path, epoch: int, cursor: Cursor = Cursor.START) -> None:
        self.run, self.epoch = run, epoch
        self._trace = trace_path(run, epoch)
        self._log: Path | None = None
        self._at = {"log": 0, "trace": 0}
        self._columns: list[str] = []
        self._names = Names()
        self._causes: dict[str, str] = {}
        self._begun: set[str] = set()
        self._done_before: set[str] = set()
        self._roots = {str(run), str(run.resolve())}
        for earlier in range(1, epoch):
            self._remember(trace_path(run, earlier))
        self._reported = self._sizes() if cursor.lost else _parse(cursor)

    def _sizes(self) -> dict[str, int]:
        log = log_path(self.run, self.epoch)
        return {"log": following.size(log) if log else 0, "trace": following.size(self._trace)}

    def _remember(self, path: Path) -> None:
        """What an earlier epoch told as done is not told again when it comes from Nextflow's cache."""
        columns: list[str] = []
        numbered = []
        for line in _lines(path, 0)[0]:
            row = _row(line, columns)
            if row:
                number, _ = self._names.enter(row["name"], row["hash"], _is_retry(row))
                done = row["status"] in ("COMPLETED", "CACHED")
                if done:
                    self._done_before |= {row["workdir"], row["hash"]}
                    self._names.done(row["name"], number)
                else:
                    numbered.append((row["name"], number))
        for name, number in numbered:
            self._names.forget(name, number)

    def read(self) -> list[Event]:
        """Events since the last call; empty only if there are no more."""
        # the trace first: whatever it says of a task, the log has said before that there is such a task
        rows, end = _lines(self._trace, self._at["trace"])
        events = self._read_log()
        for line in rows:
            row = _row(line, self._columns)
            found = self._ended(row) if row else []
            if self._at["trace"] + len(line) > self._reported["trace"]:
                events += [self._sourced(event) for event in found[:-1]]
                self._at["trace"] += len(line)
                events += [self._sourced(event) for event in found[-1:]]
            else:
                self._at["trace"] += len(line)
        self._at["trace"] = end
        return events

    def _sourced(self, event: Event, log: int | None = None) -> Event:
        # a place before what was told would tell the rest of it again
        places = {
            "log": max(self._at["log"] if log is None else log, self._reported["log"]),
            "trace": max(self._at["trace"], self._reported["trace"]),
        }
        return msgspec.structs.replace(event, mark=f"log:{places['log']},trace:{places['trace']}")

    # --- the log

    def _read_log(self) -> list[Event]:
        if self._log is None:
            self._log = log_path(self.run, self.epoch)
        if self._log is None:
            return []
        events: list[Event] = []
        while following.size(self._log) > self._at["log"]:
            with reading.opened(self._log) as file:
                file.seek(self._at["log"])
                data = file.read(CHUNK)
            end = data.rfind(b"\n") + 1
            begun = data.rfind(_ERROR, 0, end)
            if (
                begun >= 0
                and len(data) - begun < BLOCK
                and not _NEXT.search(data, begun)
                and b"\nWork dir:\n" not in data[begun:end]
            ):
                end = data.rfind(b"\n", 0, begun) + 1  # the rest of it is being written
            if end == 0:
                break
            base = self._at["log"]
            for match in _LOGGED.finditer(data, 0, end):
                event = self._logged(match, data, end)
                place = base + match.end()
                if event is not None and place > self._reported["log"]:
                    events.append(self._sourced(event, place))
            self._at["log"] = base + end
        return events

    def _logged(self, match: re.Match[bytes], data: bytes, end: int) -> Event | None:
        text = {k: v.decode("utf-8", "replace") for k, v in match.groupdict().items() if v is not None}
        if "session" in text:
            return Event(
                t=moment(text["stamp"]),
                kind="engine",
                epoch=self.epoch,
                detail=f"Nextflow started, session {text['session']}",
            )
        if "why" in text:
            self._causes[text["place"]] = text["why"]
            return None
        if "note" in text:
            self._causes.setdefault(text["hash"], text["note"].rpartition(" -- ")[0] or text["note"])
            if "retried" in text["note"]:
                self._names.noted(text["hash"])
            return None
        if "error" in text:
            following = _NEXT.search(data, match.end(), end)
            where = _WORKDIR.search(data, match.end(), following.start() if following else end)
            if where:
                self._causes[where[1].decode()] = text["cause"]
            return None
        number, attempt = self._names.enter(text["name"], text["hash"], text["what"] == "Re-submitted")
        # done again, if a killed Nextflow had not noted it yet
        if text["what"] == "Cached" or text["hash"] in self._done_before:
            return None
        self._begun.add(text["hash"])
        step, unit, job = self._names.words(text["name"], number)
        return Event(
            t=moment(text["stamp"]),
            kind="start",
            epoch=self.epoch,
            step=step,
            unit=unit,
            job=job,
            attempt=attempt,
        )

    # --- the trace

    def _ended(self, row: dict[str, str]) -> list[Event]:
        """
        The end of a task; its start, too, if nobody has told it (a cached one, or one that could not be
        submitted).
        """
        status, name = row["status"], row["name"]
        number, attempt = self._names.enter(name, row["hash"], _is_retry(row))
        if status in ("COMPLETED", "CACHED"):
            self._names.done(name, number)
            if row["workdir"] in self._done_before:
                return []
        step, unit, job = self._names.words(name, number)
        log, exit_code = self._relative(row["workdir"]), _number(row["exit"])
        if exit_code is not None and not 0 <= exit_code < 256:
            exit_code = None  # nobody has seen how it ended
        milliseconds, percent, ended = _number(row["realtime"]), _float(row["%cpu"]), _number(row["complete"])
        event = Event(
            t=ended / 1000 if ended and status != "CACHED" else time.time(),
            kind="done",
            epoch=self.epoch,
            step=step,
            unit=unit,
            job=job or (row["native_id"] if row["native_id"] not in ("-", "") else None),
            attempt=attempt,
            exit_code=exit_code,
            log=log,
            memory_bytes=_number(row["peak_rss"]) or None,
            cpu_seconds=None
            if milliseconds is None or percent is None
            else round(milliseconds * percent / 100_000, 3),
            detail="from Nextflow's cache" if status == "CACHED" else None,
        )
        begin = Event(
            t=event.t, kind="start", epoch=self.epoch, step=step, unit=unit, job=job, attempt=event.attempt
        )
        before = [] if row["hash"] in self._begun else [begin]
        if status in ("COMPLETED", "CACHED"):
            return [*before, event]
        self._names.failed(name, number, row["hash"])
        cause = self._causes.pop(row["hash"], "")
        reason, detail = reason_of(cause, exit_code, self.run / log if log else None)
        if status == "ABORTED":
            reason, detail = Reason.CANCELLED, "cancelled by Nextflow"
        elif row["error_action"] == "IGNORE":
            detail = f"{detail} (errorStrategy 'ignore')".strip()
        return [*before, msgspec.structs.replace(event, kind="failed", reason=reason, detail=detail or None)]

    def _relative(self, workdir: str) -> str | None:
        for root in self._roots:
            if workdir.startswith(f"{root}/"):
                return f"{workdir[len(root) + 1 :]}/.command.log"
        return f"{workdir}/.command.log" if workdir.startswith("/") else None


def _parse(cursor: Cursor) -> dict[str, int]:
    places = {"log": 0, "trace": 0}
    for name, value in re.findall(r"(log|trace):(\d+)", str(cursor.mark or "")):
        places[name] = int(value)
    return places


def _lines(path: Path, offset: int) -> tuple[list[bytes], int]:
    """Complete lines from a place on, and where they end."""
    if following.size(path) <= offset:
        return [], offset
    with reading.opened(path) as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return [line + b"\n" for line in data[:end].split(b"\n")[:-1]], offset + end


def _row(line: bytes, columns: list[str]) -> dict[str, str] | None:
    """A row of the trace; None for its head, which fills `columns`, and for what is none."""
    text = line.decode("utf-8", "replace").rstrip("\n")
    if not columns:
        columns += text.split("\t")
        return None
    values = text.split("\t", len(columns) - 1)
    return (
        dict(zip(columns, values, strict=True))
        if len(values) == len(columns) and set(FIELDS) <= set(columns)
        else None
    )


def _is_retry(row: dict[str, str]) -> bool:
    """Whether a row is of a further attempt."""
    return row["status"] != "CACHED" and (_number(row["attempt"]) or 1) > 1


def _number(text: str) -> int | None:
    value = _float(text)
    return None if value is None else int(value)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
