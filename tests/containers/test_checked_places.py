"""The verb check in a container: a row of its own where a runtime is."""

from __future__ import annotations

import pytest
from helpers.command_line import Place
from helpers.paths import ROOT
from services.containers import Runtimes

from esap_wf.software.containers import folder

pytestmark = pytest.mark.integration


def test_the_no_op_runs_in_a_container_where_a_runtime_is(place: Place, runtimes: Runtimes) -> None:
    runtimes.need("apptainer")
    image = folder.build(folder.read_folder(ROOT / "containers" / "hello"), runtimes.cache)
    place.extra |= runtimes.environment
    config = f"[containers]\nruntimes = ['apptainer']\nmap = {{'esap-wf/hello:1' = '{image}'}}\n"
    (place.root / "config.toml").write_text(config)
    done = place("check", "local", "--json")
    assert done.code == 0, done.out
    rows = {(row["engine"], row["way"]): row for row in done.json["checks"]}
    assert rows["snakemake", "container"]["ok"] is True, rows
    assert rows["snakemake", "container"]["wall_seconds"]
