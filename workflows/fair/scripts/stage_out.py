"""
Package the results: one document of the numbers, copies that were verified, and the list of checksums that
another workflow stages in by.

Standard library only.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import checksums
import documents
import particles
import stage_in
import systematics


def number(p: dict[str, float], unit: str, scale: float = 1.0) -> dict[str, Any]:
    """A measured number with its unit."""
    return {"value": scale * p["value"], "error": scale * p["error"], "unit": unit}


def document(summary: dict[str, Any], result: dict[str, Any], verdict: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a run, with what they come from."""
    fit = result["fit"]
    measured = None
    if fit:
        p = fit["parameters"]
        measured = {
            "mass": number(p["mass"], "GeV") | {"systematic": systematics.MASS, "pdg": particles.LAMBDA},
            "width": number(p["sigma"], "GeV"),
            "signal": number(p["signal"], ""),
            "background": number(p["background"], ""),
            "signal_region": fit["signal_region"],
            "goodness": fit["goodness"],
            "efficiency": fit["efficiency"],
            "parameters": p,
            "correlation": fit["correlation"],
        }
    return {
        "schema": "fair-result/1",
        "decay": "Lambda -> p pi-",
        "valid": verdict["valid"],
        "measured": measured,
        "reason": result["reason"],
        "model": result["model"],
        "selection": summary["selection"],
        "counts": summary["counts"],
        "readers": summary["readers"],
        "files": summary["files"],
        "simulation": summary["simulation"],
    }


def main() -> None:
    """Copy, verify, list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--verdict", type=Path, required=True)
    parser.add_argument("--files", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    verdict = documents.read_json(args.verdict)
    documents.write_json(
        "result.json", document(documents.read_json(args.summary), documents.read_json(args.result), verdict)
    )
    listed = {"result.json": checksums.of(Path("result.json"))}
    for source in (args.verdict, *args.files):
        target = Path(source.name)
        read = stage_in.copy(source, target)
        listed[target.name] = checksums.of(target)
        if listed[target.name] != read:
            raise SystemExit(f"{target.name}: the copy is not what was read")
    checksums.write(Path("checksums.csv"), listed)


if __name__ == "__main__":
    main()
