"""YAML and JSON documents that people write, with the position of every value.

Imports errors only; PyYAML is loaded where used.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats import literals, reading

#: Larger documents are data, not parameters: they belong into an input.
MAX_BYTES = 16 * 1024 * 1024
#: Values after the expansion of YAML aliases.
MAX_NODES = 1_000_000
#: Levels of lists and mappings.
MAX_DEPTH = 200
#: Problems told of one document: each costs a walk to its line, and nobody reads a thousand.
MAX_PROBLEMS = 50
#: Directives of YAML; the parser compares each with all others.
_MAX_DIRECTIVES = 20

_BROKEN_TEXT = re.compile("[\0\ud800-\udfff]")

Pointer = Sequence[str | int]


def pointer_text(pointer: Pointer) -> str:
    """A path inside a document as people write it: ``inputs.events[2]``."""
    text = ""
    for part in pointer:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass
class Document:
    """
    A parsed document.

    Parameters
    ----------
    data
        Plain values: dict with string keys, list, str, int, float, bool, None.
    source : str
        File name, or what else it came from.
    text : str
        Kept to find positions when something is wrong.
    written : dict of str to str
        Numbers as they are written, see `esap_wf.formats.literals`; if they were asked for.
    """

    data: Any
    source: str
    text: str = field(default="", repr=False)
    written: dict[str, str] = field(default_factory=dict, repr=False)

    def where(self, pointer: Pointer = ()) -> str:
        """
        File, line, column and path of a value.

        Parameters
        ----------
        pointer : sequence of str or int
            Keys and indices from the root; the deepest part that exists is used for the line.
        """
        position = _position(self.text, pointer) if self.text else None
        place = f"{self.source}:{position[0]}:{position[1]}" if position else self.source
        path = pointer_text(pointer)
        return f"{place}: {path}" if path else place

    def line(self, pointer: Pointer = ()) -> str:
        """File and line of a value."""
        position = _position(self.text, pointer) if self.text else None
        return f"{self.source}:{position[0]}" if position else self.source


@lru_cache(maxsize=8)
def _composed(text: str) -> Any:
    """
    The nodes of a text, None if it has none; kept, because many positions of one document are asked for.
    """
    import yaml

    try:
        return yaml.compose(text, Loader=_loader(False))
    except (yaml.YAMLError, RecursionError):
        return None


def _position(text: str, pointer: Pointer) -> tuple[int, int] | None:
    import yaml

    node = _composed(text)
    if node is None:
        return None
    mark = node.start_mark
    for part in pointer:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if getattr(k, "value", None) == str(part)]
            if not found:
                break
            mark, node = found[-1][0].start_mark, found[-1][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            mark = node.start_mark
        else:
            break
    return mark.line + 1, mark.column + 1


@cache
def _loader(exact: bool) -> Any:
    """
    A safe loader with YAML 1.2's scalars: `no` is a string, `1e-3` a number, a date stays text; no key twice.

    `exact`: with the text of numbers, and ``1_000``, as CWL's engines read them.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("null", r"~|null|Null|NULL|", "~nN\0"),
        (
            "int",
            (
                r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+|"
                r"0o[0-7]+"
            )
            if exact
            else r"[-+]?[0-9]+",
            "-+0123456789",
        ),
        (
            "float",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
            "-+0123456789.",
        ),
        ("merge", r"<<", "<"),
    ):
        chars = ["" if c == "\0" else c for c in first]
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), chars)

    def integer(loader: Any, node: Any) -> int | float:
        text = loader.construct_scalar(node)
        return literals.whole(text) if exact else int(text)

    def number(loader: Any, node: Any) -> float:
        text = loader.construct_scalar(node)
        return literals.number(text) if re.search("[0-9]", text) else float(loader.construct_yaml_float(node))

    def mapping(loader: Any, node: Any) -> Iterator[dict[Any, Any]]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = getattr(key, "value", None)
            if isinstance(name, str) and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} appears twice", key.start_mark
                )
            if isinstance(name, str):
                seen.add(name)
        data: dict[Any, Any] = {}
        yield data
        data.update(loader.construct_mapping(node))

    Loader.add_constructor("tag:yaml.org,2002:int", integer)
    if exact:
        Loader.add_constructor("tag:yaml.org,2002:float", number)
    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    return Loader


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """
    Text of a file.

    Raises
    ------
    NotFoundError
        The file is missing.
    UsageError
        It can't be read, is too large or not UTF-8.
    """
    try:
        return reading.read_text(path, limit=limit)
    except RefusedError as error:  # the user names another file: what is refused is not the command
        raise UsageError(error.message, error.problems) from None


