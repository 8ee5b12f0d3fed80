"""Runs on a host reached by SSH: another user, no folder in common, a real sshd."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command_line import Place
from services import far
from services.sshd import Host

pytestmark = pytest.mark.integration

UNITS = ("--units", "7", "--output-bytes", "100")


@pytest.fixture(scope="module")
def there(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place of the command line that knows the host."""
    sockets = Path(tempfile.mkdtemp(prefix="esw-", dir="/tmp"))
    root = tmp_path_factory.mktemp("ssh")
    place = Place(root, {"XDG_RUNTIME_DIR": str(sockets)})
    snakemake = far.environment(far.SNAKEMAKE) / "bin/snakemake"
    (root / "config.toml").write_text(
        f'{host.toml()}\n[backends.far.engines.snakemake]\npath = "{snakemake}"\n'
        f'[backends.far.software]\npath = ["{far.environment(far.IRF) / "bin"}"]\n'
    )
    yield place
    host.cut()
    shutil.rmtree(sockets, ignore_errors=True)


def outputs(run: str | Path) -> Path:
    return Path(run) / "outputs"


def same(one: Path, other: Path) -> None:
    """The same files with the same bytes."""
    names = sorted(str(p.relative_to(one)) for p in one.rglob("*") if p.is_file())
    assert names == sorted(str(p.relative_to(other)) for p in other.rglob("*") if p.is_file())
    different = [n for n in names if not filecmp.cmp(one / n, other / n, shallow=False)]
    assert not different


@pytest.fixture(scope="module")
def here(there: Place) -> Path:
    """What noop makes on this machine."""
    done = there("run", "noop", *UNITS, "--backend", "local", "--if-exists", "rerun", "--json")
    assert done.json["phase"] == "COMPLETED"
    return outputs(done.json["dir"])


@pytest.mark.parametrize("slices", [1, 3])
def test_noop_makes_the_same_there_and_leaves_nothing(
    there: Place, host: Host, here: Path, slices: int
) -> None:
    cut = ["--slices", str(slices)] if slices > 1 else []
    done = there("run", "noop", *UNITS, "--backend", "far", *cut, "--if-exists", "rerun", "--json")
    assert done.json.get("phase") == "COMPLETED", done.err
    same(outputs(done.json["dir"]), here)
    status = there("status", done.json["run"], "--json").json
    assert status["backend"] == "far"
    assert status["progress"]["units_done"] == 7
    assert status["pieces"]["accepted"] == (4 if slices > 1 else 1)
    assert status["pieces"]["second_executions"] == 0
    assert host.left() == []
    assert host.processes() == []


def test_hello_there(there: Place, host: Host) -> None:
    done = there("run", "hello", "--backend", "far", "--if-exists", "rerun", "--json")
    assert done.json.get("phase") == "COMPLETED", done.err
    local = there("run", "hello", "--backend", "local", "--if-exists", "rerun", "--json")
    same(outputs(done.json["dir"]), outputs(local.json["dir"]))
    assert host.left() == []


def test_a_step_that_fails_there_is_told_as_it_is_here(there: Place, host: Host) -> None:
    failing = ["run", "noop", "--units", "4", "--fail-unit", "3", "--exit-code", "7", "--if-exists", "rerun"]
    told = {}
    for backend in ("local", "far"):
        done = there(*failing, "--backend", backend, "--json")
        assert done.code == 1
        told[backend] = there("status", done.json["run"], "--json").json
    for key in ("step", "unit", "reason", "exit_code", "log", "tail"):
        assert told["far"]["failures"][0][key] == told["local"]["failures"][0][key]
    assert told["far"]["exit_code"] == told["local"]["exit_code"]
    assert host.left() == []


def test_a_file_with_an_awkward_name_is_sent_and_used(there: Place, host: Host, tmp_path: Path) -> None:
    table = tmp_path / "the $(units) of 'today'.csv"
    table.write_text("unit\nalpha\nbeta\n")
    made = {}
    for backend in ("local", "far"):
        done = there(
            "run",
            "noop",
            "--input",
            f"units_table={table}",
            "--backend",
            backend,
            "--if-exists",
            "rerun",
            "--json",
        )
        assert done.json.get("phase") == "COMPLETED", done.err
        made[backend] = outputs(done.json["dir"])
    same(made["far"], made["local"])
    assert host.left() == []


def test_no_secret_is_written_anywhere(there: Place, host: Host) -> None:
    canary = "canary-7f3a1e-value"
    config = there.root / "config.toml"
    before = config.read_text()
    keys = 'kind = "ssh"\nsecrets = ["MY_TOKEN"]\nenvironment = ["MY_SETTING"]\n'
    config.write_text(before.replace('kind = "ssh"\n', keys, 1))
    there.extra |= {"MY_TOKEN": canary, "MY_SETTING": "seen", "UNNAMED": "unnamed-canary"}
    try:
        done = there("run", "noop", *UNITS, "--backend", "far", "--if-exists", "rerun", "--json")
    finally:
        config.write_text(before)
    assert done.json.get("phase") == "COMPLETED", done.err
    for word in (canary, "unnamed-canary"):
        found = [
            path
            for root in (there.root, host.home, host.folder)
            for path in root.rglob("*")
            if path.is_file() and not path.is_symlink() and word.encode() in path.read_bytes()
        ]
        assert found == []
    assert os.environ.get("MY_TOKEN") is None


SMALL = [
    *("--gamma-showers", "600000", "--proton-showers", "1500000", "--electron-showers", "600000"),
    *("--blocks", "3", "--seed", "7", "--zenith", "20"),
]


@pytest.mark.science
@pytest.mark.parametrize("slices", [1, 3])
def test_irf_is_the_same_there(there: Place, host: Host, slices: int, irf_here: Path) -> None:
    cut = ["--slices", str(slices)] if slices > 1 else []
    done = there("run", "irf", *SMALL, "--backend", "far", *cut, "--if-exists", "rerun", "--json")
    assert done.json.get("phase") == "COMPLETED", done.err
    made = outputs(done.json["dir"])
    for name in ("irf.fits", "benchmarks.fits"):
        assert filecmp.cmp(made / name, irf_here / name, shallow=False)
    assert host.left() == []
    assert host.processes() == []


@pytest.fixture(scope="module")
def irf_here(there: Place) -> Path:
    """The same on this machine, with the same software."""
    path = f"{far.environment(far.IRF) / 'bin'}:{os.environ['PATH']}"
    given = ["run", "irf", *SMALL, "--backend", "local", "--software", "installed", "--json"]
    done = there(*given, env={"PATH": path})
    assert done.json.get("phase") == "COMPLETED", done.err
    return outputs(done.json["dir"])


def test_check_tries_the_host_whole_and_in_slices_and_leaves_nothing(there: Place, host: Host) -> None:
    done = there("check", "far", "--json")
    assert done.code == 0, done
    rows = {(row["engine"], row["way"]): row["ok"] for row in done.json["checks"]}
    assert rows["snakemake", "whole"] is rows["snakemake", "slices"] is True
    assert done.json["store"] is None
    assert host.left() == []


def test_backends_says_what_the_host_has_once_it_was_asked(there: Place, host: Host) -> None:
    assert there("backends", "check", "far").code == 0
    (far,) = (
        b
        for b in there("backends", "--needs", "cores=1,memory=1MB", "--json").json["backends"]
        if b["name"] == "far"
    )
    assert far["fits"], far["reasons"]
    assert [w["store"] for w in far["ways"] if w["engine"] == "snakemake"] == ["copied"]
    assert far["capacity"]["cores"] >= 1 and far["asked"]
