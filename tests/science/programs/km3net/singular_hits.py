"""Variances of fits to hits that leave a direction open."""

import json

import fit
import numpy as np
from light import Water, arrival

water, rng = Water(1.35, 1.38), np.random.default_rng(1)
at = np.stack([np.zeros(12), np.zeros(12), np.linspace(-50, 50, 12)], axis=1)
p, errors = np.array([10.0, 0, 0]), []
for _ in range(60):
    d = np.array([0, 0, -1]) + rng.normal(0, 1e-9, 3)
    d /= np.linalg.norm(d)
    found = fit.fit(water, at, arrival(water, p, d, 0.0, at), 2.0, (p, d, 0.0))
    errors += [] if found is None else np.diag(found[1].covariance).tolist()
print(json.dumps(errors))
