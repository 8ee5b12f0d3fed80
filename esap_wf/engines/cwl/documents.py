"""CWL documents: values with their position, what they refer to (``$import``, ``$include``, ``run``, named
types, default files).

Nothing is fetched and no expression is evaluated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.documents import Document

VERSIONS = ("v1.0", "v1.1", "v1.2")
CLASSES = ("Workflow", "CommandLineTool", "ExpressionTool", "Operation")
#: Files of one pipeline; more are a mistake or an attack.
MAX_FILES = 1000
#: Files of like names beside a default file whose own ones only an expression tells.
MAX_BESIDE = 50
_REMOTE = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Node:
    """A value of a document and where it stands."""

    data: Any
    document: Document = field(repr=False)
    pointer: tuple[str | int, ...] = ()

    @property
    def where(self) -> str:
        """``file:line:column: path``."""
        return self.document.where(self.pointer)

    @property
    def line(self) -> str:
        """``file:line``."""
        return self.document.line(self.pointer)

    @property
    def file(self) -> Path:
        """The file that it stands in."""
        return Path(self.document.source)

    def at(self, key: str | int) -> Node:
        """A part of it; the data is None if there is none."""
        data = None
        if isinstance(self.data, dict) and isinstance(key, str):
            data = self.data.get(key)
        elif isinstance(self.data, list) and isinstance(key, int) and key < len(self.data):
            data = self.data[key]
        return Node(data, self.document, (*self.pointer, key))

    def text(self, key: str) -> str:
        """A part that is a text, or a list of lines; empty if it is neither."""
        data = self.at(key).data
        if isinstance(data, list) and all(isinstance(line, str) for line in data):
            return "\n".join(data)
        return data if isinstance(data, str) else ""


def short(identifier: str) -> str:
    """``file.cwl#main/reads`` → ``reads``."""
    return identifier.rsplit("#", 1)[-1].rsplit("/", 1)[-1]


