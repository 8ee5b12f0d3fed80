"""What comes back of pieces, and how it becomes the run's."""

from __future__ import annotations

from pathlib import Path

import pytest

from esap_wf.errors import EsapError
from esap_wf.models.run import now
from esap_wf.running.pieces import bringing
from esap_wf.runs.pieces import Attempt, AttemptEnd, Pieces, SliceEnd
from esap_wf.runs.store import Store


@pytest.fixture
def pieces(tmp_path):
    store = Store.open(tmp_path / "store", create=True)
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    return Pieces(run, store)


def accepted(pieces: Pieces, slice_: str, files: dict[str, str], attempt: int = 1) -> Attempt:
    """A slice whose attempt has made files."""
    made = Attempt(key=f"r.1.{slice_}.{attempt}", slice=slice_, attempt=attempt, plan="p", started=now())
    assert pieces.begin(made)
    for name, text in files.items():
        path = pieces.pulled(made) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pieces.keep_end(made, AttemptEnd(exit_code=0, ended=now()))
    sums = bringing.made(pieces.pulled(made), pieces.path(slice_, attempt) / "sent/run", lambda: None)
    pieces.accept(made, SliceEnd(attempt=attempt, files=sums, accepted=now()))
    return made


def test_the_engines_own_files_are_no_results(pieces):
    made = accepted(
        pieces,
        "1",
        {"outputs/a": "1", "engine/1.jsonl": "x", "piece.sh": "x", "plan.json": "x", ".snakemake/log/l": "x"},
    )
    assert list(pieces.accepted("1").files) == ["outputs/a"]
    assert pieces.accepted("1").attempt == made.attempt


def test_what_was_sent_and_is_the_same_was_not_made_there(pieces):
    sent = pieces.path("1", 1) / "sent/run"
    sent.mkdir(parents=True)
    (sent / "config.json").write_text("{}")
    (sent / "table").write_text("old")
    accepted(pieces, "1", {"config.json": "{}", "table": "new"})
    assert list(pieces.accepted("1").files) == ["table"]


def test_files_of_all_slices_stand_together_in_the_run(pieces):
    both = [accepted(pieces, "1", {"outputs/a": "1"}), accepted(pieces, "2", {"outputs/b/c": "2"})]
    for _ in range(2):  # a successor does it again
        bringing.bring(pieces, both)
        assert (pieces.run / "outputs/a").read_text() == "1"
        assert (pieces.run / "outputs/b/c").read_text() == "2"


def test_logs_of_engines_are_one_after_the_other(pieces):
    ended = [
        accepted(pieces, n, {"logs/engine.log": f"of {n}\n", f"logs/unit/{n}.log": n}) for n in ("1", "2")
    ]
    for _ in range(2):
        bringing.bring_logs(pieces, ended)
    assert (pieces.run / "logs/engine.log").read_text() == (
        "--- slice 1, attempt 1\nof 1\n--- slice 2, attempt 1\nof 2\n"
    )
    assert (pieces.run / "logs/unit/2.log").read_text() == "2"


def test_slices_give_what_their_patterns_name(pieces):
    both = [
        accepted(pieces, "1", {"work/e/b-1.fits": "1", "work/e/deep/b-9.fits": "9", "outputs/x": ""}),
        accepted(pieces, "2", {"work/e/b-2.fits": "2"}),
    ]
    given = bringing.given(pieces, {"blocks": "work/e/b-*.fits"}, both)
    assert list(given["blocks"]) == ["work/e/b-1.fits", "work/e/b-2.fits"]
    assert [path.read_text() for path in given["blocks"].values()] == ["1", "2"]


def test_slices_that_make_the_same_file_overlap(pieces):
    both = [accepted(pieces, n, {"outputs/same": n}) for n in ("1", "2")]
    with pytest.raises(EsapError, match="overlap"):
        bringing.given(pieces, {"all": "outputs/*"}, both)


def test_the_places_path_in_records_becomes_ours(tmp_path):
    pulled = tmp_path / "pulled"
    (pulled / "engine/deep").mkdir(parents=True)
    (pulled / "logs").mkdir()
    for name in ("engine/1.jsonl", "engine/deep/2", "logs/nextflow.log", "logs/unit.log"):
        (pulled / name).write_bytes(b"\xff at /far/away/run/outputs/x")
    bringing.relocate(pulled, "/far/away/run", ("logs/nextflow.log", "logs/missing"))
    ours = b"\xff at " + bytes(pulled) + b"/outputs/x"
    assert [
        (pulled / n).read_bytes() == ours for n in ("engine/1.jsonl", "engine/deep/2", "logs/nextflow.log")
    ] == [True] * 3
    assert (pulled / "logs/unit.log").read_bytes() == b"\xff at /far/away/run/outputs/x"


def test_folders_of_patterns_are_what_they_begin_with():
    assert bringing.folders_of({"a": "work/e/b-*.fits", "b": "outputs/one.json", "c": "*/x"}) == [
        "work/e",
        "outputs/one.json",
        ".",
    ]


@pytest.mark.parametrize("name", ["../out", "outputs/../../out"])
def test_nothing_is_brought_to_a_place_outside_of_the_run(pieces, name):
    made = accepted(pieces, "1", {"outputs/a": "1"})
    slot = pieces.folder / "1" / "end"
    slot.write_text(slot.read_text().replace("outputs/a", name))
    with pytest.raises(EsapError, match="leads out"):
        bringing.bring(pieces, [made])
    assert not (Path(pieces.run).parent / "out").exists()
