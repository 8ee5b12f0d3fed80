"""
Step `verdict`: fail with the reason if the validation found the results invalid. All outputs, the verdict
too, are kept.

Results that could not be judged (`valid` is null) are no failure: a run with few events is complete, and says
so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from documents import read_json, write_text


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--validation", type=Path, required=True)
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    document = read_json(args.validation)
    if document["valid"] is False:
        failed = "\n".join(f"  {c['name']}: {c['detail']}" for c in document["checks"] if not c["passed"])
        raise SystemExit(f"the results are invalid ({args.validation}):\n{failed}")
    said = "not judged" if document["valid"] is None else "valid"
    write_text(args.out, f"{said}: {len(document['checks'])} checks, {len(document['warnings'])} warnings\n")
    for warning in document["warnings"]:
        print("warning:", warning)


if __name__ == "__main__":
    main()
