"""How wrong an area is that is read between bin centres, for numbers of offset bins: its largest relative error for each."""

import itertools
import json
import sys

import numpy as np
from sample import offset_edges


def fall(offset):
    return np.exp(-0.5 * (offset / 3.6) ** 4)


def worst(bins):
    edges = offset_edges(4, bins).to_value("deg")
    inside = [np.linspace(a, b, 500) for a, b in itertools.pairwise(edges)]
    means = [np.average(fall(o), weights=o) for o in inside]
    middle, at = 0.5 * (edges[1:] + edges[:-1]), np.linspace(0, 4, 300)
    k = np.clip(np.searchsorted(middle, at) - 1, 0, bins - 2)
    read = [
        means[i] + (means[i + 1] - means[i]) * (o - middle[i]) / (middle[i + 1] - middle[i])
        for i, o in zip(k, at, strict=True)
    ]
    return float(np.abs(fall(at) / read - 1).max())


print(json.dumps([worst(int(bins)) for bins in sys.argv[1:]]))
