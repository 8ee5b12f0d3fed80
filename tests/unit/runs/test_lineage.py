"""What a run was made from, and what was made from it, of runs with plans that are written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.command_line import Place
from helpers.runs import make_run

from esap_wf.config import Config
from esap_wf.runs import lineage, origins
from esap_wf.runs.lookup import index_of
from esap_wf.runs.requests import Further
from esap_wf.runs.store import Run, Store

SUM = "sha256:" + "ab" * 32


def number(n: int) -> str:
    """The id of the nth run of a test."""
    return f"{n:016x}"


def given(**inputs: list[str | dict[str, Any]]) -> dict[str, Any]:
    """What a plan says of inputs: URIs, or references with all that is known of them."""
    return {
        "inputs": {
            name: [r if isinstance(r, dict) else {"uri": r, "checksum": SUM} for r in refs]
            for name, refs in inputs.items()
        }
    }


def output_of(n: int, name: str = "result") -> str:
    return f"run:{number(n)}/{name}"


def found(place: Place, config: Config, n: int) -> Any:
    """The lineage of the nth run as `--json` gives it."""
    store = Store.open(place.store)
    with index_of(store, config) as index:
        return msgspec.to_builtins(lineage.of(Run(store, number(n)), index))


def used(node: Any) -> list[tuple[str, list[Any]]]:
    return [(u["run"], used(u)) for u in node["used_by"]]


def test_inputs_are_followed_to_the_sources_and_results_to_their_last_users(
    place: Place, config: Config
) -> None:
    make_run(place, number(1), plan=given(raw=["rucio://lake/cta/raw"]), workflow="simulate")
    make_run(place, number(2), plan=given(events=[output_of(1, "events/a.fits")]), workflow="reduce")
    make_run(place, number(3), plan=given(map=[output_of(2)]), workflow="plot", owner="grace")
    assert found(place, config, 2) == {
        "run": number(2),
        "workflow": "reduce",
        "phase": "COMPLETED",
        "from": [
            {
                "input": "events",
                "uri": output_of(1, "events/a.fits"),
                "checksum": SUM,
                "run": {
                    "run": number(1),
                    "workflow": "simulate",
                    "phase": "COMPLETED",
                    "from": [{"input": "raw", "uri": "rucio://lake/cta/raw", "checksum": SUM}],
                },
            }
        ],
        "used_by": [
            {
                "run": number(3),
                "workflow": "plot",
                "phase": "COMPLETED",
                "owner": "grace",
                "input": "map",
                "used_by": [],
            }
        ],
    }
    assert used(found(place, config, 1)) == [(number(2), [(number(3), [])])]


def test_files_in_the_directory_of_a_run_come_from_it(place: Place, config: Config, tmp_path: Path) -> None:
    made = make_run(place, number(1)).dir / "outputs" / "a b.txt"
    (tmp_path / "another way").symlink_to(place.store)
    linked = tmp_path / "another way" / made.relative_to(place.store)
    table = {"uri": "file:///sheet.csv", "path": "/sheet.csv", "beside": {str(made): SUM, "/own.txt": SUM}}
    described = {"class": "File", "path": str(made), "metadata": {"seed": 1}}
    ways: list[dict[str, Any]] = [
        given(data=[{"uri": made.as_uri(), "path": str(made)}]),
        given(data=[made.as_uri()]),
        given(data=[linked.as_uri()]),
        given(data=[table]),
        {"parameters": {"data": {"deep": [described]}}, "inside": {"data": [SUM]}},
    ]
    for n, plan in enumerate(ways, 2):
        make_run(place, number(n), plan=plan)
        sources = found(place, config, n)["from"]
        assert [s["run"]["run"] for s in sources if "run" in s] == [number(1)]
        assert sources[-1]["input"] == "data"
    assert {run for run, _ in used(found(place, config, 1))} == {number(n) for n in range(2, 2 + len(ways))}


def test_files_inside_of_parameters_are_inputs_with_their_identity(place: Place, config: Config) -> None:
    made = str(make_run(place, number(1)).dir / "outputs" / "x")
    job = {"b": {"class": "File", "location": "file:///own"}, "a": [{"class": "File", "path": made}]}
    make_run(place, number(2), plan={"parameters": {"job": job}, "inside": {"job": ["sha256:1", "sha256:2"]}})
    first, second = found(place, config, 2)["from"]
    assert (first["uri"], first["checksum"], first["run"]["run"]) == (
        Path(made).as_uri(),
        "sha256:1",
        number(1),
    )
    assert second == {"input": "job", "uri": "file:///own", "checksum": "sha256:2"}


@pytest.mark.parametrize(
    "uri",
    [
        "rucio://lake/runs/00/0000000000000001",
        "https://host/runs/00/0000000000000001/outputs/x",
        "file:///elsewhere/runs/00/00000000000000ff/outputs/x",
        "file:///elsewhere/runs/01/0000000000000001/outputs/x",
        "file:///run:0000000000000001/x",
        "run:1/x",
    ],
)
def test_what_lies_elsewhere_comes_from_no_run(place: Place, uri: str) -> None:
    make_run(place, number(1))
    assert origins.run_of(Store.open(place.store), uri) is None


def test_runs_that_were_removed_and_unknown_ones_are_told_as_such(place: Place, config: Config) -> None:
    make_run(place, number(1), workflow="simulate")
    make_run(place, number(2), plan=given(a=[output_of(1)], b=[output_of(7)]))
    store = Store.open(place.store)
    store.remove(Run(store, number(1)))
    removed, unknown = (s["run"] for s in found(place, config, 2)["from"])
    assert (removed["workflow"], removed["phase"], removed["from"]) == ("simulate", "ARCHIVED", [])
    assert removed["note"].startswith("removed 2")
    assert (unknown["workflow"], unknown["phase"], unknown["from"]) == (None, None, [])
    assert unknown["note"] == "it is not in this store"


def test_a_removed_user_is_a_user_no_more(place: Place, config: Config) -> None:
    make_run(place, number(1))
    make_run(place, number(2), plan=given(a=[output_of(1)]))
    assert used(found(place, config, 1)) == [(number(2), [])]
    store = Store.open(place.store)
    store.remove(Run(store, number(2)))
    assert used(found(place, config, 1)) == []


def test_users_are_known_without_their_plans(place: Place, config: Config) -> None:
    make_run(place, number(1))
    store = Store.open(place.store)
    for n in range(2, 6):
        make_run(place, number(n), plan=given(a=[output_of(n - 1)]))
    assert found(place, config, 1)["used_by"]
    for n in range(2, 6):
        store.path_of(number(n)).joinpath("plan.json").unlink()
    (user,) = found(place, config, 1)["used_by"]
    assert used({"used_by": [user]}) == [
        (number(2), [(number(3), [(number(4), [(number(5), [])])])]),
    ]


def test_an_open_index_follows_new_runs_and_new_plans_of_old_ones(place: Place, config: Config) -> None:
    first, second = make_run(place, number(1)), make_run(place, number(2))
    store = Store.open(place.store)
    with index_of(store, config) as index:
        third = make_run(place, number(3), plan=given(a=[output_of(1)], b=[output_of(1), output_of(1)]))
        index.catch_up()
        assert [(row.id, name) for row, name in index.users(first.id)] == [(third.id, "a"), (third.id, "b")]
        # its inputs have moved, as `esap_wf.running.revisions` replaces a plan
        (third.dir / "new").write_bytes(msgspec.json.encode(given(a=[output_of(2)])))
        (third.dir / "new").replace(third.dir / "plan.json")
        third.also_asked(Further(at="2026-01-01T00:00:00Z", name="again"))
        index.catch_up()
        assert index.users(first.id) == []
        assert [(row.id, name) for row, name in index.users(second.id)] == [(third.id, "a")]
        index.rebuild()
        assert [(row.id, name) for row, name in index.users(second.id)] == [(third.id, "a")]


def test_a_plan_that_cannot_be_read_hides_neither_the_run_nor_others(place: Place, config: Config) -> None:
    make_run(place, number(1))
    broken = make_run(place, number(2), plan=given(a=[output_of(1)]))
    make_run(place, number(3), plan=given(a=[output_of(2)], b=[output_of(1)]))
    (broken.dir / "plan.json").write_text("{")
    assert used(found(place, config, 1)) == [(number(3), [])]
    maker = found(place, config, 3)["from"][0]["run"]
    assert maker["from"] == []
    assert maker["note"].startswith("its plan can't be read")


def test_a_circle_ends(place: Place, config: Config) -> None:
    make_run(place, number(1), plan=given(a=[output_of(2)]))
    make_run(place, number(2), plan=given(a=[output_of(1)]))
    data = found(place, config, 1)
    back = data["from"][0]["run"]["from"][0]["run"]
    assert back == {"run": number(1), "workflow": "irf", "phase": "COMPLETED", "again": True}
    (forth,) = data["used_by"][0]["used_by"]
    assert (forth["run"], forth["again"], "used_by" in forth) == (number(1), True, False)


def test_many_ways_to_one_run_are_not_all_followed(place: Place, config: Config) -> None:
    make_run(place, number(0))
    for n in range(1, 31):  # 2^30 ways
        make_run(place, number(n), plan=given(a=[output_of(n - 1)], b=[output_of(n - 1)]))
    assert len(msgspec.json.encode(found(place, config, 30))) < 20_000
    assert len(msgspec.json.encode(found(place, config, 0))) < 20_000


def test_a_long_row_of_runs_is_cut_where_one_can_ask_again(
    place: Place, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "DEEPEST", 3)
    make_run(place, number(0))
    for n in range(1, 6):
        make_run(place, number(n), plan=given(a=[output_of(n - 1)]))
    node = found(place, config, 5)
    for n in (4, 3, 2):
        node = node["from"][0]["run"]
        assert node["run"] == number(n)
    assert node["more"]
    assert "from" not in node
    user = found(place, config, 0)
    for n in (1, 2, 3):
        (user,) = user["used_by"]
        assert user["run"] == number(n)
    assert user["more"]
    assert "used_by" not in user


def test_a_row_of_runs_as_long_as_is_followed_can_be_printed(place: Place) -> None:
    make_run(place, number(0))
    for n in range(1, lineage.DEEPEST + 5):
        make_run(place, number(n), plan=given(a=[output_of(n - 1)]))
    for n in (0, lineage.DEEPEST + 4):
        for words in ([], ["--json"]):
            assert place.inside("show", number(n), "--lineage", *words).code == 0
