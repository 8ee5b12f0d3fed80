"""Units in shards at a real Slurm: what is told of each, and what a lost job costs."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.conftest import end
from faults.place import WatchedPlace
from helpers.waiting import until
from services import engines
from services.slurm import Cluster

from .test_there import OnSlurm, tutorial_engine  # noqa: F401

pytestmark = pytest.mark.integration

SLOTS, UNITS = 2, 16


@pytest.fixture(scope="module")
def native(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedPlace]:
    root = tmp_path_factory.mktemp("shards")
    keys = {"kind": "slurm", "way": "native", "account": "science", "conf": cluster.environment["SLURM_CONF"]}
    lines = ["[backends.farm]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    lines += ["poll = 1", "latency = 5", engines.configuration("snakemake", "nextflow", slurm=True)]
    (root / "config.toml").write_text("\n".join(lines) + "\n")
    yield WatchedPlace(root)


@pytest.fixture
def there(
    cluster: Cluster,
    tmp_path: Path,
    tutorial_engine: dict[str, str],  # noqa: F811
) -> Iterator[OnSlurm]:
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    made = OnSlurm(
        tmp_path, dict(tutorial_engine), slurm=cluster, memory="2 GB", engines={"snakemake": snakemake}
    )
    yield made
    end(made)
    shutil.rmtree(made.folder)


# with Snakemake: tests/slurm/test_native.py
@pytest.mark.parametrize("engine", [pytest.param("snakemake", marks=pytest.mark.soak), "nextflow"])
def test_a_failed_unit_says_in_which_job_it_was_and_where(
    engine: str, native: WatchedPlace, cluster: Cluster
) -> None:
    given = ["noop", "--units", "6", "--fail-unit", "5", "--shard-size", "3", "--engine", engine]
    failed = native("run", *given, "--backend", "farm", "--json")
    assert failed.code == 1, failed
    (failure,) = native.status(failed.json["run"])["failures"]
    assert (failure["step"], failure["unit"], failure["reason"]) == ("unit", "u00005", "EXIT_CODE")
    assert (failure["exit_code"], failure["state"]) == (3, "FAILED")
    assert cluster.field(failure["job"], "NodeList") == failure["node"]
    assert "shard" in cluster.field(failure["job"], "JobName" if engine == "nextflow" else "Comment")
    assert failure["tail"] == ["unit u00005: fails as asked for, with exit status 3"]
    assert (Path(failed.json["dir"]) / failure["log"]).is_file()
    text = native.inside("status", failed.json["run"]).out
    assert f"job {failure['job']} on {failure['node']}" in text


def test_a_failed_unit_of_a_piece_says_in_which_job_it_was_and_where(
    there: OnSlurm, cluster: Cluster
) -> None:
    given = ["noop", "--units", "6", "--fail-unit", "5", "--shard-size", "3", "--backend", "toy"]
    failed = there("run", *given, "--json")
    assert failed.code == 1, failed
    status = there.status(failed.json["run"])
    (failure,) = status["failures"]
    assert (failure["step"], failure["unit"], failure["exit_code"]) == ("unit", "u00005", 3)
    assert cluster.field(failure["job"], "NodeList") == failure["node"]
    assert failure["tail"] == ["unit u00005: fails as asked for, with exit status 3"]
    progress = status["progress"]
    assert (progress["units_total"], progress["units_done"], progress["units_failed"]) == (6, 5, 1)


def witnessed(there: OnSlurm, witness: Path) -> str:
    """A workflow in shards, the units of which write to a witness when they begin and when they end."""
    made = there.ok("new", "workflow", "sums", "--shards", "--into", str(there.root))
    folder = Path(str(made.get("folder") or there.root / "sums"))
    script = folder / "scripts" / "sums.py"
    text = script.read_text()
    say = (
        "        import time\n"
        f'        open({str(witness)!r}, "a").write("begin %d\\n" % a.number)\n'
        "        time.sleep(1.5)\n"
    )
    text = text.replace('    if a.action == "part":\n', f'    if a.action == "part":\n{say}')
    over = f'        open({str(witness)!r}, "a").write("end %d\\n" % a.number)\n'
    text = text.replace("    else:\n        sums = []", f"{over}    else:\n        sums = []")
    assert "begin %d" in text and "end %d" in text
    script.write_text(text)
    return str(folder)


def said(witness: Path, word: str) -> Counter[str]:
    lines = witness.read_text().splitlines() if witness.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(f"{word} "))


@pytest.mark.faults
def test_a_lost_piece_costs_only_the_units_that_were_at_work(there: OnSlurm, cluster: Cluster) -> None:
    witness, numbers = there.root / "witness", there.root / "numbers.csv"
    numbers.write_text("".join(f"{n}\n" for n in range(40)))
    folder = witnessed(there, witness)
    given = [folder, "--numbers", numbers, "--parts", UNITS, "--shard-size", UNITS // SLOTS]
    began = there("run", *given, "--backend", "toy", "--cores", SLOTS, "--detach", "--json")
    assert began.code == 0, began
    run = str(began.json["run"])
    done = until(
        lambda: n if (n := there.run(run).observe().progress.units_done) >= 4 else 0,
        120,
        what="units that are done there and known here",
        detail=lambda: there.explain(run),
    )
    assert done < UNITS, "it is told while the piece works"
    job = there.job(".whole.1")
    node = cluster.field(job, "NodeList")
    cluster.kill_node(node)
    before = said(witness, "end")
    open_ = set(said(witness, "begin")) - set(before)
    try:
        until(
            lambda: there.run(run).observe().phase in ("COMPLETED", "ERROR"),
            180,
            what="the end",
            detail=lambda: there.explain(run),
        )
    finally:
        cluster.start_node(node)
        cluster.resume_node(node)
    status = there.status(run)
    assert status["phase"] == "COMPLETED", there.explain(run)
    again = {unit for unit, times in said(witness, "begin").items() if times > 1}
    print(f"{len(before)} units were done, {sorted(open_)} at work, {sorted(again)} were begun again")
    assert len(before) >= 4
    assert len(again) <= SLOTS, "those at work, and no other"
    assert open_ <= again
    assert set(said(witness, "end")) == {str(n) for n in range(UNITS)}, "none is lost"
    progress = status["progress"]
    assert (progress["units_total"], progress["units_done"]) == (UNITS, UNITS)
    assert progress["second_executions"] == len(again)
    assert status["pieces"]["second_executions"] == 1
    assert json.loads((there.run(run).dir / "outputs/result.json").read_text())["parts"] == UNITS
    there.clean(run)
