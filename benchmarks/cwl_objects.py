"""
CWL's objects: whether what came out is what a test of the conformance suite expects, and whether two ways
gave the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

#: Names that an engine makes up where a document gives none.
_GENERATED = {
    "File": re.compile(r"[0-9a-f]{40}(_\d+)?"),
    "Directory": re.compile("[0-9a-f]{32}|[a-z0-9_]{8}"),
}
#: Of a File or Directory; compared by what is on disk, not by what is said.
_ON_DISK = {"class", "path", "location", "checksum", "size", "contents", "listing"}


def misfit(expected: Any, found: Any, at: str = "output") -> str:
    """
    Where something is not as expected; empty if it is.

    Of a File or Directory the members that are expected count, and what is on disk; of a mapping every member
    that has a value; ``Any`` stands for anything.
    """
    if expected == "Any":
        return ""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        if expected.get("class") in ("File", "Directory"):
            return next(_file_misfits(expected, found, at), "")
        names = [*expected, *(n for n in found if found[n] is not None and n not in expected)]
        return next(filter(None, (misfit(expected.get(n), found.get(n), f"{at}.{n}") for n in names)), "")
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{at} has {len(found)} members, not {len(expected)}"
        return next(
            filter(
                None,
                (misfit(e, f, f"{at}[{i}]") for i, (e, f) in enumerate(zip(expected, found, strict=True))),
            ),
            "",
        )
    return "" if expected == found else f"{at} is {_short(found)}, not {_short(expected)}"


def _file_misfits(expected: Mapping[str, Any], found: Mapping[str, Any], at: str) -> Iterator[str]:
    if found.get("class") != expected["class"]:
        yield f"{at} is a {found.get('class')}, not a {expected['class']}"
        return
    path = place(found)
    there = path is not None and (path.is_dir() if expected["class"] == "Directory" else path.is_file())
    if path is None or not there:
        yield f"{at} is not there: {path}"
        return
    name = str(expected.get("path", expected.get("location", "Any"))).rstrip("/")
    if name != "Any" and not f"/{path}".endswith(f"/{unquote(name)}") and not f"/{path}".endswith(f"/{name}"):
        yield f"{at} is {path.name}, not {name}"
    if expected["class"] == "File":
        content = path.read_bytes()
        facts = {"checksum": f"sha1${hashlib.sha1(content).hexdigest()}", "size": len(content)}
        for key, fact in facts.items():
            for said in (expected, found):
                if key in said and said[key] != fact:
                    yield f"{at} has {key} {fact}, not {said[key]}"
        if "contents" in expected and expected["contents"].encode() != content:
            yield f"{at} holds {_short(content)}, not {_short(expected['contents'])}"
    for member in expected.get("listing", ()):
        if all(misfit(member, other) for other in found.get("listing") or ()):
            yield f"{at} lacks {_short(member)}"
    for key in sorted(expected.keys() - _ON_DISK):
        yield from filter(None, [misfit(expected[key], found.get(key), f"{at}.{key}")])


def place(found: Mapping[str, Any]) -> Path | None:
    """Where a File or Directory is; None for one that is nowhere."""
    text = found.get("path") or found.get("location")
    if not isinstance(text, str):
        return None
    return Path(unquote(urlsplit(text).path)) if text.startswith("file:") else Path(text)


def files(value: Any) -> Iterator[Path]:
    """All files and folders of an output, with what belongs to them; what a folder holds is its own."""
    if isinstance(value, list):
        for member in value:
            yield from files(member)
    elif isinstance(value, Mapping):
        known = value.get("class") in ("File", "Directory")
        if known and (path := place(value)) is not None:
            yield path
        for key, member in value.items():
            if not (known and key == "listing"):
                yield from files(member)


def plain(value: Any, own: Path) -> Any:
    """
    An output without what differs from run to run: files by name, content and what belongs to them, folders
    by what they hold.

    Of numbers the nearest that has 64 bits counts, of texts no place in the test's `own` folder.
    """
    if isinstance(value, list):
        return [plain(v, own) for v in value]
    if isinstance(value, str):
        return re.sub(f"{re.escape(str(own))}[^ ]*", "(a place)", value)
    if isinstance(value, int) and abs(value) >= 2**63:
        return float(value)
    if not isinstance(value, Mapping):
        return value
    if value.get("class") not in ("File", "Directory"):
        return {k: plain(v, own) for k, v in sorted(value.items()) if v is not None}
    path = place(value)
    told = {k: plain(value[k], own) for k in ("secondaryFiles", "format") if value.get(k)}
    if path is None or not path.exists():
        return {"class": value["class"], "gone": str(path and path.name), **told}
    return {"class": value["class"], "name": path.name, "content": content(path), **told}


def same(one: Any, other: Any) -> bool:
    """Whether two `plain` outputs are the same, but for names that an engine made up."""
    if isinstance(one, dict) and isinstance(other, dict):
        kind = one.get("class")
        made_up = kind in _GENERATED and all(
            _GENERATED[kind].fullmatch(str(x.get("name"))) for x in (one, other)
        )
        return one.keys() == other.keys() and all(
            same(one[k], other[k]) for k in one if not (made_up and k == "name")
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def content(path: Path) -> Any:
    """What a file or folder holds, comparable."""
    if path.is_dir():
        return {p.name: content(p) for p in sorted(path.iterdir())}
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:159] + "…"
