"""Step `reconstruct`: a muon track for each event of one file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import detector
import eventfile
import numpy as np
import table
from documents import read_json
from fit import Track, axes_of, cluster, reconstruct, sphere
from light import Water, along_and_across, arrival, energy_of_light, photoelectrons
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

#: m; photomultipliers further from the track say nothing about the light
NEAR = 150.0
#: ns around the expected arrival in which a photomultiplier counts as hit by the muon
WINDOW = (-15.0, 60.0)
#: decades of light that are looked at
LIGHT_RANGE = (-1.0, 5.0)


def light_of(
    track: Track,
    water: Water,
    pmts: detector.Photomultipliers,
    rows: NDArray[np.int64],
    times: NDArray[np.float64],
) -> float:
    """
    Light of a muon relative to one that only ionises, from which photomultipliers near the track are hit and
    which are not.

    Parameters
    ----------
    track : Track
    water : Water
    pmts : Photomultipliers
    rows : array of int (n,)
        Photomultipliers hit, -1 for unknown ones.
    times : array (n,)
        ns.

    Returns
    -------
    float
        Maximum of the likelihood; NaN if none of them is near.
    """
    late = times - arrival(water, track.point, track.direction, track.time, pmts.position[rows])
    hit = np.zeros(len(pmts.dom), dtype=bool)
    hit[rows[(rows >= 0) & (late > WINDOW[0]) & (late < WINDOW[1])]] = True
    _, rho, _ = along_and_across(track.point, track.direction, pmts.position)
    near = (rho < NEAR) & (pmts.status & detector.DISABLED == 0)
    expected = photoelectrons(water, track.point, track.direction, pmts.position[near], pmts.axis[near])
    seen, expected = hit[near][expected > 0], expected[expected > 0]
    if not seen.any():
        return float("nan")

    def cost(log_light: float) -> float:
        mean = np.maximum(10**log_light * expected, 1e-12)
        return float(mean[~seen].sum() - np.log(-np.expm1(-mean[seen])).sum())

    return float(10 ** minimize_scalar(cost, bounds=LIGHT_RANGE, method="bounded", options={"xatol": 0.01}).x)


def is_good(row: Any, parameters: Mapping[str, Any]) -> bool:
    """Whether a track passes the quality cuts."""
    return bool(
        row["chi2"] <= parameters["max_chi2"] * row["ndf"]
        and row["direction_error"] <= parameters["max_direction_error"]
        and row["n_modules"] >= parameters["good_modules"]
        and row["lead"] >= parameters["min_lead"]
        and row["inliers"] >= parameters["min_inliers"]
    )


class Reconstruction:
    """Of the events of one file."""

    def __init__(
        self,
        content: eventfile.EventFile,
        parameters: Mapping[str, Any],
        pmts: detector.Photomultipliers | None,
    ) -> None:
        self.content, self.p, self.pmts = content, parameters, pmts
        self.water, self.directions = Water.of(parameters), sphere(parameters["start_directions"])
        self.residuals = {
            name: np.zeros(len(table.RESIDUALS) - 1, dtype=np.int64) for name in ("fit", "truth")
        }
        self.causal = 0

    def run(self) -> NDArray[Any]:
        """Rows of the event table; the cut flow goes on."""
        bounds = self.content.bounds()
        rows = [
            self.event(i, self.content.hits[bounds[i] : bounds[i + 1]])
            for i in range(len(self.content.events))
        ]
        made = np.array([r for r in rows if r is not None], dtype=table.DTYPE)
        self.content.flow += [
            ["causal cluster", self.causal],
            ["fit", len(made)],
            ["good", int(made["good"].sum())],
        ]
        return made

    def event(self, index: int, hits: NDArray[Any]) -> Any:
        """A row, or None if the event has no causal cluster or no fit converges."""
        positions, times = eventfile.position(hits), hits["time"].astype(float)
        triggered = np.flatnonzero(hits["triggered"])
        seeds = np.zeros(len(hits), dtype=bool)
        seeds[
            triggered[
                cluster(
                    positions[triggered], times[triggered], self.water.index_group, self.p["causality_margin"]
                )
            ]
        ] = True
        if seeds.sum() < self.p["min_hits"] or len(np.unique(hits["dom_id"][seeds])) < self.p["min_modules"]:
            return None
        self.causal += 1
        track = reconstruct(
            self.water,
            positions,
            times,
            hits["dom_id"],
            seeds,
            self.directions,
            self.p["time_resolution"],
            self.p["road_width"],
            self.p["starts"],
        )
        return None if track is None else self.row(index, hits, positions, seeds, track)

    def row(
        self,
        index: int,
        hits: NDArray[Any],
        positions: NDArray[np.float64],
        seeds: NDArray[np.bool_],
        track: Track,
    ) -> Any:
        """The row of a track; residuals of good ones are counted."""
        row = np.zeros((), dtype=table.DTYPE)
        for name in eventfile.EVENTS.names or ():
            row[name] = self.content.events[index][name]
        # times of hits, and so of the track, count from the beginning of the time slice
        row["time"] += 1e-9 * track.time
        for k, name in enumerate("xyz"):
            row[f"dir_{name}"], row[f"pos_{name}"] = track.direction[k], track.point[k]
        row["zenith"], row["azimuth"] = (v[0] for v in table.angles(track.direction[None]))
        variance = np.diag(track.covariance)
        row["zenith_error"], row["azimuth_error"] = np.degrees(np.sqrt(variance))
        row["direction_error"] = np.degrees(np.sqrt(variance.mean()))
        row["n_seeds"], row["n_hits"] = seeds.sum(), track.used.sum()
        row["n_modules"] = len(np.unique(hits["dom_id"][track.used]))
        row["inliers"] = (track.used & seeds).sum() / seeds.sum()
        row["lead"], row["chi2"], row["ndf"] = track.lead, track.chi2, track.ndf
        row["n_strings"], row["light"], row["energy"] = -1, np.nan, np.nan
        if self.pmts is not None:
            at = self.pmts.find(hits["dom_id"], hits["channel_id"])
            row["n_strings"] = len(np.unique(self.pmts.string[at[track.used & (at >= 0)]]))
            row["light"] = light_of(track, self.water, self.pmts, at, hits["time"].astype(float))
            if self.content.facts["simulated"]:
                row["energy"] = energy_of_light(np.array(row["light"]))
        row["good"] = is_good(row, self.p)
        self.compare(index, row, track)
        if row["good"]:
            self.count("fit", track.point, track.direction, track.time, hits, positions)
            truth = self.content.truth
            if truth is not None and np.isfinite(truth["time"][index]):
                one = truth[index : index + 1]
                self.count(
                    "truth",
                    eventfile.position(one)[0],
                    eventfile.direction(one)[0],
                    float(one["time"][0]),
                    hits,
                    positions,
                )
        return row

    def count(
        self,
        name: str,
        point: NDArray[np.float64],
        direction: NDArray[np.float64],
        time: float,
        hits: NDArray[Any],
        positions: NDArray[np.float64],
    ) -> None:
        """Count the residuals of all hits near a track."""
        _, rho, _ = along_and_across(point, direction, positions)
        late = hits["time"] - arrival(self.water, point, direction, time, positions)
        self.residuals[name] += np.histogram(late[rho < self.p["road_width"]], table.RESIDUALS)[0]

    def compare(self, index: int, row: Any, track: Track) -> None:
        """Columns about the truth, and about the reconstruction that the file came with."""
        for name, other in (("true", self.content.truth), ("reference", self.content.reference)):
            d = None if other is None else eventfile.direction(other[index : index + 1])
            if d is None or not np.isfinite(d).all():
                d = np.full((1, 3), np.nan)
            d = d / np.linalg.norm(d)
            row[f"{name}_zenith"], row[f"{name}_azimuth"] = (v[0] for v in table.angles(d))
            row[f"{name}_angle"] = np.degrees(
                np.arctan2(np.linalg.norm(np.cross(track.direction, d[0])), track.direction @ d[0])
            )
            if name == "true":
                row["true_energy"] = np.nan if other is None else other["energy"][index]
                # along the axes of the reconstructed direction; the origin of a muon is opposite, so both
                # signs turn
                down, aside = axes_of(track.direction)[0]
                row["zenith_pull"] = (d[0] @ down) / np.radians(row["zenith_error"])
                row["azimuth_pull"] = -(d[0] @ aside) / np.radians(row["azimuth_error"])


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--events", type=Path, required=True)
    cli.add_argument("--detector", type=Path, help="may be missing")
    cli.add_argument("--file", type=int, required=True)
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    content = eventfile.read(args.events)
    pmts = detector.read(args.detector) if args.detector and args.detector.exists() else None
    if pmts is not None and pmts.detector_id != content.facts["detector_id"]:
        # a calibrated file of another detector: its own positions are used, and nothing is said about light
        pmts = None
    work = Reconstruction(content, read_json(args.parameters)["parameters"], pmts)
    rows = work.run()
    rows["file"] = args.file
    content.facts["file"] = args.file
    table.write(
        args.out, rows, work.residuals, json.dumps(content.facts, sort_keys=True), json.dumps(content.flow)
    )
    print(f"{content.facts['name']}: {', '.join(f'{what} {left}' for what, left in content.flow)}")


if __name__ == "__main__":
    main()
