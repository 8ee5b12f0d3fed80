"""
All tables of this folder, one after the other: ``make bench``. Arguments such as ``--quick`` go to those that
know them.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TABLES = (
    "light.py",
    "overhead.py",
    "shards.py",
    "slurm.py",
    "shard_watching.py",
    "watching.py",
    "planning.py",
    "status_log.py",
    "index.py",
    "data.py",
    "closure.py",
)
#: knows no arguments
BARE = ("index.py",)


def main() -> int:
    """Run each in a process of its own; 1 if one of them broke."""
    broken = []
    for name in TABLES:
        print(f"\n## {name}\n", flush=True)
        if subprocess.run(
            [sys.executable, str(HERE / name), *([] if name in BARE else sys.argv[1:])], check=False
        ).returncode:
            broken.append(name)
    print(f"\nbroken: {', '.join(broken)}" if broken else "")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
