"""What a Slurm says of itself."""

from __future__ import annotations

from esap_wf.backends.slurm.commands import Commands
from esap_wf.errors import UnavailableError
from esap_wf.models.place import Partition, Profile, Survey
from esap_wf.models.run import now

_FORMAT = "%R|%a|%D|%c|%m|%l|%C"


def survey(profile: Profile) -> Survey:
    """
    Ask ``sinfo``.

    Raises
    ------
    OutageError, NeedsPersonError
    UnavailableError
        It says nothing that can be read.
    """
    answer = Commands(profile).run("sinfo", "--noheader", "--format", _FORMAT)
    partitions = [_partition(line.split("|")) for line in answer.out.splitlines() if line.count("|") == 6]
    if not partitions:
        raise UnavailableError(f"{profile.name} has no partition: sinfo says {answer.said!r}")
    return Survey(
        asked=now(),
        cores=sum(p.nodes * p.cores for p in partitions),
        memory_bytes=max(p.memory_bytes for p in partitions),
        disk_bytes=10**18,
        partitions=partitions,
    )


def _partition(fields: list[str]) -> Partition:
    name, up, nodes, cores, memory, _, _ = fields
    return Partition(
        name=name,
        up=up == "up",
        nodes=int(nodes),
        cores=int(cores.rstrip("+")),
        memory_bytes=int(memory.rstrip("+")) * 2**20,
    )
