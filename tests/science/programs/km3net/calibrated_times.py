"""Three pulses, calibrated."""

import json

import calibrate
import detector
import eventfile
import numpy as np

toy = detector.toy("orca", 3, 1)
hits = np.zeros(3, dtype=eventfile.RAW)
hits["dom_id"], hits["channel_id"], hits["time"], hits["tot"] = (
    toy.dom[[0, 40, 99]],
    toy.channel[[0, 40, 99]],
    1000,
    [10, 26, 200],
)
facts = {"detector_id": detector.TOY_ID, "calibrated": False}
content = eventfile.EventFile(np.zeros(1, dtype=eventfile.EVENTS), hits, facts=facts)
calibrate.calibrate(content, toy)
print(json.dumps((content.hits["time"] - 1000 - toy.t0[[0, 40, 99]]).tolist()))
