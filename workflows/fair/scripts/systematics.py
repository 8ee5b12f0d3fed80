"""
Systematic errors of what the workflow measures, and where they come from; README.md, "Measured", has the
measurements.
"""

from __future__ import annotations

#: mass of the toy is high by up to this (GeV): smeared angles and momenta raise the mean mass of a pair
MASS = 0.00005
#: part of the yield that a single Gaussian misses
YIELD = 0.01
