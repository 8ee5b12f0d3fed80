"""
Write the parts of the documentation that come from elsewhere: the table of states (docs/runs.md) from the code, the tables of engines
(docs/compatibility.md) from docs/features.json, which `make features` writes from test results. ``--check`` only compares.
"""

import json
import sys
from pathlib import Path

from esap_wf.runs.states import as_table

HERE = Path(__file__).parent
ENGINES = {"snakemake": "Snakemake", "nextflow": "Nextflow", "cwl": "cwltool", "toil": "Toil"}


def table(prefix: str = "", without: tuple[str, ...] = ()) -> str:
    """Rows of docs/features.json whose name begins with a prefix; a dash is what was tried and is not so."""
    features: dict[str, dict[str, str]] = json.loads((HERE / "features.json").read_text("utf-8"))
    rows = [["", *ENGINES.values()], ["---"] * (len(ENGINES) + 1)]
    for name, values in features.items():
        if name.startswith(prefix) and not name.startswith(without):
            rows.append([name.removeprefix(prefix), *(values.get(engine, "not tested") for engine in ENGINES)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def pages() -> dict[str, dict[str, str]]:
    """Page → mark → what stands there."""
    return {
        "runs.md": {"states": as_table()},
        "compatibility.md": {
            "features": table(without=("event: ", "container by ")),
            "events": table("event: "),
            "containers": table("container by "),
        },
    }


def main() -> int:
    """Replace what stands between the marks; 1 if ``--check`` finds a difference."""
    differs = 0
    for name, marks in pages().items():
        page = HERE / name
        old = text = page.read_text("utf-8")
        for mark, new in marks.items():
            begin, end = f"<!-- begin: {mark} -->", f"<!-- end: {mark} -->"
            head, rest = text.split(begin)
            text = f"{head}{begin}\n{new}\n{end}{rest.split(end)[1]}"
        differs |= int(text != old)
        if "--check" not in sys.argv:
            page.write_text(text, "utf-8")
        elif text != old:
            sys.stderr.write(f"{page} is not up to date: make docs\n")
    return differs if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
