"""Ways to spoil a folder, each drawn from a random generator: values, texts, and what a name leads to."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

#: Files in which most values mean something.
_DECIDE = {
    "workflow.yaml",
    "params.schema.json",
    "nextflow_schema.json",
    "main.cwl",
    "tool.cwl",
    "x.ipynb",
    "task.yaml",
    "reana.yaml",
    "c.yaml",
    "config.yaml",
    "run.json",
    "state.json",
    "plan.json",
    "outputs.json",
    "store.json",
    "config.toml",
    "schema_input.json",
    "rows.json",
}


class Spoiler:
    """
    Spoils files of a folder.

    Parameters
    ----------
    random : Random
    canary : Path
        A folder elsewhere to which links and names lead; `marker` is what a command that is carried out would make.
    url : str
        Of a server that nobody may ask.
    """

    def __init__(self, chance: random.Random, canary: Path, marker: Path, url: str) -> None:
        self.chance, self.canary, self.marker, self.url = chance, canary, marker, url

    def spoil(self, folder: Path) -> list[str]:
        """One to three things; what was done, to be told if it finds something."""
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        done = []
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            path = self.chance.choice(
                [f for f in files if f.name in _DECIDE and self.chance.random() < 0.8] or files
            )
            if not path.is_file() or path.is_symlink() or path.stat().st_size > 1_000_000:
                continue
            ways = (
                [self.place, self.words]
                if path.suffix in {".nf", ".smk", ".csv", ".config", ".toml", ".tsv", ".txt"}
                else [self.values, self.values, self.values, self.values, self.words, self.place]
            )
            way = self.chance.choice(ways)
            done.append(f"{path.relative_to(folder)}: {way(path)}")
        return done

    def hostile(self) -> Any:
        """A value that nobody expects."""
        touch = f"touch {self.marker}"
        deep: Any = self.chance.choice([1, "a", {}, [], None])
        for _ in range(self.chance.choice([30, 150, 260, 700])):
            deep = [deep] if self.chance.random() < 0.7 else {"a": deep}
        return self.chance.choice([
            None, True, False, -1, 0, 1.5, 10**18, 10**30, -(2**63), 1e308, "", " ", "a" * 70_000, "\0", "../../canary", "..", "/", "~root",
            str(self.canary / "kept.json"), (self.canary / "kept.json").as_uri(), "file:///dev/zero", "/dev/zero", "/dev/stdin", self.url,
            f"$({touch})", f"`{touch}`", f"'; {touch}; '", f"{{{{{touch}}}}}", "%s%n%x", "{0.__class__}", "${n}", "{n",
            "\x1b[2J\x1b]0;x\x07",
            "\u202egnp", "\x9b31m", [], {}, [[]], {"": ""}, [None], {"a": None}, {"$ref": "#"}, {"$ref": self.url}, {"$ref": "../x.json"},
            {"$ref": (self.canary / "kept.json").as_uri()}, {"$ref": (self.canary / "pipe").as_uri()}, {"$import": "pipe"}, deep,
            [1] * 3000, {f"k{i}": i for i in range(2000)}, "1e999", "9" * 5000, "-rf", "--help", "*", "**/*", "[", "(a+)+$",
            "a{1000}{1000}",
            "\ud800", "line\nbreak", "2026-01-01", "9**9**9", "round(1, -1000000000)", "'%2000000000d' % 1", "l*n*n", "n" * 300,
            "1 GB", "-1 s",
            "1e400 GB", "∞", "😀" * 50, ["string", "null"], ["a", 1, None], {"type": "array"}, "https://\x00", "git+file:///", "a@b#c#d",
            {"class": "File", "path": "/dev/zero"}, {"class": "Directory", "location": "file:///"}, "docker-archive:/dev/zero", "rootfs:/",
            f"docker-archive:{self.canary / 'pipe'}", "!!python/object/apply:os.system", "<<", "$graph", "#main", "null", "NaN", 99, "v1.2",
        ])  # fmt: skip

    def values(self, path: Path) -> str:
        """Another value somewhere in a document; or a key less, more, or twice."""
        try:
            data = yaml.safe_load(path.read_text())
        except (yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError):
            return self.words(path)
        for _ in range(self.chance.choice([1, 1, 1, 2, 5])):
            data, told = self._elsewhere(data)
        try:
            text = json.dumps(data, allow_nan=self.chance.random() < 0.5)
        except (ValueError, RecursionError):
            text = json.dumps(data)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return told

    def _elsewhere(self, data: Any) -> tuple[Any, str]:
        places: list[tuple[Any, Any]] = []
        stack = [data]
        while stack and len(places) < 400:
            node = stack.pop()
            for key in (
                list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
            ):
                places.append((node, key))
                stack.append(node[key])
        if not places or self.chance.random() < 0.03:
            value = self.hostile()
            return value, f"all of it is {value!r:.120}"
        node, key = self.chance.choice(places)
        what = self.chance.random()
        if what > 0.7:
            node[key] = self.chance.choice(
                [{}, {"a": 1}, [], [[]], ["a"], [{}], 1, "a", None, True, {"a": {"b": []}}]
            )
            return data, f"{key} is {node[key]!r}"
        if what < 0.12:
            del node[key]
            return data, f"{key} is gone"
        if what < 0.2 and isinstance(node, dict):
            name = self.hostile()
            name = name if isinstance(name, str) else str(name)[:200]
            node[name] = node[key]
            return data, f"{key} also as {name!r:.120}"
        node[key] = self.hostile()
        return data, f"{key} is {node[key]!r:.120}"

    def words(self, path: Path) -> str:
        """A text with something else in it."""
        raw = path.read_bytes()
        at, length = self.chance.randrange(len(raw) + 1), self.chance.choice([0, 1, 5, 200])
        touch = f"touch {self.marker}".encode()
        piece = self.chance.choice([
            b"", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b"\r", b"\t", b"{{", b"}}", b"[" * 5000, b"{" * 300, b"(" * 300,
            b'"""', b"'''",
            b"\\", b"/*", b"*/", b"//", b"#", b"---\n", b"...\n", b"%TAG ! x\n", b"&a *a", b"<<: *a", b"- " * 300, b"? ", b": ", b"!!int x",
            b"!!python/object/apply:os.system [" + touch + b"]", b"$(" + touch + b")", b"`" + touch + b"`", b"\xef\xbb\xbf", b"9" * 5000,
            b".inf", b"1e999", b"NaN", b"Infinity", b"-" * 2000, b"\n" * 5000, b"a" * 100_000, "\u202e\u2028".encode(), b"\x80",
            b'include: "Snakefile"\n', b'include: "../../canary/kept.json"\n', b"includeConfig '/dev/zero'\n",
            b"include { A } from '/dev/zero'\n",
            b'configfile: "/dev/zero"\n', b'includeConfig "${params.n}"\n', b"import os; os.system('" + touch + b"')\n", b"\x00" * 1000,
        ])  # fmt: skip
        path.write_bytes(raw[:at] + piece + raw[at + length :])
        return f"byte {at}, {length} away, {piece[:60]!r} in"

    def place(self, path: Path) -> str:
        """A name that leads to something else than its file."""
        content = path.read_bytes()
        path.unlink()
        kinds: dict[str, Callable[[], object]] = {
            "nothing": lambda: None,
            "a pipe": lambda: os.mkfifo(path),
            "a folder": path.mkdir,
            "an endless file": lambda: path.symlink_to("/dev/zero"),
            "a terminal": lambda: path.symlink_to("/dev/tty"),
            "itself": lambda: path.symlink_to(path),
            "its folder": lambda: path.symlink_to(path.parent),
            "a file elsewhere": lambda: path.symlink_to(self.canary / "kept.json"),
            "a pipe elsewhere": lambda: path.symlink_to(self.canary / "pipe"),
            "no bytes": lambda: path.write_bytes(b""),
            "half of it": lambda: path.write_bytes(content[: len(content) // 2]),
            "it twice": lambda: path.write_bytes(content * 2),
            "UTF-16": lambda: path.write_bytes(content.decode("utf-8", "replace").encode("utf-16")),
            "a hole": lambda: _hole(path),
            "noise": lambda: path.write_bytes(self.chance.randbytes(300)),
        }
        kind = self.chance.choice(sorted(kinds))
        kinds[kind]()
        return kind


def _hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 36)
