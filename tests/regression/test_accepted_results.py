"""Results that vanished, were altered, or whose record names places outside: reused or delivered as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

import esap_wf
from esap_wf.errors import EsapError, RefusedError, UsageError
from esap_wf.models.manifest import Manifest, Output
from esap_wf.models.run import OutputFile, Outputs, encode
from esap_wf.running import delivery
from esap_wf.running.collect import collect
from esap_wf.runs.store import Run, Store


def test_a_run_whose_results_are_gone_or_altered_is_run_again(place: Place) -> None:
    first = place.inside("run", write_workflow(place.root / "toy"), "--json").json
    result = Path(first["dir"]) / "outputs/result.txt"
    result.chmod(0o644)
    result.unlink()
    gone = place.inside("results", first["run"], "--copy-to", place.root / "copy", "--json")
    assert gone.code == 3
    assert "is gone" in gone.problems
    repeated = place.inside("run", place.root / "toy", "--json")
    assert (repeated.code, repeated.json["reused"]) == (0, False)
    assert "the result is gone" in repeated.err
    assert repeated.json["run"] != first["run"]
    assert place.inside("run", place.root / "toy", "--json").json == {**repeated.json, "reused": True}


@pytest.fixture
def made(tmp_path: Path) -> tuple[Run, Any]:
    """A run directory with one accepted result, and what changes its record."""
    store = Store.open(tmp_path / "store", create=True)
    run = Run(store, store.new_id())
    (run.dir / "outputs").mkdir(parents=True)
    (run.dir / "outputs/a.txt").write_text("accepted")

    def record(path: str = "outputs/a.txt") -> None:
        output = OutputFile(
            name="a",
            path=path,
            bytes=8,
            sha256=hashlib.sha256(b"accepted").hexdigest(),
            media_type="text/plain",
        )
        (run.dir / "outputs.json").write_bytes(
            encode(Outputs(run=run.id, epoch=1, accepted="2026-11-21T00:00:00Z", outputs=[output]))
        )

    record()
    return run, record


def test_what_is_copied_is_what_was_accepted(made: Any, tmp_path: Path) -> None:
    run, _ = made
    delivery.copy_outputs(run, tmp_path / "to")
    assert (tmp_path / "to/a.txt").read_text() == "accepted"
    delivery.copy_outputs(run, tmp_path / "to")
    assert not delivery.altered(run)
    (run.dir / "outputs/a.txt").write_text("ACCEPTED")
    with pytest.raises(RefusedError, match="was changed"):
        delivery.copy_outputs(run, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir()), "nothing of it remains"
    (run.dir / "outputs/a.txt").write_text("more than that")
    assert "14 bytes, but 8 were accepted" in str(delivery.altered(run))


@pytest.mark.parametrize(
    "path", ["../../../../secret", "/etc/hostname", "outputs/../../../../../secret", "outputs/..", ".."]
)
def test_a_record_that_names_places_outside_is_refused(made: Any, tmp_path: Path, path: str) -> None:
    run, record = made
    (tmp_path / "secret").write_text("accepted")
    record(path)
    with pytest.raises(UsageError):
        delivery.copy_outputs(run, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**json.loads((run.dir / "outputs.json").read_bytes())["outputs"][0]}, OutputFile)


def test_links_lead_out_neither_of_the_run_nor_of_the_target(made: Any, tmp_path: Path) -> None:
    run, record = made
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/a.txt").write_text("accepted")
    (run.dir / "outputs/sub").symlink_to(tmp_path / "secret")
    record("outputs/sub/a.txt")
    with pytest.raises(EsapError, match="leads out"):
        delivery.copy_outputs(run, tmp_path / "to")
    (run.dir / "outputs/sub").unlink()
    (run.dir / "outputs/sub").mkdir()
    (run.dir / "outputs/sub/a.txt").write_text("accepted")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to").mkdir(exist_ok=True)
    (tmp_path / "to/sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EsapError, match="leads out"):
        delivery.copy_outputs(run, tmp_path / "to")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.fixture
def folder(made: Any) -> Run:
    """A run with a folder as result: a file, an empty folder, and a link to what the user gave, as they were accepted."""
    run, _ = made
    (run.dir / "outputs/tree/empty").mkdir(parents=True)
    (run.dir / "outputs/tree/a.txt").write_text("accepted")
    manifest = Manifest(
        schema_version=1,
        name="toy",
        title="T",
        version="1.0.0",
        implementations=[],
        outputs=[Output(name="tree", path="outputs/tree")],
    )
    found = collect(manifest, run.dir, run.dir)
    (run.dir / "outputs.json").write_bytes(
        encode(Outputs(run=run.id, epoch=1, accepted="", outputs=found.outputs))
    )
    return run


def test_a_folder_is_copied_whole_and_never_over_something_else(folder: Run, tmp_path: Path) -> None:
    for _ in range(2):
        assert delivery.copy_outputs(folder, tmp_path / "to") == 1
        assert (tmp_path / "to/tree/a.txt").read_text() == "accepted"
        assert (tmp_path / "to/tree/empty").is_dir()
    (tmp_path / "to/tree/mine").write_text("the user's")
    (tmp_path / "to/tree/empty").rmdir()
    (tmp_path / "to/tree/empty").write_text("the user's")
    with pytest.raises(RefusedError, match="never copied over"):
        delivery.copy_outputs(folder, tmp_path / "to")
    assert [(tmp_path / "to/tree" / n).read_text() for n in ("mine", "empty")] == ["the user's"] * 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other/tree").write_text("the user's")
    with pytest.raises(RefusedError, match="there is a file"):
        delivery.copy_outputs(folder, tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: (f / "a.txt").unlink(), "a.txt: the result is gone"),
        (lambda f: (f / "empty").rmdir(), "empty/: the result is gone"),
        (lambda f: (f / "b.txt").touch(), "b.txt: was added"),
        (lambda f: (f / "empty/b.txt").touch(), "b.txt: was added"),
        (lambda f: ((f / "empty").rmdir(), (f / "empty").touch()), "empty/: the result is gone"),
    ],
)
def test_a_folder_that_was_altered_is_seen(folder: Run, change: Any, expected: str) -> None:
    assert not delivery.altered(folder)
    change(folder.dir / "outputs/tree")
    assert expected in " ".join(map(str, delivery.altered(folder)))


def test_results_go_to_their_place_from_python_and_at_a_rerun(place: Place) -> None:
    folder = write_workflow(place.root / "toy")
    first = esap_wf.run(str(folder), results=place.root / "one")
    assert (place.root / "one/result.txt").is_file()
    assert esap_wf.run(str(folder), results=str(place.root / "two")).reused
    assert (place.root / "two/result.txt").is_file()
    for more in ([], ["--detach"]):
        (place.root / "two/result.txt").unlink()
        assert place.inside("run", folder, "--results", place.root / "two", *more, "--json").json["reused"]
        assert (place.root / "two/result.txt").is_file()
    (place.root / "one/result.txt").unlink()
    assert place.inside("rerun", first.id, "--json").code == 0
    assert (place.root / "one/result.txt").is_file()
    (place.root / "one/result.txt").unlink()
    (place.root / "one").rmdir()
    (place.root / "one").write_text("")
    before = len(place.runs())
    refused = place.inside("rerun", first.id, "--json")
    assert refused.code == 3
    assert "can't be copied there" in refused.problems
    with pytest.raises(RefusedError):
        esap_wf.run(str(folder), results=place.root / "one")
    assert len(place.runs()) == before
