"""
Shapes of the fit to an invariant-mass spectrum, as cumulative distributions over a window: bins are
integrated exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import particles
from numpy.typing import NDArray
from scipy import interpolate, special

Array = NDArray[np.float64]
Cumulative = Callable[..., Array]

#: first value and limits of a shape's parameters; None is no limit
Start = dict[str, tuple[float, float | None, float | None]]


@dataclass(frozen=True)
class Shape:
    """A distribution in a window, before normalisation."""

    cumulative: Cumulative
    start: Start


def gaussian(width: float) -> Shape:
    """A Gaussian; `width` (GeV) is where the fit starts."""

    def cumulative(x: Array, mass: float, sigma: float) -> Array:
        return special.ndtr((x - mass) / sigma)

    return Shape(
        cumulative, {"mass": (particles.LAMBDA, None, None), "sigma": (width, width / 10, width * 10)}
    )


def polynomial(window: tuple[float, float], order: int) -> Shape:
    """
    A polynomial in Bernstein's form, which is positive where its coefficients are; the first coefficient is
    1.
    """

    def cumulative(x: Array, *coefficients: float) -> Array:
        c = np.array([[1.0], *([c] for c in coefficients)])
        return interpolate.BPoly(c, list(window)).antiderivative()(np.clip(x, *window))

    return Shape(cumulative, {f"c{i}": (1.0, 0.0, 1e4) for i in range(1, order + 1)})


def threshold(window: tuple[float, float]) -> Shape:
    """
    Phase space above the threshold of the pair: t^power exp(-fall t), t = (m - m_p - m_pi) / width of the
    window.

    Both signs of `fall` are needed: cuts shape the background. So this is integrated numerically, to 1e-10 in
    windows that start above 1.08 GeV.
    """
    width = window[1] - window[0]
    nodes, weights = np.polynomial.legendre.leggauss(32)

    def cumulative(x: Array, power: float, fall: float) -> Array:
        half = 0.5 * (np.clip(x, *window) - window[0])
        t = (window[0] + half[:, None] * (nodes + 1) - particles.THRESHOLD) / width
        return half * np.sum(weights * np.exp(power * np.log(t) - fall * t), axis=1)

    return Shape(cumulative, {"power": (0.0, -20, 20), "fall": (1.0, -50, 50)})


BACKGROUNDS = ("polynomial", "threshold")


@dataclass(frozen=True)
class Model:
    """Signal and background with their yields in a window."""

    signal: Shape
    background: Shape
    window: tuple[float, float]

    @property
    def start(self) -> Start:
        """Shape parameters in the order of the fit, after the two yields."""
        return {**self.signal.start, **self.background.start}

    def parts(self, edges: Array, signal: float, background: float, *shape: float) -> tuple[Array, Array]:
        """Counts below each edge, of signal and of background; each yield is that within the window."""
        n = len(self.signal.start)
        return (
            signal * self._within(self.signal.cumulative, edges, shape[:n]),
            background * self._within(self.background.cumulative, edges, shape[n:]),
        )

    def _within(self, cumulative: Cumulative, edges: Array, values: tuple[float, ...]) -> Array:
        low, high = cumulative(np.array(self.window), *values)
        return (cumulative(edges, *values) - low) / max(high - low, 1e-300)

    def __call__(self, edges: Array, *values: float) -> Array:
        """Counts below each edge."""
        first, second = self.parts(edges, *values)
        return first + second


def model(background: str, order: int, window: tuple[float, float], width: float = 0.0015) -> Model:
    """
    The model of a fit: a Gaussian signal and a background.

    Parameters
    ----------
    background : str
        One of `BACKGROUNDS`.
    order : int
        Order of the polynomial.
    window : tuple of float
        Masses (GeV).
    width : float
        Width of the signal where the fit starts (GeV).
    """
    return Model(
        gaussian(width),
        polynomial(window, order) if background == "polynomial" else threshold(window),
        window,
    )
