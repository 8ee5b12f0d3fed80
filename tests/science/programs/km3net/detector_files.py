"""A detector file that is written and read, and real ones."""

import json
import sys
from pathlib import Path

import detector
import numpy as np

toy = detector.toy("arca", 7, 1)
detector.write_detx(Path("toy.detx"), toy)
back = detector.read(Path("toy.detx"))
same = max(
    float(np.abs(getattr(toy, n) - getattr(back, n)).max())
    for n in ("dom", "channel", "string", "position", "axis", "t0")
)
unit = float(np.abs(np.linalg.norm(back.axis, axis=1) - 1).max())
rows = back.find([1001, 1001, 1001, 77], [0, 30, 31, 0])
counts = {}
for path in sys.argv[1:]:
    real = detector.read(Path(path))
    counts[real.detector_id] = [len(np.unique(real.dom)), len(real.dom), float(real.t0.max())]
print(json.dumps([len(toy.dom), same, unit, rows.tolist(), counts]))
