"""
Event selection that a response belongs to: a gamma-hadron cut that is continuous in energy, and a direction
cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

Array = NDArray[np.float64]


def columns_hdu(name: str, columns: dict[str, tuple[Array, str]]) -> fits.BinTableHDU:
    """Binary table of columns of equal length, each with its unit (empty: none)."""
    made = []
    for key, (values, unit) in columns.items():
        width = values.shape[1] if values.ndim > 1 else ""
        made.append(fits.Column(name=key, format=f"{width}D", unit=unit or None, array=values))
    return fits.BinTableHDU.from_columns(made, name=name)


@dataclass(frozen=True)
class ScoreCut:
    """
    Least gamma-hadron score as a function of reconstructed energy.

    Linear in log energy between the bin centres. A cut that jumps between bins leaves edges at fixed
    reconstructed energies, which an energy dispersion tabulated in relative migration can't follow
    (README.md, "Closure").

    Attributes
    ----------
    edges : ndarray, shape (n + 1,)
        Reconstructed energy, TeV.
    values, efficiency : ndarray, shape (n,)
        Cut at the bin centres, and the part of the gammas near the axis that it keeps.
    """

    edges: Array
    values: Array
    efficiency: Array

    def passes(self, reco_energy: Any, score: Any) -> NDArray[np.bool_]:
        """Events that pass; events outside the energy range fail."""
        reco_energy = np.asarray(reco_energy, dtype=float)
        cut = np.interp(np.log(reco_energy), np.log(np.sqrt(self.edges[1:] * self.edges[:-1])), self.values)
        return (np.asarray(score) >= cut) & (reco_energy >= self.edges[0]) & (reco_energy < self.edges[-1])

    def hdu(self) -> fits.BinTableHDU:
        """Table ``GH_CUTS``."""
        return columns_hdu(
            "GH_CUTS",
            {
                "low": (self.edges[:-1], "TeV"),
                "high": (self.edges[1:], "TeV"),
                "cut": (self.values, ""),
                "efficiency": (self.efficiency, ""),
            },
        )

    @classmethod
    def of(cls, hdu: fits.BinTableHDU) -> ScoreCut:
        """Read back what `hdu` wrote."""
        d = hdu.data
        return cls(
            np.append(d["low"], d["high"][-1]).astype(float),
            d["cut"].astype(float),
            d["efficiency"].astype(float),
        )


@dataclass(frozen=True)
class DirectionCut:
    """
    Largest distance from the source, by offset and reconstructed energy: RAD_MAX of a point-like response.

    Attributes
    ----------
    edges : ndarray, shape (n + 1,)
        Reconstructed energy, TeV.
    offsets : ndarray, shape (m + 1,)
        Offset of the source, deg.
    values : ndarray, shape (m, n)
        Deg.
    """

    edges: Array
    offsets: Array
    values: Array

    def passes(self, reco_energy: Any, offset: Any, theta: Any) -> NDArray[np.bool_]:
        """Events that pass; a step in energy and offset, as the standard reads RAD_MAX."""
        i = np.clip(np.searchsorted(self.offsets, offset, side="right") - 1, 0, self.values.shape[0] - 1)
        j = np.clip(np.searchsorted(self.edges, reco_energy, side="right") - 1, 0, self.values.shape[1] - 1)
        return np.asarray(theta) <= self.values[i, j]

    def hdu(self) -> fits.BinTableHDU:
        """Table ``THETA_CUTS``, one row an offset bin; the energies are those of ``GH_CUTS``."""
        return columns_hdu(
            "THETA_CUTS",
            {
                "offset_low": (self.offsets[:-1], "deg"),
                "offset_high": (self.offsets[1:], "deg"),
                "cut": (self.values, "deg"),
            },
        )

    @classmethod
    def of(cls, hdu: fits.BinTableHDU, edges: Array) -> DirectionCut:
        """Read back what `hdu` wrote."""
        d = hdu.data
        return cls(
            edges,
            np.append(d["offset_low"], d["offset_high"][-1]).astype(float),
            np.atleast_2d(d["cut"]).astype(float),
        )
