"""
What does `irf-validate` say of a folder of response files? A table in Markdown, one row a set, as
workflows/irf/README.md quotes it.

Files of one folder are a set; those called ``irf_file`` (CALDB) belong to the folder above theirs. A file
with effective area and energy dispersion is a response of its own; other files of a folder make up one
together, if no table is in them twice. Run it with the Python of the workflow's software environment
(workflows/irf/requirements.txt):

    python benchmarks/irf_sets.py FOLDER […]
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflows" / "irf" / "scripts"))

from astropy.io import fits  # noqa: E402
from checks.agreement import kind_of  # noqa: E402
from checks.standard import form_of  # noqa: E402
from checks.tables import is_response  # noqa: E402
from database import cell  # noqa: E402
from validate import validate  # noqa: E402

#: the check that fails if not one table can be read
NONE = "is a response of a Cherenkov telescope"
SUFFIXES = re.compile(r"\.(fits|fit)(\.gz)?$", re.IGNORECASE)


@dataclass
class Set:
    """Responses of one folder, and what was said of them."""

    telescopes: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    responses: int = 0
    valid: int = 0
    failed: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    warned: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def parts(path: Path) -> tuple[list[str], set[str]]:
    """Kinds of the response tables of a file, and its telescopes; none if it can't be read."""
    try:
        with fits.open(path, memmap=False) as hdus:
            tables = [h for h in hdus if is_response(h)]
            kinds = [kind_of(h.header, form_of(set(h.columns.names))) for h in tables]
            return [k for k in kinds if k], {str(h.header.get("TELESCOP", "")).strip() for h in tables} - {""}
    except OSError:
        return [], set()


def responses(files: Iterable[Path]) -> Iterator[tuple[list[Path], set[str]]]:
    """Files that make up a response each, and the telescopes that they name."""
    split: list[tuple[Path, list[str], set[str]]] = []
    for path in files:
        kinds, telescopes = parts(path)
        if {"aeff", "edisp"} <= set(kinds):
            yield [path], telescopes
        elif kinds:
            split.append((path, kinds, telescopes))
    held = Counter(k for _, kinds, _ in split for k in kinds)
    if split and max(held.values()) == 1:
        yield [p for p, _, _ in split], set().union(*(t for _, _, t in split))
    else:
        yield from (([p], t) for p, _, t in split)


def count(
    found: defaultdict[str, Counter[str]], document: dict[str, Any], findings: list[dict[str, Any]]
) -> None:
    """Count each kind of finding, and the tables that have it, once a response."""
    formats = {t["table"]: t["format"].split("_")[0] for t in document["tables"]}
    said = set()
    for one in findings:
        label, colon, what = one["name"].rpartition(": ")
        said.add((what, formats.get(label, re.sub(r" \([^)]*, table \d+\)", "", label)) if colon else ""))
    for what, table in said:
        found[what][table] += 1


def judged(folders: Iterable[Path]) -> dict[str, Set]:
    """Verdicts by set."""
    by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if SUFFIXES.search(path.name) and path.is_file():
                by_folder[path.parent].append(path)
    sets: defaultdict[str, Set] = defaultdict(Set)
    for place, files in sorted(by_folder.items()):
        root = next(f for f in folders if f == place or f in place.parents)
        for group, telescopes in responses(files):
            above = place.parent if group[0].name.startswith("irf_file") and place != root else place
            one = sets[str(above.relative_to(root.parent))]
            document: dict[str, Any] = validate(group, with_closure=False)
            one.responses += 1
            one.valid += document["valid"]
            one.telescopes |= telescopes
            one.kinds |= {document["kind"] or "?"}
            failed = [c for c in document["checks"] if not c["passed"]]
            # of a file that is none at all, the sentence that says so is enough
            count(one.failed, document, [c for c in failed if c["name"] == NONE] or failed)
            count(one.warned, document, [r for r in document["remarks"] if r["severity"] != "note"])
    return sets


def listed(found: dict[str, Counter[str]], of: int) -> str:
    """
    Findings with their tables, the most frequent first, and their number where it is not that of the set.
    """

    def number(n: int) -> str:
        return "" if n == of else f" ({n})"

    rows = sorted(found.items(), key=lambda x: (-max(x[1].values()), x[0]))
    shown = [
        f"{what}: {', '.join(t + number(n) for t, n in sorted(tables.items()))}"
        if any(tables)
        else what + number(tables[""])
        for what, tables in rows
    ]
    return "; ".join(shown) or "–"


def table(sets: dict[str, Set]) -> list[str]:
    """Lines of the table."""
    lines = ["| set | telescope | kind | valid | refused for | warned of |", "|---|---|---|---|---|---|"]
    for name, one in sets.items():
        of = one.responses
        row = [", ".join(sorted(one.telescopes)), ", ".join(sorted(one.kinds)), f"{one.valid} of {of}"]
        row = [name, *row, listed(one.failed, of), listed(one.warned, of)]
        lines.append("| " + " | ".join(cell(x or None) for x in row) + " |")
    return lines


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    args = cli.parse_args()
    missing = [str(f) for f in args.folders if not f.is_dir()]
    if missing:
        raise SystemExit(f"not a folder: {', '.join(missing)}")
    sets = judged([f.resolve() for f in args.folders])
    if not sets:
        raise SystemExit(
            f"no response function in {', '.join(map(str, args.folders))}: give a folder with FITS files "
            "of IRFs"
        )
    print("\n".join(table(sets)))


if __name__ == "__main__":
    main()
