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
#: All that an expression may consist of: no attributes, so no methods (`"".zfill(10**9)`), no comprehensions, no f-strings.
_ALLOWED = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.List,
    ast.Tuple, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.UAdd, ast.USub, ast.Not, ast.boolop, ast.cmpop,
)  # fmt: skip
#: Integers beyond this many bits are counted as floats: they are estimates, and must not cost time.
_MAX_BITS = 1024


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
        tree = ast.parse(expression.strip(), mode="eval")
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED):
                raise ValueError(f"{type(node).__name__} is not known here")
        operators = {**simpleeval.DEFAULT_OPERATORS, ast.Pow: _power}
        return simpleeval.EvalWithCompoundTypes(operators=operators, functions=_FUNCTIONS, names=dict(names)).eval(expression)
    except (simpleeval.InvalidExpression, ArithmeticError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"{expression!r} can't be evaluated: {error}") from None


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > _MAX_BITS:
        base = float(base)
    return base**exponent


def number(expression: str | float, names: Mapping[str, Any]) -> float:
    """
    Value of an expression that must be a number from 0 to 2^63.

    Raises
    ------
    ValueError
    """
    value = evaluate(expression, names) if isinstance(expression, str) else expression
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**63:
        raise ValueError(f"{expression!r} is {value!r}, not a number from 0 to 2^63")
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
