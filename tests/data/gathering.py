"""A workflow that puts its files together, and a lake to take them from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from faults.place import WatchedPlace
from helpers.workflows import write_workflow

from esap_wf.config import Config
from esap_wf.datalakes import Did, Lake, lake

_SNAKEFILE = """\
rule all:
    input: "outputs/all.dat"

rule gather:
    input: config["inputs"]["files"]
    output: "outputs/all.dat"
    log: "logs/gather/all.log"
    shell: "cat {input:q} > {output} 2> {log}; sleep {config[seconds]}; SPOIL"
"""


@dataclass
class Gathering(WatchedPlace):
    """A place whose lake ``local`` has a scope ``toy``."""

    def config(self) -> Config:
        return Config(store=self.store, cache=self.root / "cache", source=self.root / "config.toml")

    @property
    def lake(self) -> Lake:
        return lake(self.config(), "local")

    def put(self, name: str, content: bytes) -> str:
        """A file in the lake; its address."""
        source = self.root / "given.dat"
        source.write_bytes(content)
        did = Did("toy", name)
        self.lake.store(source, did)
        source.unlink()
        return did.uri("local")

    def many(self, count: int, size: int = 1000) -> tuple[list[str], bytes]:
        """Files in the lake, and what they are when they are put together."""
        contents = [f"{n:06}".encode() * (size // 6) for n in range(count)]
        return [self.put(f"d/{n:06}.dat", c) for n, c in enumerate(contents)], b"".join(contents)

    def workflow(self, name: str = "gather", spoil: str = "true", **of_input: object) -> Path:
        """Its input takes all ``.dat`` of scope ``toy`` from a basket."""
        folder = self.root / name
        if not folder.exists():
            rule = {"archive": ["rucio"], "scope": "toy", "name": "*.dat"}
            spec = {"title": "Files", "many": True, "extensions": [".dat"], "basket": [rule], **of_input}
            write_workflow(
                folder,
                {"seconds": {"type": "number", "default": 0}},
                {"inputs": {"files": spec}, "outputs": [{"name": "all", "path": "outputs/all.dat"}]},
                files={"Snakefile": _SNAKEFILE.replace("SPOIL", spoil)},
            )
        return folder

    def given(self, uris: Iterable[str], *more: str, workflow: str = "gather") -> list[str]:
        """Words of a command."""
        refs = [word for uri in uris for word in ("--input", f"files={uri}")]
        return ["run", str(self.workflow(workflow)), *refs, *more]

    def result(self, run: str) -> bytes:
        return (self.run(run).dir / "outputs/all.dat").read_bytes()

    def cached(self) -> list[Path]:
        """What the cache has."""
        return [p for p in (self.store / "cache").glob("*/??/*") if p.is_file()]

    def sound(self) -> None:
        """Whatever has a name is what it is called."""
        for path in self.cached():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name

    def basket(self, *items: dict[str, object]) -> Path:
        path = self.root / "basket.json"
        path.write_text(json.dumps({"shopping_cart": [{"item_data": json.dumps(one)} for one in items]}))
        return path
