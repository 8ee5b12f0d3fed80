"""
A muon track from the arrival times of its Cherenkov light: causal cluster, prefit over directions, robust
fit.

Formulae and references in README.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from light import C, Water, along_and_across, arrival
from numpy.typing import NDArray
from scipy.optimize import least_squares

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: standard deviations at which the weight of a hit begins to fall (Cauchy's estimator), one after the other
WIDTHS = (20.0, 2.0)
#: standard deviations beyond which a hit is an outlier of a fit
INLIER = 5.0
#: seeds beyond which only the first of each module is used: more of them cost time and tell little
MANY = 100
#: rounds of the prefit, which gives less weight to hits that don't fit
ITERATIONS = 4
#: ns; misfits of the prefit below the first are alike, those beyond the second too
NARROWEST, FAR = 10.0, 150.0
#: starting directions are different if they are further apart than this cosine
DISTINCT = math.cos(math.radians(12))


@dataclass(frozen=True)
class Track:
    """
    A fitted track: point (m), direction, time (ns) at the point; standard deviations (deg) of the direction
    along two axes.
    """

    point: Array
    direction: Array
    time: float
    #: covariance of the direction, rad^2, in the plane of `axes`
    covariance: Array
    #: two unit vectors perpendicular to the direction, shape (2, 3)
    axes: Array
    chi2: float
    ndf: int
    #: hits that took part in the last fit
    used: Mask
    #: by how much the cost of the next best solution, in another direction, was larger
    lead: float = math.inf


def sphere(number: int) -> Array:
    """``number`` directions, evenly over the sphere (Fibonacci's lattice), shape (number, 3)."""
    k = np.arange(number) + 0.5
    z, turn = 1 - 2 * k / number, np.pi * (1 + math.sqrt(5)) * k
    s = np.sqrt(1 - z * z)
    return np.stack([s * np.cos(turn), s * np.sin(turn), z], axis=1)


def axes_of(directions: Array) -> Array:
    """
    Two unit vectors perpendicular to each direction: that of growing zenith angle, and that of growing
    azimuth; shape (n, 2, 3).
    """
    d = np.atleast_2d(directions)
    flat = np.hypot(d[:, 0], d[:, 1])
    pole = flat < 1e-9
    cos = np.where(pole, 1.0, d[:, 0] / np.where(pole, 1, flat))
    sin = np.where(pole, 0.0, d[:, 1] / np.where(pole, 1, flat))
    down = np.stack([d[:, 2] * cos, d[:, 2] * sin, -flat], axis=1)
    aside = np.stack([-sin, cos, np.zeros(len(d))], axis=1)
    return np.stack([down, aside], axis=1)


def cluster(positions: Array, times: Array, index_group: float, margin: float) -> Mask:
    """
    Largest set of hits, found greedily, that one muon can have caused.

    Parameters
    ----------
    positions : array (n, 3)
        m.
    times : array (n,)
        ns.
    index_group : float
    margin : float
        ns.

    Returns
    -------
    array of bool (n,)
        In the set. Of any two hits in it, the later is not later than light in water needs from one place to
        the other, plus the margin.
    """
    distance = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=2))
    fits = np.abs(times[:, None] - times[None]) <= distance * index_group / C + margin
    keep, partners = np.ones(len(times), dtype=bool), fits.sum(axis=1)
    while keep.any():
        worst = int(np.argmin(np.where(keep, partners, len(times) + 1)))
        if partners[worst] == keep.sum():
            break
        keep[worst] = False
        partners -= fits[worst]
    return keep


