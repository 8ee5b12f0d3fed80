"""
What a reference stands for beside one file: the files that belong to it, a pattern of many, files inside of
structured values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import unquote, urlsplit

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import digests
from esap_wf.models.manifest import Input
from esap_wf.models.request import DataRef, is_file_object, is_remote

#: Files that one pattern may stand for.
MAX_MATCHES = 10_000
#: Bytes of a file's name.
MOST_OF_A_NAME = 255
_PATTERN = re.compile(r"[*?{\[]")
#: Characters that no reference may hold, percent-encoded neither.
BAD_IN_PATH = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

#: Makes the error of one reference: what is wrong, and a hint.
Wrong = Callable[..., UsageError]


def is_pattern(text: str) -> bool:
    """Whether a path holds ``*``, ``?``, ``[`` or ``{``."""
    return _PATTERN.search(text) is not None


def secondary(path: Path, spec: Input, wrong: Wrong) -> list[Path]:
    """Files that must lie beside one, by CWL's patterns."""
    found, missing = _beside(path, spec) if path.is_file() else ([], [])
    if missing:
        raise wrong((f"{', '.join(missing)} must be in the same folder"), f"there is none in {path.parent}")
    return found


def _beside(path: Path, spec: Input) -> tuple[list[Path], list[str]]:
    """
    Files that lie beside one, and names of those that are missing: each ``^`` of a pattern takes an ending
    away.
    """
    found, missing = [], []
    for name, is_needed in names_beside(path.name, spec):
        other = path.with_name(name)
        if other.exists():
            found.append(other)
        elif is_needed:
            missing.append(name)
    return found, missing


def names_beside(name: str, spec: Input) -> Iterator[tuple[str, bool]]:
    """Names of the files that belong to one, and whether they are needed."""
    for pattern in spec.secondary:
        ending = pattern.removesuffix("?")
        stem = name
        for _ in range(len(ending) - len(ending.lstrip("^"))):
            stem = stem.rpartition(".")[0] or stem
        yield stem + ending.lstrip("^"), not pattern.endswith("?")


def matching(path: Path, spec: Input, cache: Path, wrong: Wrong) -> DataRef:
    """
    A pattern that the pipeline itself resolves: it must match something now, and what it matches is its
    identity.
    """
    found = sorted({p for one in _alternatives(str(path)) for p in _glob(one)})
    if not found:
        raise wrong(
            "no file matches", f"there is no folder {path.parent}" if not _fixed(str(path)).is_dir() else ""
        )
    if len(found) > MAX_MATCHES:
        raise wrong(f"more than {MAX_MATCHES} files match")
    beside = {str(p): digests.of_input(p, cache)[0] for p in found}
    size = sum(p.stat().st_size for p in found if p.is_file())
    named = sorted((p.relative_to(_fixed(str(path))).as_posix(), beside[str(p)]) for p in found)
    weak = any(identity.startswith("stat:") for identity in beside.values())
    # as_uri would quote what makes it a pattern
    return DataRef(
        uri=f"file://{path}",
        path=str(path),
        bytes=size,
        checksum=f"sha256:{digests.of_data(named)}",
        strength="stat" if weak else "checksum",
        counts=spec.identity,
        beside=beside,
    )


def _alternatives(text: str) -> Iterator[str]:
    """``a{1,2}`` → ``a1``, ``a2``; braces in braces too."""
    match = re.search(r"\{([^{}]*)\}", text)
    if match is None or text.count("{") > 8:
        yield text
        return
    for part in match[1].split(","):
        yield from _alternatives(text[: match.start()] + part + text[match.end() :])


def _fixed(text: str) -> Path:
    """The folder before the first part that is a pattern."""
    parts = Path(text).parts
    return Path(*parts[: next((i for i, p in enumerate(parts) if _PATTERN.search(p)), len(parts) - 1)])


def _glob(text: str) -> list[Path]:
    base = _fixed(text)
    rest = str(Path(text).relative_to(base))
    if not _PATTERN.search(rest):
        return [Path(text)] if Path(text).exists() else []
    # ** passes folders in Java's patterns, and ends there too
    return (
        list(islice((p for p in base.glob(re.sub(r"\*\*$", "**/*", rest)) if p.exists()), MAX_MATCHES + 1))
        if base.is_dir()
        else []
    )


def inside(
    values: Mapping[str, Any],
    declared: Mapping[str, Input],
    cache: Path,
    brought: Mapping[str, DataRef] | None = None,
) -> tuple[dict[str, list[str]], list[Problem]]:
    """
    Files inside of structured parameters (``{class: File, path: …}``): their identity by parameter.

    Parameters
    ----------
    values : mapping
    declared : mapping
        Inputs, of which a parameter of the same name says more than a reference can; an engine finds what
        lies beside them.
    cache : Path
        Where hashes of files are remembered.
    brought : mapping, optional
        What lies elsewhere, by its place in the run directory.

    Returns
    -------
    identities : dict of str to list of str
    problems : list of Problem
        Those that aren't there.
    """
    found: dict[str, list[str]] = {}
    problems, brought = [], brought or {}
    for name, value in values.items():
        stack: list[Any] = [value]
        while stack:
            part = stack.pop()
            stack += part if isinstance(part, list) else part.values() if isinstance(part, dict) else []
            if not isinstance(part, dict) or not is_file_object(part):
                continue
            text = part.get("location") or part.get("path")
            if text is None and ("contents" in part or "listing" in part):
                continue
            if not isinstance(text, str):
                problems.append(Problem(f"parameter {name}", f"a {part['class']} has a path"))
                continue
            if is_remote(text):  # what is wrong with it was said
                continue
            place = unquote(text) if part.get("location") else text
            if place in brought:
                spec = declared.get(name) if part["class"] == "File" else None
                refs = [brought[place], *_brought_beside(place, spec, brought)]
                found.setdefault(name, []).extend(ref.checksum or ref.uri for ref in refs)
                continue
            path = Path(unquote(urlsplit(text).path) if text.startswith("file:") else text)
            if not (path.is_file() if part["class"] == "File" else path.is_dir()):
                what = "file" if part["class"] == "File" else "folder"
                problems.append(Problem(f"parameter {name}", f"there is no {what} {path}"))
            else:
                # what belongs to it is looked for by the name that it is given
                called = path.with_name(part["basename"]) if is_name(part.get("basename")) else path
                others = (
                    _beside(called, declared[name])[0] if name in declared and part["class"] == "File" else []
                )
                found.setdefault(name, []).extend(digests.of_input(p, cache)[0] for p in [path, *others])
    return found, problems


def _brought_beside(place: str, spec: Input | None, brought: Mapping[str, DataRef]) -> Iterator[DataRef]:
    """As `_beside`, so that a run is the same wherever its files lie."""
    for name, _ in names_beside(Path(place).name, spec) if spec else ():
        if ref := brought.get(str(Path(place).with_name(name))):
            yield ref


def is_name(text: Any) -> TypeGuard[str]:
    """Whether a text may be the name of a file."""
    return (
        isinstance(text, str)
        and text not in {"", ".", ".."}
        and "/" not in text
        and not BAD_IN_PATH.search(text)
        and len(text.encode(errors="replace")) <= MOST_OF_A_NAME
    )
