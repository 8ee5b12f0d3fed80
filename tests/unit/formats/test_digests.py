"""Digests: what changes them and what does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.code import contents
from esap_wf.config import Config
from esap_wf.errors import UsageError
from esap_wf.formats import digests
from esap_wf.models.plan import Plan
from esap_wf.models.request import Request
from esap_wf.planning import making
from esap_wf.request.validation import validate

PROPERTIES = {
    "zenith": {"type": "number", "title": "Zenith", "unit": "deg", "default": 20},
    "n": {"type": "integer", "title": "N", "default": 1},
}


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5).filter(
        lambda d: all(_small(v) for v in d.values())
    )
)
def test_the_order_of_keys_does_not_count(data: dict[str, Any]) -> None:
    assert digests.of_data(data) == digests.of_data(dict(reversed(data.items())))


def _small(value: Any) -> bool:
    return not isinstance(value, int) or abs(value) < 2**63


@pytest.fixture
def plan(toy: Any, config: Config, tmp_path: Path) -> Any:
    workflow = toy(
        PROPERTIES,
        {"inputs": {"data": {"title": "Data"}}},
        files={"scripts/a.py": "1\n", "test/test_x.py": "1\n"},
    )
    (tmp_path / "data.txt").write_text("one")

    def make(parameters: dict[str, Any] | None = None, **more: Any) -> Plan:
        inputs = {"data": [str(tmp_path / "data.txt")]}
        request = Request(
            workflow=str(workflow.folder / "workflow.yaml"),
            parameters=parameters or {},
            inputs=inputs,
            **more,
        )
        valid, problems = validate(request, config)
        assert not problems, problems
        return making.make(request, config, valid)

    return make


def test_the_same_request_is_the_same_digest_however_it_is_written(plan: Any) -> None:
    wanted = plan().digest.identity
    for parameters in (
        {"zenith": 20},
        {"zenith": 20.0},
        {"zenith": "20 deg"},
        {"n": 1, "zenith": "1200 arcmin"},
        {"n": 1.0},
        {"n": "1"},
    ):
        assert plan(parameters).digest.identity == wanted, parameters
    assert plan(name="a name", tags=["x"], size=None).digest.identity == wanted


@pytest.mark.parametrize("parameters", [{"zenith": 20.001}, {"n": 2}])
def test_a_parameter_changes_it(plan: Any, parameters: dict[str, Any]) -> None:
    assert plan(parameters).digest.identity != plan().digest.identity


def test_options_for_the_engine_change_it(plan: Any) -> None:
    assert plan(engine_options=["--forceall"]).digest.identity != plan().digest.identity


@pytest.mark.parametrize("file", ["scripts/a.py", "Snakefile", "workflow.yaml", "scripts/new.py"])
def test_code_changes_it(plan: Any, tmp_path: Path, file: str) -> None:
    before = plan()
    path = tmp_path / "toy" / file
    path.write_text((path.read_text() if path.exists() else "") + "\n\n")
    after = plan()
    assert after.code != before.code
    assert after.digest.identity != before.digest.identity


def test_an_executable_bit_is_code(plan: Any, tmp_path: Path) -> None:
    before = plan().code
    (tmp_path / "toy/scripts/a.py").chmod(0o755)
    assert plan().code != before


@pytest.mark.parametrize(
    "file",
    ["README.md", "test/test_x.py", "test/data/x", "__pycache__/a.pyc", ".hidden", "scripts/a.py~", "work/x"],
)
def test_readme_tests_and_leftovers_do_not_count(plan: Any, tmp_path: Path, file: str) -> None:
    before = plan()
    path = tmp_path / "toy" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert plan().digest.identity == before.digest.identity
    assert file not in " ".join(plan().files)


def test_the_content_of_an_input_counts_not_its_name_or_time(plan: Any, tmp_path: Path) -> None:
    before = plan().digest.identity
    data = tmp_path / "data.txt"
    os.utime(data, (1, 1))
    assert plan().digest.identity == before
    data.write_text("two")
    assert plan().digest.identity != before


def test_a_link_out_of_the_code_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "secret").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="leads out"):
        contents.of_folders({"workflows/w": folder})


def test_a_folder_with_far_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_CODE_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match="more than 2 files"):
        contents.of_folders({"w": tmp_path})


def test_a_large_file_is_hashed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.write_bytes(b"x" * 1_000_000)
    hashed = []
    original = digests.of_file
    monkeypatch.setattr(digests, "of_file", lambda path: hashed.append(path) or original(path))
    first = digests.of_input(data, cache)
    assert digests.of_input(data, cache) == first
    assert len(hashed) == 1
    changed = data.stat()
    data.write_bytes(b"y" * 1_000_000)
    os.utime(data, ns=(changed.st_atime_ns, changed.st_mtime_ns))  # same size and mtime: ctime tells
    second = digests.of_input(data, cache)
    assert second != first
    assert len(hashed) == 2
    data.rename(tmp_path / "moved")
    assert digests.of_input(tmp_path / "moved", cache) == second
    os.utime(tmp_path / "moved", (5, 5))
    assert digests.of_input(tmp_path / "moved", cache) == second


def test_a_damaged_or_unwritable_cache_costs_time_only(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.write_bytes(b"x" * 1_000_000)
    first = digests.of_input(data, cache)
    for entry in (p for p in cache.rglob("*") if p.is_file()):
        entry.write_text("nonsense")
    assert digests.of_input(data, cache) == first
    assert digests.of_input(data, data / "no-folder") == first


def test_a_very_large_file_is_known_by_its_stat_and_called_weak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "HASH_UP_TO", 10)
    (tmp_path / "d").write_bytes(b"x" * 11)
    identity, strength = digests.of_input(tmp_path / "d", tmp_path / "cache")
    assert strength == "stat"
    assert identity.startswith("stat:")