def prefit(
    water: Water, positions: Array, times: Array, directions: Array, wanted: int
) -> list[tuple[Array, Array, float]]:
    """
    Starting points: for a given direction the track is a linear problem.

    With z along the direction and ``s = (c t - z) / kappa``, each hit lies on a circle ``(x - X)^2 + (y -
    Y)^2 = (s - s0)^2`` around the track; differences of two such equations are linear in X, Y, s0.

    Parameters
    ----------
    water : Water
    positions : array (n, 3)
        m, near the origin.
    times : array (n,)
        ns, near 0.
    directions : array (m, 3)
    wanted : int
        Solutions.

    Returns
    -------
    list of (point, direction, time)
        The best ones, in directions that differ.
    """
    axes = axes_of(directions)
    x, y = positions @ axes[:, 0].T, positions @ axes[:, 1].T
    z = positions @ directions.T
    s = (C * times[:, None] - z) / water.kappa
    matrix = np.stack([2 * x, 2 * y, -2 * s], axis=2)
    value = x * x + y * y - s * s
    weight = np.ones_like(s)
    for _ in range(ITERATIONS):
        share = weight / weight.sum(axis=0)
        centred = matrix - np.einsum("nm,nmi->mi", share, matrix)
        target = value - (share * value).sum(axis=0)
        normal = np.einsum("nmi,nmj->mij", centred * share[:, :, None], centred)
        # hits of one string say nothing about one coordinate: a little stiffness towards the centre of the
        # hits
        normal += np.eye(3) * (1e-5 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-9)
        solved = np.linalg.solve(
            normal, np.einsum("nmi,nm->mi", centred * share[:, :, None], target)[:, :, None]
        )[:, :, 0]
        rho = np.sqrt((x - solved[:, 0]) ** 2 + (y - solved[:, 1]) ** 2)
        offset = C * times[:, None] - z - water.kappa * rho
        start = np.median(offset, axis=0)
        misfit = np.abs(offset - start)
        # the nearest of the directions may be some degrees off, so no misfit is small; far ones are
        # background
        width = np.maximum(np.median(misfit, axis=0), C * NARROWEST)
        weight = 1 / (1 + (misfit / (2 * width)) ** 2)
    score = np.minimum(misfit, C * FAR).mean(axis=0)
    found: list[tuple[Array, Array, float]] = []
    for i in np.argsort(score):
        if all(float(directions[i] @ d) < DISTINCT for _, d, _ in found):
            found.append(
                (solved[i, 0] * axes[i, 0] + solved[i, 1] * axes[i, 1], directions[i], float(start[i] / C))
            )
            if len(found) == wanted:
                break
    return found


def fit(
    water: Water,
    positions: Array,
    times: Array,
    scale: float,
    start: tuple[Array, Array, float],
    widths: tuple[float, ...] = WIDTHS,
) -> tuple[float, Track] | None:
    """
    Robust fit of five parameters: two of the direction, two of the place across it, and the time.

    Returns
    -------
    cost, Track
        Cost of the robust fit, for a comparison with fits to the same hits. None if it did not converge.
    """
    point, base, t0 = start
    # the place along the track is free: near the centre of the hits it goes least with the direction
    middle = float(np.mean((positions - point) @ base))
    point, t0 = point + middle * base, t0 + middle / C
    axes = axes_of(base)[0]

    def track(q: Array) -> tuple[Array, Array, float]:
        d = base + q[0] * axes[0] + q[1] * axes[1]
        return point + q[2] * axes[0] + q[3] * axes[1], d / np.linalg.norm(d), t0 + q[4]

    def residuals(q: Array) -> Array:
        p, d, t = track(q)
        return np.asarray((times - arrival(water, p, d, t, positions)) / scale)

    def derivatives(q: Array) -> Array:
        p, d, _ = track(q)
        # turning by q[0] turns the unit vector by what is perpendicular to it
        turns = (axes - (axes @ d)[:, None] * d) / np.linalg.norm(base + q[0] * axes[0] + q[1] * axes[1])
        return -_derivatives(water, p, d, turns, axes, positions) / scale

    q = np.zeros(5)
    try:
        # from wide to narrow: far from the minimum all hits are outliers
        for width in widths:
            done = least_squares(
                residuals,
                q,
                derivatives,
                loss="cauchy",
                f_scale=width,
                x_scale=(0.01, 0.01, 1, 1, 3),
                max_nfev=40,
            )
            q = done.x
    except (ValueError, np.linalg.LinAlgError):
        return None
    if not np.isfinite(q).all():
        return None
    p, d, t = track(q)
    r = residuals(q)
    inlier = np.abs(r) < INLIER
    ndf = int(inlier.sum()) - 5
    if ndf < 1:
        return None
    ends = axes_of(d)[0]
    chi2 = float((r[inlier] ** 2).sum())
    jacobian = _derivatives(water, p, d, ends, ends, positions[inlier]) / scale
    try:
        covariance = np.linalg.inv(jacobian.T @ jacobian)[:2, :2]
    except np.linalg.LinAlgError:
        return None
    # times scatter more than the fit was told, if chi2 says so
    covariance = covariance * max(1.0, chi2 / ndf)
    # of a matrix that can hardly be inverted rounding makes negative variances: such hits do not determine
    # the direction
    if not np.isfinite(covariance).all() or np.linalg.eigvalsh(covariance)[0] <= 0:
        return None
    return float(done.cost), Track(p, d, t, covariance, ends, chi2, ndf, inlier)


