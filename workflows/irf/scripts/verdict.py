"""
Step `verdict`: fail with the reason if the validation found the IRF invalid. All outputs, the verdict too,
are kept.
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
    if not document["valid"]:
        failed = "\n".join(
            f"  {c['name']}: {c['detail']} ({c['severity']})" for c in document["checks"] if not c["passed"]
        )
        raise SystemExit(f"the IRF is invalid ({args.validation}):\n{failed}")
    write_text(args.out, f"valid: {len(document['checks'])} checks, {len(document['warnings'])} warnings\n")
    for warning in document["warnings"]:
        print("warning:", warning)


if __name__ == "__main__":
    main()
