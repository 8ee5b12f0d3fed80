"""
Run a module and kill it at a crash point: ``python crash_at.py NAME[:nth] MODULE [ARG…]``.

The module runs in this process as ``python -m MODULE ARG…`` would, with one point of `esap_wf.runs.crashpoints` armed. Children
that it starts are not armed.
"""

from __future__ import annotations

import runpy
import sys

from esap_wf.runs import crashpoints


def main(argv: list[str]) -> int:
    if len(argv) < 2:
        print(__doc__, *crashpoints.NAMES, sep="\n", file=sys.stderr)
        return 2
    name, _, nth = argv[0].partition(":")
    if name not in crashpoints.NAMES:
        print(f"no crash point {name!r}; there are: {', '.join(crashpoints.NAMES)}", file=sys.stderr)
        return 2
    crashpoints.arm(name, int(nth or 1))
    sys.argv = argv[1:]
    runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
