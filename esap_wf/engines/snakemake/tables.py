"""How a Snakefile reads its sample sheets: the arguments of ``pandas.read_csv`` and ``read_table``, and what
is done with the table then.

What can't be known is said to be so, and then no row is judged.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

import msgspec

from esap_wf.models.manifest import Reading

_READERS = {"read_csv": ",", "read_table": "\t"}
#: Methods of a table that neither change its values nor drop or name columns.
_HARMLESS = {"sort_index", "sort_values", "drop_duplicates", "copy", "convert_dtypes", "set_index"}
#: Arguments that change nothing of what a row holds.
_IGNORED = {
    "engine",
    "low_memory",
    "memory_map",
    "skip_blank_lines",
    "encoding_errors",
    "on_bad_lines",
    "verbose",
    "cache_dates",
}

_ENCODINGS = {"utf-8", "utf8", "utf-8-sig", "ascii"}


@dataclass(frozen=True)
class Table:
    """
    A variable that holds a table; `reading` is None if only Python knows how it is read. `key` is that of the
    configuration.
    """

    variable: str
    key: str
    reading: Reading | None


class _UnknownError(Exception):
    """Something that only Python can tell."""


def table(text: str) -> Table | None:
    """
    ``samples = pd.read_csv(config["samples"], sep="\\t").set_index("sample")``; None if a statement is
    nothing of the kind.
    """
    target, value = _assigned(text)
    if target is None or value is None:
        return None
    call = next(
        (
            n
            for n in ast.walk(value)
            if isinstance(n, ast.Call) and _called(n) in _READERS and _config(_path(n))
        ),
        None,
    )
    if call is None:
        return None
    key = _config(_path(call))
    assert key is not None
    try:
        return Table(target, key, _chained(value, call, _reading(call)))
    except _UnknownError:
        return Table(target, key, None)


def changed(text: str, known: Table) -> Table | None:
    """The table after another statement; None if it has nothing to do with it."""
    target, value = _assigned(text)
    if target != known.variable:
        return None
    try:
        if value is None or known.reading is None:
            raise _UnknownError
        base = next((n for n in ast.walk(value) if isinstance(n, ast.Name) and n.id == known.variable), None)
        if base is None:
            raise _UnknownError
        return Table(known.variable, known.key, _chained(value, base, known.reading))
    except _UnknownError:
        return Table(known.variable, known.key, None)


def _assigned(text: str) -> tuple[str | None, ast.expr | None]:
    """The variable that a statement changes, and its new value if it is a whole one."""
    try:
        (node,) = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None, None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target, value = node.target, node.value
    elif isinstance(node, ast.AugAssign):
        target, value = node.target, None
    elif (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and any(k.arg == "inplace" for k in node.value.keywords)
    ):
        target, value = node.value.func, None
    else:
        return None, None
    if isinstance(target, ast.Name):
        return target.id, value
    if isinstance(target, ast.Attribute) and target.attr == "index":
        return None, None  # the index is no part of a row
    while isinstance(target, (ast.Attribute, ast.Subscript)):
        target = target.value
    return (target.id if isinstance(target, ast.Name) else None), None


def _called(node: ast.Call) -> str:
    return (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )


def _path(node: ast.Call) -> ast.expr | None:
    named = next((k.value for k in node.keywords if k.arg == "filepath_or_buffer"), None)
    return node.args[0] if node.args else named


def _config(node: ast.expr | None) -> str | None:
    """``a.b`` of ``config["a"]["b"]``."""
    parts: list[str] = []
    while (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ):
        parts.insert(0, node.slice.value)
        node = node.value
    return ".".join(parts) if parts and isinstance(node, ast.Name) and node.id == "config" else None


def _chained(value: ast.expr, base: ast.expr, reading: Reading) -> Reading:
    """What methods behind each other make of a table."""
    calls = []
    while value is not base:
        if not (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and value.func.attr in _HARMLESS
        ):
            raise _UnknownError
        calls.append(value)
        value = value.func.value
    for call in reversed(calls):
        if _called(call) == "set_index":
            given = {k.arg: _literal(k.value) for k in call.keywords}
            keys = given.pop("keys", _literal(call.args[0]) if call.args else None)
            if given.pop("drop", True):
                reading = msgspec.structs.replace(reading, without=[*reading.without, *_columns(keys)])
            if set(given) - {"verify_integrity"}:
                raise _UnknownError
    return reading


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in {"str", "object"}:
        return str
    if isinstance(node, ast.Name) and node.id in {"int", "float", "bool"}:
        return node.id
    if isinstance(node, ast.Dict) and all(k is not None for k in node.keys):
        return {
            _literal(k): _literal(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None
        }
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise _UnknownError from None


def _columns(value: Any) -> list[str | int]:
    found = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(v, (str, int)) and not isinstance(v, bool) for v in found):
        raise _UnknownError
    return list(found)


def _reading(call: ast.Call) -> Reading:
    """The arguments of the reader."""
    given = _arguments(call)
    default = _READERS[_called(call)]
    made: dict[str, Any] = {"sep": _separator(given.pop("sep", given.pop("delimiter", default)))}
    if (comment := given.pop("comment", None)) is not None:
        made["comment"] = _one(comment)
    made |= _head(given)
    if (index := given.pop("index_col", None)) is not None and index is not False:
        made["without"] = _columns(index)
    if (only := given.pop("usecols", None)) is not None:
        made["only"] = _columns(only)
    made |= _texts(given.pop("dtype", None))
    if any(value is False for value in [given.pop("keep_default_na", True), given.pop("na_filter", True)]):
        made["blank"] = False
    encoding = str(given.pop("encoding", "utf-8") or "utf-8").lower().replace("_", "-")
    if given or encoding not in _ENCODINGS:
        raise _UnknownError
    return Reading(**made)


def _arguments(call: ast.Call) -> dict[str, Any]:
    """What the reader is given by name, besides the file and what changes nothing."""
    if len(call.args) > 2 or any(k.arg is None for k in call.keywords):
        raise _UnknownError
    nodes = {k.arg: k.value for k in call.keywords if k.arg not in {*_IGNORED, "filepath_or_buffer"}}
    if len(call.args) == 2:
        nodes["sep"] = call.args[1]
    given = {str(name): _literal(node) for name, node in nodes.items()}
    if given.pop("delim_whitespace", False):
        given["sep"] = r"\s+"
    return given


def _head(given: dict[str, Any]) -> dict[str, Any]:
    """How many lines come before the table, and where the names of its columns are."""
    if type(skip := given.pop("skiprows", None) or 0) is not int:
        raise _UnknownError
    names, header = given.pop("names", None), given.pop("header", "infer")
    if header not in ("infer", 0, None) or (names is None and header is None):
        raise _UnknownError
    # names beside a header that is said to be there take its place
    return {
        "skip": skip,
        "header": names is None or header == 0,
        "names": [str(c) for c in _columns(names)] if names is not None else [],
    }


def _separator(value: Any) -> str:
    return "" if value in (r"\s+", r"[ \t]+") else _one(value)


def _one(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise _UnknownError
    return value


def _texts(dtype: Any) -> dict[str, Any]:
    """Which columns stay texts: all of them, or some."""
    if dtype is None:
        return {}
    if dtype in (str, "str", "string", "object"):
        return {"texts": True}
    if not isinstance(dtype, dict):
        raise _UnknownError
    return {"text_columns": [str(n) for n, kind in dtype.items() if kind in (str, "str", "string", "object")]}
