"""The same request is the same, whether flags, a file, Python or an earlier run gives it: with its warnings and its errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from helpers.command_line import Place

import esap_wf
from esap_wf import config as configuration
from esap_wf import files, flow, steering
from esap_wf.errors import Problem, UsageError
from esap_wf.models.plan import Plan
from esap_wf.models.run import encode

PROPERTIES = {
    "units": {"type": "integer", "title": "Units", "default": 4, "minimum": 1},
    "angle": {"type": "number", "title": "Angle", "unit": "deg", "default": 20.0},
}
VALUES = {"angle": "20 kg", "units": 0}
WRONG = [
    "'kg' is a mass (kg), this is an angle (deg); allowed units: deg, arcmin, arcsec, rad",
    "0 is less than the minimum of 1",
]
MANIFEST = {"inputs": {"data": {"title": "Data", "required": False}}}


class Surfaces:
    """One way of asking each: what was planned, which warnings were given, what was wrong."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.planned = place, list[Plan]()

        def started(plan: Plan, *_: object, **__: object) -> flow.Started:
            self.planned.append(plan)
            return flow.Started(SimpleNamespace(id="new"))  # type: ignore[arg-type]

        monkeypatch.setattr(flow, "start", started)
        monkeypatch.chdir(place.root)

    def flags(self, folder: Path, values: dict[str, Any]) -> tuple[set[str], Callable[[], list[Problem]]]:
        words = [word for name, value in values.items() for word in (f"--{name}", value)]
        return self._command(folder, words)

    def file(self, folder: Path, values: dict[str, Any]) -> tuple[set[str], Callable[[], list[Problem]]]:
        (self.place.root / "values.json").write_bytes(msgspec.json.encode(values))
        return self._command(folder, ["--params", "values.json"])

    def _command(self, folder: Path, words: list[Any]) -> tuple[set[str], Callable[[], list[Problem]]]:
        done = self.place.inside("plan", folder, *words, "--json")
        told = {
            line.removeprefix("warning: ") for line in done.err.splitlines() if line.startswith("warning: ")
        }
        return told, lambda: [Problem(**problem) for problem in done.json["error"]["problems"]]

    def python(self, folder: Path, values: dict[str, Any]) -> tuple[set[str], Callable[[], list[Problem]]]:
        return self._called(lambda: esap_wf.plan(folder, values))

    def rerun_by_flags(
        self, folder: Path, values: dict[str, Any]
    ) -> tuple[set[str], Callable[[], list[Problem]]]:
        told: list[str] = []
        flags = {name: str(value) for name, value in values.items()}
        _, problems = self._called(
            lambda: steering.rerun(self._run(folder), configuration.load(), flags, warn=told.append)
        )
        return set(told), problems

    def rerun_by_values(
        self, folder: Path, values: dict[str, Any]
    ) -> tuple[set[str], Callable[[], list[Problem]]]:
        told: list[str] = []
        run = self._run(folder)
        _, problems = self._called(
            lambda: steering.rerun(run, configuration.load(), {}, lambda workflow: values, told.append)
        )
        return set(told), problems

    def _run(self, folder: Path) -> Any:
        """A run directory as far as rerun looks at it."""
        run = self.place.root / "run"
        run.mkdir(exist_ok=True)
        files.write_atomic(run / "plan.json", encode(esap_wf.plan(folder)))
        return SimpleNamespace(id="old", dir=run)

    @staticmethod
    def _called(call: Callable[[], object]) -> tuple[set[str], Callable[[], list[Problem]]]:
        problems: list[Problem] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                call()
            except UsageError as error:
                problems = error.problems
        return {str(w.message) for w in caught}, lambda: problems


@pytest.fixture
def surfaces(place: Place, monkeypatch: pytest.MonkeyPatch) -> Surfaces:
    return Surfaces(place, monkeypatch)


@pytest.fixture
def pipeline(place: Place) -> Path:
    """A plain workflow to which every parameter is a text."""
    folder = place.root / "pipeline"
    folder.mkdir()
    (folder / "Snakefile").write_text(
        'configfile: "config.yaml"\nrule all:\n  output: "out.txt"\n  params: config["adapter"], config["label"]\n'
        '  shell: "touch {output}"\n'
    )
    (folder / "config.yaml").write_text("adapter: AGCT\nlabel: x\n")
    (place.root / "mine.txt").write_text("mine")
    return folder


@pytest.mark.parametrize("surface", ["flags", "file", "python", "rerun_by_flags", "rerun_by_values"])
def test_a_path_that_is_only_a_text_to_the_pipeline_warns(
    surfaces: Surfaces, pipeline: Path, surface: str
) -> None:
    told, _ = getattr(surfaces, surface)(pipeline, {"adapter": "mine.txt", "label": "mine"})
    there = surfaces.place.root / "mine.txt"
    assert told == {
        f"adapter: 'mine.txt' is text to this pipeline, not an input; if a file is meant, write {there}"
    }


def test_what_an_earlier_run_was_given_warns_no_more(surfaces: Surfaces, pipeline: Path) -> None:
    with pytest.warns(UserWarning, match="is text to this pipeline"):
        plan = esap_wf.plan(pipeline, {"adapter": "mine.txt"})
    run = surfaces._run(pipeline)
    files.write_atomic(run.dir / "plan.json", encode(plan))
    told: list[str] = []
    steering.rerun(run, configuration.load(), {"label": "other"}, warn=told.append)
    (planned,) = surfaces.planned
    assert (told, planned.parameters) == ([], {"adapter": "mine.txt", "label": "other"})


@pytest.mark.parametrize(
    ("surface", "where"),
    [
        ("flags", "--{}"),
        ("file", "values.json"),
        ("python", "parameter {}"),
        ("rerun_by_flags", "--{}"),
        ("rerun_by_values", "parameter {}"),
    ],
)
def test_the_same_is_wrong_at_the_same_position(
    surfaces: Surfaces, toy: Any, surface: str, where: str
) -> None:
    _, problems = getattr(surfaces, surface)(toy(PROPERTIES, MANIFEST).folder, VALUES)
    found = {p.what: p.where for p in problems()}
    assert list(found) == WRONG
    assert all(where.format(name) in position for name, position in zip(VALUES, found.values(), strict=True))


@pytest.mark.parametrize("surface", ["flags", "rerun_by_flags"])
def test_an_input_that_is_missing_is_told_the_same(surfaces: Surfaces, toy: Any, surface: str) -> None:
    _, problems = getattr(surfaces, surface)(toy(PROPERTIES, MANIFEST).folder, {"data": "nothing.txt"})
    (problem,) = problems()
    assert problem.where == f"--input data={surfaces.place.root / 'nothing.txt'}"
    assert problem.what == "there is no such file"


def test_an_input_that_is_set_takes_the_place_of_the_earlier_one(surfaces: Surfaces, toy: Any) -> None:
    folder = toy(PROPERTIES, MANIFEST).folder
    for name in ("one", "two"):
        (surfaces.place.root / f"{name}.txt").write_text(name)
    run = surfaces._run(folder)
    files.write_atomic(run.dir / "plan.json", encode(esap_wf.plan(folder, {"units": 2}, {"data": "one.txt"})))
    for flags in ({}, {"data": "two.txt", "units": "3"}):
        steering.rerun(run, configuration.load(), flags)
    assert [(Path(p.inputs["data"][0].path or "").name, p.units) for p in surfaces.planned] == [
        ("one.txt", 1),
        ("two.txt", 1),
    ]
    assert [p.parameters["units"] for p in surfaces.planned] == [2, 3]
