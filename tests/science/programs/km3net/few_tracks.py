"""Verdicts on tracks whose angles are given."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import validate
import verdict

told = []
for true, reference, *_ in json.loads(sys.argv[1]):
    v = validate.Verdict()
    good = np.array(
        list(itertools.zip_longest(true, reference, fillvalue=np.nan)),
        dtype=[("true_angle", "f8"), ("reference_angle", "f8")],
    )
    validate.check_directions(v, good, 1.5)
    Path("v.json").write_text(json.dumps(v.document()))
    sys.argv[1:] = ["--validation", "v.json", "--out", "verdict.txt"]
    try:
        verdict.main()
        told.append([v.document(), Path("verdict.txt").read_text()])
    except SystemExit as error:
        told.append([v.document(), str(error)])
print(json.dumps(told))
