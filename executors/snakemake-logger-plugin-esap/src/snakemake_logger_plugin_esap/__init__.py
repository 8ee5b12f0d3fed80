"""A Snakemake logger plug-in: what happens in a run, as JSON lines (see the README for the events)."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_esap.texts import Failure, command_failure, cut, missing_output, notice, without_commands

__version__ = "0.1.0"
LIST_LIMIT = 200


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """What the command line offers: ``--logger-esap-path``."""

    # Snakemake's argument parser calls the type: it knows Optional[str], not `str | None` or a text.
    path: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={"help": "File to which events are appended as JSON lines.", "env_var": False, "required": True},
    )


@dataclass(slots=True)
class _Job:
    """What later records of a job do not repeat."""

    rule: str
    wildcards: dict[str, str]
    log: list[str]
    attempt: int
    command: str | None
    open: bool = True


class LogHandler(LogHandlerBase):
    """Write one line an event; called from Snakemake's single log-queue thread."""

    def __post_init__(self) -> None:
        path = getattr(self.settings, "path", None)
        if not path:
            raise ValueError("--logger-esap-path is required")
        self.setLevel(logging.INFO)
        self._path = Path(path).absolute()  # Snakemake changes directory later
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._resync = self._ends_inside_a_line()
        self._broken = False
        self._said: dict[str, Any] | None = None
        self._jobs: dict[Any, _Job] = {}
        # A failed command is told twice by the same thread: first a text (exit code), at once the job error.
        self._held: dict[int, tuple[float, str]] = {}
        self._encode = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode
        self._events: dict[str, Callable[..., dict[str, Any]]] = {
            "workflow_started": self._workflow_started,
            "run_info": self._run_info,
            "job_info": self._job_info,
            "job_started": self._job_started,
            "job_finished": self._job_finished,
            "job_error": self._job_error,
            "group_info": self._group_info,
            "group_error": self._group_error,
            "progress": self._progress,
        }

    @property
    def writes_to_stream(self) -> bool:
        """Leave stderr to Snakemake's own handler."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """False: True would announce the file as a log for people."""
        return False

    @property
    def has_filter(self) -> bool:
        """True: ``--quiet`` is about the terminal."""
        return True

    @property
    def has_formatter(self) -> bool:
        """True: nothing is formatted as text."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """The rule graph costs time and is not needed."""
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's event, if it has one. Never raises: a run does not fail for its log."""
        try:
            event = getattr(record, "event", None)
            held = self._held.pop(record.thread or 0, None) if self._held else None
            if held and event not in ("job_error", "group_error"):
                self._error(held[0], held[1])
                held = None
            maker = self._events.get(event) if event else None
            if maker is not None:
                said = command_failure(held[1]) if held else None
                self._write(record.created, maker(record, said) if said else maker(record))
            elif record.levelno >= logging.WARNING:
                self._problem(record)
            elif event is None:
                told = notice(record.getMessage())
                if told and told != self._said:  # a drain is announced in each round of the scheduler
                    self._said = told
                    self._write(record.created, told)
        except Exception as error:
            self._complain(error)

    def close(self) -> None:
        """Say that the engine came to an orderly end, so that a reader knows nothing is missing."""
        if self._fd >= 0:
            for created, text in self._held.values():
                self._error(created, text)
            self._held.clear()
            self._write(time.time(), {"event": "closed"})
            os.close(self._fd)
            self._fd = -1
        super().close()

    def _workflow_started(self, record: Any) -> dict[str, Any]:
        return {
            "event": "workflow_started",
            "snakemake": getattr(record, "snakemake_version", None),
            "plugin": __version__,
            "workflow_id": str(getattr(record, "workflow_id", "")) or None,
            "host": getattr(record, "host", None),
            "pid": os.getpid(),
            "dryrun": bool(getattr(self.common_settings, "dryrun", False)),
        }

    def _run_info(self, record: Any) -> dict[str, Any]:
        stats = dict(record.stats)
        total = stats.pop("total", None)
        return {"event": "run_info", "stats": stats, "total": total}

    def _job_info(self, record: Any) -> dict[str, Any]:
        jobid = record.jobid
        known = self._jobs.get(jobid)
        job = _Job(
            rule=record.rule_name,
            wildcards=_named(record.wildcards),
            log=_strings(record.log),
            attempt=known.attempt + 1 if known else 1,
            command=getattr(record, "shellcmd", None),
        )
        self._jobs[jobid] = job
        line = {
            "event": "job_info",
            "jobid": jobid,
            "rule": job.rule,
            "wildcards": job.wildcards,
            "attempt": job.attempt,
            "log": job.log,
            "output": _strings(record.output),
            "threads": record.threads,
            "resources": _resources(record.resources),
            "local": bool(record.local),
            "reason": cut(record.reason or ""),
        }
        if getattr(record, "is_checkpoint", False):
            line["checkpoint"] = True
        return line

    def _job_started(self, record: Any) -> dict[str, Any]:
        return {"event": "job_started", "jobids": list(record.jobs)}

    def _job_finished(self, record: Any) -> dict[str, Any]:
        self._jobs.pop(record.job_id, None)
        return {"event": "job_finished", "jobid": record.job_id}

    def _job_error(self, record: Any, said: Failure | None = None) -> dict[str, Any]:
        reason = getattr(record, "rule_msg", None)
        aux = getattr(record, "aux", None) or {}
        return self._failed_job(
            record.jobid,
            record.rule_name,
            log=_strings(record.log),
            kind=said.kind if said else "other",
            exit_code=said.exit_code if said else None,
            signal=said.signal if said else None,
            reason=str(reason) if reason else (said.reason if said else None),
            external_id=aux.get("external_jobid"),
        )

    def _failed_job(
        self, jobid: Any, rule: str, *, log: list[str] | None = None, reason: str | None, **known: Any
    ) -> dict[str, Any]:
        job = self._jobs.get(jobid)
        line = {
            "event": "job_error",
            "jobid": jobid,
            "rule": rule,
            "wildcards": job.wildcards if job else None,
            "attempt": job.attempt if job else None,
            "log": log if log is not None else (job.log if job else []),
            **{key: known.get(key) for key in ("kind", "exit_code", "signal")},
            "reason": cut(self._clean(reason)) if reason else None,
            "external_id": known.get("external_id"),
        }
        if job:
            job.open = False
        return line

    def _group_info(self, record: Any) -> dict[str, Any]:
        return {"event": "group_info", "group": str(record.group_id), "jobids": [job.jobid for job in record.jobs]}

    def _group_error(self, record: Any, said: Failure | None = None) -> dict[str, Any]:
        aux = getattr(record, "aux", None) or {}
        return {
            "event": "group_error",
            "group": str(record.groupid),
            "jobids": [info.get("jobid") for info in record.job_error_info],
            "log": _strings(record.aux_logs),
            "exit_code": said.exit_code if said else None,
            "external_id": getattr(record, "external_jobid", None) or aux.get("external_jobid"),
        }

    def _progress(self, record: Any) -> dict[str, Any]:
        return {"event": "progress", "done": record.done, "total": record.total}

    def _problem(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno < logging.ERROR:
            self._write(record.created, {"event": "warning", "message": cut(self._clean(text))})
            return
        if command_failure(text):
            self._held[record.thread or 0] = (record.created, text)
            return
        lost = missing_output(text)
        if lost:
            line = self._failed_job(lost[0], lost[1], kind="missing_output", reason=text)
            self._write(record.created, line)
            return
        self._error(record.created, text, getattr(record, "exception", None))

    def _error(self, created: float, text: str, exception: str | None = None) -> None:
        self._write(created, {"event": "error", "exception": exception, "message": cut(self._clean(text))})

    def _clean(self, text: str) -> str:
        # Errors are rare and running jobs few, so that looking for each running command costs nothing that counts.
        return without_commands(text, [job.command for job in self._jobs.values() if job.command and job.open])

    def _ends_inside_a_line(self) -> bool:
        """Tell whether an earlier writer was cut off, so that our first line must not continue its last one."""
        size = os.fstat(self._fd).st_size
        if not size:
            return False
        with self._path.open("rb") as stream:
            stream.seek(size - 1)
            return stream.read(1) != b"\n"

    def _write(self, created: float, line: dict[str, Any]) -> None:
        data = self._encode({"t": round(created, 6), **line}).encode("ascii") + b"\n"
        if self._resync:
            data = b"\n" + data
        try:
            self._resync = os.write(self._fd, data) != len(data)
            self._broken = False
        except OSError as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._broken:  # once a failure, not once a job
            self._broken = True
            sys.stderr.write(f"snakemake-logger-plugin-esap: {self._path}: {error}\n")


def _named(values: Any) -> dict[str, str]:
    """Return a dict of wildcards, which arrive as a dict or as Snakemake's named list."""
    return {str(key): cut(str(value)) for key, value in values.items()} if values else {}


def _strings(values: Iterable[Any] | None) -> list[str]:
    if not values:
        return []
    texts = [cut(str(value)) for value in values]
    return texts if len(texts) <= LIST_LIMIT else [*texts[:LIST_LIMIT], f"… {len(texts) - LIST_LIMIT} more"]


def _resources(values: Any) -> dict[str, Any]:
    """Return the resources by name; `tmpdir` is an environment value, `_cores` and `_nodes` are bookkeeping."""
    items: Mapping[str, Any] = dict(values.items()) if hasattr(values, "items") else {}
    return {
        name: value if isinstance(value, int | float | bool) else cut(str(value))
        for name, value in items.items()
        if not name.startswith("_") and name != "tmpdir"
    }
