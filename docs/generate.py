"""
Write the parts of the documentation that come from elsewhere: every verb (docs/commands.md) from the command
line, the table of states (docs/runs.md) from the code, the tables of engines (docs/compatibility.md) from
docs/features.json, which `make features` writes from test results; and the version in CITATION.cff and
codemeta.json, from esap_wf/__init__.py. ``--check`` only compares.
"""

import json
import re
import sys
from pathlib import Path

import verbs

from esap_wf import __version__
from esap_wf.runs.states import as_table

HERE = Path(__file__).parent
ROOT = HERE.parent
ENGINES = {"snakemake": "Snakemake", "nextflow": "Nextflow", "cwl": "cwltool", "toil": "Toil"}


def table(prefix: str = "", without: tuple[str, ...] = (), missing: str = "not tested") -> str:
    """Rows of docs/features.json whose name begins with a prefix; a dash is what was tried and is not so."""
    features: dict[str, dict[str, str]] = json.loads((HERE / "features.json").read_text("utf-8"))
    rows = [["", *ENGINES.values()], ["---"] * (len(ENGINES) + 1)]
    for name, values in features.items():
        if name.startswith(prefix) and not name.startswith(without):
            rows.append([name.removeprefix(prefix), *(values.get(engine, missing) for engine in ENGINES)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def pages() -> dict[str, dict[str, str]]:
    """Page → mark → what stands there."""
    return {
        "commands.md": {"verbs": verbs.sections()},
        "runs.md": {"states": as_table()},
        "compatibility.md": {
            "features": table(without=("event: ", "container by ", "Slurm, ")),
            "events": table("event: "),
            "containers": table("container by "),
            "slurm": table("Slurm, ", missing=""),
        },
    }


def between(page: str, marks: dict[str, str]) -> str:
    """A page with what stands between the marks replaced."""
    for mark, new in marks.items():
        begin, end = f"<!-- begin: {mark} -->", f"<!-- end: {mark} -->"
        head, rest = page.split(begin)
        page = f"{head}{begin}\n{new}\n{end}{rest.split(end)[1]}"
    return page


def cited(text: str, version: str, changes: str) -> str:
    """
    CITATION.cff or codemeta.json with the version, and with the day on which it was released.

    Parameters
    ----------
    text : str
        The file as it is.
    version : str
    changes : str
        The changelog. As long as it has no heading for the version, the day stays.
    """
    fields = {'("?version"?: )("?)[^",\n]*': version}
    if released := re.search(rf"^## {re.escape(version)} \((\d{{4}}-\d\d-\d\d)\)$", changes, re.MULTILINE):
        fields['("?(?:date-released|dateModified)"?: )("?)[^",\n]*'] = released[1]
    for pattern, value in fields.items():
        text, found = re.subn(rf"^( *){pattern}", rf"\g<1>\g<2>\g<3>{value}", text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{pattern} is there {found} times, not once")
    return text


def files() -> dict[Path, str]:
    """Every file of which something is generated → what it should be."""
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    made = {HERE / name: between((HERE / name).read_text("utf-8"), marks) for name, marks in pages().items()}
    return made | {
        ROOT / n: cited((ROOT / n).read_text("utf-8"), __version__, changes)
        for n in ("CITATION.cff", "codemeta.json")
    }


def main() -> int:
    """Write what is generated; with ``--check`` only compare, 1 if something differs."""
    differing = {file: text for file, text in files().items() if file.read_text("utf-8") != text}
    for file, text in differing.items():
        if "--check" in sys.argv:
            sys.stderr.write(f"{file} is not up to date: make docs\n")
        else:
            file.write_text(text, "utf-8")
    return int(bool(differing) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
