"""What files of KM3NeT hold: kind, events, calibrated times."""

import json
import sys
from pathlib import Path

import calibrate
import detector
import filter
import numpy as np

data = Path(sys.argv[1])
read = {name: filter.read(data / name) for name in json.loads(sys.argv[2])}
kinds = {name: [c.facts["kind"], c.facts["calibrated"], c.facts["detector_id"]] for name, c in read.items()}
told = []
of = {
    "online/KM3NeT_00000133_JDAQEvent.root": "KM3NeT_00000133_20221025",
    "online/km3net_online.root": "km3net_offline",
}
for name, geometry in of.items():
    c = read[name]
    b = c.bounds()
    first = [
        [int(b[i + 1] - b[i]), int(c.hits["triggered"][b[i] : b[i + 1]].sum())]
        for i in range(min(5, len(c.events)))
    ]
    dropped = calibrate.calibrate(c, detector.read(data / "detx" / (geometry + ".detx")))
    spread = [float(np.ptp(c.hits["time"][b[i] : b[i + 1]])) for i in range(len(c.events))]
    e = c.events[0]
    told.append(
        [
            first,
            dropped,
            max(spread),
            int(e["run_id"]),
            int(e["trigger_counter"]),
            float(e["time"]),
            float(c.hits["tot"].max()),
        ]
    )
print(json.dumps([kinds, *told]))
