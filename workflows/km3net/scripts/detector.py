"""
Detector files (DETX, DATX): where photomultipliers are, where they look, and their time offsets; and a toy
detector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from documents import only, write_text
from km3det import Detector as DetectorFile
from numpy.typing import NDArray

#: m between strings, m between modules
LAYOUTS = {"arca": (90.0, 36.0), "orca": (20.0, 9.0)}
FLOORS = 18
#: m, from the centre of a module to its photocathodes
MODULE_RADIUS = 0.2
#: rings of photomultipliers in a module: number, angle (deg) from straight down, turn (deg)
RINGS = [(1, 0, 0), (6, 33, 0), (6, 57, 30), (6, 73, 0), (6, 107, 30), (6, 123, 0)]
#: bit of the status of a photomultiplier that is switched off
DISABLED = 1
TOY_ID = 900001


class DetectorError(ValueError):
    """A detector file that can't be read, or is of another detector."""


@dataclass
class Photomultipliers:
    """Of one detector, n of them; ``position`` (m) and ``axis`` have the shape (n, 3), ``t0`` is in ns."""

    detector_id: int
    dom: NDArray[np.int64]
    channel: NDArray[np.int64]
    string: NDArray[np.int64]
    position: NDArray[np.float64]
    axis: NDArray[np.float64]
    t0: NDArray[np.float64]
    status: NDArray[np.int64]

    def find(self, dom: Any, channel: Any) -> NDArray[np.int64]:
        """
        Rows of photomultipliers; -1 for those that the detector does not have, or that are switched off.
        """
        known = self.dom * 64 + self.channel
        order = np.argsort(known)
        wanted = np.asarray(dom, dtype=np.int64) * 64 + np.asarray(channel, dtype=np.int64)
        at = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
        return np.where((known[at] == wanted) & (self.status[at] & DISABLED == 0), at, -1)


def read(path: Path) -> Photomultipliers:
    """
    Read a DETX or DATX file, or the only file of a folder.

    Raises
    ------
    DetectorError
        With what is wrong.
    """
    path = only(path)
    try:
        file = DetectorFile(path)
        pmts, modules = file.pmts, file.modules
    except Exception as error:  # whatever the parser meets in a file of another kind
        raise DetectorError(f"no detector file in DETX or DATX: {type(error).__name__}: {error}") from None
    if not len(pmts):
        raise DetectorError("the detector has no photomultipliers")
    string = dict(zip(modules["module_id"].tolist(), modules["du"].tolist(), strict=True))
    axis = np.stack([pmts[f"dir_{k}"] for k in "xyz"], axis=1)
    return Photomultipliers(
        detector_id=int(file.detid),
        dom=pmts["module_id"].astype(np.int64),
        channel=pmts["channel_id"].astype(np.int64),
        string=np.array([string[m] for m in pmts["module_id"].tolist()]),
        position=np.stack([pmts[f"pos_{k}"] for k in "xyz"], axis=1),
        axis=axis / np.linalg.norm(axis, axis=1, keepdims=True),
        t0=pmts["t0"].astype(float),
        status=pmts["status"].astype(np.int64),
    )


def toy(layout: str, strings: int, seed: int) -> Photomultipliers:
    """
    A detector: strings in a sunflower pattern, 18 modules each, 31 photomultipliers each, with time offsets
    of up to some 100 ns.

    Parameters
    ----------
    layout : str
        Key of `LAYOUTS`.
    strings, seed : int
    """
    between, floors = LAYOUTS[layout]
    rng = np.random.default_rng([seed, 1])
    k = np.arange(strings)
    # a sunflower of unit density, scaled so that a string has the area of a hexagonal grid of this spacing
    radius, turn = (
        between * math.sqrt(math.sqrt(3) / 2 / math.pi) * np.sqrt(k + 0.5),
        k * math.pi * (3 - math.sqrt(5)),
    )
    foot = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    axes = []
    for number, tilt, start in RINGS:
        angle = np.radians(start) + 2 * np.pi * np.arange(number) / number
        s, c = math.sin(math.radians(tilt)), math.cos(math.radians(tilt))
        axes.append(np.stack([s * np.cos(angle), s * np.sin(angle), np.full(number, -c)], axis=1))
    looks = np.concatenate(axes)
    parts = []
    for string in range(strings):
        for floor in range(FLOORS):
            twist = rng.uniform(0, 2 * np.pi)
            turned = looks @ np.array(
                [[math.cos(twist), math.sin(twist), 0], [-math.sin(twist), math.cos(twist), 0], [0, 0, 1]]
            )
            centre = np.array([*foot[string], 60 + floors * floor])
            # the offset of a module (its clock) and of each photomultiplier (its high voltage)
            t0 = rng.uniform(0, 200) + rng.normal(0, 5, len(looks))
            parts.append(
                (string + 1, 1000 * (string + 1) + floor + 1, centre + MODULE_RADIUS * turned, turned, t0)
            )
    n = len(looks)
    return Photomultipliers(
        detector_id=TOY_ID,
        dom=np.repeat([p[1] for p in parts], n),
        channel=np.tile(np.arange(n), len(parts)),
        string=np.repeat([p[0] for p in parts], n),
        # as precise as the file will say it, so that simulation and calibration see the same detector
        position=np.concatenate([p[2] for p in parts]).round(4),
        axis=np.concatenate([p[3] for p in parts]),
        t0=np.concatenate([p[4] for p in parts]).round(3),
        status=np.zeros(n * len(parts), dtype=np.int64),
    )


def write_detx(path: Path, pmts: Photomultipliers) -> None:
    """Write a DETX file, version 3."""
    lines = [f"{pmts.detector_id} v3", "0.0 9999999999.0", "UTM WGS84 33N 587600.0 4016800.0 -3450.0"]
    starts = np.flatnonzero(np.diff(pmts.dom, prepend=-1))
    ends = [*starts[1:], len(pmts.dom)]
    lines.append(str(len(starts)))
    for start, end in zip(starts, ends, strict=True):
        lines.append(f"{pmts.dom[start]} {pmts.string[start]} {pmts.dom[start] % 1000} {end - start}")
        for i in range(start, end):
            numbers = [
                *(f"{v:.4f}" for v in pmts.position[i]),
                *(f"{v:.9f}" for v in pmts.axis[i]),
                f"{pmts.t0[i]:.3f}",
                str(pmts.status[i]),
            ]
            lines.append(f" {i + 1} {' '.join(numbers)}")
    write_text(path, "\n".join(lines) + "\n")
