"""Outputs that nobody makes, and steps that an engine doesn't have. Imported by esap_wf.authoring.linting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.engines import DryRun, Outline
from esap_wf.errors import Problem
from esap_wf.formats import schemas


def look(
    workflow: Workflow,
    outlines: Mapping[str, Outline],
    heard: Mapping[str, DryRun],
    errors: list[Problem],
    warnings: list[Problem],
) -> None:
    """
    Hold a manifest against what engines and files say; what only an engine can know is an error only if one
    has said so.
    """
    if workflow.kind is Kind.DERIVED:
        return
    for title, outline in outlines.items():
        errors += _absent_steps(workflow, title, outline)
    errors += _nobodys_steps(workflow, outlines)
    for title, outline in outlines.items() if workflow.kind is Kind.HOUSE else ():
        made = surely_made(heard.get(title))
        is_sure = made is not None
        for problem, required in not_made(workflow, title, outline.made if made is None else made, is_sure):
            (errors if is_sure and required else warnings).append(problem)


def _absent_steps(workflow: Workflow, title: str, outline: Outline) -> Iterator[Problem]:
    """Steps whose jobs are to be the units, and which an engine doesn't have."""
    units, steps = workflow.manifest.units, outline.steps
    for number, step in enumerate(units.steps if units and steps is not None else []):
        if steps is not None and step not in steps:
            there = f"it has {', '.join(sorted(set(steps))[:20])}"
            yield Problem(
                workflow.document.where(["units", "steps", number]),
                f"{title} has no step {step}: its units would not be counted",
                schemas.closest(step, steps) or there,
            )


def _nobodys_steps(workflow: Workflow, outlines: Mapping[str, Outline]) -> Iterator[Problem]:
    """Steps whose jobs ask for something, and which no engine has."""
    known = [outline.steps for outline in outlines.values()]
    there = {step for steps in known for step in steps or ()}
    for step in workflow.manifest.resources.steps if known and None not in known else ():
        if step not in there:
            yield Problem(
                workflow.document.where(["resources", "steps", step]),
                f"no engine has a step {step}, so nothing is asked for it",
                schemas.closest(step, there) or f"there are {', '.join(sorted(there)[:20])}",
            )


def surely_made(dry_run: DryRun | None) -> Sequence[str] | None:
    """What an engine itself says that is made, if it had nothing to say against the pipeline."""
    if dry_run is None or dry_run.problems or dry_run.warnings:
        return None
    return dry_run.made


def not_made(
    workflow: Workflow, title: str, made: Sequence[str] | None, is_sure: bool
) -> Iterator[tuple[Problem, bool]]:
    """Outputs and verdicts that nothing makes, and whether they are required; none if nobody knows."""
    if made is None:
        return
    for number, output in enumerate(workflow.manifest.outputs):
        for key, path in (("path", output.path), ("verdict", output.verdict)):
            if not path or any(may_be(path, name) for name in made):
                continue
            what = f"nothing in {title} makes {path}" + ("" if is_sure else ", as far as its files show")
            hint = schemas.closest(path, made) or "give the path that a step writes, or `required: false`"
            yield Problem(workflow.document.where(["outputs", number, key]), what, hint), output.required


def may_be(path: str, made: str) -> bool:
    """
    Whether a file or pattern of the manifest may be one, or lie in one, that is made; a name without a folder
    may lie in any.
    """
    if "/" not in made:
        path = path.rsplit("/", 1)[-1]
    elif fnmatchcase(path, f"{made.rstrip('/')}/*"):
        return True
    return fnmatchcase(path, made) or fnmatchcase(made, path) or _overlap(path, made)


def _overlap(one: str, other: str) -> bool:
    """
    Whether two patterns may name the same file: what stands before the first and behind the last ``*`` must
    agree.
    """
    if not ("*" in one and "*" in other):
        return False
    heads, tails = zip(*(_ends(p) for p in (one, other)), strict=True)
    return _agree(*heads) and _agree(*(t[::-1] for t in tails))


def _ends(pattern: str) -> tuple[str, str]:
    parts = re.split(r"\*+", pattern)
    return parts[0], parts[-1]


def _agree(a: str, b: str) -> bool:
    return a.startswith(b) or b.startswith(a)