def _derivatives(
    water: Water, point: Array, direction: Array, turns: Array, shifts: Array, positions: Array
) -> Array:
    """
    Derivatives of the arrival times (ns).

    Parameters
    ----------
    turns, shifts : array (2, 3)
        By which the direction and the point (m) change, for a unit of the first four parameters.

    Returns
    -------
    array (n, 5)
    """
    along, rho, across = along_and_across(point, direction, positions)
    rho = np.maximum(rho, 1e-6)
    relative = positions - point
    columns = []
    for turn in turns:
        longer = relative @ turn
        columns.append((longer - water.kappa * along * longer / rho) / C)
    for shift in shifts:
        columns.append((-(shift @ direction) - water.kappa * (across @ shift) / rho) / C)
    columns.append(np.ones(len(positions)))
    return np.stack(columns, axis=1)


def first_of(modules: NDArray[np.int64], times: Array, among: Mask) -> Mask:
    """The first hit of each module ``among`` these: unscattered light comes first."""
    order = np.flatnonzero(among)[np.argsort(times[among], kind="stable")]
    first = np.zeros(len(times), dtype=bool)
    first[order[np.unique(modules[order], return_index=True)[1]]] = True
    return first


def reconstruct(
    water: Water,
    positions: Array,
    times: Array,
    modules: NDArray[np.int64],
    seeds: Mask,
    directions: Array,
    scale: float,
    road: float,
    starts: int,
) -> Track | None:
    """
    Fit a track: prefit and robust fits to the seeds, then again to all hits near the best track.

    Parameters
    ----------
    water : Water
    positions : array (n, 3)
        m, of all hits of the event.
    times : array (n,)
        ns.
    modules : array of int (n,)
        In which the hits are.
    seeds : array of bool (n,)
        The causal cluster.
    directions : array (m, 3)
        To start from.
    scale : float
        ns, standard deviation of a time.
    road : float
        m, largest distance from the track of a hit that is no seed, in the last fit.
    starts : int
        Solutions of the prefit that are followed.

    Returns
    -------
    Track or None
        None if no fit converged.
    """
    first = seeds if seeds.sum() <= MANY else first_of(modules, times, seeds)
    centre, zero = positions[seeds].mean(axis=0), float(np.median(times[seeds]))
    at, t = positions - centre, times - zero
    tried = [
        fit(water, at[first], t[first], scale, s)
        for s in prefit(water, at[first], t[first], directions, starts)
    ]
    solutions = sorted((found for found in tried if found is not None), key=lambda found: found[0])
    if not solutions:
        return None
    cost, track = solutions[0]
    others = [c for c, other in solutions if float(other.direction @ track.direction) < DISTINCT]
    lead = min(others) - cost if others else math.inf
    near = seeds
    for _ in range(2):
        _, rho, _ = along_and_across(track.point, track.direction, at)
        residual = (t - arrival(water, track.point, track.direction, track.time, at)) / scale
        near = ((rho < road) | seeds) & (np.abs(residual) < INLIER)
        again = (
            fit(water, at[near], t[near], scale, (track.point, track.direction, track.time), WIDTHS[-1:])
            if near.sum() > 5
            else None
        )
        if again is None:
            return None
        track = again[1]
    used = np.zeros(len(times), dtype=bool)
    used[np.flatnonzero(near)[track.used]] = True
    return replace(track, point=track.point + centre, time=track.time + zero, used=used, lead=lead)
