"""Tracks from perfect times, and derivatives beside differences: the largest errors of both."""

import json

import detector
import fit
import numpy as np
from light import Water, along_and_across, arrival

rng, water, pmts = np.random.default_rng(3), Water(1.35, 1.38), detector.toy("orca", 19, 5)
directions, worst, slopes = fit.sphere(500), 0.0, 0.0
for _ in range(12):
    d = rng.normal(size=3)
    d /= np.linalg.norm(d)
    p = pmts.position.mean(axis=0) + rng.normal(0, 10, 3)
    rho = along_and_across(p, d, pmts.position)[1]
    rows = rng.choice(np.flatnonzero(rho < 40), 40, replace=False)
    at = pmts.position[rows]
    times = arrival(water, p, d, 1e6, at)
    track = fit.reconstruct(water, at, times, pmts.dom[rows], np.ones(40, bool), directions, 2.0, 80.0, 5)
    worst = max(worst, float(np.degrees(np.arccos(np.clip(track.direction @ d, -1, 1)))))
    axes = fit.axes_of(d)[0]
    exact, step = fit._derivatives(water, p, d, axes, axes, at), 1e-6
    for i in range(5):
        q = np.zeros(5)
        q[i] = step
        e = d + q[0] * axes[0] + q[1] * axes[1]
        moved = arrival(water, p + q[2] * axes[0] + q[3] * axes[1], e / np.linalg.norm(e), 1e6 + q[4], at)
        slopes = max(
            slopes, float(np.abs((moved - times) / step - exact[:, i]).max() / np.abs(exact[:, i]).max())
        )
print(json.dumps([worst, slopes]))
