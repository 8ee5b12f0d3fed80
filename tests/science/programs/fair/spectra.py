"""Transverse mass and rapidity of generated protons."""

import json

import generate
import numpy as np
import particles

rng = np.random.default_rng(6)
m, slope = particles.PROTON, 0.16
p = generate.thermal(rng, 200000, m, slope, 0.75, 1.6)
mt = np.sqrt(p[0] ** 2 + p[1] ** 2 + m**2)
y = np.arcsinh(p[2] / mt)
print(
    json.dumps(
        {
            "excess": (mt - m).mean(),
            "error": (mt - m).std() / len(mt) ** 0.5,
            "expected": slope * (m + 2 * slope) / (m + slope),
            "y": [y.mean(), y.std()],
            "beam": particles.beam_rapidity(10),
        }
    )
)
