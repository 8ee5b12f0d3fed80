"""Background of a known spectrum that leaves some bins without events: pulls of what is extended."""

import json

import numpy as np
from background import FEWEST, make_part

edges, offsets = np.geomspace(0.1, 100, 16), np.arange(0, 4.1, 0.5)
pulls, empty = [], 0
middle = np.sqrt(edges[1:] * edges[:-1])
shape = np.diff(np.cos(np.radians(offsets)))
truth = 3e4 * middle**-1.9 * np.exp(-0.12 * np.log(middle / 0.1) ** 2)
weight = 20 * middle**-0.7
for seed in range(30):
    rng = np.random.default_rng(seed)
    n = rng.poisson(truth / weight)
    energy = np.repeat(middle, n)
    cell = rng.choice(8, energy.size, p=shape / shape.sum())
    part = make_part(energy, offsets[cell] + 0.25, np.repeat(weight, n), edges, offsets)
    found = part.rates.sum(axis=1)
    empty += int((n == 0).sum())
    assert (found > 0).all() and (part.rates > 0).all() and (part.extended == (n < FEWEST)).all()
    full = n >= FEWEST
    assert np.allclose(found[full], (n * weight)[full])
    near = part.extended & (truth / weight > 1)
    pulls += list(np.log(found / truth)[near] / np.sqrt(part.variances / found**2)[near])
pulls = np.array(pulls)
print(json.dumps([empty, len(pulls), float(pulls.mean()), float(pulls.std())]))
