"""
One page with the spectrum, numbers and their errors, verdict, parameters, files and software of a run.
Standard library only.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import documents
import particles
import stage_out
from page import Page, measured, number

PACKAGES = ("numpy", "scipy", "uproot", "awkward", "vector", "hist", "iminuit", "matplotlib")
CAPTIONS = {
    "spectrum": (
        "Invariant mass of pairs that meet away from the target. Shaded: three widths around the "
        "peak. Pull: (data - fit) / √fit."
    ),
    "candidates": (
        "Candidates in the shaded region of the spectrum. Not corrected for acceptance and efficiency."
    ),
}
CITE = (
    "S. Navas et al. (Particle Data Group), Phys. Rev. D 110, 030001 (2024): masses and lifetimes",
    "uproot, awkward, hist, vector: E. Rodrigues et al. (Scikit-HEP), EPJ Web Conf. 245, 06028 (2020)",
    "iminuit: H. Dembinski, P. Ongmongkolkul et al., doi:10.5281/zenodo.3949207",
    "Goodness of fit: S. Baker, R. D. Cousins, Nucl. Instrum. Meth. 221, 437 (1984)",
    "Significance: G. Cowan et al., Eur. Phys. J. C 71, 1554 (2011)",
)
#: parameters of this group say nothing of a run whose events are given
GENERATED = "Generated events"


def numbers(found: Mapping[str, Any]) -> list[list[object]]:
    """What was measured, with errors of the fit."""
    rows: list[list[object]] = []

    def row(
        title: str, name: str, p: Mapping[str, float], unit: str = "", scale: float = 1.0, beside: str = ""
    ) -> None:
        rows.append(
            [
                title,
                number(measured(scale * p["value"], scale * p["error"]), scale * p["value"], name, unit),
                beside,
            ]
        )

    def plain(title: str, name: str, value: float, text: str, unit: str = "", beside: str = "") -> None:
        rows.append([title, number(text, value, name, unit), beside])

    region, fit = found["signal_region"], found["goodness"]
    away = found["mass"]["value"] - particles.LAMBDA
    sigma = away / math.hypot(found["mass"]["error"], found["mass"]["systematic"])
    pdg = f"PDG {1e3 * particles.LAMBDA:.3f} MeV, {1e3 * away:+.3f} MeV from it: {sigma:+.1f} σ"
    shift = f"± {1e3 * found['mass']['systematic']:.3f} (syst); {pdg}"
    row("Mass of the Λ", "mass", found["mass"], "MeV", 1e3, shift)
    row("Width of the peak (σ of a Gaussian)", "width", found["width"], "MeV", 1e3)
    row("Yield N(Λ)", "signal", found["signal"])
    row("Background in the window", "background", found["background"])
    signal, background, share, simple, significance = (
        region[name]
        for name in (
            "signal",
            "background",
            "signal_to_background",
            "significance",
            "likelihood_significance",
        )
    )
    inside = f"{1e3 * region['low']:.2f} to {1e3 * region['high']:.2f} MeV"
    plain("Signal in the region", "region-signal", signal, f"{signal:.1f}", beside=inside)
    plain("Background in the region", "region-background", background, f"{background:.1f}", beside=inside)
    plain("S / B", "signal-to-background", share, measured(share), beside="in the region")
    plain("S / √(S + B)", "significance", simple, f"{simple:.1f}", beside="in the region")
    plain(
        "Significance √(2 Δ ln L)",
        "likelihood-significance",
        significance,
        f"{significance:.1f}",
        "σ",
        "with and without signal",
    )
    plain(
        "χ² / ndf",
        "chi2-per-ndf",
        fit["chi2_per_ndf"],
        f"{fit['chi2']:.1f} / {fit['ndf']}",
        beside=f"p-value {fit['p_value']:.2g}",
    )
    return rows


def corrected(found: Mapping[str, Any], simulation: Mapping[str, Any]) -> list[list[object]]:
    """The efficiency of the simulation, and the yield corrected for it."""
    part = found["efficiency"]
    total = part["corrected_yield"]
    sample = (
        f"{simulation['found']} of {simulation['decays']} decays in "
        f"{', '.join(f['name'] for f in simulation['files'])}"
    )
    errors = (
        f"of which ± {total['error_of_efficiency']:.0f} from the simulation; ± "
        f"{total['systematic']:.0f} (syst)"
    )
    return [
        ["Efficiency", number(measured(part["value"], part["error"]), part["value"], "efficiency"), sample],
        [
            "Decays Λ → p π⁻ in all events",
            number(measured(total["value"], total["error"]), total["value"], "corrected"),
            errors,
        ],
    ]


def closure(found: Mapping[str, Any], summary: Mapping[str, Any]) -> list[list[object]]:
    """What was measured beside the truth."""
    true, decays = summary["counts"]["true_in_window"], summary["counts"]["decays"]
    signal, part = found["signal"], found["efficiency"]
    measurements = [("Decays Λ → p π⁻ among the candidates", true, "true", signal)]
    if part:
        measurements.append(
            (
                "Decays in all events, the yield corrected for efficiency",
                decays,
                "decays",
                part["corrected_yield"],
            )
        )
    return [
        [
            title,
            number(str(known), known, name),
            measured(m["value"], m["error"]),
            f"{m['value'] / known:.3f}" if known else "–",
        ]
        for title, known, name, m in measurements
    ]


def files(listed: list[dict[str, Any]]) -> list[list[object]]:
    """Rows of a table of files."""
    columns = ("name", "origin", "bytes", "events", "candidates")
    return [[*(f[c] for c in columns), ", ".join(f["verified_with"]) or "–", f["sha256"]] for f in listed]


def facts(result: Mapping[str, Any], verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What one looks for first."""
    number_of_files = len(result["files"])
    passed, counts, found = sum(c["passed"] for c in verdict["checks"]), result["counts"], result["measured"]
    told = [
        ("Checks", f"{passed} passed, {len(verdict['checks']) - passed} failed"),
        ("Warnings", str(len(verdict["warnings"]) or "none")),
        ("Events", f"{counts['events']} in {number_of_files} file{'s' * (number_of_files != 1)}"),
        ("Candidates", f"{counts['candidates']}, of which {counts['in_window']} in the window"),
    ]
    if found:
        told.append(
            (
                "Mass of the Λ",
                (
                    f"{measured(1e3 * found['mass']['value'], 1e3 * found['mass']['error'])} ± "
                    f"{1e3 * found['mass']['systematic']:.3f} MeV"
                ),
            )
        )
        told.append(("Yield N(Λ)", measured(found["signal"]["value"], found["signal"]["error"])))
    return told


