"""
Pulls, (found - true) / error, of many seeds: their mean is 0 and their width 1 if the values are unbiased and
the errors right.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

LARGEST_MEAN = 0.3
WIDTHS = (0.8, 1.2)
FEWEST_SEEDS = 40
RULE = (
    f"|mean| <= {LARGEST_MEAN}, width {WIDTHS[0]} to {WIDTHS[1]}, each within its statistical error, "
    f"{FEWEST_SEEDS} seeds or more"
)
HEADING = f"{'parameter':<20} {'mean pull':>16} {'width':>16} {'mean error':>11}  verdict"


def summary(pulls: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean of the pulls, its error, their width, its error."""
    n, width = len(pulls), stdev(pulls)
    return fmean(pulls), width / n**0.5, width, width / (2 * (n - 1)) ** 0.5


def line(name: str, pulls: Sequence[float], relative_error: float) -> tuple[str, bool]:
    """
    A line of the table below `HEADING`, and whether the pulls are as `RULE` has it.

    Parameters
    ----------
    name : str
        Of the parameter.
    pulls : sequence of float
        One a seed, two at least.
    relative_error : float
        Mean error of the parameter over its value, which says how sharp the test is.
    """
    mean, mean_error, width, width_error = summary(pulls)
    fine = (
        abs(mean) <= LARGEST_MEAN + mean_error and WIDTHS[0] - width_error <= width <= WIDTHS[1] + width_error
    )
    fine &= len(pulls) >= FEWEST_SEEDS
    text = (
        f"{name:<20} {mean:+8.2f} +- {mean_error:.2f} {width:9.2f} +- {width_error:.2f} "
        f"{relative_error:>10.1%}"
    )
    return f"{text}  {'ok' if fine else 'FAIL'}", fine
