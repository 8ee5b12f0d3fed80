"""`plan --print-script`: what a place would be given, by the code that gives it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place

from esap_wf import plugins


@pytest.fixture
def shed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setitem(plugins.BUILT_IN["esap_wf.backends"], "shed", "helpers.shed:Shed")
    monkeypatch.setenv("SHED_TOKEN", "swordfish")
    (place.root / "config.toml").write_text("[backends.behind]\nkind = 'shed'\nsecrets = ['SHED_TOKEN']\n")
    return place


def test_on_this_machine_it_is_the_command_of_the_run(inside: Any, place: Place) -> None:
    words = ("noop", "--units", "1")
    answer = inside("plan", *words, "--print-script", "--json").json
    printed = inside("plan", *words, "--print-script")
    run = Path(inside("run", *words, "--json").json["dir"])
    assert printed.out == answer["script"] == (run / "command.sh").read_text()
    assert answer["scripts"] == {"whole": answer["script"]}
    assert answer["start"] == "esap-wf run noop --units 1", "which prints nothing"
    assert "script" not in inside("plan", *words, "--json").json


def test_elsewhere_it_is_the_script_of_a_piece_without_paths_of_here(inside: Any, shed: Place) -> None:
    done = inside("plan", "noop", "--units", "3", "--backend", "behind", "--print-script", "--json")
    assert done.code == 0, done
    script = done.json["script"]
    assert "/opt/there/bin/snakemake" in script
    assert str(shed.root) not in script and "swordfish" not in script
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert not shed.runs(), "nothing is made"


def test_of_a_run_that_is_cut_the_slice_and_the_join_are_printed(inside: Any, shed: Place) -> None:
    words = ("plan", "noop", "--units", "6", "--slices", "3", "--backend", "behind", "--print-script")
    scripts = inside(*words, "--json").json["scripts"]
    assert [*scripts] == ["1", "join"]
    assert scripts["1"] != scripts["join"]
    text = inside(*words).out
    assert text.index("# --- slice 1 ---") < text.index("# --- slice join ---")
    assert scripts["join"].strip() in text
