"""Run known workflows on data of the ESAP shopping basket: ``esap_wf.plan``, ``run``, ``status``, ``results`` do what the verbs do.

Importing this package costs nothing; the functions are loaded when used.
"""

from __future__ import annotations

from typing import Any

__all__ = ["plan", "results", "run", "status"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("esap_wf.api"), name)
    raise AttributeError(f"module 'esap_wf' has no attribute {name!r}")
