"""
How long the index takes to answer, and whether that depends on the number of runs: ``python
benchmarks/index.py``.

Makes stores of synthetic runs in a temporary folder (`--folder`), deletes them at the end, and prints one
table: median milliseconds a query, and the ratio to the smallest store.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from esap_wf.models.run import Phase, Progress, RunRecord, State, encode
from esap_wf.runs import journal
from esap_wf.runs.index import Index
from esap_wf.runs.store import Store

#: A prime number, so that phases are spread over workflows and owners. All lists have a page of runs in the
#: smallest store, too.
PHASES = [Phase.COMPLETED] * 66 + [Phase.ERROR] * 29 + [Phase.ABORTED] * 2


def fill(store: Store, count: int) -> list[str]:
    """
    Run directories with run.json, state.json and the inputs of a plan, each a result of the run before;
    nothing is synced, which is what makes them cheap.
    """
    ids = []
    for n in range(count):
        run_id = f"{(n * 0x9E3779B97F4A7C15) & (2**64 - 1):016x}"
        folder = store.path_of(run_id)
        folder.mkdir(parents=True)
        created = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(1_700_000_000 + n * 37))
        record = RunRecord(
            id=run_id,
            workflow=f"workflow-{n % 5}",
            version="1.0.0",
            created=created,
            owner=f"user-{n % 7}",
            host="bench",
            name=f"name {n}.",
            tags=[f"night-{n % 10}"],
            identity=f"{n // 3:064x}",
            science=f"{n // 10:064x}",
            engine="snakemake",
            backend="local",
        )
        counts = Progress(units_total=10, units_done=10)
        state = State(phase=PHASES[n % 97], rev=5, epoch=1, started=created, ended=created, progress=counts)
        (folder / "run.json").write_bytes(encode(record))
        (folder / "state.json").write_bytes(encode(state))
        inputs = {"data": [{"uri": f"run:{ids[-1]}/result"}] if ids else []}
        (folder / "plan.json").write_bytes(msgspec.json.encode({"inputs": inputs}))
        ids.append(run_id)
    lines = [
        msgspec.json.encode(
            {
                "schema_version": 1,
                "run": run_id,
                "science": f"{n // 10:064x}",
                "owner": "me",
                "created": f"{n:09}",
            }
        )
        for n, run_id in enumerate(ids)
    ]
    (store.root / "records" / "workflow-0.jsonl").write_bytes(b"\n".join([*lines, b""]))
    journal.announce(store.root / "journal", ids[-1], 5)
    return ids


def median(action: Callable[[int], object], times: int = 200) -> float:
    """Milliseconds, after one call to warm up."""
    action(0)
    taken = []
    for n in range(times):
        begin = time.perf_counter()
        action(n)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1000


def measure(store: Store, ids: list[str], path: Path) -> dict[str, float]:
    begin = time.perf_counter()
    index = Index.open(store, path)
    rebuilt = (time.perf_counter() - begin) * 1000
    count = len(ids)
    middle = index.page(
        limit=1, phase="COMPLETED", cursor=f"{store.run(ids[count // 2]).record().created}_{ids[count // 2]}"
    )[1]

    def reopen(_: int) -> None:
        Index.open(store, path).close()

    result = {
        "list, first page of 50": median(lambda n: index.page(limit=50)),
        "list, page in the middle": median(lambda n: index.page(limit=50, phase="COMPLETED", cursor=middle)),
        "list --phase ERROR --workflow": median(
            lambda n: index.page(limit=50, phase="ERROR", workflow=f"workflow-{n % 5}")
        ),
        "list --tag": median(lambda n: index.page(limit=50, tag=f"night-{n % 10}")),
        "list --owner --since": median(
            lambda n: index.page(limit=50, owner=f"user-{n % 7}", since="2023-11-15T00:00:00Z")
        ),
        "list --name, in every run": median(lambda n: index.page(limit=50, name="NAME")),
        "list --name, in one run": median(lambda n: index.page(limit=50, name=f"ame {(n * 7919) % count}.")),
        "list --name, in none": median(lambda n: index.page(limit=50, name=f"nobody {n}")),
        "list --name, two letters": median(lambda n: index.page(limit=50, name="me")),
        "list --name --phase ERROR": median(lambda n: index.page(limit=50, name="name", phase="ERROR")),
        "duplicate check": median(lambda n: index.by_identity(f"{(n * 7919) % count // 3:064x}")),
        "duplicate check, record of productions": median(
            lambda n: index.by_production("workflow-0", f"{(n * 7919) % count // 10:064x}")
        ),
        "find by name": median(lambda n: index.by_name(f"name {(n * 7919) % count}.")),
        "find by prefix": median(lambda n: index.by_prefix(ids[(n * 7919) % count][:6])),
        "runs that used a run": median(lambda n: index.users(ids[(n * 7919) % count])),
        "status (run directory)": median(lambda n: store.run(ids[(n * 7919) % count]).observe()),
        "catch up, nothing new": median(lambda n: index.catch_up(), 1000),
        "open, catch up, close": median(reopen, 50),
        "rebuild": rebuilt,
    }
    index.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1000, 100_000])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    results = {}
    for size in options.sizes:
        folder = Path(tempfile.mkdtemp(prefix="esap-wf-bench-", dir=options.folder))
        try:
            store = Store.open(folder / "store", create=True)
            ids = fill(store, size)
            results[size] = measure(store, ids, folder / "index.sqlite")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    first = options.sizes[0]
    print("| median ms | " + " | ".join(f"{size:,} runs" for size in options.sizes) + " |")
    print("|---|" + "---:|" * len(options.sizes))
    for query in results[first]:
        cells = [
            f"{results[s][query]:.3f} (×{results[s][query] / results[first][query]:.1f})"
            for s in options.sizes
        ]
        print(f"| {query} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
