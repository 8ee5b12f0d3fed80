"""
Background rate by energy and offset from simulated events, also where there are few of them. Used by `irf`.

Few hadrons pass the cuts at high energies, and one of them weighs as much as hundreds of electrons. As it is
done for arrays in operation, the profile in offset is then that of neighbouring energies, which it hardly
depends on, and the spectrum is extended by a smooth curve: of each particle by itself, since the events of
one tell nothing of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from pyirf.utils import cone_solid_angle

Array = NDArray[np.float64]

#: events that a rate inside the safe range rests on at least: it is known to 22 %
SAFE_EVENTS = 20
#: fewest events of an offset bin that needs no neighbours
ENOUGH = 50
#: energy bins with fewer events take their rate from the curve
FEWEST = 10
#: energy bins with enough events below the first that has not, which the curve is fitted to with all above
FITTED = 5


@dataclass(frozen=True)
class Part:
    """
    Background of one particle.

    Attributes
    ----------
    rates : ndarray, shape (n, m)
        Expected events by reconstructed energy and offset.
    variances : ndarray, shape (n,)
        Of the sum over the offsets.
    events : ndarray, shape (n, m)
        Effective number of events, (sum of weights)^2 / sum of squares.
    smoothed, extended : ndarray of bool, shape (n,)
        Energies whose profile is that of their neighbourhood; whose rate is that of a curve.
    """

    rates: Array
    variances: Array
    events: Array
    smoothed: NDArray[np.bool_]
    extended: NDArray[np.bool_]


@dataclass(frozen=True)
class Background:
    """
    Rates (1 / (s TeV sr), shape (n, m)) by energy (edges, TeV) and offset, and the particles that they are
    made of.
    """

    edges: Array
    rates: u.Quantity
    parts: Mapping[str, Part]

    @property
    def events(self) -> Array:
        """
        Effective number of events that the rate at each energy rests on, shape (n,): one over its squared
        relative error.
        """
        total = sum(part.rates.sum(axis=1) for part in self.parts.values())
        variance = sum(part.variances for part in self.parts.values())
        return np.divide(total**2, variance, out=np.zeros_like(total), where=variance > 0)

    @property
    def safe_range(self) -> tuple[float, float] | None:
        """Energies (TeV) with `SAFE_EVENTS` each, up to the first gap; None if there is none."""
        enough = self.events >= SAFE_EVENTS
        if not enough.any():
            return None
        first = int(np.argmax(enough))
        return float(self.edges[first]), float(
            self.edges[first + int(np.argmin(np.append(enough[first:], False)))]
        )

    def said(self) -> list[str]:
        """What was done to the rates, for the header."""
        lines = []
        for name, part in self.parts.items():
            for which, what in (
                (part.smoothed, "profile in offset of neighbouring energies"),
                (part.extended, "rate from a log-parabola"),
            ):
                at = np.flatnonzero(which)
                # stretches of bins that are next to each other
                for stretch in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if at.size else []:
                    lines.append(
                        f"{name}s, {self.edges[stretch[0]]:.3g} to "
                        f"{self.edges[stretch[-1] + 1]:.3g} TeV: "
                        f"{what}"
                    )
        return lines


def profiles(weights: Array, events: Array) -> tuple[Array, NDArray[np.bool_]]:
    """
    Parts of the rate in each offset bin, shape (n, m): of as few neighbouring energies as give `ENOUGH`
    events in each bin.

    The second is true where neighbours were needed. Energies count by their events: by rates, the lowest
    would decide alone.
    """
    total = weights.sum(axis=1)
    own = np.divide(weights, total[:, None], out=np.zeros_like(weights), where=total[:, None] > 0)
    count, found, smoothed = events.sum(axis=1), np.zeros_like(weights), np.zeros(len(weights), dtype=bool)
    for j in range(len(weights)):
        for k in range(len(weights)):
            window = slice(max(0, j - k), j + k + 1)
            if events[window].sum(axis=0).min() >= ENOUGH:
                break
        smoothed[j], n = k > 0, count[window]
        found[j] = n @ own[window] / n.sum() if n.sum() else 0
    return found, smoothed


def fitted(count: Array, weight: Array, x: Array) -> tuple[Array, Array]:
    """
    Log-parabola through counts of events, empty bins too: an energy without an event says that there are few.

    Parameters
    ----------
    count, weight : ndarray, shape (n,)
        (Effective) events, distributed after Poisson, and what each stands for.
    x : ndarray, shape (n,)
        Logarithm of the energy.

    Returns
    -------
    rate, variance : ndarray, shape (n,)
        Expected ``count * weight``; its relative variance, from the curvature of the likelihood.
    """
    base = np.stack([np.ones_like(x), x - x[0], (x - x[0]) ** 2], axis=1)
    # Newton's steps of a generalised linear model (McCullagh, Nelder 1989, 2.5), from the counts themselves
    mean = count + 0.1
    for _ in range(40):
        hessian = base.T @ (mean[:, None] * base) + 1e-9 * np.eye(3)
        target = np.log(mean * weight) + (count - mean) / mean
        factors = np.linalg.solve(hessian, base.T @ (mean * target))
        mean = np.clip(np.exp(np.clip(base @ factors, -200, 200)) / weight, 1e-30, 1e12)
    return mean * weight, np.einsum("ni,ij,nj->n", base, np.linalg.inv(hessian), base)


def spectrum(rate: Array, squares: Array, edges: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """
    Rate at each energy and its variance; beyond the last energy with `FEWEST` events, and in gaps, those of a
    log-parabola.

    Parameters
    ----------
    rate, squares : ndarray, shape (n,)
        Sums of weights and of their squares.
    edges : ndarray, shape (n + 1,)
        TeV.
    """
    # rounded, so that ten equal weights are ten events
    events = np.round(np.divide(rate**2, squares, out=np.zeros_like(rate), where=squares > 0), 6)
    good = np.flatnonzero(events >= FEWEST)
    extended = np.zeros(rate.size, dtype=bool)
    if good.size < FITTED:
        return rate, squares, extended
    extended[good[0] :] = events[good[0] :] < FEWEST
    x = 0.5 * np.log(edges[1:] * edges[:-1])
    # weights follow the thrown and the true spectrum, so that they are a power law themselves
    weight = np.exp(np.polyval(np.polyfit(x[good], np.log(squares[good] / rate[good]), 1), x))
    start = good[np.flatnonzero(good < np.flatnonzero(extended)[0])[-FITTED:][0]] if extended.any() else 0
    curve, relative = fitted(np.where(squares > 0, events, 0)[start:], weight[start:], x[start:])
    rate, squares = rate.copy(), squares.copy()
    at = np.flatnonzero(extended[start:])
    rate[start + at], squares[start + at] = curve[at], curve[at] ** 2 * relative[at]
    return rate, squares, extended


def make_part(energy: Array, offset: Array, weight: Array, edges: Array, offsets: Array) -> Part:
    """
    Background of one particle from its events: reconstructed energy (TeV), offset (deg), expected number.
    """
    first, second = (
        np.histogram2d(energy, offset, bins=[edges, offsets], weights=w)[0] for w in (weight, weight**2)
    )

    cells = np.divide(first**2, second, out=np.zeros_like(first), where=second > 0)
    profile, smoothed = profiles(first, cells)
    rate, variances, extended = spectrum(first.sum(axis=1), second.sum(axis=1), edges)
    return Part(rate[:, None] * profile, variances, cells, smoothed, extended)


def make_background(
    particles: Mapping[str, Mapping[str, Any]], edges: u.Quantity, offsets: u.Quantity, time: u.Quantity
) -> Background:
    """
    Background rate of selected events.

    Parameters
    ----------
    particles : mapping of mapping of Quantity, shape (k,)
        Of each particle ``reco_energy``, ``reco_source_fov_offset``, ``weight`` (expected number in `time`).
    edges, offsets : Quantity, shape (n + 1,), (m + 1,)
        Bins of reconstructed energy and of offset.
    time : Quantity
        What the weights are for.

    Returns
    -------
    Background
    """
    tev = edges.to_value("TeV")
    parts = {
        name: make_part(
            events["reco_energy"].to_value("TeV"),
            events["reco_source_fov_offset"].to_value("deg"),
            np.asarray(events["weight"], dtype=float),
            tev,
            offsets.to_value("deg"),
        )
        for name, events in particles.items()
    }
    solid = np.diff(cone_solid_angle(offsets).to_value("sr"))
    rates = sum(part.rates for part in parts.values()) / np.diff(tev)[:, None] / solid / time.to_value("s")
    return Background(tev, u.Quantity(rates, "1 / (s TeV sr)"), parts)
