"""All tables of this folder, one after the other: ``make bench``. Arguments such as ``--quick`` go to those that know them."""

import subprocess
import sys
from pathlib import Path

from esap_wf import config, environments

HERE = Path(__file__).parent
QUICK = ("light.py", "overhead.py", "watching.py", "planning.py", "status_log.py")


def main() -> int:
    """Run each in a process of its own; 1 if one of them broke."""
    irf = environments.build(HERE.parent / "workflows" / "irf" / "requirements.txt", config.load().cache)
    broken = []
    for name in (*QUICK, "index.py", "closure.py"):
        python = str(irf / "bin" / "python") if name == "closure.py" else sys.executable
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([python, str(HERE / name), *(sys.argv[1:] if name in QUICK else [])], check=False).returncode:
            broken.append(name)
    print(f"\nbroken: {', '.join(broken)}" if broken else "")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
