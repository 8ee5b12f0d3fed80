"""Slurm's partitions and their nodes: ``sinfo`` and ``scontrol show partition``, read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.words import duration, failed, nonsense, records
from esap_wf.models.place import Nodes, Partition

#: One line a node and partition. What a node's features are comes last.
FORMAT = "%N|%D|%P|%a|%l|%T|%C|%m|%d|%G|%f"
#: A state of nodes that begin no job before somebody has done something.
_OUT = re.compile(r"down|drain|fail|unknown|future|error|inval", re.IGNORECASE)
_GPU = re.compile(r"gpu(?::(?P<type>[A-Za-z0-9_.-]+))?:(?P<count>\d{1,4})(?:\(|$)")
_EVERYONE = ("", "ALL", "(null)", "NONE")


@dataclass(frozen=True)
class Line:
    """A node in a partition, or several of one make."""

    nodes: str
    count: int
    partition: str
    default: bool
    up: bool
    wall_seconds: int | None
    usable: bool
    idle_cores: int
    cores: int
    memory_bytes: int
    disk_bytes: int
    gpus: dict[str, int]
    features: list[str]


def ask(commands: Commands, named: Sequence[str] = ()) -> tuple[list[Partition], list[Line]]:
    """
    All partitions, of hidden ones those that are named; and the nodes in them.

    Raises
    ------
    OutageError
        It can't be asked, or talks nonsense.
    NeedsPersonError
    """
    told = commands.run("sinfo", "--noheader", "--all", "--Node", f"--format={FORMAT}")
    nodes = lines(told.out)
    if told.code or not nodes:
        raise failed("sinfo", told.said) if told.code else nonsense("sinfo", "no partition at all")
    more = commands.run("scontrol", "--all", "--oneliner", "show", "partition")
    known = records("scontrol", more.out, "PartitionName") if more.code == 0 else []
    hidden = {r["PartitionName"] for r in known if r.get("Hidden") == "YES"}
    return [p for p in of(nodes, known) if p.name not in hidden or p.name in named], nodes


def lines(text: str) -> list[Line]:
    """
    What ``sinfo --format=FORMAT`` has printed.

    Raises
    ------
    OutageError
        It isn't that.
    """
    return [_line(line) for line in text.splitlines() if line.strip()]


def _line(text: str) -> Line:
    fields = [field.strip() for field in text.split("|", 10)]
    if len(fields) != 11:
        raise nonsense("sinfo", text)
    nodes, count, partition, up, wall, state, cpus, memory, disk, gres, features = fields
    used = re.fullmatch(r"(\d{1,9})/(\d{1,9})/(\d{1,9})/(\d{1,9})", cpus)
    if not used or not count.isdecimal() or not re.fullmatch(r"[^\s*]+\*?", partition):
        raise nonsense("sinfo", text)
    number = max(1, int(count))
    limit = duration(wall)
    return Line(
        nodes=nodes,
        count=number,
        partition=partition.removesuffix("*"),
        default=partition.endswith("*"),
        up=up == "up",
        wall_seconds=None if limit is None else int(limit),
        usable=not _OUT.search(state) and not state.endswith("*"),
        idle_cores=int(used[2]),
        cores=int(used[4]) // number,
        memory_bytes=_megabytes(memory, text),
        disk_bytes=_megabytes(disk, text),
        gpus=gpus(gres),
        features=[] if features in ("(null)", "N/A") else [f for f in features.split(",") if f],
    )


def _megabytes(field: str, line: str) -> int:
    found = re.fullmatch(r"(\d{1,12})\+?", field)
    if found is None:
        raise nonsense("sinfo", line)
    return int(found[1]) * 2**20


def gpus(gres: str) -> dict[str, int]:
    """GPUs in ``gpu:a100:4(S:0-1),tmp:100G``: type (may be empty) → number."""
    found: dict[str, int] = {}
    # a comma may stand in parentheses
    for one in re.split(r",(?![^()]*\))", gres):
        if gpu := _GPU.match(one.strip()):
            kind = gpu["type"] or ""
            found[kind] = found.get(kind, 0) + int(gpu["count"])
    return found


def of(told: Sequence[Line], known: Sequence[dict[str, str]] = ()) -> list[Partition]:
    """
    The partitions of some lines; nodes that can't be used don't count, unless there is no other.

    Parameters
    ----------
    told : sequence of Line
    known : sequence of dict
        What ``scontrol`` says of them.
    """
    by: dict[str, list[Line]] = {}
    for line in told:
        by.setdefault(line.partition, []).append(line)
    more = {record["PartitionName"]: record for record in known}
    found = [_partition(name, group, more.get(name, {})) for name, group in by.items()]
    return sorted(found, key=lambda p: (not p.default, p.name))


def _partition(name: str, told: Sequence[Line], known: dict[str, str]) -> Partition:
    usable = [line for line in told if line.usable] or list(told)
    cap = _most_memory(known)
    makes = [_capped(m, cap) for m in _makes(usable)]
    per_node = known.get("MaxCPUsPerNode", "")
    if per_node.isdecimal():
        makes = [_with_cores(m, min(m.cores, int(per_node))) for m in makes]
    return Partition(
        name=name,
        default=any(line.default for line in told),
        # a partition may be closed for new jobs in several ways
        up=all(line.up for line in told) and known.get("State", "UP") == "UP",
        nodes=sum(line.count for line in usable),
        cores=max(m.cores for m in makes),
        memory_bytes=max(m.memory_bytes for m in makes),
        disk_bytes=max(m.disk_bytes or 0 for m in makes) or None,
        wall_seconds=told[0].wall_seconds,
        gpus=max(m.gpus for m in makes),
        free_cores=sum(line.idle_cores for line in usable if line.usable),
        features=sorted({f for line in usable for f in line.features}),
        accounts=_names(known.get("AllowAccounts", "")),
        qos=_names(known.get("AllowQos", "")),
        makes=makes,
        all_cores=sum(m.cores * m.count for m in makes),
    )


def _makes(told: Sequence[Line]) -> Iterator[Nodes]:
    alike: dict[tuple[object, ...], list[Line]] = {}
    for line in told:
        what = (line.cores, line.memory_bytes, line.disk_bytes, *sorted(line.gpus.items()), *line.features)
        alike.setdefault(what, []).append(line)
    for group in alike.values():
        first = group[0]
        yield Nodes(
            count=sum(line.count for line in group),
            cores=first.cores,
            memory_bytes=first.memory_bytes,
            disk_bytes=first.disk_bytes or None,
            gpus=sum(first.gpus.values()),
            gpu_types=sorted(kind for kind in first.gpus if kind),
            features=first.features,
        )


def _most_memory(known: dict[str, str]) -> int | None:
    text = known.get("MaxMemPerNode", "")
    return int(text) * 2**20 if text.isdecimal() and int(text) > 0 else None


def _capped(make: Nodes, cap: int | None) -> Nodes:
    least = make.memory_bytes if cap is None else min(cap, make.memory_bytes)
    return msgspec.structs.replace(make, memory_bytes=least)


def _with_cores(make: Nodes, cores: int) -> Nodes:
    return msgspec.structs.replace(make, cores=cores)


def _names(text: str) -> list[str]:
    return [] if text in _EVERYONE else [name for name in text.split(",") if name]
