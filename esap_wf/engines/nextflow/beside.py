"""Files of a pipeline that Nextflow finds by a relative path, from the folder where it is started: they are
put into the run directory.

What is named by a literal text and is there counts, and what tables among that name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

#: What a run directory has itself at its top, or Nextflow makes there.
RESERVED = {
    "code",
    "engine",
    "logs",
    "outputs",
    "work",
    "epochs",
    "run.json",
    "request.json",
    "plan.json",
    "workflow.json",
    "command.sh",
    "config.json",
    "params.json",
    "nextflow.config",
    "state.json",
    "events.jsonl",
    "lease.json",
    "outputs.json",
    "stop.json",
    "report.html",
    "requests.jsonl",
    "revision",
    "answer.json",
    "ro-crate-metadata.json",
    ".nextflow",
    ".nextflow.log",
    ".reserve",
}
#: A table that is looked into for names of other files, and matches of one pattern.
_TABLE, _MATCHES = 1_000_000, 1000
_PATTERN = re.compile(r"[*?{\[]")


def beside(
    texts: Iterable[str], folders: Collection[Path], root: Path, results: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """
    What is put beside a run's own files.

    Parameters
    ----------
    texts : iterable of str
        Plain texts of scripts and of parameters' defaults.
    folders : collection of Path
        Where it may be started, the likeliest first.
    root : Path
        Of the snapshot.
    results : collection of str
        Folders that are written: what is there is no input.

    Returns
    -------
    found : dict of str to str
        Path in the run directory → path relative to `root`.
    clashes : list of str
        Names that a run directory has itself.
    """
    found: dict[str, str] = {}
    clashes: list[str] = []
    queue, seen = sorted(set(texts)), set[str]()
    while queue:
        text = queue.pop()
        if text in seen:
            continue
        seen.add(text)
        for name, path in _meant(text, folders):
            top = name.split("/")[0]
            if not path.is_relative_to(root) or top in results or name in results:
                continue
            if top in RESERVED:
                clashes.append(name)
                continue
            found[name] = path.relative_to(root).as_posix()
            queue += _named_in(path)
    inner = {p for p in found for parent in Path(p).parents if parent.as_posix() in found}
    return {p: n for p, n in sorted(found.items()) if p not in inner}, sorted(set(clashes))


def _meant(text: str, folders: Collection[Path]) -> Iterator[tuple[str, Path]]:
    """What a text names below the first folder where it names anything: its place there, and its path."""
    if (
        not text
        or len(text) > 250
        or "\n" in text
        or "\0" in text
        or "://" in text
        or text.startswith(("/", "~", "$"))
    ):
        return
    parts = Path(os.path.normpath(text)).parts
    if not parts or parts[0] in ("..", "."):
        return
    fixed = next((i for i, part in enumerate(parts) if _PATTERN.search(part)), len(parts))
    for folder in folders:
        if fixed == 0:
            pattern = re.sub(r"\{[^{}]*\}", "*", "/".join(parts))
            try:
                matches = sorted(p for p in folder.glob(pattern) if not p.name.startswith("."))[:_MATCHES]
            except (ValueError, NotImplementedError, OSError):
                matches = []
            # a pattern like *.txt is that of a process's outputs, too: only regular files are taken for meant
            found = [(p.relative_to(folder).as_posix(), p) for p in matches if p.is_file()]
        else:
            path = folder.joinpath(*parts[:fixed])
            found = [("/".join(parts[:fixed]), path)] if path.exists() else []
        if found:
            yield from found
            return


def _named_in(path: Path) -> Iterator[str]:
    """Texts in a table that may be names of files."""
    try:
        if (
            path.suffix.lower() in {".csv", ".tsv", ".txt", ".json", ".yaml", ".yml"}
            and path.is_file()
            and path.stat().st_size <= _TABLE
        ):
            yield from set(re.split(r"[\s,;\"'|\[\]{}]+", path.read_text("utf-8", "replace")))
    except OSError:
        return
