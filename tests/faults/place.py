"""A store and a cache of its own, the command line on it, and what the operating system knows of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from esap_wf import cli
from esap_wf.cli import output
from esap_wf.config import Config
from esap_wf.errors import EsapError
from esap_wf.models.run import Phase, State
from esap_wf.runs import attempts, states
from esap_wf.runs.store import Run, Store

HERE = Path(__file__).parent
COMMAND = [str(Path(sys.prefix) / "bin" / "esap-wf")]
#: For machines with other work: nothing here is timed, this only ends a test that hangs.
PATIENCE = 180.0
#: A run with units, a fan-in and a verdict that takes some seconds.
SMALL = ["--units", "6", "--seconds", "0.25", "--group-size", "3"]


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.out)


@dataclass
class Kept(output.Answer):
    """An answer that is kept: tests that wait together share the streams of their process."""

    cache: Path = Path()
    data: dict[str, Any] = field(default_factory=dict)

    def config(self) -> Config:
        return replace(super().config(), cache=self.cache)

    def give(self, data: dict[str, Any], text: str) -> None:
        self.data = json.loads(output.to_json(data))


class Place:
    """
    A store with its cache.

    Parameters
    ----------
    folder : Path
        Both are made in it.
    prefix : sequence of str
        Put before each command: how to become another user.
    """

    def __init__(self, folder: Path, prefix: Sequence[str] = (), store: Path | None = None) -> None:
        self.folder, self.prefix = folder, list(prefix)
        self.root = store or folder / "store"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ESAP_WF_")}
        self.environment |= {
            "ESAP_WF_STORE": str(self.root),
            "ESAP_WF_CACHE": str(folder / "cache"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    # --- the command line

    def popen(self, *words: str, command: Sequence[str] = COMMAND, **options: Any) -> subprocess.Popen[str]:
        options = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "stdin": subprocess.DEVNULL,
        } | options
        return subprocess.Popen([*self.prefix, *command, *words], env=self.environment, text=True, **options)

    def call(self, *words: str, command: Sequence[str] = COMMAND) -> Answer:
        return finished(self.popen(*words, command=command))

    def ok(self, *words: str) -> dict[str, Any]:
        answer = self.call(*words, "--json")
        assert answer.code == 0, (words, answer)
        return answer.data

    def start(self, *words: str) -> str:
        """Start a noop run and leave it alone."""
        return str(self.ok("run", "noop", *words, "--detach")["run"])

    def follow(self, *words: str, **options: Any) -> tuple[subprocess.Popen[str], str]:
        """`run` of noop in the foreground, in a session of its own, and the id of its run."""
        process = self.popen("run", "noop", *words, "--json", start_new_session=True, **options)
        return process, patiently(
            lambda: next(iter(self.listed()), None) if (self.root / "store.json").exists() else None,
            "the run",
        )

    def look(self, *words: str) -> dict[str, Any]:
        """The answer of a command whose process is not the point: by this process, unless another user is meant."""
        if self.prefix:
            return self.ok(*words)
        verb, *arguments = words
        answer = Kept(store=str(self.root), as_json=True, cache=self.folder / "cache")
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
    def store(self) -> Store:
        return Store.open(self.root)

    def run(self, run: str) -> Run:
        return self.store.run(run)

    def wait(self, run: str, reached: Callable[[State], bool]) -> State:
        """Until the state is as asked for; a final one ends the waiting too."""
        there = self.run(run)
        return patiently(
            lambda: state if reached(state := there.observe()) or state.phase in states.FINAL else None,
            f"run {run}",
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
            answer = self.call("resume", run, "--json")
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

    def processes(self, run: str) -> dict[int, str]:
        """Living processes that carry the run's key, and their command lines."""
        key = f"ESAP_WF_RUN={run}".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with suppress(OSError, ValueError):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX" and key in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (
                        (folder / "cmdline")
                        .read_bytes()
                        .replace(b"\0", b" ")
                        .decode(errors="replace")
                        .strip()
                    )
        return found

    def nothing_runs(self, run: str) -> None:
        """Nothing of a run is left; the supervisor may need a moment after its last word."""
        patiently(
            lambda: not self.processes(run) or None, f"{run} to leave no process", lambda: self.processes(run)
        )

    def kill_all(self, run: str) -> None:
        """SIGKILL to everything of a run until nothing is left: a shell that dies may just have started its child."""

        def left() -> bool | None:
            found = self.processes(run)
            kill(list(found))
            return not found or None

        patiently(left, f"{run} to leave no process", lambda: self.processes(run))

    def jobs(self, run: str) -> list[int]:
        """Processes of jobs: everything but supervisor, keeper and engine."""
        process = self.engine(run)
        if process is None:
            return []
        known = {self.supervisor(run), process.engine.pid, process.keeper.pid}
        return sorted(
            pid
            for pid, words in self.processes(run).items()
            if pid not in known and "esap_wf.running.supervisor" not in words
        )

    def tidy(self, *runs: str) -> None:
        """Nothing but these runs is in the store, no process is left, and the cleaning has nothing to do afterwards."""
        for run in runs:
            self.nothing_runs(run)
        self.store.collect_garbage(older_than=0)
        assert list((self.root / "tmp").iterdir()) == []
        assert sorted(p.name for p in (self.root / "runs").glob("*/*")) == sorted(runs)
        assert sorted(self.listed()) == sorted(runs)


def finished(process: subprocess.Popen[str]) -> Answer:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args!r} hangs: {out}\n{err}") from None
    return Answer(process.returncode, out, err)


def patiently(look: Callable[[], Any], what: str, detail: Callable[[], Any] = lambda: "") -> Any:
    """Look until the answer isn't None."""
    until = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < until, f"waited in vain for {what} {detail()}"
        time.sleep(0.03)


def kill(pids: Iterator[int] | Sequence[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
