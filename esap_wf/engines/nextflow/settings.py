"""What Nextflow's configuration files and the ``params`` of scripts set.

What depends on a condition, a profile or an expression is noted, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esap_wf.engines.nextflow.groovy_values import Value
from esap_wf.errors import Problem

#: What `params.x` may be typed with in the newer syntax, and JSON's word for it.
TYPES = {
    "String": ["string"],
    "Integer": ["integer"],
    "Float": ["integer", "number"],
    "Number": ["integer", "number"],
    "Boolean": ["boolean"],
    "List": ["array"],
    "Set": ["array"],
    "Bag": ["array"],
    "Map": ["object"],
    "Duration": ["string"],
    "MemoryUnit": ["string"],
}


@dataclass(frozen=True)
class Setting:
    """
    One assignment.

    Parameters
    ----------
    name : str
        With dots: ``params.genome``.
    value : Value
    origin : str
        ``file:line``.
    certain : bool
        False: under a condition.
    type : str
        As declared in the newer syntax of ``params`` (``Path``, ``Integer?``), else empty.
    """

    name: str
    value: Value
    origin: str
    certain: bool = True
    type: str = ""


@dataclass
class Settings:
    """
    All that was read, in the order in which it counts; with the `profiles` that are taken, and those that
    there are.
    """

    profiles: tuple[str, ...] = ("standard",)
    there: set[str] = field(default_factory=set)
    found: list[Setting] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def last(self, name: str) -> Setting | None:
        """The assignment that counts; one that is certain before one that is not."""
        there = [s for s in self.found if s.name == name]
        return next((s for s in reversed(there) if s.certain), there[-1] if there else None)

    def literal(self, name: str) -> Any:
        """Value of a setting that is a literal, else None."""
        setting = self.last(name)
        return setting.value.data if setting and setting.value.kind == "literal" else None

    def text(self, name: str) -> str:
        """Value of a setting that is a text, else empty."""
        literal = self.literal(name)
        return literal if isinstance(literal, str) else ""

    def below(self, prefix: str) -> dict[str, Setting]:
        """What is set below a scope, by the rest of the name; each as it counts."""
        names = dict.fromkeys(s.name for s in self.found if s.name.startswith(f"{prefix}."))
        return {n[len(prefix) + 1 :]: s for n in names if (s := self.last(n))}

    def warn(self, text: str) -> None:
        """Note something, once."""
        if text not in self.warnings:
            self.warnings.append(text)
