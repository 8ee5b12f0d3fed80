"""
How long validating and planning many units takes: ``python benchmarks/planning.py [--quick]``.

`esap-wf plan noop --input units_table=FILE --json` with generated tables, every row of which is held against
its JSON Schema. Beside it, where that is bearable, what the bare engine takes to plan the same units
(`snakemake -n` on the rendered run directory).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import measure
from overhead import rendered

SECONDS, BYTES = 30.0, 500e6
#: How much faster than the number of units time may grow.
LINEAR = 1.2
PEER_UNITS = 1000


def table(path: Path, units: int) -> Path:
    """A table of units with all columns."""
    with path.open("w", encoding="utf-8") as f:
        if path.suffix == ".csv":
            f.write("unit,seconds,payload\n")
            f.writelines(f"block-{n:07d},0.5,seed {n}\n" for n in range(units))
        else:
            f.writelines(
                f'{{"unit": "block-{n:07d}", "seconds": 0.5, "payload": "seed {n}"}}\n' for n in range(units)
            )
    return path


def planned(path: Path, units: int, folder: Path) -> measure.Cost:
    """Plan one table."""
    env = measure.environment(folder)
    used = measure.cost([measure.ESAP_WF, "plan", "noop", "--input", f"units_table={path}", "--json"], env)
    if json.loads(used.text)["units"] != units:
        raise SystemExit(f"planned {json.loads(used.text)['units']} units of {units}")
    return used


def engine_plans(folder: Path) -> float:
    """CPU seconds of a dry run of the bare engine."""
    env = measure.environment(folder)
    done = measure.cost([measure.ESAP_WF, "run", "noop", "--if-exists", "rerun", "--json"], env)
    place = rendered(Path(json.loads(done.text)["dir"]), folder / "bare")
    settings = json.loads((place / "config.json").read_text())
    (place / "config.json").chmod(0o644)
    (place / "config.json").write_text(json.dumps({**settings, "units": PEER_UNITS}))
    return measure.median(
        [measure.cost(["bash", "command.sh", "-n", "--quiet"], env, place).cpu for _ in range(3)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="One round, 10^4 and 10^5 units only.")
    quick = parser.parse_args().quick
    sizes = [10_000, 100_000] if quick else [10_000, 100_000, 1_000_000]
    rows = []
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        folder = Path(name)
        peer = engine_plans(folder)
        for kind in ("csv", "jsonl"):
            before = 0.0
            for units in sizes:
                path = table(folder / f"units.{kind}", units)
                found = [planned(path, units, folder) for _ in range(1 if quick else 3)]
                cpu, wall, peak = (
                    measure.median([getattr(c, key) for c in found]) for key in ("cpu", "wall", "peak")
                )
                growth = cpu / before if before else 0.0
                rows.append(
                    [
                        f"{kind}, {units:,} units",
                        f"{cpu:.2f}",
                        f"{wall:.2f}",
                        f"{SECONDS:.0f} {measure.verdict(cpu, SECONDS)}",
                        f"{peak / 1e6:.0f}",
                        f"{BYTES / 1e6:.0f} {measure.verdict(peak, BYTES)}",
                        f"×{growth:.1f}" if growth else "-",
                        f"×{10 * LINEAR:.0f} {measure.verdict(growth, 10 * LINEAR)}" if growth else "-",
                        f"{cpu / units * 1e6:.0f}",
                        f"{cpu / units / (peer / PEER_UNITS):.4f}",
                    ]
                )
                before = cpu
                path.unlink()
    header = (
        "table",
        "CPU s",
        "wall s",
        "target",
        "peak MB",
        "target",
        "growth",
        "target",
        "µs a unit",
        "÷ snakemake -n",
    )
    measure.show(f"Validate and plan (`snakemake -n` of {PEER_UNITS} units: {peer:.2f} CPU s)", header, rows)


if __name__ == "__main__":
    main()
