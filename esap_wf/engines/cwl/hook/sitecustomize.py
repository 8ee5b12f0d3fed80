"""What cwltool's Python, and Toil's with its workers, load when esap-wf starts them: it tells what jobs do.
Standard library only.

It stands on PYTHONPATH as ``sitecustomize`` (`esap_wf.engines.cwl.hook`), because neither has plug-ins. It
changes no result:

- what cwltool logs, and how each job's process ended, go to the file ``ESAP_WF_CWL_RECORD``, one JSON object
  a line; the tools' own output goes elsewhere, so that no tool can report anything in cwltool's name;
- a tool's output that is not captured goes to ``ESAP_WF_CWL_LOGS/<job>.log``, where it isn't mixed with that
  of others;
- tools get the variables named in ``ESAP_WF_CWL_KEEP``, by which their processes are found.
  ``--preserve-environment`` can't do it: Toil
  forgets it (9.6), and in cwltool's cache it undoes what a job order says of a tool's environment (3.3.2026);
- cwltool's cache is used (``ESAP_WF_CWL_CACHE``), with keys that can't be mistaken. Left alone (measured with
  3.3.2026), jobs that differ
  only in what an InitialWorkDirRequirement writes share a key, and two equal ones wait for each other forever
  with ``--parallel``;
- SIGUSR1 drains: running jobs end, no other starts. SIGTERM ends cwltool even while its threads wait for each
  other.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

PROGRAMS = ("cwltool", "cwl-runner", "toil-cwl-runner", "_toil_worker")
_WANTED = re.compile(r"\[(step|workflow) [^\]]*\] |\[job [^\]]*\] (completed|Using cached)")
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
#: Bytes that are kept in the log of a job, where its output goes elsewhere.
TAIL = 262_144
#: Set by SIGUSR1, after which running jobs may end, and by SIGTERM: no other one starts.
_draining = threading.Event()


def _report(**entry: object) -> None:
    line = json.dumps({"t": round(time.time(), 4), **entry}, ensure_ascii=True) + "\n"
    try:
        # one write to an appended file: workers tell at the same time
        file = os.open(
            os.environ["ESAP_WF_CWL_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        try:
            os.write(file, line.encode("ascii"))
        finally:
            os.close(file)
    except OSError:
        pass


def _cut(text: str) -> str:
    """
    The beginning and the end of a long text: of an expression that fails the cause comes last, behind all of
    its inputs.
    """
    return text if len(text) <= 6000 else f"{text[:2000]}\n…\n{text[-4000:]}"


class _Messages(logging.Filter):
    """Sees each record of cwltool's logger, and lets it pass."""

    def __init__(self) -> None:
        super().__init__()
        self.patched = False

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            if not self.patched:  # the first record comes when everything is imported
                self.patched = True
                _patch()
            message = record.getMessage()
            if _WANTED.match(message) or record.levelno >= logging.WARNING:
                raised = (
                    {"raised": _cut(str(record.exc_info[1]))}
                    if record.exc_info and record.exc_info[1]
                    else {}
                )
                _report(log=_cut(message), level=record.levelname, **raised)
        except Exception:  # whatever happens here is no reason for a run to fail
            pass
        return True


