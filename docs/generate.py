"""Write the parts of the documentation that come from the code: the table of states (docs/runs.md). ``--check`` only compares."""

import sys
from pathlib import Path

from esap_wf.runs.states import as_table

BEGIN, END = "<!-- begin: states -->", "<!-- end: states -->"


def main() -> int:
    """Replace what stands between the marks."""
    page = Path(__file__).parent / "runs.md"
    text = page.read_text("utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    new = f"{head}{BEGIN}\n{as_table()}\n{END}{tail}"
    if "--check" in sys.argv:
        return int(new != text)
    page.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
