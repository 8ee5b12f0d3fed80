"""
Checks of response functions after GADF 0.3: labels, axes, values, physics. They ask nothing about who made
them.

`files` reads all tables of all files (`tables`, `keywords`, `axes`), judges each (`area`, `dispersion`,
`spread`, `background`, `radius`) and all together (`agreement`). `standard` holds what GADF says, `findings`
the verdict.
"""

from .agreement import Expected
from .files import check_files
from .findings import IMPLAUSIBLE, STATISTICS, Verdict

__all__ = ["IMPLAUSIBLE", "STATISTICS", "Expected", "Verdict", "check_files"]
