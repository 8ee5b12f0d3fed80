"""
What an expression of a Snakefile says of paths, as far as its configuration tells: read as a syntax tree,
never executed.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

#: Functions around an output that change nothing of its name.
FLAGS = {
    "temp",
    "temporary",
    "protected",
    "touch",
    "directory",
    "report",
    "ensure",
    "ancient",
    "local",
    "pipe",
    "service",
    "update",
}
#: Functions through which a path goes as it is.
_SAME = FLAGS | {"str", "Path", "PurePath", "abspath", "realpath", "normpath"}
_EXPAND = {"expand", "collect"}
#: An expression that is nested deeper is nobody's.
_DEEPEST = 100
#: More files than this are not listed one by one.
_MOST = 200
#: The texts that a part of an expression stands for.
_Texts = Callable[[ast.expr], list[str] | None]


def parsed(text: str) -> list[ast.expr]:
    """The arguments of a directive; none if it is no Python."""
    try:
        tree = ast.parse(f"f({text}\n)", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    assert isinstance(tree, ast.Call)
    return [*tree.args, *(k.value for k in tree.keywords)]


def keys(node: ast.expr | None, names: Mapping[str, set[str]], depth: int = 0) -> set[str]:
    """
    Keys of the configuration of which a path is made.

    Parameters
    ----------
    node : ast.expr
    names : mapping
        Variables of the Snakefile that are such paths → their keys.
    """
    if node is None or depth > _DEEPEST:
        return set()
    if isinstance(node, ast.Name):
        return names.get(node.id, set())
    if key := key_of(node):
        return {key}
    parts: Iterable[ast.expr] = ()
    if isinstance(node, ast.BinOp):
        parts = (node.left, node.right)
    elif isinstance(node, ast.JoinedStr):
        parts = [v.value for v in node.values if isinstance(v, ast.FormattedValue)]
    elif isinstance(node, (ast.List, ast.Tuple)):
        parts = node.elts
    elif isinstance(node, ast.Call):
        name = _called(node)
        if name in _SAME | _EXPAND:
            parts = node.args[:1]
        elif name in {"join", "joinpath", "format"}:
            parts = [
                *node.args,
                *(k.value for k in node.keywords),
                *([node.func.value] if isinstance(node.func, ast.Attribute) else []),
            ]
    return {key for part in parts for key in keys(part, names, depth + 1)}


def key_of(node: ast.expr) -> str:
    """``a.b`` of ``config["a"]["b"]`` and ``config.get("a")``; empty if it is something else."""
    parts: list[str] = []
    while not isinstance(node, ast.Name):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            part, node = node.args[0], node.func.value
        elif isinstance(node, ast.Subscript):
            part, node = node.slice, node.value
        else:
            return ""
        if not (isinstance(part, ast.Constant) and isinstance(part.value, str)):
            return ""
        parts.append(part.value)
    return ".".join(reversed(parts)) if node.id == "config" else ""


def texts(
    node: ast.expr, values: Mapping[str, Any], names: Mapping[str, ast.expr], depth: int = 0
) -> list[str] | None:
    """
    The texts that an expression stands for; None if that is not known before it runs.

    Parameters
    ----------
    node : ast.expr
    values : mapping
        Configuration: key with dots → value.
    names : mapping
        Variables of the Snakefile that are set once → what to.
    """
    if depth > _DEEPEST:
        return None

    def of(part: ast.expr) -> list[str] | None:
        return texts(part, values, names, depth + 1)

    if key := key_of(node):
        return _literals(values.get(key, _fallback(node)))
    if (name := ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else "") in names:
        return of(names[name])
    form = _FORMS.get(type(node))
    return form(node, of) if form else None


def _constant(node: ast.Constant, of: _Texts) -> list[str] | None:
    known = isinstance(node.value, (str, int, float)) and not isinstance(node.value, bool)
    return [str(node.value)] if known else None


def _attribute(node: ast.Attribute, of: _Texts) -> list[str] | None:
    above = of(node.value) if node.attr == "parent" else None
    return above and [str(PurePosixPath(t).parent) for t in above]


def _several(node: ast.List | ast.Tuple, of: _Texts) -> list[str] | None:
    found = [of(part) for part in node.elts]
    return [t for f in found if f is not None for t in f] if None not in found else None


def _operation(node: ast.BinOp, of: _Texts) -> list[str] | None:
    """``"a" + b``, ``a / "b"``; a sum of lists is none."""
    adds = isinstance(node.op, ast.Add)
    if not adds and not isinstance(node.op, ast.Div):
        return None
    if adds and isinstance(node.left, (ast.List, ast.Tuple)):
        return None
    return _joined([of(node.left), of(node.right)], "" if adds else "/")


def _filled_in(node: ast.JoinedStr, of: _Texts) -> list[str] | None:
    if any(getattr(v, "format_spec", None) for v in node.values):
        return None
    return _joined([of(v.value if isinstance(v, ast.FormattedValue) else v) for v in node.values], "")


def _function(node: ast.Lambda, of: _Texts) -> list[str] | None:
    """A function of wildcards that doesn't use them."""
    wildcards = {a.arg for a in node.args.args}
    uses = any(isinstance(n, ast.Name) and n.id in wildcards for n in ast.walk(node.body))
    return None if uses else of(node.body)


