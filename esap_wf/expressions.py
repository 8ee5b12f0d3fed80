"""Expressions of a manifest: consistency rules, unit counts, estimates. Evaluated by simpleeval: no calls into Python.

Imported by catalog, parameters, plan.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

_FUNCTIONS = {
    "abs": abs, "ceil": math.ceil, "floor": math.floor, "len": len, "log10": math.log10, "max": max, "min": min,
    "round": round, "sqrt": math.sqrt, "cos": math.cos, "radians": math.radians,
}  # fmt: skip


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """
    Value of an expression.

    Parameters
    ----------
    expression : str
        Python's arithmetic, comparisons, `and or not in if else` and abs, ceil, floor, len, log10, max, min, round, sqrt, cos, radians.
    names : mapping
        What it may refer to.

    Raises
    ------
    ValueError
        What is wrong with it.
    """
    import simpleeval

    try:
        return simpleeval.EvalWithCompoundTypes(functions=_FUNCTIONS, names=dict(names)).eval(expression)
    except (simpleeval.InvalidExpression, ArithmeticError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"{expression!r} can't be evaluated: {error}") from None


def number(expression: str | float, names: Mapping[str, Any]) -> float:
    """
    Value of an expression that must be a finite number, not negative.

    Raises
    ------
    ValueError
    """
    value = evaluate(expression, names) if isinstance(expression, str) else expression
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{expression!r} is {value!r}, not a number of 0 or more")
    return value


def names_in(expression: str | float) -> set[str]:
    """
    Names that an expression refers to.

    Raises
    ------
    ValueError
        It does not parse.
    """
    if not isinstance(expression, str):
        return set()
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{expression!r} does not parse: {error.msg}") from None
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - set(_FUNCTIONS) - {"True", "False", "None"}
