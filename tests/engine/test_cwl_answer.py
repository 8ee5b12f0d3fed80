"""What a CWL engine gave back, read from where it left it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.engines.cwl import answer as cwl_answer


def file(path: Path | str, **more: Any) -> dict[str, Any]:
    return {"class": "File", "location": Path(path).as_uri(), "path": str(path), **more}


def left(run: Path, answer: Any, place: str = "engine/answer.json", text: str = "{}") -> Path:
    (run / place).parent.mkdir(parents=True, exist_ok=True)
    (run / place).write_text(text.replace("{}", json.dumps(answer, indent=4)))
    return run


def test_files_and_values_are_reported_apart(tmp_path: Path) -> None:
    out = tmp_path / "outputs"
    index = file(out / "a b#.txt.idx")
    folder = {"class": "Directory", "location": (out / "d").as_uri(), "listing": [file(out / "d/x.txt")]}
    answer = {
        "one": {**file(out / "a b#.txt", secondaryFiles=[index]), "path": None},
        "many": [file(out / "c"), [folder]],
        "none": None,
        "mixed": {"n": 2**70, "f": file(out / "e"), "t": "\ud800"},
        "nothing": [],
        "far": {"class": "File", "location": "https://e.org/x"},
    }
    found = cwl_answer.results(left(tmp_path, answer))
    assert found is not None and isinstance(found.paths, dict)
    assert {k: v for k, v in found.paths.items() if v} == {
        "one": ["outputs/a b#.txt", "outputs/a b#.txt.idx"],
        "many": ["outputs/c", "outputs/d"],
        "mixed": ["outputs/e"],
    }
    assert found.values == {
        "none": None,
        "mixed": {"n": float(2**70), "f": {"class": "File", "path": "outputs/e"}, "t": "?"},
        "nothing": [],
        "far": {"class": "File", "location": "https://e.org/x"},
    }


def test_a_place_is_the_runs_whichever_way_the_engine_went_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = cwl_answer.results(
        left(tmp_path / "link", {"a": file(tmp_path / "real/outputs/x"), "b": file(tmp_path / "elsewhere")})
    )
    assert found is not None and found.paths == {"a": ["outputs/x"], "b": [str(tmp_path / "elsewhere")]}


def test_a_run_of_an_older_version_has_its_answer_in_the_log(tmp_path: Path) -> None:
    text = 'INFO begins {"x": 1}\n{}\n[2026-01-01 00:00:00] INFO Final process status is success\n'
    found = cwl_answer.results(left(tmp_path, {"n": 3, "deep": {"a": [{"b": 1}]}}, "logs/engine.log", text))
    assert found is not None and found.values == {"n": 3, "deep": {"a": [{"b": 1}]}}
    assert (
        cwl_answer.results(left(tmp_path / "other", 0, "logs/engine.log", "INFO nothing was said\n")) is None
    )


def test_a_house_workflow_has_the_results_of_its_manifest(tmp_path: Path) -> None:
    left(tmp_path, {"n": 3})
    (tmp_path / "plan.json").write_text('{"config": "house"}')
    assert cwl_answer.results(tmp_path) is None
    (tmp_path / "plan.json").write_text('{"config": "plain"}')
    assert cwl_answer.results(tmp_path) is not None


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.just("File"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["class", "path", "location", "listing", "a"]), inner)
    ),
    max_leaves=10,
)


@given(anything)
def test_whatever_is_given_back_can_be_kept(tmp_path_factory: Any, answer: Any) -> None:
    run = left(tmp_path_factory.getbasetemp() / "kept", {"a": answer})
    found = cwl_answer.results(run)
    assert found is not None
    msgspec.json.decode(msgspec.json.encode(found.values))