def make(
    summary: Mapping[str, Any],
    fitted: Mapping[str, Any],
    verdict: Mapping[str, Any],
    values: Mapping[str, Any],
    properties: Mapping[str, Any],
    plots: list[Path],
) -> str:
    """
    The page.

    Parameters
    ----------
    summary, fitted, verdict : mapping
        Of merge.py, fit.py, validate.py.
    values : mapping
        Parameters by name.
    properties : mapping
        The same in ``params.schema.json``.
    plots : list of Path
        PNG files.
    """
    result = stage_out.document(dict(summary), dict(fitted), dict(verdict))
    generated = any(f["origin"] == "generated" for f in result["files"])
    page = Page(
        "Spectrum of Λ → p π⁻",
        "Toy collisions at a fixed target" if generated else "Given events",
        verdict["valid"],
    )
    page.facts(facts(result, verdict))
    page.verdict(verdict)
    page.figures("Pictures", plots, CAPTIONS)
    if found := result["measured"]:
        page.table("Measured", ("", "value", ""), numbers(found))
        model = result["model"]
        window = f"from {model['window_gev'][0]:g} to {model['window_gev'][1]:g} GeV"
        shape = f"{model['bins']} bins {window}; background: {model['background']}"
        page.note(f"Extended binned likelihood, {shape}. Errors are statistical, where nothing else is said.")
        if found["efficiency"]:
            page.table("Corrected for efficiency", ("", "value", ""), corrected(found, summary["simulation"]))
        if summary["truth"]:
            page.table(
                "Closure: what is known is found again",
                ("", "true", "found", "found / true"),
                closure(found, summary),
            )
    else:
        page.note(f"The spectrum was not fitted: {result['reason']}", "warning")
    page.checks(verdict)
    columns = ("name", "", "bytes", "events", "candidates", "verified with", "SHA-256")
    page.table("Event files", columns, files(result["files"]))
    page.table("Simulation, from which the efficiency comes", columns, files(result["simulation"]["files"]))
    used = {n: rule for n, rule in properties.items() if generated or rule.get("group") != GENERATED}
    page.parameters(values, used)
    note = "Toy events have the data of a real experiment, not its physics." if generated else ""
    page.sources(PACKAGES, CITE, f"Read with {', '.join(result['readers'])}. {note}")
    return page.text()


def main() -> None:
    """Write ``report.html``."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("summary", "result", "verdict", "schema"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--plots", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    known, rest = parser.parse_known_args()
    properties = documents.read_json(known.schema)["properties"]
    values = argparse.ArgumentParser(description="parameters of the workflow")
    for name, rule in properties.items():
        kind = {"integer": int, "number": float}.get(rule["type"], str)
        values.add_argument(f"--{name.replace('_', '-')}", dest=name, type=kind, required=True)
    read = [documents.read_json(path) for path in (known.summary, known.result, known.verdict)]
    documents.write_text(known.out, make(*read, vars(values.parse_args(rest)), properties, known.plots))


if __name__ == "__main__":
    main()
