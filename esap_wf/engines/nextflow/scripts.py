"""Nextflow's scripts: what they include, which parameters are paths, where processes publish, which images
they name.

Words are looked at, nothing is run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.engines.nextflow import uses as nextflow_uses
from esap_wf.engines.nextflow.groovy import Source, Token
from esap_wf.engines.nextflow.groovy_values import Value, value
from esap_wf.engines.nextflow.settings import Settings
from esap_wf.engines.nextflow.statements import in_project, read_script
from esap_wf.engines.nextflow.uses import Uses
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents

#: Scripts of one pipeline.
MAX_FILES = 2000
#: Functions whose first argument is a path; those of the second set take patterns too.
_PATHS = {"file", "files", "fromPath", "fromFilePairs", "path"}
_PATTERNS = {"fromPath", "fromFilePairs", "files", "file"}
#: Variables that hold the project's folder, or one in it.
_FOLDERS = ("projectDir", "baseDir", "moduleDir")
#: A parameter alone or at the beginning of a text, and what follows it.
_TEMPLATE = re.compile(r"^\$(?:\{\s*params\.([\w.]+?)\s*\}|params\.(\w+(?:\.\w+)*))(.*)$", re.DOTALL)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")


@dataclass
class Scripts:
    """
    What the scripts of a pipeline show.

    Attributes
    ----------
    files : set of Path
    paths : dict of str to tuple
        Parameter → how it is used (``file``: a path, maybe a pattern; ``folder``: with something behind it),
        and ``file:line``.
    published : list of tuple
        Where processes publish (a value), and ``file:line``.
    images : list of tuple
    processes, workflows : list of str
    used : dict of str to str
        Parameter that is read → ``file:line`` of the first time.
    needs_project : bool
        Whether anything in the project's folder may be used.
    texts : set of str
        All literal texts but those of `include`.
    """

    files: set[Path] = field(default_factory=set)
    paths: dict[str, tuple[str, str]] = field(default_factory=dict)
    published: list[tuple[Value, str]] = field(default_factory=list)
    images: list[tuple[Value, str]] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)
    outputs: str = ""
    used: dict[str, str] = field(default_factory=dict)
    needs_project: bool = False
    texts: set[str] = field(default_factory=set)


def read_scripts(main: Path, project: Path, settings: Settings) -> Scripts:
    """
    The main script and all that it includes; its parameters go to `settings`.

    Parameters
    ----------
    main : Path
        The script that is run.
    project : Path
        Its folder: Nextflow's ``projectDir``.
    settings : Settings
        Problems and warnings go there too.
    """
    found = Scripts()
    queue: list[tuple[Path, str]] = [(main, "")]
    uses: list[Uses] = []
    while queue:
        path, asked = queue.pop(0)
        path = Path(os.path.normpath(path))
        if path in found.files:
            continue
        if len(found.files) >= MAX_FILES:
            raise UsageError(
                "a pipeline is too large", [Problem(str(path), f"more than {MAX_FILES} scripts")]
            )
        found.files.add(path)
        try:
            source = Source(documents.read_text(path), str(path))
        except UsageError as error:
            settings.problems += [
                Problem(f"{asked}: {p.where}" if asked else p.where, p.what, p.hint) for p in error.problems
            ]
            continue
        if path == main or not asked:
            read_script(settings, source, project)
        _look(found, source, is_main=path == Path(os.path.normpath(main)))
        uses.append(nextflow_uses.read_uses(source))
        queue += _included(source, project, settings, found)
    # a script that is included with parameters of its own reads those
    for use in uses[:1] if any(u.gives for u in uses) else uses:
        found.used = {**use.names, **found.used}
    return found


def included(path: Path) -> set[Path]:
    """Scripts that one script includes directly; nothing if it can't be read."""
    try:
        source = Source(documents.read_text(path), str(path))
    except UsageError:
        return set()
    return {Path(os.path.normpath(p)) for p, _ in _included(source, path.parent, Settings(), Scripts())}


def _included(
    source: Source, project: Path, settings: Settings, found: Scripts
) -> Iterator[tuple[Path, str]]:
    """``include { A } from './modules/a'``: the script, and the line that asks for it."""
    tokens, here = source.tokens, Path(source.name).parent
    for i, token in enumerate(tokens):
        begins = (
            token.kind == "name"
            and token.text == "include"
            and (i == 0 or tokens[i - 1].kind == "newline" or tokens[i - 1].is_op(";"))
        )
        if not begins or i + 1 >= len(tokens):
            continue
        at = source.partner.get(i + 1, i + 1) + 1
        if at + 1 >= len(tokens) or tokens[at].text != "from":
            continue
        target, where = tokens[at + 1], source.where(token)
        text = str(target.value) if target.kind == "string" else target.text
        if text.startswith("plugin/"):
            settings.warn(f"{where}: {text} is a plug-in: Nextflow fetches it if it is not installed")
            continue
        path = in_project(text, project, here) if target.kind in {"string", "template"} else None
        if path is None or not (text.startswith(("./", "../", "/")) or target.kind == "template"):
            settings.warn(f"{where}: include from {text} is not followed")
            continue
        tried = [path, path.with_name(f"{path.name}.nf"), path / "main.nf"]
        script = next((p for p in tried if p.is_file()), None)
        if script is None:
            settings.problems.append(
                Problem(where, f"there is no {os.path.normpath(tried[1])} to include", "")
            )
        else:
            yield script, where


