"""Dry runs: a rendered run directory in a temporary folder, and an engine that reads everything and starts
nothing.

Several are at work at once; none survives the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from esap_wf.authoring.linting.examples import SNAPSHOT
from esap_wf.authoring.linting.questions import Question
from esap_wf.code import contents
from esap_wf.engines import DryRun
from esap_wf.errors import Problem
from esap_wf.running import render

SECONDS = 300


@dataclass
class StartedDryRun:
    """A dry run whose engine has been started."""

    question: Question
    run: Path
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    copy: str
    ended: int | None = None


class DryRuns:
    """All dry runs of one call; as many at a time as there are cores."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="esap-wf-lint-"))
        self._all: list[StartedDryRun] = []

    def __enter__(self) -> DryRuns:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._all:
            _kill(one.process)
            one.output.close()
        for path in [self._root, *self._root.rglob("*")]:  # a snapshot is closed against writing
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)
        shutil.rmtree(self._root, ignore_errors=True)

    def start(self, question: Question) -> StartedDryRun | None:
        """Render, and set the engine to work; None if it has no dry run."""
        working = [one for one in self._all if one.process.poll() is None]
        if len(working) >= (os.cpu_count() or 1):
            _wait(working[0])
        run = self._root / str(len(self._all))
        run.mkdir()
        engine, job = question.engine, question.job
        rendered = engine.render(question.choice, job)
        command = engine.dry_run(question.choice, job, rendered)
        if command is None:
            run.rmdir()
            return None
        contents.write(question.workflow.code_files(), run / SNAPSHOT)
        render.write(rendered, run, job.folder)
        for name in (file for files in question.given.values() for file in files):
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).touch()
        folders = [str(run / d) for d in rendered.bin_dirs]  # an absolute one stays what it is
        environment = {
            **os.environ,
            **rendered.environment,
            "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]),
        }
        output = (self._root / f"{run.name}.log").open("w+b")
        try:
            process = subprocess.Popen(
                command,
                cwd=run / rendered.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError:
            output.close()
            raise
        one = StartedDryRun(question, run, process, output, rendered.working_copy)
        self._all.append(one)
        return one

    def end(self, one: StartedDryRun) -> DryRun:
        """What it said, in terms of the workflow's own files."""
        entry, engine = str(one.question.job.source), one.question.engine
        if not _wait(one):
            return DryRun(
                (
                    Problem(
                        entry,
                        f"{engine.title} was still reading it after {SECONDS} s",
                        "move whatever takes long into a step",
                    ),
                )
            )
        one.output.seek(0)
        text = _in_sources(one, one.output.read(2_000_000).decode("utf-8", "replace"))
        heard = engine.read_dry_run(one.process.returncode, text, entry)
        prefix = f"{one.copy}/" if one.copy else ""
        return replace(
            heard, made=None if heard.made is None else tuple(f"{prefix}{name}" for name in heard.made)
        )


def _in_sources(one: StartedDryRun, text: str) -> str:
    """Paths in the temporary folder as paths of the sources."""
    workflow = one.question.workflow
    home = str(workflow.home(one.question.implementation)[1])
    for run in (f"{one.run}/", f"{one.run.resolve()}/", ""):
        for position, folder in workflow.code_folders().items():
            text = text.replace(f"{run}{SNAPSHOT}/{position}", str(folder))
        if one.copy and run:
            text = text.replace(f"{run}{one.copy}/", f"{home}/")
        text = text.replace(run, "") if run else text
    return text


def _wait(one: StartedDryRun) -> bool:
    """Whether it ended by itself."""
    try:
        one.process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        _kill(one.process)
        one.ended = -1
    return one.ended is None


def _kill(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
