"""
The event table: one reconstructed muon a row. README.md, "Event table", describes the columns for those who
read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

#: name -> type, unit, description
COLUMNS: dict[str, tuple[str, str, str]] = {
    "file": ("i4", "", "number of the file, from 1"),
    "run_id": ("i4", "", "run"),
    "frame_index": ("i4", "", "time slice of 0.1 s"),
    "trigger_counter": ("i8", "", "number of the event in its run"),
    "time": ("f8", "s", "when the muon is at pos; UTC, since 1970"),
    "zenith": ("f8", "deg", "from where the muon came; 0 is straight down-going"),
    "azimuth": ("f8", "deg", "from where the muon came; from x towards y"),
    "dir_x": ("f8", "", "direction in which it moves"),
    "dir_y": ("f8", "", "direction in which it moves"),
    "dir_z": ("f8", "", "direction in which it moves"),
    "pos_x": ("f8", "m", "a point on the track"),
    "pos_y": ("f8", "m", "a point on the track"),
    "pos_z": ("f8", "m", "a point on the track"),
    "zenith_error": ("f8", "deg", "standard deviation along the zenith angle"),
    "azimuth_error": ("f8", "deg", "standard deviation along the azimuth, on the sphere"),
    "direction_error": ("f8", "deg", "standard deviation along one axis, mean of both"),
    "n_seeds": ("i4", "", "hits of the causal cluster"),
    "n_hits": ("i4", "", "hits on the track"),
    "n_modules": ("i4", "", "modules with hits on the track"),
    "n_strings": ("i4", "", "strings with hits on the track; -1: no detector file"),
    "inliers": ("f8", "", "part of the causal cluster on the track"),
    "lead": ("f8", "", "cost of the next best direction minus that of this one"),
    "chi2": ("f8", "", "of the hits on the track"),
    "ndf": ("i4", "", "degrees of freedom of chi2"),
    "light": ("f8", "", "light relative to a muon that only ionises; NaN: no detector file"),
    "energy": ("f8", "GeV", "from the light; simulated files only"),
    "good": ("?", "", "passes all quality cuts of the campaign"),
    "true_zenith": ("f8", "deg", "truth; NaN: none"),
    "true_azimuth": ("f8", "deg", "truth; NaN: none"),
    "true_energy": ("f8", "GeV", "truth; NaN: none"),
    "true_angle": ("f8", "deg", "between reconstructed and true direction; NaN: no truth"),
    "zenith_pull": ("f8", "", "(reconstructed - true) / error; NaN: no truth"),
    "azimuth_pull": ("f8", "", "(reconstructed - true) / error; NaN: no truth"),
    "reference_zenith": ("f8", "deg", "of the reconstruction that the file came with; NaN: none"),
    "reference_azimuth": ("f8", "deg", "of the reconstruction that the file came with; NaN: none"),
    "reference_angle": ("f8", "deg", "between both reconstructions; NaN: none"),
}
DTYPE = np.dtype([(name, kind) for name, (kind, _, _) in COLUMNS.items()])
#: ns; residuals of hits are counted in these bins
RESIDUALS = np.arange(-40.0, 100.5, 0.5)


def angles(direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Zenith and azimuth (deg) of the origin of tracks that move along ``direction`` (n, 3): where one has to
    look.
    """
    zenith = np.degrees(np.arccos(np.clip(-direction[:, 2], -1, 1)))
    return zenith, np.degrees(np.arctan2(-direction[:, 1], -direction[:, 0])) % 360


def write(
    path: Path, rows: NDArray[Any], residuals: Mapping[str, NDArray[np.int64]], facts: str, flow: str
) -> None:
    """Write the result of one file."""
    temporary = path.with_name(f".{path.name}.part")
    with h5py.File(temporary, "w") as file:
        file["tracks"] = rows
        for name, counts in residuals.items():
            file[f"residuals/{name}"] = counts
        file.attrs["facts"], file.attrs["flow"] = facts, flow
    temporary.replace(path)


def read(path: Path) -> tuple[NDArray[Any], dict[str, NDArray[np.int64]], str, str]:
    """Read the result of one file: rows, residual counts, facts, cut flow."""
    with h5py.File(path, "r") as file:
        return (
            file["tracks"][:],
            {k: v[:] for k, v in file["residuals"].items()},
            file.attrs["facts"],
            file.attrs["flow"],
        )
