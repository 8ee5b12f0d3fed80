"""Kinematics of many decays of the Lambda."""

import json

import generate
import numpy as np
import particles
import vector
from scipy import stats

rng = np.random.default_rng(5)
mother = generate.thermal(rng, 40000, particles.LAMBDA, 0.15, 0.6, 1.5)
proton, pion, place = generate.decay(rng, mother)
energy = np.sqrt((mother**2).sum(0) + particles.LAMBDA**2)
shell = max(
    np.abs(d[0] ** 2 - (d[1:] ** 2).sum(0) - m**2).max()
    for d, m in ((proton, particles.PROTON), (pion, particles.PION))
)
balance = max(np.abs(proton[1:] + pion[1:] - mother).max(), np.abs(proton[0] + pion[0] - energy).max())


def as_vectors(e, p):
    return vector.array({"E": e, "px": p[0], "py": p[1], "pz": p[2]})


rest = as_vectors(proton[0], proton[1:]).boostCM_of_p4(as_vectors(energy, mother))
axis = mother / np.sqrt((mother**2).sum(0))
cosine = (rest.px * axis[0] + rest.py * axis[1] + rest.pz * axis[2]) / rest.mag
proper = np.sqrt((place**2).sum(0)) * particles.LAMBDA / np.sqrt((mother**2).sum(0))
print(
    json.dumps(
        {
            "shell": shell,
            "balance": balance,
            "momentum": [rest.mag.min(), rest.mag.max()],
            "isotropy": stats.kstest(cosine, "uniform", (-1, 2)).pvalue,
            "lifetime": stats.kstest(proper, "expon", (0, 7.845)).pvalue,
        }
    )
)
