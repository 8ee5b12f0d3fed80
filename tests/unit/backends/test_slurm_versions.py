"""What Slurm's commands have printed in several versions is understood (tests/data/slurm)."""

from __future__ import annotations

from pathlib import Path

import pytest

from esap_wf.backends.launcher import Condition
from esap_wf.backends.slurm import accounting, parsing, partitions, states, words
from esap_wf.backends.slurm.commands import away
from esap_wf.backends.slurm.pending import why

DATA = Path(__file__).parents[2] / "data" / "slurm"
MARK = "~0123456789abcdef~"


def files(name: str) -> list[Path]:
    return sorted(DATA.glob(f"*/{name}.txt"))


def text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def version(path: Path) -> str:
    return path.parent.name


@pytest.mark.parametrize("path", [*files("squeue"), *files("squeue-arrays")], ids=version)
def test_squeue(path: Path) -> None:
    found = parsing.jobs(text(path), MARK)
    assert len(found) >= text(path).count(f"{MARK}<") > 3
    assert len({job.id for job in found}) == len(found)
    for job in found:
        state = states.state(job.state)
        assert state.condition is not Condition.UNKNOWN or job.state in ("SOMETHING_NEW", "REVOKED")
        assert job.submitted
        if state.condition is Condition.WAITING:
            assert why(job.reason).text


@pytest.mark.parametrize("path", files("squeue-exits"), ids=version)
def test_exit_codes(path: Path) -> None:
    found = parsing.exits(text(path))
    assert len(found) >= len(text(path).splitlines()) > 1
    assert all(code < 256 and signal < 128 for code, signal in found.values())


@pytest.mark.parametrize("path", files("sacct"), ids=version)
def test_sacct(path: Path) -> None:
    found = accounting.accounts(text(path), MARK)
    assert len(found) > 3
    assert all(states.state(a.state).condition is not Condition.UNKNOWN for a in found)
    assert not any("." in a.id for a in found)
    assert any(a.cpu_seconds for a in found)


@pytest.mark.parametrize("path", files("scontrol-node"), ids=version)
def test_nodes_of_scontrol(path: Path) -> None:
    found = words.records("scontrol", text(path), "NodeName")
    assert found
    assert all(r["CPUTot"].isdecimal() and r["RealMemory"].isdecimal() and r["State"] for r in found)


def test_partitions_of_scontrol() -> None:
    (path,) = files("scontrol-partition")
    found = {r["PartitionName"]: r for r in words.records("scontrol", text(path), "PartitionName")}
    assert {"main", "closed"} <= set(found)
    lines = [line for name in found for line in partitions.lines(f"n1|1|{name}|up|1:00|idle|0/4/0/4|9|9|x|y")]
    by = {p.name: p for p in partitions.of(lines, list(found.values()))}
    assert by["main"].up
    assert not by["closed"].up


@pytest.mark.parametrize("path", files("away"), ids=version)
def test_an_outage_is_known_as_one(path: Path) -> None:
    answers = text(path).split("== ")[1:]
    assert len(answers) > 5
    for answer in answers:
        command, code, said = answer.split("\n", 2)
        if "ping" not in command and code.strip() != "exit code 0":
            assert away(said), command