def _look(found: Scripts, source: Source, is_main: bool) -> None:
    """Add what the words of a file show."""
    for i, token in enumerate(source.tokens):
        if token.kind == "string":
            if not (i and source.tokens[i - 1].text == "from"):
                found.texts.add(str(token.value))
        elif token.kind == "template":
            _template(found, source, token)
        elif token.kind == "name":
            found.needs_project |= token.text in _FOLDERS
            if i + 1 < len(source.tokens):
                _path(found, source, i)
                _directive(found, source, i, is_main)


def _template(found: Scripts, source: Source, token: Token) -> None:
    """A text that something is put into: the project's folder, ``file(params.x)``."""
    found.needs_project |= any(folder in token.text for folder in _FOLDERS)
    for inner in re.finditer(r"(?:file|path)\(\s*params\.([\w.]+)", token.text):
        found.paths.setdefault(inner[1], ("file", source.where(token)))


def _path(found: Scripts, source: Source, i: int) -> None:
    """A function that makes a path; not one that is defined or included under such a name."""
    before = source.tokens[i - 1] if i else None
    if source.tokens[i].text in _PATHS and not (
        before is not None and before.kind == "name" and before.text in {"def", "include"}
    ):
        _path_use(found, source, i)


def _directive(found: Scripts, source: Source, i: int, is_main: bool) -> None:
    """A process, a workflow, or a directive, where a statement begins."""
    tokens = source.tokens
    if i and tokens[i - 1].kind != "newline" and not tokens[i - 1].is_op(";", "{"):
        return
    token, after = tokens[i], tokens[i + 1]
    if token.text == "process" and after.kind == "name":
        found.processes.append(after.text)
    elif token.text == "workflow" and is_main and after.kind == "name":
        found.workflows.append(after.text)
    elif token.text == "output" and is_main and after.is_op("{") and _top(source, i):
        found.outputs = source.where(token)
    elif token.text == "publishDir" and not after.is_op("=", "."):
        found.published.append((_argument(source, i + 1, named="path"), source.where(token)))
    elif token.text == "container" and after.kind in {"string", "template", "name"}:
        found.images.append((_argument(source, i + 1), source.where(token)))


def _top(source: Source, index: int) -> bool:
    return not any(a < index < b for a, b in source.partner.items())


def _path_use(found: Scripts, source: Source, i: int) -> None:
    """``fromPath(params.x)``, ``file params.x``, ``file("${params.x}/y")``."""
    tokens, at = source.tokens, i + 1
    while at < len(tokens) and (tokens[at].is_op("(", "[") or tokens[at].kind == "newline"):
        at += 1
    if at >= len(tokens):
        return
    token, where = tokens[at], source.where(tokens[i])
    if token.kind == "template" and (match := _TEMPLATE.match(token.text)):
        name, rest = match[1] or match[2], match[3]
        if not rest:
            found.paths.setdefault(name, ("pattern" if tokens[i].text in _PATTERNS else "file", where))
        elif rest.startswith("/"):
            found.paths.setdefault(name, ("folder", where))
    elif token.kind == "name" and token.text == "params":
        name, end = [], at + 1
        while end + 1 < len(tokens) and tokens[end].is_op(".") and tokens[end + 1].kind == "name":
            if end + 2 < len(tokens) and tokens[end + 2].is_op("("):  # params.x.tokenize(…)
                return
            name.append(tokens[end + 1].text)
            end += 2
        follows = tokens[end] if end < len(tokens) else None
        if name and not (follows is not None and follows.is_op("+", "?", "==", "?.")):
            found.paths.setdefault(
                ".".join(name), ("pattern" if tokens[i].text in _PATTERNS else "file", where)
            )


def _argument(source: Source, at: int, named: str = "") -> Value:
    """The first argument of a directive, or the one that is named."""
    tokens = source.tokens
    last = at
    while last < len(tokens) and tokens[last].kind != "newline" and not tokens[last].is_op(";", "}"):
        last = source.partner.get(last, last) + 1
        if tokens[last - 1].is_op(",") and last < len(tokens) and tokens[last].kind == "newline":
            last += 1
    if tokens[at].is_op("(", "[") and source.partner.get(at) == last - 1:
        at, last = at + 1, last - 1
    parts: list[tuple[int, int]] = []
    begin = i = at
    while i < last:
        if tokens[i].is_op(","):
            parts.append((begin, i))
            begin = i + 1
        i = source.partner.get(i, i) + 1
    parts.append((begin, last))
    for first, end in parts:
        if named and end - first > 2 and tokens[first].text == named and tokens[first + 1].is_op(":"):
            return value(source, first + 2, end)
    return value(source, *parts[0])


def parameter_of(found: Value) -> tuple[str, str] | None:
    """
    The parameter that a path begins with, and what follows it: ``"${params.outdir}/bam"``, ``params.outdir``.
    """
    if found.kind == "code" and (alone := re.fullmatch(r"params\.([\w.]+)", found.text)):
        return alone[1], ""
    if found.kind == "template" and (match := _TEMPLATE.match(found.text)):
        return match[1] or match[2], match[3]
    if found.kind == "code" and (
        inside := re.match(r"\{?\s*\"\$\{?params\.([\w.]+?)\}?(?=[/\"])", found.text)
    ):
        return inside[1], "/"
    return None


def images_of(found: Value) -> list[str]:
    """Names of images in a directive; of a choice by engine the one that is no download."""
    if found.kind == "literal":
        return [found.data] if isinstance(found.data, str) and _IMAGE.fullmatch(found.data) else []
    texts = [t for _, t in re.findall(r"(['\"])([^'\"$\n]*)\1", found.text)]
    return [
        t
        for t in texts
        if _IMAGE.fullmatch(t) and ("/" in t or ":" in t) and "://" not in t and not t.endswith(":")
    ]
