"""Inputs that lie elsewhere, with every engine: the same results as with the same files here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data.gathering import Gathering
from faults.conftest import end
from services import engines

from esap_wf.datalakes import Did
from esap_wf.testing.engine_suite import answers

TABLE = "".join(["unit,seconds\n", *(f"row{n},0\n" for n in range(3))])
ENGINES = pytest.mark.parametrize("engine", ["snakemake", "nextflow", "cwl", "toil"])


@ENGINES
@pytest.mark.apart("engine")
@answers("inputs from a data lake")
def test_a_table_from_a_lake_gives_what_the_same_table_here_gives(engine: str, tmp_path: Path) -> None:
    place = Gathering(tmp_path)
    try:
        (tmp_path / "config.toml").write_text(engines.configuration(engine))
        table = tmp_path / "units.csv"
        table.write_text(TABLE)
        place.lake.store(table, Did("toy", "units.csv"))
        words = ["run", "noop", "--engine", engine, "--input"]
        there = place.ok(*words, "units_table=rucio://local/toy/units.csv")["run"]
        plan = json.loads((place.run(there).dir / "plan.json").read_text())
        assert plan["inputs"]["units_table"][0]["path"] == "inputs/units_table/0/units.csv"
        here = place.ok(*words, f"units_table={table}")
        assert here["run"] == there, "the same content is the same run"
        again = place.ok(*words, f"units_table={table}", "--if-exists", "rerun")["run"]
        assert again != there
        assert place.results(again) == place.results(there)
    finally:
        end(place)
