"""YAML and JSON as values, and what is wrong with them by line and column.

PyYAML is loaded where it is used.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import literals

#: Values after the expansion of YAML aliases.
MAX_NODES = 1_000_000
#: Levels of lists and mappings.
MAX_DEPTH = 200
#: Directives of YAML; the parser compares each with all others.
_MAX_DIRECTIVES = 20

#: Tag of a scalar → what it looks like, and its first characters (an empty text begins with none).
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    "merge": (r"<<", ["<"]),
}
_EXACT_WHOLE = (r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789"))


@cache
def loader_of(exact: bool) -> Any:
    """
    A safe loader with YAML 1.2's scalars: `no` is a string, `1e-3` a number, a date stays text; no key twice.

    `exact`: with the text of numbers, and ``1_000``, as CWL's engines read them.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.yaml_implicit_resolvers = {}
    scalars = _SCALARS | ({"int": _EXACT_WHOLE} if exact else {})
    for tag, (pattern, beginnings) in scalars.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), beginnings)
    Loader.add_constructor("tag:yaml.org,2002:int", _exact_whole if exact else _whole)
    if exact:
        Loader.add_constructor("tag:yaml.org,2002:float", _exact_number)
    Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
    return Loader


def _whole(loader: Any, node: Any) -> int:
    return int(loader.construct_scalar(node))


def _exact_whole(loader: Any, node: Any) -> int | float:
    return literals.whole(loader.construct_scalar(node))


def _exact_number(loader: Any, node: Any) -> float:
    text = loader.construct_scalar(node)
    return literals.number(text) if re.search("[0-9]", text) else float(loader.construct_yaml_float(node))


def _mapping(loader: Any, node: Any) -> Iterator[dict[Any, Any]]:
    """A mapping in which no key appears twice; filled in later, because YAML may refer to it inside."""
    from yaml.constructor import ConstructorError

    seen: set[str] = set()
    for key, _ in node.value:
        name = getattr(key, "value", None)
        if isinstance(name, str) and name in seen:
            raise ConstructorError(None, None, f"the key {name!r} appears twice", key.start_mark)
        if isinstance(name, str):
            seen.add(name)
    data: dict[Any, Any] = {}
    yield data
    data.update(loader.construct_mapping(node))


def parse_exactly(text: str, source: str, is_json: bool) -> tuple[Any, dict[str, str]]:
    """
    Values, and numbers as they are written; JSON that is none may be YAML.

    Raises
    ------
    UsageError
        It is neither.
    """
    try:
        data = parse_json(text, source, exact=True) if is_json else parse_yaml(text, source, exact=True)
    except UsageError:
        if not is_json:
            raise
        try:
            data = parse_yaml(text, source, exact=True)
        except UsageError:
            data = parse_json(text, source)  # what is wrong with it as JSON
    try:
        return literals.taken_out(data)
    except RecursionError:
        raise UsageError("a file is not valid", [Problem(source, "nested too deeply")]) from None


def parse_json(text: str, source: str, exact: bool = False) -> Any:
    """
    Values of JSON.

    Raises
    ------
    UsageError
        It is none, with line and column.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(items) != len(made):
            twice = [k for k, n in Counter(k for k, _ in items).items() if n > 1]
            more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
            raise ValueError(
                f"the key {', '.join(repr(k[:80]) for k in sorted(twice)[:5])}{more} appears twice in one "
                "object"
            )
        return made

    try:
        if exact:
            return json.loads(
                text, object_pairs_hook=pairs, parse_float=literals.number, parse_int=literals.whole
            )
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise UsageError(
            "a file is not valid JSON", [Problem(f"{source}:{error.lineno}:{error.colno}", error.msg)]
        ) from None
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError("a file is not valid JSON", [Problem(source, what)]) from None


def parse_yaml(text: str, source: str, exact: bool = False) -> Any:
    """
    Values of YAML.

    Raises
    ------
    UsageError
        It is none, or its aliases stand for too much; with line and column.
    """
    import yaml

    loader = None
    try:
        _limit_depth(text, source)
        loader = loader_of(exact)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node) > MAX_NODES:
            raise UsageError(
                "a file is too large",
                [Problem(source, f"more than {MAX_NODES} values after its aliases are expanded")],
            )
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        hint = ("tags such as !!python/object are never read") if "constructor" in str(error.problem) else ""
        raise UsageError(
            "a file is not valid YAML", [Problem(where, str(error.problem or error.context or error), hint)]
        ) from None
    except yaml.YAMLError as error:
        raise UsageError("a file is not valid YAML", [Problem(source, str(error).splitlines()[0])]) from None
    except RecursionError:
        raise UsageError("a file is not valid YAML", [Problem(source, "nested too deeply")]) from None
    # a scalar that its explicit tag does not fit
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UsageError(
            "a file is not valid YAML", [Problem(source, f"a value does not fit its tag: {error}")]
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def _limit_depth(text: str, source: str) -> None:
    """
    Refuse deep nesting, and far too much, before it is composed: the parser's own recursion in C ends in a
    crash, not in an error.
    """
    import yaml

    if len(text) < MAX_DEPTH:
        return
    if text.count("%TAG") > _MAX_DIRECTIVES and len(re.findall(r"(?m)^%TAG", text)) > _MAX_DIRECTIVES:
        raise UsageError(
            "a file is not valid YAML", [Problem(source, f"more than {_MAX_DIRECTIVES} directives")]
        )
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=loader_of(False))):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if number > 2 * MAX_NODES:
            raise UsageError("a file is too large", [Problem(source, f"more than {MAX_NODES} values")])
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise UsageError("a file is not valid YAML", [Problem(f"{source}:{line}", "nested too deeply")])


def _expanded(node: Any) -> int:
    """Number of values with aliases expanded; a small file can stand for billions."""
    sizes: dict[int, int] = {}

    def size(n: Any, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise RecursionError
        if id(n) not in sizes:
            sizes[id(n)] = MAX_NODES  # an alias to its own parent
            children = n.value if isinstance(n.value, list) else []
            parts = [c for child in children for c in (child if isinstance(child, tuple) else (child,))]
            sizes[id(n)] = 1 + sum(size(c, depth + 1) for c in parts)
        return sizes[id(n)]

    return size(node, 0)
