"""Step `record`: describe the production, and enter it in the production database if that takes entries."""

from __future__ import annotations

import argparse
import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from database import accepts_records, add_production, cell
from documents import read_json, write_json, write_text

PACKAGES = ("pyirf", "gammapy", "astropy", "numpy", "scipy")


def describe(path: Path) -> dict[str, Any]:
    """Name, size and SHA-256 of a file."""
    content = path.read_bytes()
    return {"name": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def code_digest(folder: Path) -> str:
    """SHA-256 over names and contents of what is run: scripts, engine file, schema of the parameters."""
    found = hashlib.sha256()
    for path in sorted(
        [
            *folder.glob("scripts/**/*"),
            folder / "Snakefile",
            folder / "params.schema.json",
            folder / "requirements.txt",
        ]
    ):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(
                f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
            )
    return found.hexdigest()


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def make_record(
    document: Mapping[str, Any],
    simulation: Mapping[str, Any],
    validation: Mapping[str, Any],
    irf: Path,
    benchmarks: Path,
) -> dict[str, Any]:
    """
    Record of a production: no dates, no names of machines, so that equal productions have equal records.

    Returns
    -------
    dict
        ``simulation``, ``scheme``, ``kind``, ``valid``, ``parameters``, ``selected``, ``seed_drawn``,
        ``irf``, ``benchmarks``, ``checks`` (passed, failed), ``warnings``, ``closure``; ``code`` (SHA-256
        over the files of the workflow) and ``versions`` of what computed it.
    """
    passed = sum(c["passed"] for c in validation["checks"])
    return {
        "simulation": simulation["simulation"],
        "scheme": simulation["scheme"],
        "kind": document["parameters"]["kind"],
        "valid": validation["valid"],
        "parameters": document["parameters"],
        "selected": document["selected"],
        "seed_drawn": document["seed_drawn"],
        "irf": describe(irf),
        "benchmarks": describe(benchmarks),
        "checks": {"passed": passed, "failed": len(validation["checks"]) - passed},
        "warnings": validation["warnings"],
        "closure": validation.get("closure"),
        "code": code_digest(Path(__file__).parent.parent),
        "versions": versions(),
    }


def page(record: Mapping[str, Any]) -> str:
    """The record as a Markdown page."""
    checks, irf = record["checks"], record["irf"]
    state = "valid" if record["valid"] else "**invalid**"
    lines = [
        f"# Production {record['simulation']}",
        "",
        f"A {record['kind']} response, {state}: {checks['passed']} checks passed, {checks['failed']} failed.",
        "",
        f"`{irf['name']}`: {irf['bytes']} bytes, sha256 `{irf['sha256']}`; code sha256 `{record['code']}`",
    ]
    if record["seed_drawn"]:
        lines += ["", f"No seed was given; {record['parameters']['seed']} was drawn."]
    lines += (
        ["", "## Warnings", "", *(f"- {cell(w)}" for w in record["warnings"])] if record["warnings"] else []
    )
    tables = (
        ("Parameters", "parameters"),
        ("Selected from the production database", "selected"),
        ("Software", "versions"),
    )
    for title, key in tables:
        lines += ["", f"## {title}", "", "| name | value |", "|---|---|"]
        lines += [f"| {cell(name)} | {cell(value)} |" for name, value in sorted(record[key].items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    for name in ("parameters", "simulation", "validation", "irf", "benchmarks", "database", "out", "page"):
        cli.add_argument(f"--{name}", type=Path, required=True)
    cli.add_argument(
        "--shipped", type=Path, required=True, help="folder of the workflow; what lies in it is never changed"
    )
    args = cli.parse_args()
    record = make_record(
        read_json(args.parameters),
        read_json(args.simulation),
        read_json(args.validation),
        args.irf,
        args.benchmarks,
    )
    reason = "the IRF is invalid" if not record["valid"] else accepts_records(args.database, args.shipped)
    if reason:
        print(f"not entered in the production database: {reason}")
    else:
        added = add_production(args.database, record)
        print(f"{record['simulation']}: {'entered' if added else 'already'} in the production database")
    write_text(args.page, page(record))
    write_json(args.out, record)


if __name__ == "__main__":
    main()
