"""Each engine with each container runtime: the same results in an image, or a refusal that says why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.waiting import until
from services import containers, engines
from services.containers import NAMES, Runtimes

from esap_wf.software.containers.runtime import label_of
from esap_wf.testing import answers

#: Which have their turn in each `make test`: every engine, every runtime; the others in `make soak` and `make features`.
OFTEN = {
    "snakemake": NAMES,
    "nextflow": ("apptainer",),  # Docker: tests/engine
    "cwl": ("podman", "udocker"),
    "toil": ("docker",),
}
pytestmark = [
    pytest.mark.parametrize(
        ("engine", "runtime"),
        [pytest.param(e, r, marks=[] if r in OFTEN[e] else pytest.mark.soak) for e in OFTEN for r in NAMES],
    ),
    pytest.mark.apart("engine"),
]


@pytest.fixture
def at(place: Any, engine: str, runtime: str, container_runtimes: Runtimes) -> Any:
    """A place with one engine and one allowed runtime; images are cached between sessions."""
    container_runtimes.need(runtime)
    text = engines.configuration(engine)
    (place.root / "config.toml").write_text(
        f'cache = "{container_runtimes.cache}"\n{text}[containers]\nruntimes = ["{runtime}"]\n'
    )
    place.extra |= {**container_runtimes.environment, "ESAP_WF_CACHE": str(container_runtimes.cache)}
    return place


@answers("container by {runtime}")
def test_steps_run_in_an_image(
    at: Any, engine: str, runtime: str, record_property: Callable[[str, object], None]
) -> None:
    done = at.inside("run", "noop", "--engine", engine, "--software", "container", "--units", 1, "--json")
    if done.code == 3:
        error = done.json["error"]
        reason = next(p["what"] for p in error["problems"] if runtime in p["what"])
        assert "can't" in reason or "only" in reason, error
        record_property("value", "–")
        return
    assert done.code == 0, done.err + "".join(
        p.read_text() for p in at.store.glob("runs/*/*/logs/engine.log")
    )
    run = Path(done.json["dir"])
    plan = json.loads((run / "plan.json").read_text())
    assert (plan["software"]["route"], plan["software"]["container"]["runtime"]) == ("container", runtime)
    # the first plan of all may be older than the image
    now = at.inside(
        "plan", "noop", "--engine", engine, "--software", "container", "--units", 1, "--json"
    ).json
    assert now["software"]["container"]["digest"].startswith("sha256:")
    assert json.loads((run / "outputs/verdict.json").read_text())["valid"] is True
    if runtime in (
        "docker",
        "podman",
    ):  # by the one its survivors are found, by the other a cut-off engine ends its own only
        own = plan["software"]["container"]

        def made(epoch: int | None) -> list[str]:  # Podman writes its record of events a moment later
            return until(lambda: containers.made(own, label_of(run.name, epoch)), what="the container")

        assert made(None) == made(1)
    # image's own python, not this machine's; files are the caller's
    assert json.loads((run / "outputs/summary.json").read_text())["units"]
    owners = {p.stat().st_uid for p in (run / "outputs").rglob("*")}
    assert owners == {os.getuid()}
