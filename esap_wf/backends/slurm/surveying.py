"""
What a Slurm says of itself, and what of this machine its nodes are expected to have: engines and programs are
looked for here, because a machine from which jobs are submitted has the nodes' software almost everywhere.
``esap-wf check`` proves it.
"""

from __future__ import annotations

import logging
import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from esap_wf import files
from esap_wf.backends import hosts
from esap_wf.backends.capacities import ENDLESS
from esap_wf.backends.launcher import NeedsPersonError
from esap_wf.backends.slurm import partitions
from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.settings import of
from esap_wf.backends.slurm.words import nonsense
from esap_wf.errors import EsapError
from esap_wf.models.place import Partition, Profile, Survey
from esap_wf.models.run import now

logger = logging.getLogger(__name__)

#: Seconds for looking at this machine.
_PATIENCE = 120


def survey(profile: Profile) -> Survey:
    """
    Ask Slurm for its partitions, accounts and QOS, and this machine for engines and programs.

    Raises
    ------
    OutageError
        It can't be asked, or talks nonsense.
    NeedsPersonError
    """
    commands = Commands(profile)
    own = of(profile)
    found, nodes = partitions.ask(commands, names(profile))
    if not found:
        raise NeedsPersonError(f"{profile.name} shows you no partition: ask who runs it which are yours")
    accounts, qos, accounting = associations(commands)
    said = _here(profile)
    used = partitions_for(profile, found) or found
    walls = [p.wall_seconds for p in used]
    # a node may be in several partitions
    each = {line.nodes: line for line in nodes if line.usable and line.partition in {p.name for p in used}}
    return Survey(
        asked=now(),
        cores=sum(line.cores * line.count for line in each.values()) or max(p.cores for p in used),
        memory_bytes=max(p.memory_bytes for p in used),
        disk_bytes=files.free(Path(own.folder)) if own.folder else ENDLESS,
        wall_seconds=None if None in walls else max(w for w in walls if w is not None),
        gpus=sum(sum(line.gpus.values()) * line.count for line in each.values()),
        nodes=sum(line.count for line in each.values()) or 1,
        free_cores=sum(line.idle_cores for line in each.values()),
        programs=said.programs,
        engines=said.engines,
        python=said.python,
        runtimes=said.runtimes,
        system="; ".join(filter(None, [_version(commands), said.system])),
        partitions=found,
        accounts=accounts,
        qos=qos,
        accounting=accounting,
    )


def associations(commands: Commands) -> tuple[list[str], list[str], bool]:
    """
    The accounts and QOS that this user may use, and whether there is accounting; nothing if nobody says it.
    """
    try:
        shape = ("--noheader", "--parsable2", "--readonly", "show", "associations")
        ended = commands.run("sacctmgr", *shape, f"user={_user()}", "format=Cluster,Account,Partition,QOS")
        if ended.code:
            return [], [], False
        rows = [line.split("|") for line in ended.out.splitlines() if line.strip()]
        if any(len(row) != 4 for row in rows):
            raise nonsense("sacctmgr", ended.out)
        cluster = _cluster(commands)
    except EsapError as error:
        # jobs can be submitted although their accounts can't be listed
        logger.info("the accounts of %s are not known: %s", commands.name, error)
        return [], [], False
    mine = [row for row in rows if cluster in (None, row[0])]
    accounts = sorted({row[1] for row in mine if row[1]})
    qos = sorted({name for row in mine for name in row[3].split(",") if name})
    return accounts, qos, True


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _cluster(commands: Commands) -> str | None:
    """The cluster's name: a database may have several."""
    for line in commands.run("scontrol", "show", "config").out.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == "ClusterName":
            return value.strip()
    return None


def _version(commands: Commands) -> str:
    """``Slurm 22.05.8``."""
    found = re.search(r"\d+(\.\d+)+", commands.run("sinfo", "--version").out)
    return f"Slurm {found[0]}" if found else "Slurm"


def _here(profile: Profile) -> hosts.Said:
    """What this machine has; nothing if it doesn't say it."""
    nonce = os.urandom(8).hex()
    script = hosts.script(profile, of(profile).folder or "/", nonce)
    try:
        done = subprocess.run(["sh", "-s"], input=script, capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.info("this machine does not say what it has: %s", error)
        return hosts.Said()
    return hosts.Said.of(_between(done.stdout.decode("utf-8", "replace"), nonce))


def _between(text: str, nonce: str) -> Iterator[str]:
    """The lines of an answer."""
    _, _, answer = text.partition(f"\nesap-wf-far {nonce} ")
    answer, _, _ = answer.partition(f"\nesap-wf-end {nonce}")
    yield from answer.split("\n")[1:]


def names(profile: Profile) -> list[str]:
    """The partitions that a profile names."""
    return [name for name in of(profile).partition.split(",") if name]


def partitions_for(profile: Profile, known: Sequence[Partition]) -> list[Partition]:
    """Those to which jobs of a profile may go: which it names, else the default."""
    wanted = names(profile)
    if wanted:
        return [p for p in known if p.name in wanted]
    return [p for p in known if p.default] or list(known)


def silent(commands: Commands) -> list[str]:
    """
    Nodes that Slurm can't ask. On the others no job works that it does not know: it ends such jobs.

    Raises
    ------
    OutageError
        It can't be asked, or talks nonsense.
    NeedsPersonError
    """
    ended = commands.run("sinfo", "--all", "--noheader", "--Node", "--format=%N %T")
    rows = [line.split() for line in ended.out.splitlines() if line.strip()]
    if ended.code or any(len(row) != 2 for row in rows):
        raise nonsense("sinfo", ended.said)
    return sorted({name for name, state in rows if state.endswith("*") or state.startswith("unk")})
