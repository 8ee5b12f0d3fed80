"""Arrival times by Cherenkov's angle beside those by Fermat's principle: the largest difference."""

import json

import numpy as np
from light import C, Water, arrival

rng, water = np.random.default_rng(1), Water(1.36, 1.36)
worst = 0.0
for _ in range(50):
    p, q, d = rng.normal(0, 50, 3), rng.normal(0, 50, (1, 3)), rng.normal(size=3)
    d /= np.linalg.norm(d)
    s = np.linspace(-600, 600, 60001)
    ways = s + 1.36 * np.linalg.norm(q - p - s[:, None] * d, axis=1)
    worst = max(worst, abs(arrival(water, p, d, 5.0, q)[0] - 5.0 - ways.min() / C))
print(json.dumps(worst))
