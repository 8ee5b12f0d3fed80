"""Masses and lifetimes of the particles (PDG, Phys. Rev. D 110 (2024) 030001), in GeV and cm."""

from __future__ import annotations

import math

PROTON = 0.93827208816
PION = 0.13957039
LAMBDA = 1.115683
#: uncertainty of the mass of the Lambda
LAMBDA_ERROR = 0.000006
#: mean proper decay length of the Lambda
LAMBDA_CTAU = 7.845
#: mass of a nucleon of the beam, mean of proton and neutron
NUCLEON = 0.938918755
#: smallest mass of a pair
THRESHOLD = PROTON + PION


def decay_momentum(mother: float, first: float, second: float) -> float:
    """Momentum of both daughters of a two-body decay, in the rest frame of the mother."""
    return math.sqrt((mother**2 - (first + second) ** 2) * (mother**2 - (first - second) ** 2)) / (2 * mother)


def beam_rapidity(kinetic: float) -> float:
    """
    Rapidity of a beam nucleon of this kinetic energy; that of the centre of mass of equal nuclei is half of
    it.
    """
    return math.acosh(1 + kinetic / NUCLEON)
