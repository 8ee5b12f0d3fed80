"""Helpers of the tests of several folders: the command line as a process, an isolated place, toy workflows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).parent / "esap-wf"
#: What is kept between sessions, by content. Set before any test changes HOME.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esap-wf-tests"

SNAKEFILE = """\
rule all:
    input: "outputs/result.txt"

rule make:
    output: "outputs/result.txt"
    log: "logs/make/all.log"
    shell: "echo made > {output} 2> {log}"
"""


@dataclass
class Done:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout: anything beside it fails the test."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n"), f"not one line: {self.out!r}\n{self.err}"
        answer = json.loads(self.out)
        assert isinstance(answer, dict), answer
        return answer

    @property
    def problems(self) -> str:
        """Message and problems of the error, as one text."""
        error = self.json["error"]
        assert set(error) == {"code", "message", "problems"}, error
        assert all(set(p) == {"where", "what", "hint"} for p in error["problems"]), error
        return "\n".join([error["message"], *(f"{p['where']}: {p['what']} ({p['hint']})" for p in error["problems"])])


@dataclass
class Place:
    """A store, a cache and a configuration file of their own, and the command line that works on them."""

    root: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def environment(self) -> dict[str, str]:
        own = {"ESAP_WF_STORE": "store", "ESAP_WF_CACHE": "cache", "ESAP_WF_CONFIG": "config.toml", "HOME": "home"}
        return {**{k: str(self.root / v) for k, v in own.items()}, **self.extra}

    def __call__(self, *args: object, cwd: Path | None = None, env: dict[str, str] | None = None, **more: Any) -> Done:
        """A real process."""
        done = subprocess.run(
            [str(COMMAND), *map(os.fspath, map(word, args))], cwd=cwd or self.root, env={**os.environ, **self.environment, **(env or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape", timeout=300, check=False, **more,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def runs(self) -> list[Path]:
        """All run directories, and what was staged."""
        return [*self.store.glob("runs/*/*"), *self.store.glob("tmp/*")]


def word(value: object) -> str | bytes:
    return value if isinstance(value, (str, bytes)) else str(value)


def write_workflow(
    folder: Path, properties: dict[str, Any] | None = None, manifest: dict[str, Any] | None = None,
    schema: dict[str, Any] | None = None, **files: str,
) -> Path:  # fmt: skip
    """A small complete workflow; `manifest` and `schema` add to or replace their keys."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "schema_version": 1, "name": folder.name, "title": "Toy", "version": "1.0.0",
        "implementations": [{"engine": "snakemake", "file": "Snakefile"}], "software": [{"installed": ["python3"]}],
        "outputs": [{"name": "result", "path": "outputs/result.txt"}],
    }  # fmt: skip
    said |= manifest or {}
    described = {"type": "object", "additionalProperties": False, "properties": properties or {}, **(schema or {})}
    (folder / "workflow.yaml").write_text(json.dumps({k: v for k, v in said.items() if v is not None}, indent=1))
    (folder / "params.schema.json").write_text(json.dumps(described, indent=1))
    for name, text in {"Snakefile": SNAKEFILE, "README.md": "toy\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
