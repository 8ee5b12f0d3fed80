"""
Pulses of a photomultiplier: how long they stay over the threshold, and by how much that shifts the time at
which they cross it.

A large pulse crosses the threshold sooner than a small one of the same arrival ("time slewing"). KM3NeT
measured it in the laboratory as a function of the time over threshold; README.md, "Calibration", has the
sources.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: ns, time over threshold of one photo-electron, and what a factor e in charge adds
SINGLE, PER_LOG_CHARGE = 26.0, 15.0
#: ns, its fluctuation
SPREAD = 4.0
#: ns; the shortest pulse that is recorded, and the end of the scale
SHORTEST, LONGEST = 4.0, 255.0
#: slewing = sum of amplitude * exp(-tot / fall) + `FULL`, all in ns. A fit of ours to the 256 values that Jpp
#: and km3pipe use
TERMS = ((5.425, 14.92), (12.684, 79.00))
FULL = -10.066
#: ns; pulses beyond it are saturated, and slew alike
SATURATED = 199.0


def over_threshold(rng: np.random.Generator, charge: NDArray[Any]) -> Array:
    """
    Times over threshold (whole ns) of ``charge`` (n,) photo-electrons: 26 ns for one, slowly more for many,
    at most 255.
    """
    return np.clip(rng.normal(SINGLE + PER_LOG_CHARGE * np.log(charge), SPREAD), SHORTEST, LONGEST).round()


def slew(tot: NDArray[Any]) -> Array:
    """
    By how much pulses are late, relative to one of 26.4 ns.

    Parameters
    ----------
    tot : array (n,)
        ns, times over threshold.

    Returns
    -------
    array (n,)
        ns, from +8.0 for the shortest to -9.0 for saturated ones; subtracted by the calibration. Within 0.08
        ns of the published values.
    """
    seen = np.clip(np.asarray(tot, dtype=float), 0.0, SATURATED)
    return np.asarray(sum((a * np.exp(-seen / fall) for a, fall in TERMS), np.full(seen.shape, FULL)))
