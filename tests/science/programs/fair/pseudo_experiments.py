"""Pulls and p-values of fits to 150 thrown spectra."""

import json

import numpy as np
import shapes
import spectrum
from scipy import stats

window = (1.085, 1.165)
truth = {"signal": 400.0, "background": 500.0, "mass": 1.1157, "sigma": 0.0012, "power": -0.3, "fall": 1.7}
model = shapes.model("threshold", 3, window)
edges, rng = np.linspace(1.085, 1.165, 161), np.random.default_rng(8)
expected = np.diff(model(edges, *truth.values()))
pulls, p, converged = {k: [] for k in truth}, [], 0
for _ in range(150):
    fit = spectrum.fit(rng.poisson(expected).astype(float), edges, model)
    for k, v in truth.items():
        pulls[k].append((fit["parameters"][k]["value"] - v) / fit["parameters"][k]["error"])
    p.append(fit["goodness"]["p_value"])
    converged += fit["converged"]
print(
    json.dumps(
        {
            "pulls": {k: [np.mean(v), np.std(v)] for k, v in pulls.items()},
            "uniform": stats.kstest(p, "uniform").pvalue,
            "p": np.mean(p),
            "converged": converged,
        }
    )
)
