"""Corrected yields by efficiencies of few and many simulated decays, and counts that are refused."""

import json

import efficiency

file = {"name": "s.root", "sha256": "a", "origin": "given"}


def part(**c):
    return {"file": file, "truth": True, "counts": {"events": 9, "in_window": 9, **c}}


few, many = (
    efficiency.of(efficiency.simulated([part(decays=n, true_in_window=n * 2 // 5)], []))
    for n in (100, 1000000)
)
signal = {"value": 400.0, "error": 30.0}
all_found = efficiency.of({"decays": 10, "found": 10, "files": [file]})
told = []
for parts, data in (
    ([part(decays=0, true_in_window=0)], []),
    ([part(decays=5, true_in_window=2)], [{"name": "d.root", "sha256": "a"}]),
    ([{**part(decays=5, true_in_window=2), "truth": False}, part(decays=5, true_in_window=2)], []),
):
    try:
        told.append(efficiency.simulated(parts, data))
    except SystemExit as error:
        told.append(str(error))
print(
    json.dumps([few, efficiency.corrected(signal, few), efficiency.corrected(signal, many), all_found, told])
)
