"""Workflows that come with esap-wf, by every engine, cut into slices at a place that shares nothing: the same bytes as here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.conftest import end
from helpers.paths import CACHE
from science.irf import TINY, WORKFLOW
from services import engines

from esap_wf.software import environments

from .elsewhere import Elsewhere

pytestmark = pytest.mark.integration

NOOP = ("noop", "--units", "6", "--group-size", "3", "--seconds", "0.1")


@pytest.fixture
def place(tmp_path: Path, toy_environment: dict[str, str]) -> Iterator[Callable[..., Elsewhere]]:
    """Makes a place whose cluster has an engine."""
    made: list[Elsewhere] = []

    def make(engine: str, **more: Any) -> Elsewhere:
        program = str(engines.program(engine))
        there = Elsewhere(tmp_path, dict(toy_environment), engines={engine: program}, **more)
        with (tmp_path / "config.toml").open("a") as config:
            config.write(engines.configuration(engine))
        made.append(there)
        return there

    yield make
    for there in made:
        end(there)
        there.cluster.end()


@pytest.mark.parametrize("slices", [pytest.param(1, marks=pytest.mark.soak), 3])
@pytest.mark.parametrize("engine", ["snakemake", "nextflow", "cwl", "toil"])
def test_noop_makes_the_same_bytes(engine: str, slices: int, place: Callable[..., Elsewhere]) -> None:
    there = place(engine)
    here = there.ok("run", *NOOP, "--engine", engine, "--backend", "local")["run"]
    words = (*NOOP, "--engine", engine, "--backend", "toy", "--slices", str(slices), "--if-exists", "rerun")
    if slices == 3:
        there.cluster.fault("lose", "*.2.1")
        there.cluster.fault("twice", "*.join.1")
    run = there.ok("run", *words)["run"]
    assert run != here
    assert there.results(run) == there.results(here)
    there.clean(run)
    progress = there.status(run)["progress"]
    counts = {name: progress[name] for name in ("units_total", "units_done", "units_failed")}
    assert counts == {"units_total": 6, "units_done": 6, "units_failed": 0}
    assert there.status(run)["second_executions"] == (slices == 3)
    assert steps(there, run) == steps(there, here)


def steps(there: Elsewhere, run: str) -> dict[str, tuple[int, int]]:
    """Done and in all, of the steps that each unit, or the whole, has once."""
    told = {s["name"]: (s["done"], s["total"]) for s in there.status(run)["steps"]}
    return {name: told[name] for name in ("unit", "fan_in", "summary", "verdict")}


@pytest.mark.science
def test_irf_makes_the_same_bytes(place: Callable[..., Elsewhere], tmp_path: Path) -> None:
    software = environments.build(WORKFLOW / "requirements.txt", CACHE) / "bin"
    there = place("snakemake", software=[str(software)])
    there.extra["PATH"] = f"{software}{os.pathsep}{there.extra['PATH']}"
    (tmp_path / "tiny.json").write_text(json.dumps({**TINY, "blocks": 3}))
    words = ("irf", "--params", str(tmp_path / "tiny.json"))
    here = there.ok("run", *words, "--backend", "local")["run"]
    there.cluster.fault("lose", "*.2.1")
    there.cluster.fault("cut", "*.1.1")
    run = there.ok("run", *words, "--backend", "toy", "--slices", "3", "--if-exists", "rerun")["run"]
    assert run != here
    assert there.results(run) == there.results(here)
    there.clean(run)
    assert there.status(run)["second_executions"] == 1