class Reader:
    """
    All files of one pipeline, read once each.

    Attributes
    ----------
    files : set of Path
        Everything local that the pipeline refers to.
    problems : list of Problem
    warnings : list of str
    """

    def __init__(self) -> None:
        self.files: set[Path] = set()
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self._read: dict[Path, Node | None] = {}
        self._pending: list[Node] = []
        self._following = False
        self._literals: set[Path] = set()  # files that documents name as values
        self._patterns: set[str] = set()  # of what belongs to a file

    def wrong(self, node: Node, what: str, hint: str = "") -> None:
        """Note a problem, once."""
        problem = Problem(node.where, what, hint)
        if problem not in self.problems:
            self.problems.append(problem)

    def warn(self, text: str) -> None:
        """Note something that can't be told, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def open(self, path: Path, asking: Node | None = None) -> Node | None:
        """The root of a file, and everything that it refers to; None if it can't be read, which is noted."""
        path = Path(os.path.normpath(path))
        if path in self._read:
            return self._read[path]
        if len(self._read) >= MAX_FILES:
            raise UsageError("a pipeline is too large", [Problem(str(path), f"more than {MAX_FILES} files")])
        self._read[path] = None
        try:
            text = documents.read_text(path)
            # tabs between values are JSON, but no YAML
            data = documents.parse(text, str(path), as_json=text.lstrip().startswith("{"), exact=True).data
        except EsapError as error:
            seen = f"{asking.where}: " if asking else ""
            self.problems += [Problem(seen + p.where, p.what, p.hint) for p in error.problems]
            return None
        self.files.add(path)
        root = Node(data, Document(data, str(path), text))
        self._read[path] = root
        self._pending.append(root)
        if not self._following:  # one after the other: a long chain of files is no deep recursion
            self._following = True
            while self._pending:
                self._follow(self._pending.pop())
            self._following = False
            for file in self._literals:
                self.files |= {p for pattern in self._patterns for p in _belonging(file, pattern)}
        return root

    def resolved(self, node: Node) -> Node:
        """What an ``$import`` stands for; any other value itself."""
        for _ in range(20):
            if not (isinstance(node.data, dict) and isinstance(node.data.get("$import"), str)):
                return node
            target = self.refer(node.data["$import"], node)
            if target is None:
                return Node(None, node.document, node.pointer)
            node = target
        self.wrong(node, "$import goes round in a circle")
        return Node(None, node.document, node.pointer)

    def refer(self, reference: str, node: Node) -> Node | None:
        """What ``file#part`` stands for, seen from `node`; None if it is not to be had."""
        file, _, part = reference.partition("#")
        root: Node | None
        if file:
            path = self.path(file, node)
            root = self.open(path, node) if path else None
        else:
            root = self.open(node.file)
        if root is None or not part:
            return root
        found = next((n for n in self._parts(root) if _identified(n, part)), None)
        if found is None:
            there = [
                short(i)
                for n in self._parts(root)
                if isinstance(i := n.data.get("id", n.data.get("name")), str)
            ]
            self.wrong(
                node, f"there is no #{part} in {root.file}", f"available: {', '.join(there)}" if there else ""
            )
        return found

    def path(self, reference: str, node: Node) -> Path | None:
        """The local file of a reference; None for what is on the network, which is noted."""
        if _REMOTE.match(reference):
            self.warn(f"{reference} is fetched by the engine when it runs")
            return None
        try:
            text = unquote(urlsplit(reference).path) if reference.startswith("file:") else unquote(reference)
        except ValueError:
            text = reference
        return Path(os.path.normpath(node.file.parent / text))

    def entries(self, node: Node, predicate: str = "") -> Iterator[tuple[str, Node]]:
        """
        Named members of a list or a map; what is no mapping stands for its `predicate` (``x: File`` is ``x:
        {type: File}``).
        """
        node = self.resolved(node)
        if isinstance(node.data, dict):
            for name in node.data:
                member = self.resolved(node.at(name))
                if predicate and (
                    not isinstance(member.data, dict) or (predicate == "type" and "type" not in member.data)
                ):
                    member = Node({predicate: member.data}, member.document, member.pointer)
                yield short(str(name)), member
        elif isinstance(node.data, list):
            for i in range(len(node.data)):
                member = self.resolved(node.at(i))
                name = (
                    member.data.get("id", member.data.get("name")) if isinstance(member.data, dict) else None
                )
                if isinstance(name, str):
                    yield short(name), member
                else:
                    self.wrong(member, "a mapping with an id is expected")
        elif node.data is not None:
            self.wrong(node, "a list or a map is expected")

    def _parts(self, root: Node) -> Iterator[Node]:
        """Processes and types that can be named from outside."""
        graph = root.at("$graph") if isinstance(root.data, dict) and "$graph" in root.data else root
        if isinstance(graph.data, list):
            for i in range(len(graph.data)):
                member = self.resolved(graph.at(i))
                if isinstance(member.data, dict):
                    yield member
        elif isinstance(graph.data, dict):
            yield graph

    def _follow(self, root: Node) -> None:
        """Note every local file that a document names, and read those that are documents."""
        stack = [root]
        while stack:
            node = stack.pop()
            if isinstance(node.data, list):
                stack += [node.at(i) for i, v in enumerate(node.data) if isinstance(v, (dict, list))]
                continue
            for key in node.data if isinstance(node.data, dict) else ():
                child = node.at(str(key))
                if isinstance(child.data, (dict, list)):
                    stack.append(child)
                self._member(node, key, child)

    def _member(self, node: Node, key: Any, child: Node) -> None:
        """The files that one member of a mapping names."""
        text = child.data
        if key == "secondaryFiles":
            self._patterns |= set(_texts(text))
        elif key == "$schemas" and isinstance(text, list):
            for i, schema in enumerate(text):
                self._file(schema, child.at(i))
        elif not isinstance(text, str):
            return
        elif key == "$include":
            self._file(text, child)
        elif "$(" in text:
            return
        elif key in {"$import", "run"} and not text.startswith("#"):
            self.refer(text.partition("#")[0], child)
        elif key in {"location", "path"} and node.data.get("class") in ("File", "Directory"):
            self._file(text, child, value=True)

    def _file(self, reference: Any, node: Node, value: bool = False) -> None:
        path = self.path(reference, node) if isinstance(reference, str) else None
        if path is None:
            return
        if path.is_file():
            self.files.add(path)
            if value:
                self._literals.add(path)
        elif path.is_dir():
            self.files |= {p for p in path.rglob("*") if p.is_file()}
        elif value:  # another one may be given
            self.warn(f"{node.line}: there is no file {path}")
        else:
            self.wrong(node, f"there is no file {path}")


def _texts(patterns: Any) -> Iterator[str]:
    """Patterns of secondary files, however they are written."""
    if isinstance(patterns, str):
        yield patterns
    elif isinstance(patterns, list):
        for pattern in patterns:
            yield from _texts(pattern)
    elif isinstance(patterns, dict):
        yield from _texts(patterns.get("pattern"))


def _belonging(file: Path, pattern: str) -> Iterator[Path]:
    """
    Files that lie beside one by a pattern; where it must be evaluated, all that begin with the file's name
    without its ending.
    """
    if "$(" in pattern or "${" in pattern:
        found = [p for p in sorted(file.parent.iterdir()) if p.name.startswith(file.stem)][:MAX_BESIDE]
    else:
        found = [secondary_of(file, pattern)]
    for path in found:
        if path.is_dir():
            yield from (p for p in path.rglob("*") if p.is_file())
        elif path.is_file():
            yield path


def secondary_of(file: Path, pattern: str) -> Path:
    """Where a pattern looks for what belongs to a file: each ``^`` takes an ending away."""
    ending = pattern.removesuffix("?")
    stem = file.name
    for _ in range(len(ending) - len(ending.lstrip("^"))):
        stem = stem.rpartition(".")[0] or stem
    return Path(os.path.normpath(file.parent / f"{stem}{ending.lstrip('^')}"))


def _identified(node: Node, part: str) -> bool:
    """Whether a process or type has this id; ids of packed documents carry their parents'."""
    name = node.data.get("id", node.data.get("name"))
    return isinstance(name, str) and part in {name, name.rsplit("#", 1)[-1], short(name)}
