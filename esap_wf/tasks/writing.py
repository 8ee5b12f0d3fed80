"""
Variables that say where Python code writes, as far as its syntax shows: such a value is no input. Imported by
notebook.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

#: Methods and functions that write to a path that they are given, or that they are called on.
_WRITES = re.compile(
    r"to_\w+|write\w*|save\w*|imsave|imwrite|dump|tofile|touch|mkdir|makedirs|copy2?|copyfile|move|unlink|remove|rename"
)
#: Of these only the last argument is written.
_MOVES = re.compile(r"copy2?|copyfile|move|rename")


def written(cells: Iterable[str]) -> set[str]:
    """
    Names in the code of a notebook's cells; a cell that is no Python (a shell's, a magic) is passed over.
    """
    found: set[str] = set()
    for cell in cells:
        text = "\n".join(
            "" if line.lstrip().startswith(("%", "!", "?")) else line for line in cell.splitlines()
        )
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found |= _written_by(node)
    return found


def _written_by(call: ast.Call) -> set[str]:
    """Names of the variables that say where a call writes."""
    name = (
        call.func.attr
        if isinstance(call.func, ast.Attribute)
        else call.func.id
        if isinstance(call.func, ast.Name)
        else ""
    )
    target = call.func.value if isinstance(call.func, ast.Attribute) else None
    if name == "open":
        modes = [*call.args[0 if target else 1 :][:1], *(k.value for k in call.keywords if k.arg == "mode")]
        if not any(
            isinstance(m, ast.Constant) and isinstance(m.value, str) and set(m.value) & set("wax+")
            for m in modes
        ):
            return set()
        return _names(call.args[0] if call.args and not _is_path(target) else target)
    if not _WRITES.fullmatch(name):
        return set()
    if _is_path(target) and not _MOVES.fullmatch(name):
        return _names(target)
    paths = call.args[-1:] if _MOVES.fullmatch(name) else call.args
    return {n for path in paths if not isinstance(path, ast.Call) or _is_path(path) for n in _names(path)}


def _is_path(node: ast.expr | None) -> bool:
    """Whether a call makes a path of its arguments."""
    if not isinstance(node, ast.Call):
        return False
    name = (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )
    return name in {"Path", "join", "joinpath", "str", "fspath", "abspath", "expanduser", "format"}


def _names(node: ast.expr | None) -> set[str]:
    """Variables of which a path is made."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} if node is not None else set()