def _call(node: ast.Call, of: _Texts) -> list[str] | None:
    name = _called(node)
    if name in _EXPAND and len(node.args) == 1 and all(k.arg for k in node.keywords):
        return _expanded(of(node.args[0]), {str(k.arg): of(k.value) for k in node.keywords})
    if name in _SAME and node.args:
        return None if name == "Path" and len(node.args) > 1 else of(node.args[0])
    if name == "dirname" and len(node.args) == 1:
        return (above := of(node.args[0])) and [str(PurePosixPath(t).parent) for t in above]
    if name == "join" and not (
        isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant)
    ):
        return _joined([of(part) for part in node.args], "/")
    return None


#: Kind of an expression → the texts that it stands for, by those of its parts.
_FORMS: dict[type[ast.expr], Callable[[Any, _Texts], list[str] | None]] = {
    ast.Constant: _constant,
    ast.Attribute: _attribute,
    ast.List: _several,
    ast.Tuple: _several,
    ast.BinOp: _operation,
    ast.JoinedStr: _filled_in,
    ast.Lambda: _function,
    ast.Call: _call,
}


def _expanded(patterns: list[str] | None, wildcards: Mapping[str, list[str] | None]) -> list[str] | None:
    """What ``expand(patterns, wildcard=values)`` gives: all combinations."""
    if patterns is None or None in wildcards.values():
        return None
    found = []
    for pattern in patterns:
        used = list(dict.fromkeys(re.findall(r"(?<!\{)\{(\w+)\}(?!\})", pattern)))
        if not set(used) <= wildcards.keys() or "{{" in pattern:
            return None
        for chosen in itertools.islice(
            itertools.product(*(wildcards[name] or [] for name in used)), _MOST + 1
        ):
            named = dict(zip(used, chosen, strict=True))
            parts: list[str] = re.split(r"(\{\w+\})", pattern)
            found.append(
                "".join(named.get(part[1:-1], part) if part.startswith("{") else part for part in parts)
            )
    return found


def _joined(parts: list[list[str] | None], between: str) -> list[str] | None:
    """All combinations, as of a path's parts."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    made = [
        between.join(p.rstrip("/") for p in c) if between else "".join(c) for c in itertools.product(*known)
    ]
    return made if len(made) <= _MOST else None


def _literals(value: Any) -> list[str] | None:
    many = value if isinstance(value, list) else [value]
    return (
        [str(v) for v in many]
        if all(isinstance(v, (str, int, float)) and not isinstance(v, bool) for v in many)
        else None
    )


def _fallback(node: ast.expr) -> Any:
    """The second argument of ``config.get(…)``."""
    try:
        return ast.literal_eval(node.args[1]) if isinstance(node, ast.Call) and len(node.args) > 1 else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _called(node: ast.Call) -> str:
    return (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )
