"""
What the light verbs cost beside `reana-client version`: ``python benchmarks/light.py [--quick]``.

The peer is installed once, in an environment of its own that is kept (benchmarks/reana-requirements.txt).
Both sides have their compiled modules. The target: a quarter of the peer's CPU time, and neither pydantic nor
an ORM imported.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
from index import fill

from esap_wf.runs.store import Store

TARGET = 0.25
RUNS = 100
PINS = Path(__file__).with_name("reana-requirements.txt")
FORBIDDEN = ("pydantic", "sqlalchemy", "sqlmodel", "peewee", "django")
HEAVY = (*FORBIDDEN, "msgspec", "jsonschema_rs", "yaml", "jinja2", "rich", "astropy", "psutil")
#: Runs one verb in this process and tells which of the heavy modules it has loaded.
PROBE = """
import json, sys
from esap_wf.cli import main
try:
    main(sys.argv[2:])
except SystemExit as end:
    assert not end.code, end.code
print("\\n" + json.dumps([m for m in sys.argv[1].split(",") if m in sys.modules]))
"""


def peer() -> str:
    """The reana-client of the pins; installed if it isn't there yet."""
    home = measure.CACHE / f"reana-client-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]}"
    program = home / "bin" / "reana-client"
    if not (home / "ready").exists():
        python = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
        if python is None:
            raise SystemExit("reana-client needs Python 3.11: python3.11 is not on PATH")
        print(f"installing reana-client into {home}, once", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        env = measure.environment()
        subprocess.run([python, "-m", "venv", str(home)], check=True, env=env)
        subprocess.run(
            [str(home / "bin/python"), "-m", "pip", "install", "-q", "-r", str(PINS)], check=True, env=env
        )
        (home / "ready").touch()
    return str(program)


def loaded(arguments: list[str], env: dict[str, str]) -> list[str]:
    """Heavy modules that a verb imports."""
    told = measure.cost([sys.executable, "-P", "-c", PROBE, ",".join(HEAVY), *arguments], env).text
    names: list[str] = json.loads(told.splitlines()[-1])
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="Three rounds instead of eleven.")
    rounds = 3 if parser.parse_args().quick else 11
    client = peer()
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        folder = Path(name)
        env = measure.environment(folder)
        run_id = fill(Store.open(folder / "store", create=True), RUNS)[RUNS // 2]
        verbs = {
            "--help": ["--help"],
            "workflows": ["workflows"],
            "list": ["list"],
            f"status {run_id[:6]}": ["status", run_id[:6]],
        }

        def ours(arguments: list[str]) -> measure.Cost:
            return measure.cost([measure.ESAP_WF, *arguments], env)

        actions = {verb: lambda a=arguments: ours(a) for verb, arguments in verbs.items()}
        actions["peer"] = lambda: measure.cost([client, "version"], env)
        actions["python"] = lambda: measure.cost([sys.executable, "-c", "pass"], env)
        found = measure.in_turn(actions, rounds, warm=2)
        rows, imports = [], {}
        for verb, arguments in verbs.items():
            imports[verb] = loaded(arguments, env)
            share = measure.ratio(found[verb], found["peer"])
            cpu, other = (measure.median([c.cpu for c in found[x]]) for x in (verb, "peer"))
            rows.append(
                [
                    f"esap-wf {verb}",
                    f"{cpu:.3f}",
                    f"{other:.3f}",
                    f"{share:.3f}",
                    f"{TARGET}",
                    measure.verdict(share, TARGET),
                ]
            )
        bare = measure.median([c.cpu for c in found["python"]])
    title = (
        f"Light verbs, CPU seconds, store of {RUNS} runs, median of {rounds} (an empty Python here: "
        f"{bare:.3f})"
    )
    measure.show(title, ("command", "esap-wf", "reana-client version", "ratio", "target", "verdict"), rows)
    cells = [
        [f"esap-wf {verb}", ", ".join(names) or "none", "missed" if set(names) & set(FORBIDDEN) else "met"]
        for verb, names in imports.items()
    ]
    measure.show(
        f"Imported, of {', '.join(HEAVY)}; the target: none of {', '.join(FORBIDDEN)}",
        ("command", "imported", "verdict"),
        cells,
    )


if __name__ == "__main__":
    main()
