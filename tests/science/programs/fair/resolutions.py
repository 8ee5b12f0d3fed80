"""What the detector measures of one momentum, and its resolutions thrown by hand."""

import json

import detector
import generate
import numpy as np
import particles

rng = np.random.default_rng(7)
p = np.repeat([[0.3], [0.1], [2.0]], 20000, axis=1)
seen = generate.measure(rng, p, np.zeros_like(p), np.full(20000, particles.PROTON), 0.01)
size = float(np.sqrt((p[:, 0] ** 2).sum()))
measured = np.sqrt(seen["px"] ** 2 + seen["py"] ** 2 + seen["pz"] ** 2)
error = detector.mass_squared_error(np.array([size]), particles.PROTON, 0.01)[0]
# by hand: m2 = p2 (1 / beta2 - 1), beta = L / (c t), thrown
beta = size / np.hypot(size, particles.PROTON)
time = detector.WALL / beta + rng.normal(0, detector.TIME_ERROR, 200000)
thrown = (size * (1 + 0.01 * rng.normal(size=200000))) ** 2 * ((time / detector.WALL) ** 2 - 1)
print(
    json.dumps(
        {
            "momentum": (measured / size - 1).std(),
            "slope": (seen["px"] / seen["pz"]).std(),
            "expected": detector.slope_error(np.array([size]))[0],
            "place": [(seen["x"] - 4.5).std(), (seen["x"] - 4.5).mean()],
            "m2": (seen["m2"] - particles.PROTON**2).std() / error,
            "thrown": thrown.std() / error,
        }
    )
)