def load(path: Path, *, schema: bool = False, exact: bool = False) -> Document:
    """
    Read a YAML or JSON file; a `schema` may name characters in its patterns that values must not hold;
    `exact`: see `parse`.

    Raises
    ------
    NotFoundError, UsageError
        Missing, unreadable, too large, broken, or with values no document may carry; the line is named.
    """
    return parse(read_text(path), str(path), schema=schema, exact=exact)


def parse(
    text: str, source: str, *, schema: bool = False, as_json: bool | None = None, exact: bool = False
) -> Document:
    """
    Parse YAML or JSON.

    Parameters
    ----------
    text : str
    source : str
        Name for messages; ``.json`` at its end chooses JSON, if `as_json` doesn't say which it is.
    exact : bool
        As CWL's engines read a job order: with numbers as they are written, and YAML whatever the file is
        called.

    Raises
    ------
    UsageError
        All that is wrong, with line and column.
    """
    is_json = source.endswith(".json") if as_json is None else as_json
    written: dict[str, str] = {}
    if exact:
        data, written = _parse_exactly(text, source, is_json)
    else:
        data = _parse_json(text, source) if is_json else _parse_yaml(text, source)
    document = Document(data, source, text, written)
    check(document, schema=schema)
    return document


def check(document: Document, *, schema: bool = False) -> None:
    """
    Make sure that values can be used, whoever made them.

    Raises
    ------
    UsageError
        Some are nested too deeply, or (not in a `schema`) can be carried by no document.
    """
    source = document.source
    strange = list(islice(_strange_values(document.data), MAX_PROBLEMS + 1))
    if any(len(pointer) > MAX_DEPTH for pointer, _ in strange):
        raise UsageError(f"{source} can't be read", [Problem(source, "nested too deeply")])
    problems = (
        [Problem(document.where(pointer), what) for pointer, what in strange[:MAX_PROBLEMS]]
        if not schema
        else []
    )
    if len(strange) > MAX_PROBLEMS and not schema:
        problems.append(Problem(source, "there are more of them"))
    if problems:
        raise UsageError(f"{source} contains values that can't be used", problems)


def _parse_exactly(text: str, source: str, is_json: bool) -> tuple[Any, dict[str, str]]:
    """Values, and numbers as they are written; JSON that is none may be YAML."""
    try:
        data = _parse_json(text, source, exact=True) if is_json else _parse_yaml(text, source, exact=True)
    except UsageError:
        if not is_json:
            raise
        try:
            data = _parse_yaml(text, source, exact=True)
        except UsageError:
            data = _parse_json(text, source)  # what is wrong with it as JSON
    try:
        return literals.taken_out(data)
    except RecursionError:
        raise UsageError("a file is not valid", [Problem(source, "nested too deeply")]) from None


def _parse_json(text: str, source: str, exact: bool = False) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(items) != len(made):
            twice = [k for k, n in Counter(k for k, _ in items).items() if n > 1]
            more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
            raise ValueError(
                f"the key {', '.join(repr(k[:80]) for k in sorted(twice)[:5])}{more} appears "
                "twice in one "
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


def _parse_yaml(text: str, source: str, exact: bool = False) -> Any:
    import yaml

    loader = None
    try:
        _limit_depth(text, source)
        loader = _loader(exact)(text)
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
    for number, event in enumerate(yaml.parse(text, Loader=_loader(False))):
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


def _strange_values(data: Any) -> Iterator[tuple[list[str | int], str]]:
    """
    Values that JSON can't carry or that no name, parameter or path may hold; ends where it is nested too
    deeply.
    """
    stack: list[tuple[list[str | int], Any]] = [([], data)]
    while stack:
        pointer, value = stack.pop()
        if len(pointer) > MAX_DEPTH:
            yield pointer, "nested too deeply"
            return
        if isinstance(value, float) and not math.isfinite(value):
            yield pointer, f"{value} is not a finite number"
        elif isinstance(value, str) and _BROKEN_TEXT.search(value):
            yield pointer, "contains a NUL or half of a surrogate pair"
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
            yield pointer, "is an integer beyond 64 bits"
        elif isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    yield [*pointer, str(key)], f"the key {key!r} is not text"
                elif _BROKEN_TEXT.search(key):
                    yield pointer, f"the key {key!r} contains a NUL or half of a surrogate pair"
                    continue
                stack.append(([*pointer, str(key)], item))
        elif isinstance(value, (list, tuple)):
            stack.extend(([*pointer, i], item) for i, item in enumerate(value))
        elif value is not None and not isinstance(value, (str, int, float)):
            yield pointer, f"a {type(value).__name__} is neither text nor a number, list or mapping"