class _Crashed(logging.Filter):
    """
    Sees what a worker of Toil logs: of one that ends by an exception, the leader only ever learns the exit
    code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.job: object = None

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message, raised = str(record.msg), sys.exc_info()[1]
            if message.startswith("Working on job") and record.args:
                self.job = record.args[0]  # type: ignore[index]
            elif message.startswith("Worker crashed") and raised is not None and self.job is not None:
                text = _cut(str(raised) or type(raised).__name__)
                if self.job.jobName == "CWLJob":  # type: ignore[attr-defined]
                    _report(job=sys.modules["toil.bus"].get_job_kind(self.job.get_names()), crashed=text)  # type: ignore[attr-defined]
                else:  # one of Toil's own, which arranges others
                    _report(log=text, level="ERROR")
        except Exception:
            pass
        return True


def _patch() -> None:
    """Stand around the function by which cwltool carries out the process of a job."""
    job = sys.modules.get("cwltool.job")
    original = getattr(job, "_job_popen", None)
    if job is None or not callable(original):
        return

    def popen(commands, stdin_path, stdout_path, stderr_path, *args, **more):  # type: ignore[no-untyped-def]
        process = _Process(str(more.get("name")))
        if _draining.is_set():
            _report(job=process.name, drained=True)
            return 1
        try:
            process.begin(more)
        except Exception:
            return original(commands, stdin_path, stdout_path, stderr_path, *args, **more)
        try:
            code = original(commands, stdin_path, stdout_path, stderr_path, *args, **more)
        finally:
            process.close()
        process.end(code, stderr_path)
        return code

    job._job_popen = popen  # type: ignore[attr-defined]
    if sys.argv and Path(sys.argv[0]).name in PROGRAMS[:2]:
        signal.signal(signal.SIGTERM, _end)


class _Process:
    """The process of one job: its start and its end are reported, and its output is kept in a log."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log = Path(os.environ["ESAP_WF_CWL_LOGS"], _NAME.sub("_", name) + ".log")
        self.output: BinaryIO | None = None  # the log, if the process writes into it
        self.copies: list[int] = []  # of Toil's files, if it writes into these
        self.used: dict[str, object] = {}
        self.started = time.time()

    def begin(self, more) -> None:  # type: ignore[no-untyped-def]
        """Change the keyword arguments with which cwltool starts it, and report that it starts."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._direct(more)
        self._watch(more)
        if isinstance(more.get("env"), dict):
            more["env"] = {**_kept(), **more["env"]}
        _report(job=self.name, started=True, log_path=str(self.log))

    def _direct(self, more) -> None:  # type: ignore[no-untyped-def]
        """What it prints goes to the log; or is copied there in the end, where files are Toil's."""
        if more.get("default_stderr") is None:
            self.output = self.log.open("ab")
            more["default_stdout"] = more["default_stderr"] = self.output
        else:  # these files are gone when the job is
            self.copies = [os.dup(more[key].fileno()) for key in ("default_stdout", "default_stderr")]

    def _watch(self, more) -> None:  # type: ignore[no-untyped-def]
        """The kernel is asked what it has used, in the place of cwltool's own monitor."""
        monitor = more.get("monitor_function")
        name = getattr(getattr(monitor, "func", monitor), "__name__", "")
        if monitor is not None and name == "process_monitor":
            more["monitor_function"] = lambda process: _wait(process, self.used)

    def close(self) -> None:
        """The log."""
        if self.output is not None and not self.output.closed:
            self.output.close()

    def end(self, code, stderr_path) -> None:  # type: ignore[no-untyped-def]
        """Report the end, and keep what was printed elsewhere."""
        _report(job=self.name, code=code, seconds=round(time.time() - self.started, 4), **self.used)
        for file in self.copies:
            _keep(file, self.log)
        if code and stderr_path:
            _keep(os.open(stderr_path, os.O_RDONLY), self.log)


def _kept(more=()) -> dict[str, str]:  # type: ignore[no-untyped-def]
    """Variables of this process that tools get, too."""
    return {
        name: os.environ[name]
        for name in (*os.environ.get("ESAP_WF_CWL_KEEP", "").split(), *more)
        if name in os.environ
    }


def _end(number: int, _: object) -> None:
    """
    End what runs, then this process at once.

    cwltool's own handler raises SystemExit in the thread that holds the lock for which its other threads
    wait: it would stay forever.
    """
    _draining.set()
    try:
        sys.modules["cwltool.main"]._terminate_processes()
    finally:
        os._exit(128 + number)


