"""The stages map and join of a workflow: what their files show, and what engines say to them.

An engine reads the map stage with one slice of all units; the files that it would make are there, empty, when
it reads the join stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from esap_wf.authoring.linting import outputs, questions
from esap_wf.authoring.linting.examples import Example
from esap_wf.authoring.linting.questions import JOIN, MAP, Question
from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.engines import DryRun, EngineBase
from esap_wf.errors import Problem
from esap_wf.formats import schemas
from esap_wf.models.manifest import Implementation


def look(
    workflow: Workflow, implementation: Implementation, engine: EngineBase, example: Example | None
) -> Iterator[Problem]:
    """What the files of the stages and shards show, and what their engine is given of it."""
    yield from _shards(workflow, implementation, engine)
    for stage in implementation.stages:
        file, item = implementation.part(implementation.stages[stage])
        entry = workflow.home(implementation)[1] / file
        if not entry.is_file():
            continue  # told already
        yield from engine.outline(entry, item).problems
        if example and example.valid and workflow.kind is Kind.HOUSE:
            given = questions.placeholders(implementation) if stage == JOIN else {}
            run = example.job(workflow, implementation)
            yield from engine.job_problems(entry, item, questions.job_of(run, implementation, stage, given))


def _shards(workflow: Workflow, implementation: Implementation, engine: EngineBase) -> Iterator[Problem]:
    """Shards that the engine's file doesn't have."""
    shards = implementation.shards
    if shards is None:
        return
    entry = workflow.home(implementation)[1] / (shards.file or implementation.file)
    if not entry.is_file():
        return  # told already
    outline = engine.outline(entry, implementation.item)
    if shards.file:
        yield from outline.problems
    steps = outline.steps
    if steps is not None and shards.job not in steps:
        number = workflow.manifest.implementations.index(implementation)
        where = workflow.document.where(["implementations", number, "shards", "job"])
        what = f"{engine.title} has no step {shards.job} in {entry.name}: units could not be put into shards"
        there = f"it has {', '.join(sorted(set(steps))[:20])}"
        yield Problem(where, what, schemas.closest(shards.job, steps) or there)


def mapped(whole: Question) -> Iterator[Question]:
    """The question after the map stage, if there are stages."""
    if len(whole.implementation.stages) == 2:
        yield replace(whole, stage=MAP)


def joined(question: Question, answer: DryRun) -> Iterator[Question]:
    """The question after the join stage, if the map stage can be read."""
    if question.stage != MAP or answer.problems or answer.warnings:
        return
    given = questions.placeholders(question.implementation)
    if answer.made is not None:
        given = _given(question.implementation, answer.made)
    if all(given.values()):
        yield replace(question, stage=JOIN, given=given)


def problems(heard: Mapping[Question, DryRun]) -> Iterator[Problem]:
    """What the slices should give and nothing makes; outputs that no stage makes."""
    for question, answer in heard.items():
        implementation, where = question.implementation, question.workflow.document.where
        made = outputs.surely_made(answer)
        if made is None or question.stage != MAP:
            continue
        for name, files in _given(implementation, made).items():
            if not files:
                pattern = implementation.stages[MAP].gives[name]
                at = where(["implementations", question.number, MAP, "gives", name])
                what = f"nothing in the stage map of {question.engine.title} makes {pattern}"
                yield Problem(at, what, schemas.closest(pattern, made))
        of_join = next(
            (
                outputs.surely_made(a)
                for q, a in heard.items()
                if (q.number, q.stage) == (question.number, JOIN)
            ),
            None,
        )
        title = f"the stages of {question.engine.title}"
        for problem, required in outputs.not_made(
            question.workflow, title, None if of_join is None else (*made, *of_join), True
        ):
            if required:
                yield problem


def _given(implementation: Implementation, made: Sequence[str]) -> dict[str, list[str]]:
    """What of all that is made the slices give."""
    gives = implementation.stages[MAP].gives
    return {name: [file for file in made if fnmatchcase(file, pattern)] for name, pattern in gives.items()}
