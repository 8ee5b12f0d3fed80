"""Which processes a workflow of Nextflow calls whatever happens: outside of conditions and closures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from esap_wf.engines.nextflow.groovy import Source


class Calls:
    """
    What the workflows of some scripts call.

    Parameters
    ----------
    sources : sequence of Source
    main : Path
        The script that is run; its workflow without a name is the one that is meant.
    """

    def __init__(self, sources: Sequence[Source], main: Path) -> None:
        self.main, self.aliases = str(main), dict[str, str]()
        self.workflows: dict[str, tuple[Source, int, int]] = {}
        for source in sources:
            for i, token in enumerate(source.tokens[:-2]):
                after = source.tokens[i + 1]
                if token.kind != "name" or token.text != "workflow":
                    continue
                if after.is_op("{") and Path(source.name) == Path(self.main):
                    self.workflows[""] = (source, i + 2, source.partner[i + 1])
                elif after.kind == "name" and source.tokens[i + 2].is_op("{"):
                    self.workflows[after.text] = (source, i + 3, source.partner[i + 2])
            for match in re.finditer(r"\b(\w+)\s+as\s+(\w+)", source.text):
                self.aliases[match[2]] = match[1]

    def always(self, item: str | None) -> set[str]:
        """Names of the processes that a workflow calls whatever happens, and of workflows on the way."""
        found: set[str] = set()
        todo = [item or ""]
        while todo:
            name = todo.pop()
            if name in found or name not in self.workflows:
                found.add(name)
                continue
            found.add(name)
            todo += [self.aliases.get(n, n) for n in self._outside(*self.workflows[name])]
        return found

    def _outside(self, source: Source, first: int, last: int) -> Iterator[str]:
        """Names that are called, or in a pipe; what stands in braces, or behind ``if``, may not be."""
        tokens, at, condition = source.tokens, first, False
        while at < last:
            token = tokens[at]
            if token.is_op("{"):
                at = source.partner[at]
            elif token.kind == "newline" or token.is_op(";"):
                before = tokens[at - 1]
                condition = (
                    condition and (before.is_op(")") or before.text == "else") and not token.is_op(";")
                )
            elif (token.kind == "name" and token.text in {"if", "else", "for", "while"}) or token.is_op(
                "?", "&&", "||"
            ):
                condition = True
            elif token.kind == "name" and not condition:
                following, before = tokens[at + 1], tokens[at - 1]
                if (
                    (following.is_op("(") and not before.is_op("."))
                    or before.is_op("|", "&")
                    or following.is_op("|")
                ):
                    yield token.text
            at += 1
