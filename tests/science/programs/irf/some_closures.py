"""Closures of a response for some seeds, and one without off counts."""

import json
import logging
import sys
import warnings

import field
import injection
import numpy as np

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

test = injection.UnderTest.read(sys.argv[1])
rows = [injection.closure(test, seed, excess=100) for seed in range(4)]
# no off counts: gammapy's sums of runs are NaN then
none = field.Ring(0.5, np.empty(0), np.empty(0), np.empty(0))
print(json.dumps([*rows, injection.closure(test, 4, excess=100, ring=none)]))
