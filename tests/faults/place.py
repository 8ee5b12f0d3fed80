"""A store and a cache of its own, the command line on it, and what the operating system knows of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from helpers.command_line import COMMAND, Done, Place
from helpers.processes import kill, of_run
from helpers.waiting import PATIENCE, until

from esap_wf import cli
from esap_wf.cli import output
from esap_wf.config import Config
from esap_wf.errors import EsapError
from esap_wf.models.run import Phase, State
from esap_wf.runs import attempts, processes, states
from esap_wf.runs.store import Run, Store

HERE = Path(__file__).parent
#: A run with units, a fan-in and a verdict that takes some seconds.
SMALL = ["--units", "6", "--seconds", "0.25", "--group-size", "3"]


@dataclass
class Kept(output.Answer):
    """An answer that is kept: tests that wait together share the streams of their process."""

    cache: Path = Path()
    data: dict[str, Any] = field(default_factory=dict)

    def config(self) -> Config:
        return replace(super().config(), cache=self.cache)

    def give(self, data: dict[str, Any], text: str) -> None:
        self.data = json.loads(output.to_json(data))


@dataclass
class WatchedPlace(Place):
    """
    An isolated place, and what the operating system knows of its runs.

    Parameters
    ----------
    root : Path
        Store and cache are made in it.
    extra : dict
        Variables in addition to its own.
    prefix : sequence of str
        Put before each command: how to become another user.
    store_at : Path, optional
        A store that lies elsewhere.
    """

    prefix: Sequence[str] = ()
    store_at: Path | None = None

    @property
    def store(self) -> Path:
        return self.store_at or super().store

    @property
    def environment(self) -> dict[str, str]:
        own = {**super().environment, "ESAP_WF_STORE": str(self.store), "PYTHONDONTWRITEBYTECODE": "1"}
        own.pop("HOME")
        return {**own, **self.extra}

    # --- the command line

    def popen(
        self, *words: object, command: Sequence[str] = (str(COMMAND),), **options: Any
    ) -> subprocess.Popen[str]:
        """Start a command, and don't wait for it."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(
            [*self.prefix, *command, *map(str, words)],
            env={**os.environ, **self.environment},
            text=True,
            **{**pipes, **options},
        )

    def __call__(self, *args: object, **options: Any) -> Done:
        return finished(self.popen(*args, **options))

    def ok(self, *words: str) -> dict[str, Any]:
        answer = self(*words, "--json")
        assert answer.code == 0, (words, answer)
        return answer.json

    def start(self, *words: str) -> str:
        """Start a noop run and leave it alone."""
        return str(self.ok("run", "noop", *words, "--detach")["run"])

    def follow(self, *words: str, **options: Any) -> tuple[subprocess.Popen[str], str]:
        """`run` of noop in the foreground, in a session of its own, and the id of its run."""
        process = self.popen("run", "noop", *words, "--json", start_new_session=True, **options)
        return process, until(
            lambda: next(iter(self.listed()), None) if (self.store / "store.json").exists() else None,
            what="the run",
        )

    def look(self, *words: str) -> dict[str, Any]:
        """The answer of a command whose process is not the point: by this process, unless another user is meant."""
        if self.prefix:
            return self.ok(*words)
        verb, *arguments = words
        answer = Kept(store=str(self.store), as_json=True, cache=self.root / "cache")
        found = cli.cli.get_command(click.Context(cli.cli), verb)
        assert found
        found.main(args=arguments, prog_name=verb, standalone_mode=False, obj=answer)
        return answer.data

    def status(self, run: str) -> dict[str, Any]:
        return self.look("status", run)

    def listed(self) -> list[str]:
        return [row["run"] for row in self.look("list")["runs"]]

    # --- the run

    @property
    def opened(self) -> Store:
        return Store.open(self.store)

    def run(self, run: str) -> Run:
        return self.opened.run(run)

    def wait(self, run: str, reached: Callable[[State], bool]) -> State:
        """Until the state is as asked for; a final one ends the waiting too."""
        there = self.run(run)
        return until(
            lambda: state if reached(state := there.observe()) or state.phase in states.FINAL else None,
            what=f"run {run}",
        )

    def executing(self, run: str, done: int = 1) -> State:
        """Until some units are done and others are at work."""
        state = self.wait(
            run,
            lambda s: (
                s.phase is Phase.EXECUTING and s.progress.units_done >= done and s.progress.units_running > 0
            ),
        )
        assert state.phase is Phase.EXECUTING, state
        return state

    def ended(self, run: str) -> State:
        return self.wait(run, lambda s: s.phase is Phase.UNKNOWN)

    def resume_until_completed(self, run: str, limit: int = 6) -> int:
        """What a user does: resume until it is COMPLETED. How often that was."""
        for times in range(limit):
            state = self.ended(run)
            if state.phase is Phase.COMPLETED:
                return times
            answer = self("resume", run, "--json")
            assert answer.code in (0, 1), answer
        assert self.ended(run).phase is Phase.COMPLETED, self.explain(run)
        return limit

    def explain(self, run: str) -> str:
        folder = self.run(run).dir
        texts = [self.run(run).observe().reason]
        for log in ("supervisor.log", "engine.log"):
            with suppress(OSError):
                texts.append(f"--- {log}\n" + (folder / "logs" / log).read_text()[-3000:])
        return "\n".join(texts)

    def executions(self, run: str, word: str = "start") -> dict[str, int]:
        """How often each unit was started (or came to its `end`)."""
        folder = self.run(run).dir / "work" / "executions"
        return {
            p.stem: sum(line.startswith(word) for line in p.read_text().splitlines())
            for p in sorted(folder.glob("*.log"))
        }

    def results(self, run: str) -> dict[str, str]:
        """Checksums of the accepted outputs, as they are on disk."""
        from esap_wf.formats import digests

        folder = self.run(run).dir
        told = {o["path"]: o["sha256"] for o in json.loads((folder / "outputs.json").read_text())["outputs"]}
        assert told == {path: digests.of_file(folder / path) for path in told}
        return told

    def accepted(self, run: str) -> int:
        """How many epochs have accepted results."""
        return sum(b"outputs" in p.read_bytes() for p in (self.run(run).dir / "epochs").glob("*.end"))

    # --- its processes

    def supervisor(self, run: str) -> int | None:
        lease = self.run(run).owner_lease()
        return lease.holder.pid if lease and lease.epoch and not lease.released else None

    def engine(self, run: str) -> attempts.EngineProcess | None:
        with suppress(EsapError):
            folder = self.run(run).dir
            epochs = [
                int(p.name.split(".")[0]) for p in (folder / "engine").glob("*.json") if p.stem.isdigit()
            ]
            return attempts.of(folder, max(epochs)) if epochs else None
        return None

    def nothing_runs(self, run: str) -> None:
        """Nothing of a run is left; the supervisor may need a moment after its last word."""
        until(lambda: not of_run(run), what=f"{run} to leave no process", detail=lambda: of_run(run))

    def kill_all(self, run: str) -> None:
        """SIGKILL to everything of a run until nothing is left: a shell that dies may just have started its child."""

        def none_left() -> bool:
            found = of_run(run)
            kill(list(found))
            return not found

        until(none_left, what=f"{run} to leave no process", detail=lambda: of_run(run))

    def jobs(self, run: str) -> list[int]:
        """Processes of jobs: everything but supervisor, keeper and engine."""
        process = self.engine(run)
        if process is None:
            return []
        known = {self.supervisor(run), process.engine.pid, process.keeper.pid}
        return sorted(
            pid
            for pid, words in of_run(run).items()
            if pid not in known and "esap_wf.running.supervisor" not in words
        )

    @contextmanager
    def held(self, run: str) -> Iterator[None]:
        """The run does not end, however long something takes meanwhile: jobs that are at work stand still."""

        def stopped() -> list[int]:
            jobs = self.jobs(run)
            kill(jobs, signal.SIGSTOP)
            return [pid for pid in jobs if processes.start_time(pid)]

        jobs = until(stopped, what="a job that can be stopped", detail=lambda: self.explain(run))
        try:
            yield
        finally:
            kill(jobs, signal.SIGCONT)

    def tidy(self, *runs: str) -> None:
        """Nothing but these runs is in the store, no process is left, and the cleaning has nothing to do afterwards."""
        for run in runs:
            self.nothing_runs(run)
        self.opened.collect_garbage(older_than=0)
        assert list((self.store / "tmp").iterdir()) == []
        assert sorted(p.name for p in (self.store / "runs").glob("*/*")) == sorted(runs)
        assert sorted(self.listed()) == sorted(runs)


def finished(process: subprocess.Popen[str]) -> Done:
    """Wait for the end of a command."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args!r} hangs: {out}\n{err}") from None
    return Done(process.returncode, out, err)
