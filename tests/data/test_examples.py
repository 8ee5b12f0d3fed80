"""What lies in examples/ does what its README says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.paths import CACHE, ROOT

from esap_wf.software import environments

WORKFLOW = ROOT / "workflows" / "irf"
NAME = "cta:productions/productions.json"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    assert made.inside("lake", "put", WORKFLOW / "data" / "productions.json", NAME).code == 0
    return made


def test_the_basket_and_the_chain_are_understood(place: Place) -> None:
    mapped = place.inside("basket", "map", "irf", "--basket", ROOT / "examples/basket.json", "--json").json
    assert [(m["input"], m["item"]["uri"]) for m in mapped["mapped"]] == [
        ("production_db", "rucio://local/cta/productions/productions.json")
    ]
    planned = place.inside("plan", "irf", "--basket", ROOT / "examples/basket.json", "--json")
    assert planned.code == 0, planned.err
    chain = place.inside("chain", "plan", ROOT / "examples/chain.yaml", "--json")
    assert [row["link"] for row in chain.json["links"]] == ["production", "checks"], chain.err


@pytest.mark.science
@pytest.mark.integration
def test_a_production_from_the_basket_is_checked_by_the_next_link(tmp_path: Path) -> None:
    python = environments.build(WORKFLOW / "requirements.txt", CACHE) / "bin" / "python"
    place = Place(tmp_path, {"ESAP_WF_CACHE": str(python.parents[3])})
    assert place.inside("lake", "put", WORKFLOW / "data" / "productions.json", NAME).code == 0
    tiny = WORKFLOW / "test" / "params.yaml"
    basket = ["--basket", ROOT / "examples/basket.json"]
    done = place.inside("run", "irf", "--params", tiny, *basket, "--json")
    assert done.code == 0, done.err
    run = Path(done.json["dir"])
    (ref,) = json.loads((run / "plan.json").read_text())["inputs"]["production_db"]
    assert (run / ref["path"]).read_bytes() == (WORKFLOW / "data" / "productions.json").read_bytes()
    verdict = json.loads((run / "outputs/validation.json").read_text())
    assert verdict["valid"] is True
    checked = place.inside("run", "irf-validate", "--input", f"irf=run:{done.json['run']}/irf", "--json")
    assert checked.code == 0, checked.err
    assert checked.json["phase"] == "COMPLETED"
