"""Extended binned maximum-likelihood fit of signal and background to an invariant-mass spectrum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapes
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

#: fewer entries than this are no spectrum
LEAST_ENTRIES = 20
#: bins are joined for the goodness of fit until the fit expects so many entries
LEAST_EXPECTED = 10
#: half width of the signal region, in resolutions
REGION = 3.0


class FitError(Exception):
    """The spectrum can't be fitted; says why."""


def fit(counts: Array, edges: Array, model: shapes.Model) -> dict[str, Any]:
    """
    Fit a spectrum.

    Parameters
    ----------
    counts, edges : array
        Entries and edges of the bins (GeV).
    model : shapes.Model

    Returns
    -------
    dict
        `parameters` (value, error), `correlation`, `signal_region` with counts and significances, `goodness`,
        `converged`.

    Raises
    ------
    FitError
        Too few entries.
    """
    total = float(counts.sum())
    if total < LEAST_ENTRIES:
        raise FitError(
            f"{total:g} candidates between {edges[0]:g} and {edges[-1]:g} GeV, a fit needs {LEAST_ENTRIES}"
        )
    cost = ExtendedBinnedNLL(counts, edges, model)
    names = ["signal", "background", *model.start]
    minuit = Minuit(cost, *_start(counts, edges, model), name=names)
    minuit.limits["signal", "background"] = (0, None)
    for name, (_, low, high) in model.start.items():
        minuit.limits[name] = (low, high)
    width = edges[-1] - edges[0]
    minuit.limits["mass"] = (edges[0] + 0.1 * width, edges[-1] - 0.1 * width)
    # the shape of the background first, else a far start lets the signal swallow it
    for fixed in (("mass", "sigma"), ()):
        minuit.fixed[:] = False
        for name in fixed:
            minuit.fixed[name] = True
        minuit.migrad(ncall=20000)
    minuit.hesse()
    values = [minuit.values[n] for n in names]
    at_limit = [n for n, p in zip(names, minuit.params, strict=True) if _at_limit(p)]
    return {
        "parameters": {n: {"value": minuit.values[n], "error": minuit.errors[n]} for n in names},
        "correlation": _correlation(minuit),
        "converged": bool(minuit.valid),
        "at_limit": at_limit,
        "signal_region": _region(model, values, _without_signal(cost, minuit, model)),
        "goodness": goodness(counts, np.diff(model(edges, *values)), len(names)),
        "entries": total,
    }


def _start(counts: Array, edges: Array, model: shapes.Model) -> list[float]:
    """Yields from the counts in and around the place where the signal is expected."""
    start = {n: v[0] for n, v in model.start.items()}
    centres = 0.5 * (edges[1:] + edges[:-1])
    near = np.abs(centres - start["mass"]) < 3 * start["sigma"]
    beside = ~near & (np.abs(centres - start["mass"]) < 9 * start["sigma"])
    below = counts[beside].mean() * near.sum() if beside.any() else 0.0
    signal = max(float(counts[near].sum() - below), 1.0)
    return [signal, max(float(counts.sum()) - signal, 1.0), *start.values()]


def _at_limit(parameter: Any) -> bool:
    low, high, value, error = parameter.lower_limit, parameter.upper_limit, parameter.value, parameter.error
    return any(
        limit is not None and math.isfinite(limit) and abs(value - limit) < 0.01 * max(error, 1e-12)
        for limit in (low, high)
    )


def _correlation(minuit: Minuit) -> list[list[float]] | None:
    if minuit.covariance is None:
        return None
    return [[float(v) for v in row] for row in np.nan_to_num(minuit.covariance.correlation())]


def _without_signal(cost: ExtendedBinnedNLL, minuit: Minuit, model: shapes.Model) -> float:
    """Twice the rise of -ln L without a signal, its mass and width as fitted."""
    best = minuit.fval
    null = Minuit(cost, *minuit.values, name=minuit.parameters)
    null.limits = minuit.limits
    null.values["signal"] = 0
    for name in ("signal", *model.signal.start):
        null.fixed[name] = True
    null.migrad(ncall=20000)
    return max(float(null.fval - best), 0.0)


def _region(model: shapes.Model, values: list[float], rise: float) -> dict[str, float]:
    """Counts of signal and background around the mass, and what the signal means."""
    shape = dict(zip(model.start, values[2:], strict=True))
    low, high = (shape["mass"] + sign * REGION * shape["sigma"] for sign in (-1, 1))
    window = np.clip([low, high], *model.window)
    signal, background = (float(np.diff(part)[0]) for part in model.parts(window, *values))
    return {
        "low": float(window[0]),
        "high": float(window[1]),
        "signal": signal,
        "background": background,
        "signal_to_background": signal / background if background > 0 else 0.0,
        "significance": signal / math.sqrt(signal + background) if signal + background > 0 else 0.0,
        "likelihood_significance": math.sqrt(rise),
    }


def goodness(counts: Array, expected: Array, parameters: int) -> dict[str, float]:
    """
    Goodness of fit: Poisson likelihood χ² (Baker, Cousins 1984) of bins joined until each expects
    `LEAST_EXPECTED`.

    Parameters
    ----------
    counts, expected : array
    parameters : int
        Fitted ones.
    """
    groups = (
        np.minimum(
            np.floor(np.cumsum(expected) / LEAST_EXPECTED), np.floor(expected.sum() / LEAST_EXPECTED) - 1
        )
        .clip(0)
        .astype(int)
    )
    n = np.bincount(groups, counts)
    mu = np.bincount(groups, expected)
    used = mu > 0
    n, mu = n[used], mu[used]
    chi2 = float(2 * np.sum(mu - n + np.where(n > 0, n * np.log(np.where(n > 0, n, 1) / mu), 0)))
    degrees = max(int(n.size) - parameters, 1)
    return {
        "chi2": chi2,
        "ndf": degrees,
        "chi2_per_ndf": chi2 / degrees,
        "p_value": float(stats.chi2.sf(chi2, degrees)),
    }
