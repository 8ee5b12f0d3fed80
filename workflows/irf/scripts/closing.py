"""
Is a response good enough for what it is meant for? Its statistics, and a source that is found again. Used by
`validate`.
"""

from __future__ import annotations

from math import log, log1p
from typing import Any

from checks import IMPLAUSIBLE, STATISTICS, Verdict
from injection import NEAR, UnderTest, closure
from prediction import compare, compare_background

#: largest pull of the injected source; four parameters beyond it by chance: 1 in 4000
LARGEST_PULL = 4.0
#: simulated gammas near the axis for each excess count: below, noise of the response shows in fits
GAMMAS_PER_EXCESS = 30
#: excess counts of the injected source; fewer than the lowest say nothing
EXCESS_RANGE = (50, 20000)
#: highest over lowest energy of a fit, at least
NARROWEST = 3.0
#: thrown over predicted counts may be off by this and four standard deviations; of background by the second
LARGEST_RATIO, LARGEST_BACKGROUND = 0.1, 0.3
SIGMAS = 4.0
#: ratios that are known less well are not judged
LARGEST_ERROR = 0.4


def check_statistics(v: Verdict, gammas: int, intended: int | None) -> None:
    """Warn if an observation has so many counts that the noise of the response shows."""
    if intended and gammas < GAMMAS_PER_EXCESS * intended:
        v.remark(
            "gammas near the axis",
            f"{gammas} simulated gammas near the axis are fewer than {GAMMAS_PER_EXCESS} for each of "
            f"{intended} intended excess counts: "
            f"good for {gammas // GAMMAS_PER_EXCESS}; throw "
            f"{GAMMAS_PER_EXCESS * intended / max(gammas, 1):.1f} times as many",
            severity=STATISTICS,
        )


def check_background(v: Verdict, test: UnderTest) -> None:
    """Warn if the safe range is that of the gammas alone."""
    safe, background = test.document["safe_range_tev"], test.document["background_range_tev"]
    if background is None or safe[0] < background[0] or safe[1] > background[1]:
        said = (
            "too few at nearly every energy: the safe range is that of the gammas alone; throw more "
            "protons and electrons"
        )
        v.remark("background events", said, severity=STATISTICS)


def check_fit(v: Verdict, row: dict[str, Any]) -> None:
    """The fit of one injected source: converged, with small pulls."""
    where = f"closure at {row['offset_deg']:g} deg"
    counted = row["excess"] is not None and row["sqrt_ts"] is not None
    detail = (
        f"{row['excess']:.0f} excess counts, {row['sqrt_ts']:.1f} sigma"
        if counted
        else "no excess could be computed"
    )
    v.check(f"{where}: fit converged", row["converged"] and counted, detail, severity=IMPLAUSIBLE)
    for name in ("amplitude", "index"):
        fitted = row[name]
        good = fitted["pull"] is not None and abs(fitted["pull"]) <= LARGEST_PULL
        detail = (
            "no error"
            if fitted["pull"] is None
            else (
                f"{fitted['value']:.3g} ± {fitted['error']:.2g}, true {fitted['true']:.3g}: pull "
                f"{fitted['pull']:+.2f}"
            )
        )
        v.check(f"{where}: {name}", good, detail, severity=IMPLAUSIBLE)


def far_off(ratio: float | None, error: float, largest: float) -> bool:
    """
    Whether thrown over predicted is further from 1 than a tolerance and the statistics allow; so is what was
    not predicted at all.
    """
    if not ratio:
        return ratio is None
    return error <= LARGEST_ERROR * ratio and abs(log(ratio)) > log1p(largest) + SIGMAS * error / ratio


def check_ratios(v: Verdict, ratios: dict[str, Any]) -> None:
    """Thrown over predicted counts of a source at each offset, in each band of energy."""
    edges, wrong = ratios["edges_tev"], []
    for offset, values, errors in zip(ratios["offsets_deg"], ratios["ratio"], ratios["error"], strict=True):
        for low, high, value, error in zip(edges, edges[1:], values, errors, strict=False):
            if far_off(value, error, LARGEST_RATIO):
                said = "nothing predicted" if value is None else f"{value:.2f} ± {error:.2f}"
                wrong.append(f"{offset:.2g} deg, {low:.2g} to {high:.2g} TeV: {said}")
    detail = "; ".join(wrong) or f"within {LARGEST_RATIO:.0%} at all offsets and energies"
    v.check("closure: thrown over predicted counts", not wrong, detail, severity=IMPLAUSIBLE)
    wrong = [
        f"{row['offset_deg']:.2g} deg, {row['low_tev']:.2g} to {row['high_tev']:.2g} TeV: "
        + ("nothing predicted" if row["ratio"] is None else f"{row['ratio']:.2f} ± {row['error']:.2f}")
        for row in ratios["background"]
        if far_off(row["ratio"], row["error"], LARGEST_BACKGROUND)
    ]
    if ratios["background"]:
        detail = "; ".join(wrong) or f"within {LARGEST_BACKGROUND:.0%}"
        v.check("closure: thrown over predicted background", not wrong, detail, severity=IMPLAUSIBLE)


def check_closure(v: Verdict, test: UnderTest, intended: int | None) -> dict[str, Any] | None:
    """
    Inject sources near the axis and far from it, and compare counts everywhere.

    The sources have as many counts as the response may be used for, and small pulls are demanded.

    Returns
    -------
    dict or None
        The row of the source near the axis (see `injection.closure`); ``far``, that of the other; ``ratios``,
        see `prediction.compare`, with ``background``. None if the response has too few gammas for it.
    """
    check_background(v, test)
    gammas = test.document["gammas_near_axis"]
    excess = min(intended or EXCESS_RANGE[1], gammas // GAMMAS_PER_EXCESS, EXCESS_RANGE[1])
    if excess < EXCESS_RANGE[0]:
        v.warnings.append(
            f"closure not tested: {gammas} gammas near the axis are good for {excess} excess counts only"
        )
        return None
    low, high = test.fit_range
    if high < NARROWEST * low:
        v.warnings.append("closure not tested: there are enough gammas in too few bins of energy")
        return None
    seed = test.document["parameters"]["seed"]
    try:
        rings = [test.ring(seed, NEAR), test.ring(seed, test.far)]
        ratios = compare(test, seed)
        ratios["background"] = (
            [row for ring in rings for row in compare_background(test, ring)]
            if "bkg" in test.components
            else []
        )
        check_ratios(v, ratios)
        if any(value is None for row in ratios["ratio"] for value in row):
            v.warnings.append(
                "no source injected: nothing is predicted at some offsets, so a fit has nothing to say"
            )
            return None
        near, far = (closure(test, seed, excess=excess, ring=ring) for ring in rings)
    except Exception as error:
        v.check("closure: fit", False, f"{type(error).__name__}: {error}", severity=IMPLAUSIBLE)
        return None
    check_fit(v, near)
    check_fit(v, far)
    return {**near, "far": far, "ratios": ratios}
