"""The engine of docs/engine-tutorial.md, made by following it: every file and every command of it, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from helpers import tutorial


def test_an_engine_made_by_the_tutorial_answers_all_questions(tmp_path: Path) -> None:
    folder = tutorial.write(tmp_path / "mine")
    home = {
        "HOME": str(tmp_path),
        "ESAP_WF_CONFIG": str(tmp_path / "none"),
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "ESAP_WF_"))}
    done = subprocess.run(
        ["bash", "-c", tutorial.commands()],
        cwd=folder,
        env={**kept, **tutorial.installing(tmp_path / "site"), **home},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^miniflow +1\.0 +PATH +/.*/site/bin/miniflow$", done.stdout, re.MULTILINE), done.stdout
    (expected,) = re.findall(r"\d+ passed", tutorial.TEXT)
    assert expected in done.stdout and "skipped" not in done.stdout, done.stdout
