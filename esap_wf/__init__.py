"""Run known workflows on data of the ESAP shopping basket: ``esap_wf.plan``, ``run``, ``status``,
``results``, … do what the verbs do.

Importing this package costs nothing; the functions are loaded when used. docs/python.md shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esap_wf.api import (
        cancel,
        follow,
        logs,
        places,
        plan,
        rerun,
        results,
        resume,
        run,
        show,
        status,
        workflows,
    )
    from esap_wf.api import list as list

#: What ``from esap_wf import *`` takes: all but `list`, which would take the place of Python's own.
__all__ = [
    "cancel",
    "follow",
    "logs",
    "places",
    "plan",
    "rerun",
    "results",
    "resume",
    "run",
    "show",
    "status",
    "workflows",
]
__version__ = "0.1.0"

_VERBS = frozenset((*__all__, "list"))


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        from importlib import import_module

        return getattr(import_module("esap_wf.api"), name)
    if name == "errors":  # what an `except` names
        from importlib import import_module

        return import_module("esap_wf.errors")
    raise AttributeError(f"module 'esap_wf' has no attribute {name!r}")


def __dir__() -> Any:
    return sorted(_VERBS | {"errors"} | {name for name in globals() if name.startswith("__")})
