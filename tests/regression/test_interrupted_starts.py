"""Ctrl-C while a run is being started stops the run, or there is none: it never works on although whoever wanted it has stopped it."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from esap_wf.cli import start
from esap_wf.running import control
from esap_wf.runs.store import Store


def of_the_run(place: Any) -> Any:
    (directory,) = place.runs()
    return Store.open(place.store).run(directory.name)


def test_an_interrupt_while_its_supervisor_is_started_stops_the_run(
    place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = control.spawn

    def interrupted(*given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return begin(*given)

    monkeypatch.setattr(control, "spawn", interrupted)
    done = place.inside("run", "noop", "--units", "2", "--seconds", "60")
    assert done.code == 130
    assert of_the_run(place).stop_requested().drain
    monkeypatch.undo()
    assert place.inside("cancel", of_the_run(place).id).code in (0, 3)


def test_an_interrupt_before_the_run_is_followed_stops_it(place, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "followed", interrupted)
    done = place.inside("run", "noop", "--units", "2", "--seconds", "60")
    assert done.code == 130
    assert of_the_run(place).stop_requested().drain
    monkeypatch.undo()
    assert place.inside("cancel", of_the_run(place).id).code in (0, 3)
