"""
What it costs to bring data into a run, and to map a basket: ``python benchmarks/data.py [--quick]``.

- Staging: files of the embedded lake, fetched into the cache, verified by the catalogue's size, Adler-32 and
  SHA-256, on disk (``fsync``), and hard-linked into a run directory. Measured is
  `esap_wf.running.arrival.bring`, with its own threads, in a process of its own. Beside it, in turn, shell
  scripts that copy with ``cp`` or ``curl file://`` a file, and verify with one ``sha256sum -c``; they sync
  nothing, keep no cache and can't go on after a crash.
- Hits: the same files are in the cache already; the lake is asked whether one may read them, and they are
  linked.
- A basket of many items: read, given to an input by the rules of a manifest, resolved in a catalogue that has
  them all, rendered; and planned, which decides all the rest.

The duplicate check among 10^6 runs: ``python benchmarks/index.py --sizes 10 1000000``, whose rows "duplicate
check" have ≤ 10 ms as their target.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import measure

# behind this folder: tests/data is called like this file
sys.path.append(str(measure.ROOT / "tests"))

RATIO, HIT, BASKET = 1.05, 0.5, 2.0
SCOPE = "bench"
_SNAKEFILE = 'rule all:\n    input: config["inputs"]["files"]\n'


@dataclass(frozen=True)
class Set:
    """Files that are staged together."""

    title: str
    count: int
    size: int

    def names(self) -> list[str]:
        return [f"{self.count}x{self.size}/{n:06}.dat" for n in range(self.count)]


@dataclass
class Bench:
    """A store with its lake, and the files that are in it."""

    folder: Path
    refs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from esap_wf.config import Config
        from esap_wf.runs.store import Store

        self.environment = measure.environment(self.folder)
        self.config = Config(self.folder / "store", self.folder / "cache", self.folder / "config")
        Store.open(self.config.store, create=True)

    def put(self, files: Set) -> None:
        """Into the lake; what a plan would have of them, and where a shell script finds them."""
        from esap_wf.datalakes import Did, lake

        local, source = lake(self.config, "local"), self.folder / "given"
        block = os.urandom(1 << 20)
        found = []
        for n, name in enumerate(files.names()):
            with source.open("wb") as file:
                left = files.size
                file.write(n.to_bytes(8, "big"))
                left -= 8
                while left > 0:
                    left -= file.write(block[:left])
            did = Did(SCOPE, name)
            entry = local.store(source, did)
            path = f"inputs/files/{n}/{Path(name).name}"
            found.append(
                {
                    "uri": did.uri("local"),
                    "path": path,
                    "bytes": entry.bytes,
                    "checksum": f"sha256:{entry.checksums['sha256']}",
                    "checksums": entry.checksums,
                    "modified": entry.created,
                    "lies": str(local.local(did)),
                }
            )
        source.unlink()
        self.refs[files.title] = found

    def ours(self, files: Set, *, hit: bool = False) -> measure.Cost:
        """Staged by esap-wf into a fresh run; the cache is empty unless it is a hit."""
        if not hit:
            shutil.rmtree(self.config.store / "cache", ignore_errors=True)
        run = self._fresh("run")
        refs = self.folder / "refs.json"
        refs.write_text(json.dumps(self.refs[files.title]))
        os.sync()
        argv = [sys.executable, __file__, "--stage", str(refs), str(run)]
        whole = measure.cost(argv, self.environment)
        told = json.loads(whole.text)
        self._confirm(run, files)
        return measure.Cost(told["cpu"], told["wall"], whole.peak, str(whole.wall))

    def shell(self, files: Set, copy: Callable[[str, Path], str]) -> measure.Cost:
        """By a script: each file is copied, then all are summed up."""
        run = self._fresh("copied")
        refs = self.refs[files.title]
        (self.folder / "sums").write_text(
            "".join(f"{r['checksums']['sha256']}  {run / r['path']}\n" for r in refs)
        )
        folders = "\n".join(str((run / r["path"]).parent) for r in refs)
        (self.folder / "folders").write_text(folders)
        lines = ["set -e", f"xargs mkdir -p <{shlex.quote(str(self.folder / 'folders'))}"]
        lines += [copy(r["lies"], run / r["path"]) for r in refs]
        lines.append(f"sha256sum --quiet -c {shlex.quote(str(self.folder / 'sums'))}")
        script = self.folder / "copy.sh"
        script.write_text("\n".join(lines) + "\n")
        os.sync()
        used = measure.cost(["bash", str(script)], self.environment)
        self._confirm(run, files)
        return used

    def at_once(self, files: Set) -> measure.Cost:
        """By the fewest processes: one ``cp`` for all of them into one folder, and one ``sha256sum``."""
        run = self._fresh("copied")
        lies, sums = self.folder / "lies", self.folder / "sums"
        refs = self.refs[files.title]
        lies.write_text("\n".join(r["lies"] for r in refs))
        names = ((r["checksums"]["sha256"], run / Path(r["path"]).name) for r in refs)
        sums.write_text("".join(f"{sha256}  {path}\n" for sha256, path in names))
        script = f"xargs cp -t {run} <{lies} && sha256sum --quiet -c {sums}"
        os.sync()
        return measure.cost(["bash", "-c", script], self.environment)

    def _fresh(self, name: str) -> Path:
        run = self.folder / "store" / name
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        return run

    def _confirm(self, run: Path, files: Set) -> None:
        found = [p for p in run.rglob("*.dat") if p.stat().st_size == files.size]
        if len(found) != files.count:
            raise SystemExit(f"{len(found)} files of {files.count} are there")


def stage(refs: Path, run: Path) -> None:
    """In a process of its own: what the supervisor does before the engine starts."""
    import msgspec

    from esap_wf import config
    from esap_wf.models.request import DataRef
    from esap_wf.running import arrival
    from esap_wf.runs.store import Store

    found = msgspec.convert(json.loads(refs.read_text()), list[DataRef])
    store = Store.open(config.load().store)
    owner: Any = SimpleNamespace(
        plan=SimpleNamespace(inputs={"files": found}),
        store=store,
        run=SimpleNamespace(dir=run),
        wants_stop=lambda: False,
        write=lambda phase, **changes: None,
    )
    begin, used = time.perf_counter(), os.times()
    arrival.bring(owner, worked=False)
    wall, now = time.perf_counter() - begin, os.times()
    print(json.dumps({"wall": wall, "cpu": now.user + now.system - used.user - used.system}))


def staging(bench: Bench, sets: list[Set], rounds: int) -> None:
    rows = []
    for files in sets:
        bench.put(files)
        actions: dict[str, Callable[[], measure.Cost]] = {
            "esap-wf": lambda files=files: bench.ours(files),  # type: ignore[misc]
            "cp + sha256sum": lambda files=files: bench.shell(  # type: ignore[misc]
                files, lambda source, to: f"cp {shlex.quote(source)} {shlex.quote(str(to))}"
            ),
            "curl file:// + sha256sum": lambda files=files: bench.shell(  # type: ignore[misc]
                files,
                lambda source, to: f"curl -sSfo {shlex.quote(str(to))} {shlex.quote('file://' + source)}",
            ),
        }
        if files.count > 1:
            actions["one cp for all + sha256sum"] = lambda files=files: bench.at_once(files)  # type: ignore[misc]
        found = measure.in_turn(actions, rounds)
        ours = found.pop("esap-wf")
        for peer, costs in found.items():
            wall = measure.median([a.wall / b.wall for a, b in zip(ours, costs, strict=True)])
            row = [f"{files.title} ÷ {peer}"]
            row += [f"{measure.median([c.wall for c in some]):.2f}" for some in (ours, costs)]
            row += [
                f"{wall:.2f}",
                f"≤ {RATIO} {measure.verdict(wall, RATIO)}" if "one cp" not in peer else "-",
            ]
            row += [
                f"{measure.ratio(ours, costs):.2f}",
                f"{measure.median([c.peak for c in ours]) / 1e6:.0f}",
            ]
            rows.append(row)
    header = [
        "fetched, verified, synced, linked",
        "wall s",
        "peer's",
        "ratio",
        "target",
        "CPU ratio",
        "peak MB",
    ]
    measure.show("Staging (the call in its process ÷ a shell script that syncs nothing)", header, rows)


def hits(bench: Bench, files: Set, rounds: int) -> None:
    bench.ours(files)
    found = [bench.ours(files, hit=True) for _ in range(rounds)]
    wall, cpu = (measure.median([getattr(c, key) for c in found]) for key in ("wall", "cpu"))
    row = [
        f"{files.title}, in the cache",
        f"{wall:.2f}",
        f"≤ {HIT} s {measure.verdict(wall, HIT)}",
        f"{cpu:.2f}",
    ]
    measure.show("Hits", ["allowed, linked", "wall s", "target", "CPU s"], [row])


def fill(bench: Bench, count: int) -> None:
    """A catalogue of files that nobody will read."""
    from esap_wf.datalakes import Did, Entry, lake
    from esap_wf.datalakes.directory.catalogue import Catalogue, Scope

    local = lake(bench.config, "local")
    catalogue = Catalogue(bench.config.store / "lake" / "catalogue.sqlite")
    with catalogue.writing():
        catalogue.keep_scope(Scope("many", local.account, None, frozenset()))
        for n in range(count):
            sha256 = hashlib.sha256(str(n).encode()).hexdigest()
            sums = {"sha256": sha256, "adler32": sha256[:8]}
            did = Did("many", f"dl3/{n // 1000:04}/run_{n:07}.dat")
            entry = Entry(
                did=did, bytes=1000, checksums=sums, created="2026-03-01T12:00:00Z", account=local.account
            )
            catalogue.add(entry, None)
            catalogue.has(did, "disk", None)
    catalogue.close()


def basket_of(count: int) -> str:
    """As the gateway sends it."""
    items = []
    for n in range(count):
        sha256 = hashlib.sha256(str(n).encode()).hexdigest()
        name = f"dl3/{n // 1000:04}/run_{n:07}.dat"
        record = {"scope": "many", "name": name, "bytes": 1000, "adler32": sha256[:8], "type": "FILE"}
        items.append({"item_data": json.dumps({"archive": "rucio", "record": record})})
    return json.dumps({"shopping_cart": items})


def mapped(folder: Path, text: Path) -> None:
    """In a process of its own: from the text of a basket to what the engine is given."""
    from esap_wf import config
    from esap_wf.basket import items
    from esap_wf.catalogue import workflows
    from esap_wf.models.request import Request
    from esap_wf.planning import making
    from esap_wf.request import assembly, baskets
    from esap_wf.request import inputs as asked
    from esap_wf.request.remote import Remote
    from esap_wf.running import render

    places = config.load()
    workflow = workflows.find(places, str(folder))
    data = text.read_text()
    times, began = {}, [time.process_time()]

    def lap(name: str) -> None:
        times[name] = time.process_time() - began[0]
        began[0] = time.process_time()

    basket = items.read(data, "basket", "local")
    lap("read")
    taken, problems, _ = baskets.into(basket, workflow.manifest.inputs, {}, False)
    lap("mapped")
    refs, wrong = asked.resolve(workflow, taken, places.cache, (), Remote(places))
    wrong += baskets.contradictions(basket, refs)
    lap("resolved")
    if problems or wrong or len(refs["files"]) != len(basket.items):
        raise SystemExit(f"{len(refs['files'])} references: {problems[:2]} {wrong[:2]}")
    request = Request(workflow=str(folder))
    ready = assembly.assemble(assembly.Asked(request=request, basket=basket), workflow, places)
    ready.confirm_valid()
    began[0] = time.process_time()
    plan = making.make(ready.request, places, ready.valid)
    lap("planned")
    with tempfile.TemporaryDirectory(dir=places.store) as target:
        began[0] = time.process_time()
        render.engine_side(plan, workflow, Path(target), places.store)
        lap("rendered")
    print(json.dumps(times))


def basket(bench: Bench, counts: list[int], rounds: int) -> None:
    from helpers.workflows import write_workflow

    fill(bench, max(counts))
    rule = {"archive": ["rucio"], "scope": "many", "name": "*.dat"}
    spec = {"title": "Files", "many": True, "extensions": [".dat"], "basket": [rule]}
    more = {"inputs": {"files": spec, "list": {"title": "List", "required": False}}}
    folder = bench.folder / "gather"
    write_workflow(folder, {}, more, files={"Snakefile": _SNAKEFILE})
    rows, before = [], 0.0
    for count in counts:
        text = bench.folder / "basket.json"
        text.write_text(basket_of(count))
        found = [
            json.loads(
                measure.cost(
                    [sys.executable, __file__, "--map", str(folder), str(text)], bench.environment
                ).text
            )
            for _ in range(rounds)
        ]
        took = {name: measure.median([one[name] for one in found]) for name in found[0]}
        total = took["mapped"] + took["resolved"] + took["rendered"]
        judged = f"≤ {BASKET:g} s {measure.verdict(total, BASKET)}" if count == 100_000 else "-"
        growth = f"×{total / before:.1f}" if before else "-"
        each = [f"{took[name]:.2f}" for name in ("read", "mapped", "resolved", "rendered")]
        rows.append([f"{count:,} items", *each, f"{total:.2f}", judged, growth, f"{took['planned']:.2f}"])
        before = total
    header = [
        "basket",
        "read",
        "mapped",
        "resolved",
        "rendered",
        "these three",
        "target",
        "growth",
        "planned",
    ]
    measure.show("A basket (CPU seconds; nothing is waited for)", header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[1])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("staging", "hits", "basket"), help="One table.")
    parser.add_argument("--stage", nargs=2, type=Path, metavar=("REFS", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--map", nargs=2, type=Path, metavar=("WORKFLOW", "BASKET"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        stage(*given.stage)
        return
    if given.map:
        mapped(*given.map)
        return
    quick, only = given.quick, given.only
    small = Set("100 × 10 kB", 100, 10_000) if quick else Set("1000 × 10 kB", 1000, 10_000)
    large = Set("1 × 100 MB", 1, 100_000_000) if quick else Set("1 × 2 GB", 1, 2_000_000_000)
    many = Set("1000 × 10 kB", 1000, 10_000)
    with tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name:
        bench = Bench(Path(name))
        if only in (None, "staging"):
            staging(bench, [small, large], 3)
        if only in (None, "hits"):
            if many.title not in bench.refs:
                bench.put(many)
            hits(bench, many, 3)
        if only in (None, "basket"):
            basket(bench, [1000, 10_000] if quick else [1000, 10_000, 100_000], 1 if quick else 3)


if __name__ == "__main__":
    main()
