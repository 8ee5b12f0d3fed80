"""Which process of a CWL file, or of a folder, is meant."""

from __future__ import annotations

import os
import re
from pathlib import Path

from esap_wf.engines.cwl.documents import CLASSES, VERSIONS, Node, Reader, short
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import reading

#: A file is looked at only so far, to see whether it is CWL.
_HEAD = 100_000


def is_cwl(path: Path) -> bool:
    """Whether a file is CWL: by its name, or (YAML, JSON) by ``cwlVersion`` in it."""
    if not path.is_file():
        return False
    if path.suffix == ".cwl":
        return True
    if path.suffix not in {".yml", ".yaml", ".json"}:
        return False
    try:
        with reading.opened(path) as f:
            return re.search(rb'^\s*"?cwlVersion"?\s*:', f.read(_HEAD), re.MULTILINE) is not None
    except OSError:
        return False


def in_folder(folder: Path) -> Path | None:
    """
    The file of a folder that is meant: ``main.cwl``, its only one, or the only one that no other one uses.

    Returns
    -------
    Path or None
        None if there is no CWL.

    Raises
    ------
    UsageError
        There are several.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix == ".cwl" and p.is_file())
    main = folder / "main.cwl"
    if main in files or len(files) < 2:
        return main if main in files else next(iter(files), None)
    used: set[Path] = set()
    for file in files:
        reader = Reader()
        try:
            reader.open(file)
        except EsapError:
            continue
        used |= reader.files - {Path(os.path.normpath(file))}
    tops = [f for f in files if Path(os.path.normpath(f)) not in used]
    if len(tops) == 1:
        return tops[0]
    choices = [
        Problem(str(f), "is a CWL process that no other one uses", f"give this file: {f}")
        for f in tops or files
    ]
    raise UsageError(f"there are several CWL processes in {folder}: say which", choices)


def process_of(reader: Reader, root: Node, item: str | None) -> Node | None:
    """
    The process of a document that is meant: the one called `item`, else the only one or ``main``.

    Returns
    -------
    Node or None
        None if there is no such process, or it is broken; problems are the reader's.
    """
    if not isinstance(root.data, dict):
        reader.wrong(root, "a CWL document must be a mapping")
        return None
    version = root.data.get("cwlVersion")
    if version not in VERSIONS:
        hint = "cwl-upgrader converts older documents to newer versions" if version else ""
        reader.wrong(
            root.at("cwlVersion"),
            f"is {version!r}, not one of {', '.join(VERSIONS)}" if version else "is missing",
            hint,
        )
        return None
    if "$graph" not in root.data:
        if item and item != short(str(root.data.get("id", ""))):
            reader.wrong(root, f"there is no #{item}: the file is one process")
        return _checked(reader, root)
    graph = dict(reader.entries(root.at("$graph")))
    there = ", ".join(f"#{name}" for name in graph)
    if not graph:
        reader.wrong(root.at("$graph"), "contains no process with an id")
        return None
    wanted = item or ("main" if "main" in graph else next(iter(graph), "") if len(graph) == 1 else None)
    if wanted is None:
        reader.wrong(
            root.at("$graph"),
            f"contains {there}, and none of them is #main",
            f"say which: {root.file}#{next(iter(graph))}",
        )
        return None
    if wanted not in graph:
        reader.wrong(root.at("$graph"), f"there is no #{wanted}", f"available: {there}")
        return None
    return _checked(reader, graph[wanted])


def _checked(reader: Reader, process: Node) -> Node | None:
    kind = process.data.get("class") if isinstance(process.data, dict) else None
    if kind not in CLASSES:
        reader.wrong(
            process.at("class"), (f"is {kind!r}, not one of {', '.join(CLASSES)}") if kind else "is missing"
        )
        return None
    for key in ("inputs", "outputs"):
        if process.data.get(key) is None:
            reader.wrong(process.at(key), "is missing", f"{key}: [] if there are none")
    return process
