"""
Expressions of a manifest: consistency rules, unit counts, estimates. Evaluated by simpleeval: no calls into
Python.
"""

from __future__ import annotations

import ast
import math
import operator
import reprlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

#: All that an expression may consist of: no attributes, so no methods (`"".zfill(10**9)`), no comprehensions,
#: no f-strings.
_ALLOWED = (
    ast.Expression,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Call,
    ast.List,
    ast.Tuple,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.FloorDiv,
    ast.Mod,
    ast.Pow,
    ast.UAdd,
    ast.USub,
    ast.Not,
    ast.boolop,
    ast.cmpop,
)
#: Integers beyond this many bits are counted as floats: they are estimates, and must not cost time.
_MAX_BITS = 1024
#: A manifest's expressions are shorter by their schema; each step of one costs at most as much as a list that
#: a user gave.
_MAX_LENGTH = 2000
_MAX_DIGITS = 30


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """
    Value of an expression.

    Parameters
    ----------
    expression : str
        Python's arithmetic, comparisons, `and or not in if else` and abs, ceil, floor, len, log10, max, min,
        round, sqrt, cos, radians.
    names : mapping
        What it may refer to.

    Raises
    ------
    ValueError
        What is wrong with it.
    """
    import simpleeval

    try:
        tree = _parsed(expression.strip())
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED):
                raise ValueError(f"{type(node).__name__} is not allowed here")
        operators = {
            **simpleeval.DEFAULT_OPERATORS,
            ast.Pow: _bounded(_power),
            ast.Mult: _bounded(_of_numbers(operator.mul)),
            ast.Mod: _bounded(_of_numbers(operator.mod)),
            ast.Add: _bounded(simpleeval.safe_add),
        }
        functions = {name: _bounded(function) for name, function in _FUNCTIONS.items()}
        made = simpleeval.EvalWithCompoundTypes(operators=operators, functions=functions, names=dict(names))
        return made.eval(expression, tree.body)
    except (
        simpleeval.InvalidExpression,
        ArithmeticError,
        TypeError,
        ValueError,
        SyntaxError,
        MemoryError,
        RecursionError,
        AttributeError,
    ) as error:
        raise ValueError(f"{_shown(expression)} can't be evaluated: {error}") from None


def _parsed(expression: str) -> ast.Expression:
    if len(expression) > _MAX_LENGTH:
        raise ValueError(f"is longer than {_MAX_LENGTH} characters")
    with warnings.catch_warnings():  # "1 if" and the like: whoever wrote it reads the error
        warnings.simplefilter("ignore")
        return ast.parse(expression, mode="eval")


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A step whose whole number never grows beyond what one more step can take."""

    def call(*arguments: Any) -> Any:
        value = function(*arguments)
        return float(value) if isinstance(value, int) and value.bit_length() > _MAX_BITS else value

    return call


def _of_numbers(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``%`` fills in a text, ``*`` repeats one: a few letters would make gigabytes."""

    def call(left: Any, right: Any) -> Any:
        if not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            raise TypeError("** and % take only numbers")
        return function(left, right)

    return call


def _round(value: Any, digits: Any = 0) -> Any:
    """Python's own makes a number of as many digits."""
    if not isinstance(digits, int) or abs(digits) > _MAX_DIGITS:
        raise ValueError(f"round takes at most {_MAX_DIGITS} digits")
    return round(value, digits) if digits else round(value)


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > _MAX_BITS:
        base = float(base)
    return base**exponent


_short = reprlib.Repr()
_short.maxstring = 200
_shown = _short.repr


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "len": len,
    "log10": math.log10,
    "max": max,
    "min": min,
    "round": _round,
    "sqrt": math.sqrt,
    "cos": math.cos,
    "radians": math.radians,
}


def number(expression: str | float, names: Mapping[str, Any]) -> float:
    """
    Value of an expression that must be a number from 0 to 2^63.

    Raises
    ------
    ValueError
    """
    value = evaluate(expression, names) if isinstance(expression, str) else expression
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**63:
        raise ValueError(f"{_shown(expression)} is {_shown(value)}, not a number from 0 to 2^63")
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
        tree = _parsed(expression)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"{_shown(expression)} does not parse: {getattr(error, 'msg', None) or error}"
        ) from None
    return (
        {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        - set(_FUNCTIONS)
        - {"True", "False", "None"}
    )
