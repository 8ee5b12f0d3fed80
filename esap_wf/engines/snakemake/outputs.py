"""Outputs of a Snakemake pipeline: what its target rule names, and the folders that rules write results into.

With the configuration's own values: what is wanted in a run, Snakemake itself reports at its end.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from esap_wf.engines.snakemake import constants
from esap_wf.engines.snakemake.declarations import Declarations, Rule
from esap_wf.errors import Problem, UsageError
from esap_wf.models.manifest import Output

#: The working directory of a pipeline that was not written for esap-wf: a copy of its repository in the run
#: directory.
PROJECT = "project"
#: More files than these are shown as patterns.
_MOST_NAMED = 20
#: Folders by whose names one knows results, and those that hold none.
_RESULTS = ("results", "outputs", "output", "result")
_NO_RESULTS = {"logs", "log", "resources", "tmp", "temp", "benchmarks"}
_WILD = re.compile(r"\{[^{}]*\}")


def target_of(declared: Declarations, item: str | None, file: Path) -> Rule | None:
    """
    The target rule: the one called `item`, else Snakemake's default.

    Raises
    ------
    UsageError
        There is no rule of that name.
    """
    if item:
        found = next((rule for rule in declared.rules if rule.name == item), None)
        if found is None:
            has = f"it has {', '.join(rule.name for rule in declared.rules[:20])}"
            raise UsageError("no such target", [Problem(str(file), f"has no rule {item}", has)])
        return found
    default = (
        rule
        for rule in declared.rules
        if any(t.value == "True" for t in rule.directives.get("default_target", []))
    )
    return next(default, None) or next((rule for rule in declared.rules if not rule.included), None)


class Outputs:
    """
    Patterns of a pipeline's results.

    Parameters
    ----------
    base : str
        Where Snakemake works, as a pattern below the run directory.

    Attributes
    ----------
    found : dict of str to Output
    origins : dict of str to str
        ``outputs.NAME`` → ``file:line``.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.found: dict[str, Output] = {}
        self.origins: dict[str, str] = {}

    def add(self, pattern: str, where: str, title: str = "", guess: bool = True) -> None:
        """A pattern relative to where Snakemake works, once, under a name that is made of it."""
        pattern = PurePosixPath(pattern).as_posix()
        path = f"{self.base}/{pattern}"
        if not _is_safe(pattern) or path in (o.path for o in self.found.values()):
            return
        stem = re.sub(r"[^a-z0-9]+", "_", pattern.lower().replace("*", "x")).strip("_")[:50]
        name = stem if stem[:1].isalpha() else f"output_{stem}"
        while name in self.found:
            name += "_"
        self.found[name] = Output(name=name, path=path, title=title, required="*" not in pattern, guess=guess)
        self.origins[f"outputs.{name}"] = where


def outputs_of(
    declared: Declarations, target: Rule | None, folder: str, config: Mapping[str, Any]
) -> Outputs:
    """
    What a target names, and the folders of results.

    Parameters
    ----------
    declared : Declarations
    target : Rule, optional
    folder : str
        Where Snakemake is started, relative to the root of the repository.
    config : mapping
        The default configuration, by names with dots.
    """
    base = "/".join([PROJECT, *map(glob.escape, PurePosixPath(folder).parts)])
    if declared.workdir and _is_safe(declared.workdir):
        base = f"{base}/{declared.workdir.strip('/')}"
    found = Outputs(base)
    if target is not None:
        _add_named(found, declared, target, config)
    _add_folders(found, declared)
    return found


def _add_named(found: Outputs, declared: Declarations, target: Rule, config: Mapping[str, Any]) -> None:
    """What the target rule itself makes, or else asks for."""
    kind = "output" if target.paths.get("output") or target.directives.get("output") else "input"
    once = {name: values[0] for name, values in declared.assigned.items() if len(values) == 1}
    parts = [constants.texts(node, config, once) for node in target.paths.get(kind, [])]
    names = [name for part in parts for name in part or []]
    if parts and None not in parts and len(names) <= _MOST_NAMED:
        for name in names:
            found.add(_WILD.sub("*", name), target.where)
        return
    for text in target.directives.get(kind, []):
        pattern = _WILD.sub("*", text.value)
        if not pattern.startswith("*"):  # anything might be meant
            found.add(pattern, f"{target.where.rsplit(':', 1)[0]}:{text.line}")


def _add_folders(found: Outputs, declared: Declarations) -> None:
    """Folders that rules write into: those that are called so, or all, as a guess, if nothing is named."""
    made: dict[str, str] = {}
    for rule in declared.rules:
        for text in rule.directives.get("output", []):
            parts = PurePosixPath(text.value).parts
            made.setdefault(parts[0] if len(parts) > 1 else "", rule.where)
    known = [name for name in _RESULTS if name in made]
    guessed = not found.found and not known
    others = [n for n in made if n and not set(n) & {"*", "{"} and n not in _NO_RESULTS] if guessed else []
    for name in known or others:
        found.add(f"{name}/**/*", made[name], f"everything below {name}", guess=bool(others))


def _is_safe(pattern: str) -> bool:
    return (
        re.fullmatch(r"(?!\.\.?(/|$))(?!.*/\.\.?(/|$))[A-Za-z0-9_.][A-Za-z0-9_./*?-]{0,250}", pattern)
        is not None
    )
