"""
Judge a result by physics: units, the mass shell, goodness of fit, the mass of the Λ, and the truth where the
files have it.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import documents
import particles
import systematics

#: resolution of the mass that a spectrometer at these energies has (GeV)
WIDTHS = (0.0003, 0.006)
LEAST_P_VALUE = 1e-4
LARGEST_CHI2 = 1.8
#: below it the peak may be a fluctuation
LEAST_SIGNIFICANCE = 5.0
#: |E² - p² - m²| / E²
MASS_SHELL = 1e-9
#: part of the tracks whose momenta have to be those of a nuclear collision in GeV
IN_RANGE = 0.99


class Verdict:
    """Checks and warnings."""

    def __init__(self) -> None:
        self.checks: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def check(self, name: str, passed: bool, detail: str) -> bool:
        """Note a check."""
        self.checks.append({"name": name, "passed": bool(passed), "detail": detail})
        return bool(passed)

    def document(self) -> dict[str, Any]:
        """What is written: valid if there was a check and none failed."""
        return {
            "valid": bool(self.checks) and all(c["passed"] for c in self.checks),
            "checks": self.checks,
            "warnings": self.warnings,
        }


def check_events(v: Verdict, summary: dict[str, Any]) -> None:
    """What was read is tracks in GeV, and pairs are pairs."""
    c = summary["counts"]
    v.check(
        "events and tracks",
        c["events"] > 0 and c["tracks"] > 0,
        f"{c['events']} events, {c['tracks']} tracks in {len(summary['files'])} files",
    )
    part = c["tracks_in_range"] / c["tracks"] if c["tracks"] else 0.0
    v.check("momenta in GeV", part >= IN_RANGE, f"{part:.1%} of the tracks between 0.02 and 50 GeV")
    v.check(
        "mass shell",
        c["mass_shell"] <= MASS_SHELL,
        f"largest |E² - p² - m²| / E² of a track: {c['mass_shell']:.1g}",
    )
    least = summary["least_mass"]
    if least is not None:
        v.check(
            "masses above threshold",
            least >= summary["threshold"] - 1e-9,
            f"least {least:.6f} GeV, m_p + m_pi = {summary['threshold']:.6f} GeV",
        )
    if c["lost"]:
        v.warnings.append(f"{c['lost']} tracks with values that are not finite were left out")
    unverified = [
        f["name"]
        for f in summary["files"]
        if f["origin"] == "given" and not set(f["verified_with"]) & {"adler32", "md5", "sha256"}
    ]
    if unverified:
        v.warnings.append(
            f"no checksum was given for {len(unverified)} of {len(summary['files'])} files: "
            "their copies "
            "agree with what was read"
        )


def check_fit(v: Verdict, fit: dict[str, Any], tolerance: float) -> None:
    """The fit describes the data, and what it found is the Λ."""
    p, g, r = fit["parameters"], fit["goodness"], fit["signal_region"]
    v.check("fit converged", fit["converged"], "errors from the second derivatives")
    if fit["at_limit"]:
        v.warnings.append(
            f"at the limit of their range: {', '.join(fit['at_limit'])}; errors are too small then"
        )
    good = g["chi2_per_ndf"] <= LARGEST_CHI2 or g["p_value"] >= LEAST_P_VALUE
    v.check("goodness of fit", good, f"χ²/ndf = {g['chi2']:.1f}/{g['ndf']}, p = {g['p_value']:.2g}")
    v.check(
        "significance",
        r["likelihood_significance"] >= LEAST_SIGNIFICANCE,
        f"{r['likelihood_significance']:.1f} σ, expected {LEAST_SIGNIFICANCE:g} or more",
    )
    mass, error = p["mass"]["value"], math.hypot(p["mass"]["error"], systematics.MASS)
    pull = (mass - particles.LAMBDA) / error
    errors = f"± {1e3 * p['mass']['error']:.3f} (stat) ± {1e3 * systematics.MASS:.3f} (syst)"
    detail = f"{1e3 * mass:.3f} {errors} MeV, PDG {1e3 * particles.LAMBDA:.3f}: {pull:+.2f} σ"
    v.check("mass of the Λ", abs(pull) <= tolerance, detail)
    sigma = p["sigma"]["value"]
    v.check(
        "width of the peak",
        WIDTHS[0] <= sigma <= WIDTHS[1],
        f"{1e3 * sigma:.2f} MeV, expected {1e3 * WIDTHS[0]:g} to {1e3 * WIDTHS[1]:g}",
    )
    balance = p["signal"]["value"] + p["background"]["value"]
    v.check(
        "yields add up",
        abs(balance - fit["entries"]) <= 0.02 * fit["entries"] + 1,
        f"{balance:.1f} fitted, {fit['entries']:.0f} candidates",
    )


def check_efficiency(v: Verdict, fit: dict[str, Any], summary: dict[str, Any]) -> None:
    """There is an efficiency, and it is one of the data."""
    simulation, part = summary["simulation"], fit["efficiency"]
    detail = f"{simulation['found']} found of {simulation['decays']} simulated decays"
    if not v.check("efficiency", part is not None and part["value"] < 1, detail):
        return
    if part["origin"] == "generated" and any(f["origin"] == "given" for f in summary["files"]):
        v.warnings.append(
            "the efficiency is that of the toy detector: for events of another one give its "
            "simulation as "
            "input `simulation`"
        )


def check_truth(v: Verdict, fit: dict[str, Any], summary: dict[str, Any], tolerance: float) -> None:
    """
    What was found is what is there: decays among the candidates, decays in all events, and the rate that the
    generator was asked for.

    The efficiency of the last two comes from the simulation, so a wrong acceptance there is seen here.
    """
    signal, counts = fit["parameters"]["signal"], summary["counts"]
    true, decays = counts["true_in_window"], counts["decays"]
    # the true number is known, so its own fluctuation, which the fit's error contains, is not part of the
    # difference
    background = max(signal["error"] ** 2 - signal["value"], 1.0)
    pull = (signal["value"] - true) / math.hypot(math.sqrt(background), systematics.YIELD * true)
    v.check(
        "closure: yield",
        abs(pull) <= tolerance,
        f"{signal['value']:.1f} fitted, {true} true decays among the candidates: {pull:+.2f} σ",
    )
    part = fit["efficiency"]
    if part is None:
        return
    corrected = part["corrected_yield"]
    found = (
        f"{corrected['value']:.0f} ± {corrected['error']:.0f} with efficiency {part['value']:.3f} ± "
        f"{part['error']:.3f} of the simulation"
    )
    common = math.hypot(corrected["error_of_efficiency"], corrected["systematic"])
    # of known decays the number that is found is binomial
    spread = math.sqrt(background + signal["value"] * (1 - part["value"])) / part["value"]
    pull = (corrected["value"] - decays) / math.hypot(spread, common)
    v.check("closure: decays", abs(pull) <= tolerance, f"{found}, {decays} true ones: {pull:+.2f} σ")
    generators = [f.get("generator") for f in summary["files"]]
    if all(generators):
        asked = sum(g["lambda_rate"] * g["events"] for g in generators)
        pull = (corrected["value"] - asked) / math.hypot(corrected["error"], corrected["systematic"])
        v.check(
            "closure: generated rate", abs(pull) <= tolerance, (f"{found}, {asked:g} expected: {pull:+.2f} σ")
        )


def judge(summary: dict[str, Any], result: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """
    The verdict.

    Parameters
    ----------
    summary : dict
        Of merge.py.
    result : dict
        Of fit.py.
    tolerance : float
        Largest deviation from the truth, in standard deviations.
    """
    v = Verdict()
    check_events(v, summary)
    if v.check(
        "spectrum fitted",
        result["fit"] is not None,
        result["reason"] or f"{result['fit']['entries']:.0f} candidates",
    ):
        check_fit(v, result["fit"], tolerance)
        check_efficiency(v, result["fit"], summary)
        if summary["truth"]:
            check_truth(v, result["fit"], summary, tolerance)
        else:
            v.warnings.append("the files have no truth: the yield was not compared with anything")
    return v.document()


def main() -> None:
    """Write the verdict; an invalid result is no error of this program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    verdict = judge(documents.read_json(args.summary), documents.read_json(args.result), args.tolerance)
    documents.write_json(args.out, verdict)
    for check in verdict["checks"]:
        if not check["passed"]:
            print(f"failed: {check['name']}: {check['detail']}")


if __name__ == "__main__":
    main()
