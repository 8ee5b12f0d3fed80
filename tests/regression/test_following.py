"""Commands that follow a run: they stopped what others had started, and read all of its events again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import pytest
from helpers.command_line import COMMAND, Place

from esap_wf import config as configuration
from esap_wf import flow
from esap_wf.cli import output
from esap_wf.models.request import Request
from esap_wf.models.run import Event, Phase, encode
from esap_wf.planning import making
from esap_wf.request.validation import validate
from esap_wf.runs import event_lines
from esap_wf.runs.logs import Logs
from esap_wf.runs.store import Run, Store

LONG = ("noop", "--units", "1", "--seconds", "600")


def test_an_interrupt_of_who_only_looks_on_leaves_the_run_alone(place: Place) -> None:
    run = place.inside("run", *LONG, "--detach", "--json").json["run"]
    try:
        other = place.inside("run", *LONG, "--detach", "--results", "there", "--json")
        assert other.json["reused"]
        assert "will be copied to" in other.err
        looker = subprocess.Popen(
            [COMMAND, "run", *LONG, "--json"],
            env={**os.environ, **place.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=place.root,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert looker.stderr
        printed = ""
        for line in looker.stderr:
            printed += line
            if line.strip() in ("QUEUED", "EXECUTING"):
                break
        looker.send_signal(signal.SIGINT)
        _, rest = looker.communicate(timeout=120)
        assert looker.returncode == 130, printed + rest
        assert "another command started it" in rest
        state = Run(Store.open(place.store), run).observe()
        assert state.phase in {Phase.QUEUED, Phase.EXECUTING}, state
        assert not list(place.store.glob("runs/*/*/stop.json"))
    finally:
        assert place.inside("cancel", run).code == 0


def test_events_are_decoded_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(place.store, create=True)
    run = Run(store, store.new_id())
    (run.dir / "logs").mkdir(parents=True)
    line = b"".join(
        encode(Event(t=1.0, kind="start", step="s", unit=str(u), log=f"logs/{u}.log"))
        .strip()
        .replace(b"\n", b"")
        + b"\n"
        for u in range(3)
    )
    run.events_path.write_bytes(line)
    seen: list[int] = []
    complete_lines = event_lines.complete_lines

    def watched(path: Any, offset: int) -> Any:
        seen.append(offset)
        return complete_lines(path, offset)

    monkeypatch.setattr(event_lines, "complete_lines", watched)
    logs = Logs(run)
    logs.read()
    logs.read()
    assert seen == [0, len(line)]
    assert len(logs.of("s", None)) == 3


def test_following_what_is_not_there_is_reported(place: Place) -> None:
    run = place.inside("run", "hello", "--json").json["run"]
    for more in ([], ["--follow"]):
        done = place.inside("logs", run, "--step", "nope", *more)
        assert done.code == 2
        assert "there is no such log" in done.err
    shown = place.inside("results", run, "--json").json
    assert shown["dir"].endswith(run)


def test_a_start_leaves_the_umask_of_its_process(place: Place) -> None:
    assert place.inside("store", "init", "--shared").code == 0
    config = configuration.load()
    request = Request(workflow="hello")
    valid, _ = validate(request, config)
    before = os.umask(0o022)
    try:
        started = flow.start(making.make(request, config, valid), config)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert flow.follow(started.run, until=time.monotonic() + 300).phase is Phase.COMPLETED


def test_a_name_with_a_newline_stays_in_its_line() -> None:
    assert output.table([("a\nb\x1b[2J", 1)], ("name", "n")).splitlines()[1].startswith("a\\nb\\x1b[2J")
    assert len(output.table([("a\nb", 1)], ("name", "n")).splitlines()) == 2
