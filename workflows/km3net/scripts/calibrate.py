"""
Step `calibrate`: positions, axes, time offsets from the detector file of the campaign, and the slewing of
pulses by their length.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import detector
import eventfile
import numpy as np
import pulse
from documents import only

#: part of the hits that the detector must know; a few are of switched-off photomultipliers
KNOWN = 0.8


class CalibrationError(ValueError):
    """File and detector don't belong together."""


def calibrate(content: eventfile.EventFile, pmts: detector.Photomultipliers) -> int:
    """
    Calibrate the hits in place: offset added, slewing subtracted; drop those that the detector does not have.

    Returns
    -------
    int
        Hits dropped.

    Raises
    ------
    CalibrationError
        The file is from another detector, or most of its hits are unknown to this one.
    """
    if content.facts["detector_id"] != pmts.detector_id:
        raise CalibrationError(
            f"events of detector {content.facts['detector_id']}, but the detector file is of "
            f"{pmts.detector_id}"
        )
    raw = content.hits
    row = pmts.find(raw["dom_id"], raw["channel_id"])
    known = row >= 0
    if len(raw) and known.mean() < KNOWN:
        raise CalibrationError(
            f"{np.count_nonzero(~known)} of {len(raw)} hits are of photomultipliers that the "
            "detector file "
            "does not have"
        )
    raw, row = raw[known], row[known]
    hits = np.zeros(len(raw), dtype=eventfile.HITS)
    for name in eventfile.RAW.names or ():
        hits[name] = raw[name]
    hits["time"] += pmts.t0[row] - pulse.slew(raw["tot"])
    for i, k in enumerate("xyz"):
        hits[f"pos_{k}"], hits[f"dir_{k}"] = pmts.position[row, i], pmts.axis[row, i]
    content.hits, content.facts["calibrated"] = hits, True
    return int(np.count_nonzero(~known))


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--events", type=Path, required=True)
    cli.add_argument(
        "--detector",
        type=Path,
        help=("DETX or DATX file, or a folder with nothing else in it; may be missing"),
    )
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    content = eventfile.read(args.events)
    name = content.facts["name"]
    if content.facts["calibrated"]:
        print(f"{name}: comes calibrated, and stays as it is")
    elif args.detector is None or not args.detector.exists():
        raise SystemExit(
            f"{name}: its hits have no positions; give the detector file (DETX, DATX) as input `detector`"
        )
    else:
        try:
            dropped = calibrate(content, detector.read(args.detector))
        except (CalibrationError, detector.DetectorError) as error:
            raise SystemExit(f"{name}, {only(args.detector).name}: {error}") from None
        content.facts["hits_of_unknown_photomultipliers"] = dropped
        print(f"{name}: {len(content.hits)} hits calibrated, {dropped} dropped")
    eventfile.write(args.out, content)


if __name__ == "__main__":
    main()
