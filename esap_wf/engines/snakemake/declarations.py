"""What a Snakefile declares, with all that it includes."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.engines.snakemake import constants
from esap_wf.engines.snakemake.tables import Table
from esap_wf.engines.snakemake.words import Text, Tokens
from esap_wf.errors import Problem


@dataclass
class Rule:
    """
    A rule: the texts of its directives; `paths`, the expressions of its files; the words behind ``threads``
    and ``resources``.

    An `included` one is no target by default.
    """

    name: str
    where: str
    included: bool = False
    asks: dict[str, Tokens] = field(default_factory=dict)
    directives: dict[str, list[Text]] = field(default_factory=dict)
    paths: dict[str, list[ast.expr]] = field(default_factory=dict)


@dataclass
class Declarations:
    """
    What a Snakefile and all that it includes say.

    `validates` are (variable, schema's path relative to the file, file, line); `tables` are variable → table
    that the configuration names; `fallbacks` are keys that the Snakefile can do without (``config.get("n",
    2)``), with what it takes then; `moves`: it says in which folder it works (`workdir`, if that is a literal
    text); `imports` are modules that it imports whatever happens, with file and line; `moves_path`: it says
    itself where from; `assigned` are its variables.
    """

    configfiles: list[tuple[Text, Path]] = field(default_factory=list)
    validates: list[tuple[str, str, Path, int]] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    requires: str | None = None
    workdir: str | None = None
    moves: bool = False
    conda: list[str] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    fallbacks: dict[str, object] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    moves_path: bool = False
    assigned: dict[str, list[ast.expr]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def written(declared: Declarations) -> set[str]:
    """Keys of the configuration that say where rules write."""
    names: dict[str, set[str]] = {}
    for name, values in declared.assigned.items():
        names[name] = {key for value in values for key in constants.keys(value, names)}
    paths = [
        p
        for rule in declared.rules
        for kind in ("output", "log", "benchmark")
        for p in rule.paths.get(kind, [])
    ]
    return {key for path in paths for key in constants.keys(path, names)}
