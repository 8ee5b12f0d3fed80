"""A Snakemake logger plug-in: what happens in a run, as JSON lines (see the README for the events)."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any, Optional

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_esap import asked
from snakemake_logger_plugin_esap.lines import Lines
from snakemake_logger_plugin_esap.plain import Job, named, resources, strings
from snakemake_logger_plugin_esap.texts import Failure, command_failure, cut, missing_output, notice, without_commands

__version__ = "0.1.0"


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """What the command line offers: ``--logger-esap-path``."""

    # Snakemake's argument parser calls the type: it knows Optional[str], not `str | None` or a text.
    path: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={"help": "File to which events are appended as JSON lines.", "env_var": False, "required": True},
    )
    keep: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "JSON file: files and folders of inputs that no job may write over.",
            "env_var": False,
            "required": False,
        },
    )


class LogHandler(LogHandlerBase):
    """Write one line an event, in the thread in which it happens.

    Snakemake hands records to plug-ins through a queue and a thread. Copying each record and waking that
    thread costs three times as much as writing the line, and what is in the queue at SIGKILL is lost. So the
    handler also listens to Snakemake's logger itself, takes each record there and ignores its copy. Where
    that fails the queue serves.
    """

    def __post_init__(self) -> None:
        path = getattr(self.settings, "path", None)
        if not path:
            raise ValueError("--logger-esap-path is required")
        self.setLevel(logging.INFO)
        self._file = Lines(path)
        self._progress_at = 0.0
        self._stopping: dict[str, Any] | None = None
        self._jobs: dict[Any, Job] = {}
        self._workflow: Any = None
        self._guard = asked.Guard(getattr(self.settings, "keep", None))
        # A failed command is told twice by the same thread: first a text (exit code), at once the job error.
        self._held: dict[int, tuple[float, str]] = {}
        self._direct = False
        self._engine = logging.getLogger("snakemake.logging")
        self._engine.addHandler(self)
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

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record once: from the logger, in the thread that made it, or else from the queue."""
        if record.thread == threading.get_ident():
            if not self._direct:
                self._direct = True
                self._close_the_queue()
        elif self._direct:
            return False
        return bool(super().handle(record))

    def _close_the_queue(self) -> None:
        """Keep records out of a queue that nobody else reads."""
        if len(getattr(self.common_settings, "log_handler_settings", ())) == 1:
            for handler in self._engine.handlers:
                if isinstance(handler, QueueHandler):
                    handler.addFilter(lambda record: False)

    def emit(self, record: logging.LogRecord) -> None:
        """
        Write the record's event, if it has one. No run fails for its log; it ends before it writes over an
        input.
        """
        try:
            event = getattr(record, "event", None)
            held = self._held.pop(record.thread or 0, None) if self._held else None
            if held and event not in ("job_error", "group_error"):
                self._error(held[0], held[1])
                held = None
            maker = self._events.get(event) if event else None
            if event == "progress" and not self._due(record):
                return
            if maker is not None:
                said = command_failure(held[1]) if held else None
                line = maker(record, said) if said else maker(record)
                # "Started" is followed at once by the first job's details.
                self._write(record.created, line, wait=event == "job_started")
                self._watch_over(event, record)
            elif record.levelno >= logging.WARNING:
                self._problem(record)
            elif event is None:
                told = notice(record.getMessage())
                if told and not (told["event"] == "stopping" and told == self._stopping):
                    self._stopping = told  # said again in each round of the scheduler
                    self._write(record.created, told)
        except WorkflowError:
            raise
        except Exception as error:
            self._file.complain(error)

    def _watch_over(self, event: Any, record: Any) -> None:
        """
        Look at all jobs before the first begins, and at each before it does: a checkpoint brings new ones.
        """
        if event == "run_info" and self._workflow is not None:
            for job in self._workflow.dag.needrun_jobs():
                self._guard.confirm(str(job.rule), job.output)
        elif event == "job_info":
            self._guard.confirm(record.rule_name, record.output or ())

    def close(self) -> None:
        """Say that the engine came to an orderly end, so that a reader knows nothing is missing."""
        if self._file.open:
            for created, text in self._held.values():
                self._error(created, text)
            self._held.clear()
            self._tell_targets()
            self._write(time.time(), {"event": "closed"})
            self._file.close()
        super().close()

    def _tell_targets(self) -> None:
        try:
            for line in asked.targets(self._workflow) if self._workflow is not None else ():
                self._write(time.time(), line)
        except Exception as error:  # of another version of Snakemake
            self._file.complain(error)

    def _workflow_started(self, record: Any) -> dict[str, Any]:
        self._workflow = asked.workflow()
        return {
            "event": "workflow_started",
            "directory": str(Path.cwd()),
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
        job = Job(
            rule=record.rule_name,
            wildcards=named(record.wildcards),
            log=strings(record.log),
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
            "output": strings(record.output),
            "threads": record.threads,
            "resources": resources(record.resources),
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
            log=strings(record.log),
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
            "log": strings(record.aux_logs),
            "exit_code": said.exit_code if said else None,
            "external_id": getattr(record, "external_jobid", None) or aux.get("external_jobid"),
        }

    def _due(self, record: Any) -> bool:
        """Progress at most twice a second: it can be counted from `job_finished`, and each line costs."""
        if record.created - self._progress_at < 0.5 and record.done != record.total:
            return False
        self._progress_at = record.created
        return True

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
        # Errors are rare and running jobs few, so that looking for each running command costs nothing that
        # counts.
        return without_commands(text, [job.command for job in self._jobs.values() if job.command and job.open])

    def _write(self, created: float, line: dict[str, Any], *, wait: bool = False) -> None:
        self._file.write({"t": round(created, 6), **line}, wait=wait)
