"""Chains: workflows on results of others, resumed where they broke."""

from __future__ import annotations

import pytest
from helpers.waiting import until
from helpers.workflows import SNAKEFILE, write_workflow

from esap_wf.models.run import Phase

from .gathering import Gathering

pytestmark = pytest.mark.integration


@pytest.fixture
def place(place: Gathering) -> Gathering:
    place.workflow("first")
    place.workflow("second")
    return place


def chain(place: Gathering, text: str) -> str:
    path = place.root / "chain.yaml"
    path.write_text(text)
    return str(path)


def two(place: Gathering, seconds: float = 0) -> str:
    uri = place.put("one.dat", b"one")
    return chain(
        place,
        f"""\
title: One after the other
links:
  after:
    workflow: ./second
    parameters: {{seconds: {seconds}}}
    inputs: {{files: ["link:before/all", "{uri}"]}}
  before:
    workflow: ./first
    inputs: {{files: ["{uri}"]}}
""",
    )


def test_each_link_is_a_run_and_gets_the_results_of_others(place: Gathering) -> None:
    file = two(place)
    planned = place.look("chain", "plan", file)["links"]
    assert [(row["link"], row["needs"], row["run"]) for row in planned] == [
        ("before", [], None),
        ("after", ["before"], None),
    ]
    done = place.ok("chain", "run", file)
    assert [(r["link"], r["phase"]) for r in done["links"]] == [
        ("before", "COMPLETED"),
        ("after", "COMPLETED"),
    ]
    before, after = (row["run"] for row in done["links"])
    assert place.result(after) == b"oneone"
    brought = place.run(after).dir / "inputs/files/0/all.dat"
    assert brought.samefile(place.run(before).dir / "outputs/all.dat"), "no copy"
    again = place.ok("chain", "run", file)
    assert [(r["run"], r["reused"]) for r in again["links"]] == [(before, True), (after, True)]
    assert sorted(place.listed()) == sorted([before, after])
    shown = place.look("show", after, "--lineage")
    assert before in str(shown)
    assert after in str(place.look("show", before, "--lineage"))


def test_a_chain_goes_on_after_a_kill_in_its_second_link(place: Gathering) -> None:
    file = two(place, seconds=8)
    process = place.popen("chain", "run", file, "--json", start_new_session=True)
    run = until(
        lambda: (
            next((r["run"] for r in place.look("list")["runs"] if r["workflow"] == "second"), None)
            if (place.store / "store.json").exists()
            else None
        ),
        what="the second link",
    )
    place.wait(run, lambda state: state.phase is Phase.EXECUTING)
    process.kill()
    process.communicate()
    place.kill_all(run)
    assert place.ended(run).phase is Phase.UNKNOWN
    before = place.listed()
    resumed = place.ok("chain", "run", file)["links"]
    assert sorted(place.listed()) == sorted(before), "neither link is begun anew"
    assert [(r["phase"], r["reused"]) for r in resumed] == [("COMPLETED", True), ("COMPLETED", False)]
    assert resumed[1]["run"] == run
    assert place.result(run) == b"oneone"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "links: {a: {workflow: ./first, inputs: {files: ['link:b/all']}}, "
            "b: {workflow: ./second, inputs: {files: ['link:a/all']}}}",
            "it goes round in a circle: ",
        ),
        ("links: {a: {workflow: ./first, inputs: {files: ['link:b/all']}}}", "there is no link 'b'"),
        ("links: {a: {workflow: ./first, inputs: {files: ['link:a']}}}", "names no output"),
        ("links: {}", "at least one link"),
        ("links: {a: {workflow: ./frist}}", "link a"),
        ("links: {a: {workflow: ./first, inputs: {fils: [x.dat]}}}", "did you mean files?"),
        (
            "links: {a: {workflow: ./first, inputs: {files: ['rucio://local/toy/one.dat']}}, "
            "b: {workflow: ./second, inputs: {files: ['link:a/al']}}}",
            "did you mean all?",
        ),
        ("links: {'a b': {workflow: ./first}}", '"a b"'),
        ("- 1", "chain"),
    ],
    ids=[
        "circle",
        "no link",
        "no output",
        "empty",
        "no workflow",
        "no input",
        "other output",
        "name",
        "list",
    ],
)
def test_what_is_wrong_with_a_chain_is_told_before_its_first_run(
    place: Gathering, text: str, words: str
) -> None:
    place.put("one.dat", b"one")
    done = place.inside("chain", "run", chain(place, text))
    assert done.code != 0
    assert words in done.err, done.err
    assert not (place.store / "runs").exists() or place.listed() == []


def test_a_link_that_draws_its_seed_and_is_at_work_is_not_begun_again(place: Gathering) -> None:
    write_workflow(
        place.root / "drawn",
        {"seed": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}},
        {"random": {"seed": "seed"}},
        files={"Snakefile": SNAKEFILE.replace("echo made", "sleep 8; echo made")},
    )
    file = chain(place, "links: {only: {workflow: ./drawn}}")
    first = place.popen("chain", "run", file, "--json", start_new_session=True)
    run = until(
        lambda: next(iter(place.listed()), None) if (place.store / "store.json").exists() else None,
        what="the run",
    )
    until((place.store / "chains").exists, what="the chain to know it")
    place.wait(run, lambda state: state.phase is Phase.EXECUTING)
    first.kill()
    first.communicate()
    (link,) = place.ok("chain", "run", file)["links"]
    assert (link["run"], link["phase"]) == (run, "COMPLETED")
    assert place.listed() == [run]