def _wait(process, used) -> None:  # type: ignore[no-untyped-def]
    """Wait as cwltool's own monitor does, but ask the kernel what was used: cwltool looks once a second."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except ChildProcessError:  # its time limit was looked at meanwhile
        process.wait()
        return
    process.returncode = os.waitstatus_to_exitcode(status)
    used["cpu"] = round(usage.ru_utime + usage.ru_stime, 4)
    # a forked process starts with its parent's size: what is not above that is not known
    if usage.ru_maxrss > 1.05 * _largest():
        used["rss"] = usage.ru_maxrss * (1024 if sys.platform != "darwin" else 1)


def _largest() -> int:
    """
    Largest resident memory of this process, in the unit of `resource`; not of what it was before it became
    Python (getrusage(2)).
    """
    try:
        line = next(
            line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
        )
        return int(line.split()[1])
    except (OSError, StopIteration, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _keep(file: int, log: Path) -> None:
    """Append the end of an open file to a log, and close it."""
    try:
        with os.fdopen(file, "rb") as source, log.open("ab") as kept:
            source.seek(max(0, os.fstat(file).st_size - TAIL))
            kept.write(source.read())
    except OSError:
        pass


# --- the cache


class _Keys:
    """
    Stands for `hashlib` in cwltool's module: its cache's keys name the whole job order, and the how manieth
    equal job it is.
    """

    def __init__(self, real) -> None:  # type: ignore[no-untyped-def]
        self.real, self.order, self.seen = real, threading.local(), {}  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def md5(self, data: bytes) -> object:
        key = (
            data
            + json.dumps(
                _comparable(getattr(self.order, "value", None)), sort_keys=True, default=repr
            ).encode()
        )
        count = self.seen[key] = self.seen.get(key, 0) + 1
        return self.real.md5(key if count == 1 else key + b"#%d" % count)


def _comparable(value: object) -> object:
    """
    A job order without what differs each time: a file's content is in cwltool's own key, its name must be in
    ours.
    """
    if isinstance(value, dict):
        kept = (
            {"class", "basename", "secondaryFiles", "listing", "format"}
            if value.get("class") == "File"
            else None
        )
        return {k: _comparable(v) for k, v in value.items() if kept is None or k in kept}
    if isinstance(value, (list, tuple)):
        return [_comparable(v) for v in value]
    return value


def _cache() -> bool:
    """Use cwltool's cache with keys of ours; False if this cwltool is another than we know."""
    import hashlib

    import cwltool.command_line_tool as tool  # type: ignore[import-not-found]

    original = getattr(tool.CommandLineTool, "job", None)
    if original is None or not hasattr(original, "__code__") or getattr(tool, "hashlib", None) is not hashlib:
        return False
    keys = _Keys(hashlib)

    def job(self, job_order, output_callbacks, runtimeContext):  # type: ignore[no-untyped-def]
        # with variables to be preserved, a key that is made puts a tool's own variables in the place of a job
        # order's (cwl:requirements): so they are added to what comes out
        context = runtimeContext.copy()
        context.preserve_environment = None
        kept = _kept(runtimeContext.preserve_environment or ())
        jobs = original(self, job_order, output_callbacks, context)
        keys.order.value = job_order  # its key is made before it yields for the first time
        for made in jobs:
            if isinstance(getattr(made, "environment", None), dict):
                made.environment = {**kept, **made.environment}
            yield made

    tool.hashlib, tool.CommandLineTool.job = keys, job
    return True


def _begin(program: str) -> None:
    logging.getLogger("cwltool").addFilter(_Messages())
    if program == PROGRAMS[3]:
        logging.getLogger("toil.worker").addFilter(_Crashed())
    if program not in ("cwltool", "cwl-runner") or not os.environ.get("ESAP_WF_CWL_CACHE"):
        return
    if _cache():
        # cwltool reads no options behind the job order, where a command is added to
        os.environ["CWLTOOL_OPTIONS"] = f"--cachedir {os.environ['ESAP_WF_CWL_CACHE']}"
        try:  # a waiting job holds its lock open
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass
    signal.signal(signal.SIGUSR1, lambda *_: _draining.set())


_program = next(
    (name for name in (Path(a).name for a in getattr(sys, "orig_argv", [])[:4]) if name in PROGRAMS), None
)
if _program and os.environ.get("ESAP_WF_CWL_RECORD"):
    try:
        _begin(_program)
    except Exception:
        pass
