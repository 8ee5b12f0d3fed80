"""
Step `plots`: one PNG a figure, and a page of its own that shows them with parameters, checks and versions.
"""

from __future__ import annotations

import argparse
import base64
import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from documents import read_json, write_text
from figures import Tables, draw
from jinja2 import Environment, FileSystemLoader, StrictUndefined

PACKAGES = ("pyirf", "gammapy", "astropy", "numpy", "scipy", "matplotlib")
#: what a response is asked to be good to
PER_CENT = 0.01
CAPTIONS = {
    "effective_area": (
        "Of gammas that pass the cuts, by offset from the optical axis. Energies outside the "
        "safe range are shaded."
    ),
    "angular_resolution": (
        "Radius around the true direction; for a point-like response the radius that was cut at."
    ),
    "energy_resolution": "Of gammas less than 1° from the axis, after the gamma-hadron cut.",
    "energy_dispersion": "Innermost offset bin, each true energy scaled to its peak.",
    "background": (
        "Protons and electrons that pass for gammas, by offset. Where events are few: "
        "neighbouring energies and a fitted curve."
    ),
    "sensitivity": (
        "At least five standard deviations, ten excess counts and 5 % of the background; the "
        "off region is five on regions."
    ),
    "cuts": (
        "Linear in log energy between the points, so that the response has no edges in reconstructed energy."
    ),
    "statistics": (
        "What the tables rest on. The safe range needs 50 gammas near the axis and 20 "
        "(effective) background events."
    ),
}


def rows(values: Mapping[str, Any], properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, title, value and unit of parameters, in the order of the schema."""
    names = [n for n in properties if n in values] + sorted(n for n in values if n not in properties)
    return [
        {
            "name": n,
            "title": properties.get(n, {}).get("title", n),
            "value": values[n],
            "unit": properties.get(n, {}).get("unit", ""),
        }
        for n in names
    ]


def agreement(ratios: Mapping[str, Any]) -> dict[str, Any]:
    """
    Thrown over predicted counts as a table, and in words where the response is good to a per cent.

    Returns
    -------
    dict
        ``bands``, ``rows`` (offset, cells of text and class), ``words``.
    """
    edges, lines, good = ratios["edges_tev"], [], 0
    off: dict[str, list[str]] = {}
    bands = [f"{low:.2g} to {high:.2g}" for low, high in pairwise(edges)] + ["all"]
    for degrees, values, errors in zip(ratios["offsets_deg"], ratios["ratio"], ratios["error"], strict=True):
        offset, cells = f"{degrees:.3g}°", []
        for band, value, error in zip(bands, values, errors, strict=True):
            far = value is None or abs(value - 1) > PER_CENT + 2 * error
            close = not far and abs(value - 1) + error <= PER_CENT
            good += not far
            if far:
                off.setdefault(offset, []).append("all energies" if band == "all" else f"{band} TeV")
            text = "nothing predicted" if value is None else f"{value:.3f} ± {error:.3f}"
            cells.append({"text": text, "class": "fail" if far else "ok" if close else "soft"})
        lines.append({"offset": offset, "cells": cells})
    points = good + sum(map(len, off.values()))
    words = f"Good to 1 % within twice the error of this comparison at {good} of {points} points"
    exceptions = "; ".join(f"{offset} ({', '.join(found)})" for offset, found in off.items())
    return {
        "bands": bands,
        "rows": lines,
        "words": f"{words}. It is not at {exceptions}." if off else f"{words}.",
    }


def number(value: Any) -> str:
    """A number with blanks between thousands, anything else as it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 100000:
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return "–" if value is None else str(value)


def render(template: Path, **content: Any) -> str:
    """The page; every value is escaped."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(template.name).render(**content)


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    for name in ("parameters", "simulation", "validation", "irf", "benchmarks", "schema", "plots", "out"):
        cli.add_argument(f"--{name}", type=Path, required=True)
    args = cli.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # empty bins
    document, tables = read_json(args.parameters), Tables.read(args.irf, args.benchmarks)
    properties, validation = read_json(args.schema)["properties"], read_json(args.validation)
    figures = [
        {
            "title": path.stem.replace("_", " "),
            "caption": CAPTIONS[path.stem],
            "image": base64.b64encode(path.read_bytes()).decode(),
        }
        for path in draw(tables, args.plots)
    ]
    page = render(
        Path(__file__).with_name("report.html.j2"),
        parameters=rows(document["parameters"], properties),
        selected=rows(document["selected"], {}),
        simulation=read_json(args.simulation),
        validation=validation,
        agreement=agreement(validation["closure"]["ratios"]) if validation["closure"] else None,
        ranges=tables.ranges,
        seed_drawn=document["seed_drawn"],
        kind=document["parameters"]["kind"],
        figures=figures,
        safe=tables.safe,
        versions={"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
    )
    write_text(args.out, page)
    print(f"{len(figures)} figures")


if __name__ == "__main__":
    main()
