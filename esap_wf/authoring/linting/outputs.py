"""Outputs that nobody makes, and steps that an engine doesn't have. Imported by esap_wf.authoring.linting."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    m, where = workflow.manifest, workflow.document.where
    for title, outline in outlines.items():
        for number, step in enumerate(m.units.steps if m.units else []):
            if outline.steps is not None and step not in outline.steps:
                hint = (
                    schemas.closest(step, outline.steps)
                    or f"it has {', '.join(sorted(set(outline.steps))[:20])}"
                )
                errors.append(
                    Problem(
                        where(["units", "steps", number]),
                        f"{title} has no step {step}: its units would not be counted",
                        hint,
                    )
                )
    for title, outline in outlines.items():
        rehearsed = heard.get(title)
        sure = (
            rehearsed is not None
            and rehearsed.made is not None
            and not rehearsed.problems
            and not rehearsed.warnings
        )
        made = rehearsed.made if sure and rehearsed else outline.made
        if made is None or workflow.kind is not Kind.HOUSE:
            continue
        for number, output in enumerate(m.outputs):
            for key, path in (("path", output.path), ("verdict", output.verdict)):
                if not path or any(_may_be(path, name) for name in made):
                    continue
                what = f"nothing in {title} makes {path}" + ("" if sure else ", as far as its files show")
                close = schemas.closest(path, made)
                found = Problem(
                    where(["outputs", number, key]),
                    what,
                    close or "give the path that a step writes, or `required: false`",
                )
                (errors if sure and output.required else warnings).append(found)


def _may_be(path: str, made: str) -> bool:
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
