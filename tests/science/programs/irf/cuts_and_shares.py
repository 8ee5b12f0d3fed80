"""A cut is continuous, and shares and seeds of blocks add up."""

import numpy as np
from selection import ScoreCut
from simulate import share, stream

edges = np.geomspace(0.1, 10, 5)
cut = ScoreCut(edges, np.array([0.2, 0.8, 0.3, 0.6]), np.ones(4))
e = np.geomspace(0.101, 9.9, 4000)
least = np.array([next(s for s in np.linspace(0, 1, 101) if cut.passes([x], [s])[0]) for x in e[::40]])
assert np.abs(np.diff(least)).max() < 0.1, least
assert not cut.passes([0.05, 11], [1, 1]).any()
assert sum(share(1_000_003, 7, b) for b in range(1, 8)) == 1_000_003
seeds = {stream(s, b, p) for s in (0, 1) for b in range(1, 50) for p in ("gamma", "proton", "electron")}
assert len(seeds) == 2 * 49 * 3 and max(seeds) < 2**62
