"""The files and commands of docs/engine-tutorial.md, as they stand there."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from helpers.files import write_files
from helpers.paths import ROOT

TEXT = (ROOT / "docs/engine-tutorial.md").read_text(encoding="utf-8")
_FILE = re.compile(r"^`(?P<name>[\w./-]+)`:\n```\w+\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def write(folder: Path) -> Path:
    """All files below a folder."""
    found = {block["name"]: block["text"] for block in _FILE.finditer(TEXT)}
    assert len(_FILE.findall(TEXT)) + len(_COMMANDS.findall(TEXT)) == TEXT.count("\n```\n"), (
        "a block of code that nobody runs"
    )
    write_files(folder, found)
    (folder / "miniflow/__init__.py").touch()
    return folder


def commands() -> str:
    """What is typed, as one script that ends at the first failure."""
    return "set -e\n" + "".join(_COMMANDS.findall(TEXT))


def installing(site: Path) -> dict[str, str]:
    """An environment in which pip installs into a folder, without an index, and Python and the shell find what is there."""
    return {
        "PIP_TARGET": str(site),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_QUIET": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH")))),
        "PATH": os.pathsep.join((str(site / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])),
    }
