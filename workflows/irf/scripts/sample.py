"""Simulated events with the weights of real fluxes, as pyirf wants them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, vstack
from events import PARTICLES, UNITS
from pyirf.simulations import SimulatedEventsInfo
from pyirf.spectral import (
    CRAB_HEGRA,
    IRFDOC_ELECTRON_SPECTRUM,
    IRFDOC_PROTON_SPECTRUM,
    PowerLaw,
    calculate_event_weights,
)

SPECTRA = {"gamma": CRAB_HEGRA, "proton": IRFDOC_PROTON_SPECTRUM, "electron": IRFDOC_ELECTRON_SPECTRUM}
#: gammas thrown within this angle of the axis stand for a point source
ON_AXIS = 1.0 * u.deg


def energy_edges(low: float, high: float, per_decade: int) -> u.Quantity:
    """
    Edges (TeV) that cover the thrown range exactly; a bin that is only partly thrown would have a wrong area.
    """
    return np.geomspace(low, high, max(2, round(per_decade * np.log10(high / low))) + 1) * u.TeV


def offset_edges(largest: float, bins: int) -> u.Quantity:
    """
    Edges (deg) of offset bins that are narrower outwards.

    There the response falls, and a bin's average is not its value at the centre, where it is taken to be.
    Near the axis it is flat, and bins of equal width would leave few events in the innermost.
    """
    return largest * np.linspace(0, 1, bins + 1) ** (2 / 3) * u.deg


@dataclass
class Sample:
    """
    Events of a production.

    Attributes
    ----------
    gamma, background : astropy.table.QTable
        Diffuse gammas (unweighted); protons and electrons (``weight`` for the observation time, ``particle``
        an index of `PARTICLES`).
    point : astropy.table.QTable
        Gammas near the axis, weighted to a source with the flux of the Crab nebula (HEGRA).
    thrown : pyirf.simulations.SimulatedEventsInfo
        Of the gammas.
    header : dict
        Header of the gamma table.
    """

    gamma: QTable
    point: QTable
    background: QTable
    thrown: SimulatedEventsInfo
    header: dict[str, Any]

    @classmethod
    def read(cls, path: Path, observation_time: u.Quantity) -> Sample:
        """Read a merged event list and weight it to ``observation_time``."""
        tables, infos, headers = {}, {}, {}
        with fits.open(path, memmap=False) as hdus:
            for particle in PARTICLES:
                hdu = hdus[particle.upper()]
                headers[particle] = h = dict(hdu.header)
                # native byte order: numpy converts FITS data on every use otherwise
                tables[particle] = QTable(
                    {
                        n: hdu.data[n].astype("f4") * u.Unit(unit) if unit else hdu.data[n].astype("f4")
                        for n, unit in UNITS.items()
                    }
                )
                infos[particle] = SimulatedEventsInfo(
                    int(h["NSHOWER"]),
                    h["EMIN"] * u.TeV,
                    h["EMAX"] * u.TeV,
                    h["IMPMAX"] * u.m,
                    h["SPINDEX"],
                    0 * u.deg,
                    h["CONEMAX"] * u.deg,
                )
        for particle in ("proton", "electron"):
            events = tables[particle]
            events["particle"] = np.full(len(events), PARTICLES.index(particle), dtype="i1")
            events["weight"] = calculate_event_weights(
                events["true_energy"],
                SPECTRA[particle],
                PowerLaw.from_simulation(infos[particle], observation_time),
            )
        gamma, info = tables["gamma"], infos["gamma"]
        # a diffuse simulation as a point source: the showers thrown inside ON_AXIS share its flux
        cap, cone = 1 - np.cos([ON_AXIS.to_value("rad"), info.viewcone_max.to_value("rad")])
        inside = SimulatedEventsInfo(
            int(info.n_showers * cap / cone),
            info.energy_min,
            info.energy_max,
            info.max_impact,
            info.spectral_index,
            0 * u.deg,
            0 * u.deg,
        )
        point = gamma[gamma["true_source_fov_offset"] < ON_AXIS]
        point["weight"] = calculate_event_weights(
            point["true_energy"], CRAB_HEGRA, PowerLaw.from_simulation(inside, observation_time)
        )
        background = vstack([tables["proton"], tables["electron"]])
        return cls(gamma, point, background, info, headers["gamma"])
