"""
Step `simulate`: muons through a toy detector, as the raw hits that its data acquisition would write. `--file
0` writes the detector.

Toy: straight muons of constant light yield, direct light with a Gaussian jitter and a scattered tail, pulses
that slew, potassium-40 background with coincidences inside modules. The physics of the arrival times is that
of README.md; nothing else is meant to be exact.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import detector
import eventfile
import numpy as np
import pulse
from documents import read_json
from light import Water, arrival, light_of_energy, photoelectrons
from numpy.typing import NDArray

#: part of the hits that come from scattered light, and ns by which it is late on average
SCATTERED, LATE = 0.1, 15.0
#: dex, of the light of muons of one energy: radiation is stochastic
LIGHT_SPREAD = 0.15
#: ns; hits of one module so close in time are a coincidence ("L1") and count as triggered
COINCIDENCE = 20.0
#: Hz, of a module: two hits from one decay
PAIR_RATE = 500.0
#: ns of background before the first and after the last hit of a muon
AROUND = 800.0
#: hits and modules in coincidence without which an event is not recorded
TRIGGER_HITS, TRIGGER_MODULES = 6, 3
#: s of data in a file; the first file begins at this time (UTC, seconds since 1970)
FILE_TIME, START = 600.0, 1767225600.0
FRAME = 0.1
RUN = 1
#: muons thrown for an event until something is wrong
TRIES = 2000

Array = NDArray[np.float64]


def isotropic(rng: np.random.Generator) -> Array:
    """A direction."""
    z, turn = rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)
    s = np.sqrt(1 - z * z)
    return np.array([s * np.cos(turn), s * np.sin(turn), z])


def frame_of(direction: Array) -> tuple[Array, Array]:
    """Two unit vectors that are perpendicular to a direction and to each other."""
    aside = np.cross(direction, [0.0, 0.0, 1.0] if abs(direction[2]) < 0.9 else [1.0, 0.0, 0.0])
    first = aside / np.linalg.norm(aside)
    return first, np.cross(direction, first)


def energies(rng: np.random.Generator, low: float, high: float, index: float) -> float:
    """An energy (GeV) from a power law."""
    g, u = 1 - index, rng.random()
    return float(low * (high / low) ** u if abs(g) < 1e-9 else (low**g + u * (high**g - low**g)) ** (1 / g))


class Simulation:
    """A detector and the parameters of a campaign."""

    def __init__(self, pmts: detector.Photomultipliers, parameters: Mapping[str, Any]) -> None:
        self.pmts, self.p, self.water = pmts, parameters, Water.of(parameters)
        self.centre = pmts.position.mean(axis=0)
        self.radius = float(np.linalg.norm(pmts.position - self.centre, axis=1).max())
        self.doms = np.unique(pmts.dom)
        self.by_dom = np.argsort(pmts.dom, kind="stable").reshape(len(self.doms), -1)

    def muon(self, rng: np.random.Generator) -> tuple[Array, Array, float, Array, Array, Array]:
        """
        A muon that passes near: point, direction, energy; photomultipliers hit, their times (ns) and charges.
        """
        d = isotropic(rng)
        a, b = frame_of(d)
        r, turn = self.radius * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        point = self.centre + r * (np.cos(turn) * a + np.sin(turn) * b)
        energy = energies(rng, self.p["energy_min"], self.p["energy_max"], self.p["spectral_index"])
        light = 1 + (light_of_energy(np.array(energy)) - 1) * 10 ** rng.normal(0, LIGHT_SPREAD)
        charge = rng.poisson(light * photoelectrons(self.water, point, d, self.pmts.position, self.pmts.axis))
        hit = np.flatnonzero(charge)
        times = arrival(self.water, point, d, 0.0, self.pmts.position[hit]) + rng.normal(
            0, self.p["time_jitter"], len(hit)
        )
        # of many photo-electrons the first counts, and it is rarely a scattered one
        late = rng.random(len(hit)) < SCATTERED ** charge[hit]
        return point, d, energy, hit, times + np.where(late, rng.exponential(LATE, len(hit)), 0), charge[hit]

    def background(self, rng: np.random.Generator, start: float, end: float) -> tuple[Array, Array]:
        """Photomultipliers and times (ns) of single and double hits of potassium-40 in a window."""
        window = (end - start) * 1e-9
        n = rng.poisson(self.p["background_rate"] * 1e3 * window * len(self.pmts.dom))
        pairs = rng.poisson(PAIR_RATE * (self.p["background_rate"] > 0) * window * len(self.doms))
        return self.pairs(rng, pairs, start, end, rng.integers(len(self.pmts.dom), size=n))

    def pairs(
        self, rng: np.random.Generator, number: int, start: float, end: float, singles: Array
    ) -> tuple[Array, Array]:
        """``number`` decays that two photomultipliers of a module see, and single hits."""
        module = rng.integers(len(self.doms), size=number)
        two = rng.permuted(np.tile(np.arange(self.by_dom.shape[1]), (number, 1)), axis=1)[:, :2]
        first = rng.uniform(start, end, number)
        second = first + rng.normal(0, 4.0, number)
        who = np.concatenate([singles, self.by_dom[module, two[:, 0]], self.by_dom[module, two[:, 1]]])
        return who.astype(int), np.concatenate([rng.uniform(start, end, len(singles)), first, second])

    def triggered(self, who: Array, times: Array) -> NDArray[np.bool_]:
        """Hits that have another one in their module within `COINCIDENCE`."""
        order = np.lexsort((times, self.pmts.dom[who]))
        dom, t = self.pmts.dom[who][order], times[order]
        near = (np.diff(dom) == 0) & (np.diff(t) < COINCIDENCE)
        found = np.zeros(len(who), dtype=bool)
        found[order] = np.concatenate([near, [False]]) | np.concatenate([[False], near])
        return found

    def event(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """A recorded event: hits and, of a muon, the truth."""
        for _ in range(TRIES):
            if rng.random() < self.p["noise_fraction"]:
                # a burst of bioluminescence: coincidences without a common cause
                singles = rng.integers(
                    len(self.pmts.dom),
                    size=rng.poisson(self.p["background_rate"] * 1e-6 * 4000 * len(self.pmts.dom)),
                )
                who, times = self.pairs(rng, int(rng.integers(5, 16)), 0.0, 4000.0, singles)
                charge, truth = np.ones(len(who), dtype=int), None
            else:
                point, d, energy, hit, at, charge = self.muon(rng)
                if len(hit) < TRIGGER_HITS:
                    continue
                noise, when = self.background(rng, at.min() - AROUND, at.max() + AROUND)
                who, times = np.concatenate([hit, noise]), np.concatenate([at, when])
                charge = np.concatenate([charge, np.ones(len(noise), dtype=int)])
                truth = (point, d, energy)
            # a photomultiplier is blind for the rest of an event: its first hit counts
            order = np.argsort(times, kind="stable")
            order = order[np.unique(who[order], return_index=True)[1]]
            who, times, charge = who[order], times[order], charge[order]
            coincident = self.triggered(who, times)
            if (
                coincident.sum() >= TRIGGER_HITS
                and len(np.unique(self.pmts.dom[who[coincident]])) >= TRIGGER_MODULES
            ):
                return who, times, pulse.over_threshold(rng, charge), coincident, truth
        raise SystemExit(
            f"no muon of {TRIES} triggered this detector: raise energy_min ({self.p['energy_min']} GeV)"
            f" or take more strings ({self.p['strings']})"
        )


def simulate(
    pmts: detector.Photomultipliers, parameters: Mapping[str, Any], number: int
) -> eventfile.EventFile:
    """
    One file of events.

    Parameters
    ----------
    pmts : Photomultipliers
    parameters : mapping
        Of the campaign.
    number : int
        Of the file, from 1: its own random numbers, and its ten minutes of time.
    """
    rng = np.random.default_rng([parameters["seed"], 2, number])
    simulation, n = Simulation(pmts, parameters), parameters["events_per_file"]
    begin = START + (number - 1) * FILE_TIME
    moments = np.sort(rng.uniform(0, FILE_TIME, n))
    events, truth, hits = np.zeros(n, dtype=eventfile.EVENTS), eventfile.nothing(n), []
    for i, moment in enumerate(moments):
        who, times, tot, coincident, true = simulation.event(rng)
        frame = int(moment / FRAME)
        # times of hits count from the beginning of the frame (0.1 s), in whole ns, and know nothing of
        # offsets and slewing
        shift = (moment - frame * FRAME) * 1e9
        rows = np.zeros(len(who), dtype=eventfile.RAW)
        rows["event"], rows["dom_id"], rows["channel_id"] = i, pmts.dom[who], pmts.channel[who]
        rows["triggered"], rows["tot"] = coincident, tot
        rows["time"] = np.round(times + shift - pmts.t0[who] + pulse.slew(tot))
        hits.append(rows[np.lexsort((rows["channel_id"], rows["dom_id"]))])
        events[i] = (RUN, (number - 1) * round(FILE_TIME / FRAME) + frame, i, begin + frame * FRAME)
        if true is not None:
            point, d, energy = true
            truth[i] = (*point, *d, shift, energy, np.nan)
    facts = {
        "detector_id": pmts.detector_id,
        "calibrated": False,
        "simulated": True,
        "kind": "toy",
        "source": f"simulation, file {number}",
    }
    return eventfile.EventFile(events, np.concatenate(hits), truth, None, facts, [["recorded", n]])


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--detector", type=Path, help="DETX file; written by `--file 0`, read otherwise")
    cli.add_argument("--file", type=int, required=True)
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    parameters = read_json(args.parameters)["parameters"]
    if args.file == 0:
        detector.write_detx(
            args.out, detector.toy(parameters["layout"], parameters["strings"], parameters["seed"])
        )
        return
    made = simulate(detector.read(args.detector), parameters, args.file)
    eventfile.write(args.out, made)
    muons = int(np.isfinite(made.truth["energy"]).sum()) if made.truth is not None else 0
    print(
        f"{len(made.events)} events ({muons} muons) with {len(made.hits)} hits, "
        f"{int(made.hits['triggered'].sum())} of them triggered"
    )


if __name__ == "__main__":
    main()
