"""Environments by content, and routes to the software in order."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from esap_wf.errors import RefusedError, StoppedError, UnavailableError, UsageError
from esap_wf.planning import routes
from esap_wf.software import environments


def pretend(requirements: Path, environment: Path, log: Path, stopped: object, lock: int) -> None:
    """Takes a moment, as an installer does, and leaves one line a call."""
    (environment / "bin").mkdir(parents=True)
    with (environment.parents[1] / "built").open("a") as f:
        f.write("x\n")
    time.sleep(0.2)
    (environment / "bin" / "python").symlink_to(sys.executable)


def build(requirements: str, cache: str) -> None:
    environments._install = pretend
    environments.build(Path(requirements), Path(cache))


def requirements(tmp_path: Path, text: str, name: str = "requirements.txt") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_the_place_of_an_environment_follows_its_content_only(tmp_path: Path) -> None:
    one = environments.location(requirements(tmp_path, "a==1\nb==2\n"), tmp_path)
    for same in ("b==2\na==1", "# a comment\n\na==1  # why\nb==2\n", " a==1\r\nb==2"):
        assert environments.location(requirements(tmp_path, same, "other.txt"), tmp_path) == one
    assert environments.location(requirements(tmp_path, "a==1\nb==3\n"), tmp_path) != one


def test_two_builders_build_once(tmp_path: Path) -> None:
    file = requirements(tmp_path, "")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=build, args=(str(file), str(tmp_path / "cache"))) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert [w.exitcode for w in workers] == [0] * 4
    assert (tmp_path / "cache" / "built").read_text() == "x\n"
    assert environments.is_ready(environments.location(file, tmp_path / "cache"))


def test_what_a_killed_builder_left_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_install", pretend)
    file = requirements(tmp_path, "x==1")
    half = environments.location(file, tmp_path / "cache")
    (half / "bin").mkdir(parents=True)
    (half / "rubbish").write_text("")
    assert environments.build(file, tmp_path / "cache") == half
    assert not (half / "rubbish").exists()


def test_an_installer_that_fails_is_told_with_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = requirements(tmp_path, "#!/bin/sh\necho no such distribution; exit 1\n", "python")
    base.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(base), raising=False)
    log = tmp_path / "software.log"
    with pytest.raises(UnavailableError) as caught:
        environments.build(requirements(tmp_path, "x==1"), tmp_path / "cache", log)
    assert "no such distribution" in str(caught.value)
    assert "no such distribution" in log.read_text()
    assert not environments.is_ready(environments.location(tmp_path / "requirements.txt", tmp_path / "cache"))


def test_a_builder_that_is_stopped_leaves_nothing_and_ends_the_installer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    base = requirements(tmp_path, f"#!/bin/sh\necho $$ > {pid}; exec sleep 60\n", "python")
    base.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(base), raising=False)
    with pytest.raises(StoppedError):
        environments.build(
            requirements(tmp_path, "x==1"),
            tmp_path / "cache",
            stopped=lambda: pid.exists() and bool(pid.read_text()),
        )
    assert not environments.location(tmp_path / "requirements.txt", tmp_path / "cache").exists()
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_a_cache_that_can_not_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="can't be built"):
        environments.build(requirements(tmp_path, ""), tmp_path / "file")


def test_pins_and_distributions_are_compared_by_normal_names(tmp_path: Path) -> None:
    file = requirements(tmp_path, "A_b.c==1.0 ; python_version > '3'\n# d==2\ne>=3\n  f == 4 # why\n")
    assert environments.pins(file) == {"a-b-c": "1.0", "f": "4"}
    assert environments.distributions(Path(sys.executable))["pytest"] == pytest.__version__


def route(toy: Any, config: Any, alternatives: list[Any], wanted: str | None = None, **files: str) -> Any:
    return routes.choose(toy({}, {"software": alternatives}, files=files), config, wanted)


def test_the_first_route_that_works_is_taken_and_the_others_are_explained(
    toy: Any, config: Any, tmp_path: Path
) -> None:
    (tmp_path / "mounted" / "bin").mkdir(parents=True)
    alternatives = [
        {"installed": ["no-such-command"]},
        {"installed": "r.txt"},
        {"container": "./nothing.sif"},
        {"mounted": "/nowhere"},
        {"mounted": str(tmp_path / "mounted")},
        {"python": "r.txt"},
    ]
    choice = route(toy, config, alternatives, **{"r.txt": "no-such-distribution==1\n"})
    assert (choice.route, choice.bin_dirs) == ("mounted", [str(tmp_path / "mounted" / "bin")])
    told = " | ".join(choice.refused)
    for said in (
        "no-such-command is not on PATH",
        "no-such-distribution 1 (none is there)",
        "nothing.sif does not exist",
        "/nowhere is not mounted",
    ):
        assert said in told


def test_a_python_environment_may_still_have_to_be_built(
    toy: Any, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = route(toy, config, [{"python": "r.txt"}], **{"r.txt": "x==1\n"})
    assert (choice.route, choice.ready) == ("python", False)
    monkeypatch.setattr(environments, "_install", pretend)
    environments.build(toy().folder / "r.txt", config.cache)
    assert route(toy, config, [{"python": "r.txt"}]).ready


def test_only_the_wanted_route_is_tried(toy: Any, config: Any) -> None:
    alternatives = [{"installed": ["python3"]}, {"container": "./nothing.sif"}]
    with pytest.raises(RefusedError, match=r"container: \./nothing\.sif: .* does not exist"):
        route(toy, config, alternatives, "container")
    with pytest.raises(UsageError, match="has installed, container"):
        route(toy, config, alternatives, "mounted")
    assert route(toy, config, []).route == "installed"
