"""
Try the failed tests of a session once more, alone and one at a time: ``python second_round.py EXIT OUTCOME``.

Hundreds of tests start real processes, and a busy machine sometimes fails one of them. If all that failed pass here, the session is a
success, and their names stand in a last section: they need mending. Otherwise this ends with the session's exit code.

Parameters
----------
EXIT
    The session's exit code.
OUTCOME
    What the session wrote with ``--outcome`` (session_outcome.py).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

#: More failures than that are no accident.
MOST = 5


def refusal(code: int, outcome: dict[str, Any]) -> str:
    """Why a session that ended like this fails whatever a second round would find; empty if it need not."""
    if code != pytest.ExitCode.TESTS_FAILED:
        return f"pytest ended with exit code {code}"
    if outcome.get("exit") != code:
        return "pytest did not say what failed"
    if outcome["unforgiven"]:
        return "; ".join(outcome["unforgiven"])
    failed = len(outcome["failed"])
    return "" if 1 <= failed <= MOST else f"{failed} tests failed; at most {MOST} are tried once more"


def main(code: int, path: Path) -> int:
    outcome = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if reason := refusal(code, outcome):
        print(f"\nno second round: {reason}", flush=True)
        return code
    failed: list[str] = outcome["failed"]
    print("\n" + " second round, one test at a time ".center(80, "="), flush=True)
    if pytest.main(["-m", outcome["marks"], *failed]) != pytest.ExitCode.OK:
        return code
    print("\n" + " unsteady, need mending ".center(80, "="), *failed, sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
