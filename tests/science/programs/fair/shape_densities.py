"""The binned shapes beside their densities, integrated."""

import itertools
import json

import numpy as np
import shapes
from scipy import integrate

out, window = [], (1.085, 1.165)
m0 = 0.93827208816 + 0.13957039
for name, values, density in (
    ("threshold", (-0.3, 1.7), lambda m: ((m - m0) / 0.08) ** -0.3 * np.exp(-1.7 * (m - m0) / 0.08)),
    (
        "polynomial",
        (0.5, 2.0),
        lambda m: (1 - (t := (m - 1.085) / 0.08)) ** 2 + 2 * 0.5 * t * (1 - t) + 2.0 * t**2,
    ),
):
    model = shapes.model(name, 2, window)
    edges = np.linspace(*window, 9)
    signal, background = (np.diff(p) for p in model.parts(edges, 300.0, 700.0, 1.1157, 0.0012, *values))
    exact = np.array([integrate.quad(density, a, b)[0] for a, b in itertools.pairwise(edges)])
    out.append([signal.sum(), background.sum(), np.abs(background / 700 - exact / exact.sum()).max()])
print(json.dumps(out))
