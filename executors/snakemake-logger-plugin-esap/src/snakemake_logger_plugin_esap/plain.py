"""Plain values out of Snakemake's own containers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from snakemake_logger_plugin_esap.texts import cut

LIST_LIMIT = 200


@dataclass(slots=True)
class Job:
    """What later records of a job do not repeat."""

    rule: str
    wildcards: dict[str, str]
    log: list[str]
    attempt: int
    command: str | None
    open: bool = True


def named(values: Any) -> dict[str, str]:
    """Return a dict of wildcards, which arrive as a dict or as Snakemake's named list."""
    return {str(key): cut(str(value)) for key, value in values.items()} if values else {}


def strings(values: Iterable[Any] | None) -> list[str]:
    """Return file names as plain strings, a long list shortened."""
    if not values:
        return []
    texts = [cut(str(value)) for value in values]
    return texts if len(texts) <= LIST_LIMIT else [*texts[:LIST_LIMIT], f"… {len(texts) - LIST_LIMIT} more"]


def resources(values: Any) -> dict[str, Any]:
    """
    Return the resources by name; `tmpdir` is an environment value, `_cores` and `_nodes` are bookkeeping.
    """
    items: Mapping[str, Any] = dict(values.items()) if hasattr(values, "items") else {}
    return {
        name: value if isinstance(value, int | float | bool) else cut(str(value))
        for name, value in items.items()
        if not name.startswith("_") and name != "tmpdir"
    }
