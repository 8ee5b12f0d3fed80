"""
Step `summary`: results of all files as one event table (FITS), and one document with counts and figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import table
from astropy.io import fits
from documents import read_json, write_json
from numpy.typing import NDArray

FITS_TYPES = {"i4": "J", "i8": "K", "f8": "D", "?": "L"}
#: MJD of 1970-01-01, from which `time` counts
EPOCH = 40587


def quantiles(values: NDArray[np.float64]) -> dict[str, float] | None:
    """
    Median, and 68 and 90 % quantiles, of what is finite; None if nothing is.

    From `median_low` to `median_high` lies the median of all such tracks with a probability of 68 %: the
    number of values below it is binomial, whatever their distribution.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    half = min(0.5, 0.5 / len(values) ** 0.5)
    wanted = {"median": 0.5, "median_low": 0.5 - half, "median_high": 0.5 + half, "q68": 0.68, "q90": 0.9}
    return {name: round(float(np.quantile(values, part)), 6) for name, part in wanted.items()}


def statistics(rows: NDArray[Any]) -> dict[str, Any]:
    """Figures of good tracks."""
    good = rows[rows["good"]]
    true, reference = good[np.isfinite(good["true_angle"])], good[np.isfinite(good["reference_angle"])]
    energies = np.log10(true["energy"] / true["true_energy"])
    return {
        "tracks": len(rows),
        "good": len(good),
        "with_truth": len(true),
        "with_reference": len(reference),
        "true_angle_deg": quantiles(true["true_angle"]),
        "reference_angle_deg": quantiles(reference["reference_angle"]),
        "direction_error_deg": quantiles(good["direction_error"]),
        "chi2_per_ndf": quantiles(good["chi2"] / good["ndf"]),
        "hits": quantiles(good["n_hits"].astype(float)),
        "log10_energy_ratio": quantiles(energies),
        "upgoing": int((good["zenith"] > 90).sum()),
    }


def flow_of(files: list[dict[str, Any]]) -> list[list[Any]]:
    """Events left after each cut, of all files."""
    total: dict[str, int] = {}
    for file in files:
        for name, number in file["flow"]:
            total[name] = total.get(name, 0) + number
    return [[name, number] for name, number in total.items()]


def ascii_only(text: str) -> str:
    """FITS holds nothing but printable ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def hdus(
    rows: NDArray[Any],
    residuals: dict[str, NDArray[np.int64]],
    files: list[dict[str, Any]],
    parameters: dict[str, Any],
) -> fits.HDUList:
    """The event table, the residuals and the list of files."""
    columns = [
        fits.Column(name=n, format=FITS_TYPES[k], unit=u or None, array=rows[n])
        for n, (k, u, _) in table.COLUMNS.items()
    ]
    events = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    for i, (_, _, description) in enumerate(table.COLUMNS.values(), 1):
        events.header[f"TCOMM{i}"] = description
    events.header["CAMPAIGN"] = (parameters["campaign"], "processing campaign")
    events.header["TIMESYS"], events.header["MJDREFI"], events.header["MJDREFF"] = "UTC", EPOCH, 0.0
    events.header["TIMEUNIT"] = "s"
    counts = [
        fits.Column("low", "D", "ns", array=table.RESIDUALS[:-1]),
        fits.Column("high", "D", "ns", array=table.RESIDUALS[1:]),
    ]
    counts += [fits.Column(name, "K", array=values) for name, values in residuals.items()]
    listed = [
        fits.Column("file", "J", array=np.array([f["file"] for f in files])),
        fits.Column("name", "255A", array=np.array([ascii_only(f["name"])[:255] for f in files])),
        fits.Column("detector_id", "J", array=np.array([f["detector_id"] for f in files])),
        fits.Column("simulated", "L", array=np.array([f["simulated"] for f in files])),
        fits.Column("kind", "10A", array=np.array([ascii_only(f["kind"]) for f in files])),
        fits.Column("recorded", "J", array=np.array([f["flow"][0][1] for f in files])),
        fits.Column("good", "J", array=np.array([f["flow"][-1][1] for f in files])),
    ]
    tables = [
        events,
        fits.BinTableHDU.from_columns(counts, name="RESIDUALS"),
        fits.BinTableHDU.from_columns(listed, name="FILES"),
    ]
    for hdu in tables:
        # astropy would put the date into the comment of the checksum
        hdu.add_checksum(when="checksum of the HDU")
    return fits.HDUList([fits.PrimaryHDU(), *tables])


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--tracks", type=Path, required=True, help="folder with the results of all files")
    cli.add_argument("--table", type=Path, required=True)
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    paths = sorted(args.tracks.iterdir())
    parts, files = [], []
    residuals = {name: np.zeros(len(table.RESIDUALS) - 1, dtype=np.int64) for name in ("fit", "truth")}
    for path in paths:
        rows, counted, facts, flow = table.read(path)
        parts.append(rows)
        files.append({**json.loads(facts), "flow": json.loads(flow)})
        for name, values in counted.items():
            residuals[name] += values
    rows, parameters = np.concatenate(parts), read_json(args.parameters)["parameters"]
    temporary = args.table.with_name(f".{args.table.name}.part")
    hdus(rows, residuals, files, parameters).writeto(temporary, overwrite=True, output_verify="exception")
    temporary.replace(args.table)
    document = {
        "campaign": parameters["campaign"],
        "parameters": parameters,
        "files": files,
        "flow": flow_of(files),
        "statistics": statistics(rows),
    }
    write_json(args.out, document)
    print(json.dumps({"flow": document["flow"], **document["statistics"]}))


if __name__ == "__main__":
    main()
