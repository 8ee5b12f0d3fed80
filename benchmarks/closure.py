"""
Closure of the science workflows: is what was thrown found again, with errors that are right?

Each file of ``closures/`` is that of the workflow of its name. It runs with the Python of that workflow's own
software environment, prints its figures with what they must be, and ends with 1 if they are not. It takes
``--quick``; what else, says its ``--help``.

    python benchmarks/closure.py                          # all of them
    python benchmarks/closure.py irf --seeds 100          # one; what stands behind its name goes to it
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from esap_wf import config
from esap_wf.software import environments

CLOSURES = Path(__file__).parent / "closures"
WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"


def known() -> list[str]:
    """Workflows that have a closure; the other files are what several of them need."""
    return sorted(
        path.stem for path in CLOSURES.glob("*.py") if (WORKFLOWS / path.stem / "workflow.yaml").is_file()
    )


def run(name: str, arguments: list[str]) -> bool:
    """One closure in the environment of its workflow; what it prints is what is wanted."""
    python = environments.build(WORKFLOWS / name / "requirements.txt", config.load().cache) / "bin" / "python"
    print(f"\n### {name}\n", flush=True)
    environment = {
        **os.environ,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    return (
        subprocess.run(
            [python, "-B", CLOSURES / f"{name}.py", *arguments], env=environment, check=False
        ).returncode
        == 0
    )


def main() -> int:
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        name, *rest = arguments
        if name not in known():
            print(
                f"closure.py: {name} has no closure; those that have one: {', '.join(known())}",
                file=sys.stderr,
            )
            return 2
        return int(not run(name, rest))
    if arguments not in ([], ["--quick"]):
        print(
            __doc__.strip() if arguments[0] in ("-h", "--help") else "closure.py: name the workflow first",
            file=sys.stderr,
        )
        return 2
    bad = [name for name in known() if not run(name, arguments)]
    print(f"\nnot accepted: {', '.join(bad)}" if bad else "\nall accepted")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
