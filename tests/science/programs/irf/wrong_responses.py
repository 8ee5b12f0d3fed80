"""Checks that fail for responses that lines of Python have changed."""

import json
import logging
import sys
import warnings

import checks
import closing
import injection
from astropy.io import fits

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

found = {}
for kind, changes in json.loads(sys.argv[3]).items():
    for change in ["pass", *changes]:
        h = fits.open(sys.argv[1] if kind == "full" else sys.argv[2], memmap=False)
        exec(change)
        h.writeto("wrong.fits", overwrite=True)
        v = checks.Verdict()
        row = closing.check_closure(v, injection.UnderTest.read("wrong.fits"), 80)
        found[f"{kind}: {change}"] = [c["name"] for c in v.checks if not c["passed"]]
print(json.dumps(found))
