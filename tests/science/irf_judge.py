"""Judges response files that it writes: cases on stdin, verdicts on stdout, in JSON. Runs with the workflow's own Python, once for all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import irf_files
import irf_sets
from checks import Expected
from validate import validate


def main() -> None:
    said: dict[str, Any] = {}
    for name, case in json.load(sys.stdin).items():
        paths = []
        for file in case["files"]:
            paths.append(Path(file["name"]))
            irf_files.write(file["layout"], paths[-1], file.get("change", ""), file.get("tables", ()))
            if "text" in file:
                paths[-1].write_text(file["text"])
            if "cut" in file:
                paths[-1].write_bytes(paths[-1].read_bytes()[: file["cut"]])
        said[name] = validate(paths, with_closure=False, expected=Expected(**case.get("expected", {})))
    # the same files once more, as a folder of public sets has them
    for name, layout in (
        ("caldb/low/irf_file", "low energies"),
        ("caldb/high/irf_file", "high energies"),
        ("other/a", "satellite"),
    ):
        path = Path("public", f"{name}.fits")
        path.parent.mkdir(parents=True, exist_ok=True)
        irf_files.write(layout, path)
    for name in ("EFFECTIVE AREA", "ENERGY DISPERSION", "PSF"):
        irf_files.write("per bin", Path("public", f"{name}.fits"), tables=[name])
    said["sets"] = irf_sets.table(irf_sets.judged([Path("public").resolve()]))
    json.dump(said, sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main()
