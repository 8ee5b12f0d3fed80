"""What a Slurm can't give a job, whatever happens: with the part of it that can, and the way there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from esap_wf.backends.capacities import ENDLESS, within
from esap_wf.backends.local import capacity as here
from esap_wf.backends.slurm import options
from esap_wf.backends.slurm.settings import Head, Way, of
from esap_wf.backends.slurm.surveying import names, partitions_for
from esap_wf.formats.quantities import (
    human_bytes,
    human_cores,
    human_count,
    human_seconds,
    to_bytes,
    to_seconds,
)
from esap_wf.formats.schemas import closest
from esap_wf.models.place import Capacity, Nodes, Partition, Profile, Survey
from esap_wf.models.plan import Allocation

_FEATURE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def capacity(profile: Profile, store: Path, survey: Survey | None) -> Capacity:
    """
    What there is for a run. Where the engine submits: the cores of all nodes, for jobs that work at the same
    time, each with no more memory than the largest node has, for as long as it takes. For a piece: what the
    largest node has.
    """
    whole = within(profile, survey)
    if of(profile).way is Way.THERE:
        if survey is None:
            return whole
        cores = max((p.cores for p in partitions_for(profile, survey.partitions)), default=survey.cores)
        gpus = max((p.gpus for p in partitions_for(profile, survey.partitions)), default=survey.gpus)
        return msgspec.structs.replace(
            whole, cores=min(whole.cores, cores), gpus=max(profile.gpus, gpus), nodes=1
        )
    limits = [c for c in (profile.cores, survey.cores if survey else None) if c is not None]
    return msgspec.structs.replace(
        whole,
        # the jobs of its steps may be larger than a core
        cores=min(limits, default=ENDLESS),
        disk_bytes=here.capacity(profile, store).disk_bytes,
        wall_seconds=int(to_seconds(profile.wall)) if profile.wall is not None else None,
    )


def reasons(profile: Profile, job: Allocation, survey: Survey | None) -> list[str]:
    """
    Why no job of a profile would ever begin.

    Parameters
    ----------
    profile : Profile
    job : Allocation
        What the largest job asks for.
    survey : Survey, optional
        Without it nothing is known.
    """
    against = options.objection(profile)
    if survey is None or against:
        return [against] if against else []
    wrong = [*_names(profile, survey)]
    used = partitions_for(profile, survey.partitions)
    if of(profile).way is Way.THERE:
        job = options.piece(profile, job)
    if used and not wrong:
        wrong += [*_sizes(profile, job, used, survey)]
    return wrong


def _names(profile: Profile, survey: Survey) -> Iterator[str]:
    """Partitions, accounts, QOS and features that aren't there."""
    own = of(profile)
    known = {p.name: p for p in survey.partitions}
    for name in names(profile):
        if name not in known:
            yield f"there is no partition {name!r}: {_instead(name, known)}"
    used = partitions_for(profile, survey.partitions)
    if used and not any(p.up for p in used):
        others = [p.name for p in survey.partitions if p.up]
        which = ", ".join(p.name for p in used)
        yield f"its partition {which} is down; those that are up: {', '.join(others) or 'none'}"
    if own.account and survey.accounts and own.account not in survey.accounts:
        yield f"you have no account {own.account!r}: {_instead(own.account, survey.accounts)}"
    if own.qos and survey.qos and own.qos not in survey.qos:
        yield f"you may not use a QOS {own.qos!r}: {_instead(own.qos, survey.qos)}"
    for what, name in (("account", own.account), ("qos", own.qos)):
        shut = [p for p in used if name and _allowed(p, what) and name not in _allowed(p, what)]
        if used and len(shut) == len(used):
            who = f"{'QOS' if what == 'qos' else what} {name}"
            allowed = ", ".join(sorted({a for p in shut for a in _allowed(p, what)}))
            yield f"partition {shut[0].name} is not for {who}, but for {allowed}"
    yield from _features(own.constraint, used)
    kind = own.gpus_as.partition(":")[2]
    types = {t for p in used for m in p.makes for t in m.gpu_types}
    if kind and types and kind not in types:
        yield f"there are no GPUs of the type {kind!r}: {_instead(kind, types)}"


def _allowed(partition: Partition, what: str) -> list[str]:
    return partition.accounts if what == "account" else partition.qos


def _features(constraint: str, used: Sequence[Partition]) -> Iterator[str]:
    wanted = _FEATURE.findall(constraint)
    there = {f for p in used for f in p.features}
    absent = [f for f in wanted if f not in there]
    # one of several is enough
    if absent and (not re.search(r"[|\[]", constraint) or len(absent) == len(wanted)):
        for name in absent:
            yield f"no node has the feature {name!r} (constraint): {_instead(name, there)}"


def _instead(name: str, there: Iterable[str]) -> str:
    known = sorted(there)
    return closest(name, known) or f"there are {', '.join(known[:20]) or 'none'}"


def _sizes(profile: Profile, job: Allocation, used: Sequence[Partition], survey: Survey) -> Iterator[str]:
    """What no node of the partitions has, or they don't allow; and the partition that would do."""
    if not any(_fits(p, job) for p in used):
        others = [p for p in survey.partitions if p.up and p not in used and _fits(p, job)]
        which = " or ".join(p.name for p in used)
        what = f"one job needs {_asked(job, used)}, and partition {which} gives one at most {_most(used)}"
        if others:
            best = min(others, key=lambda p: (p.memory_bytes, p.cores))
            yield f'{what}; partition {best.name} would do: partition = "{best.name}" in its profile'
        elif _too_much(job, used) != [f"{human_bytes(job.memory_bytes)} of memory"] or _by_profile(
            profile, used
        ):
            # of a run's memory alone, what the place has at most says it
            yield f"{what}; no other partition gives more"
    own = of(profile)
    if own.way is not Way.THERE and own.head is Head.JOB:
        head = _head(profile)
        if not any(_fits(p, head) for p in used):
            yield (
                f"the engine's own job needs {_asked(head, used)}, and partition "
                f"{' or '.join(p.name for p in used)} gives one at most {_most(used)}: head_memory and "
                "head_wall in its profile"
            )


def _by_profile(profile: Profile, used: Sequence[Partition]) -> bool:
    """Whether what the profile gives each job is more memory than any node has."""
    native = of(profile).way is not Way.THERE
    return native and to_bytes(of(profile).job_memory) > max(p.memory_bytes for p in used)


def _head(profile: Profile) -> Allocation:
    own = of(profile)
    return Allocation(
        cores=1,
        memory_bytes=int(to_bytes(own.head_memory)),
        disk_bytes=0,
        wall_seconds=int(to_seconds(own.head_wall)),
    )


def _fits(partition: Partition, job: Allocation) -> bool:
    """Whether any node of a partition can do a job, in the time that it allows."""
    if partition.wall_seconds is not None and job.wall_seconds > partition.wall_seconds:
        return False
    makes = partition.makes or [
        Nodes(cores=partition.cores, memory_bytes=partition.memory_bytes, gpus=partition.gpus)
    ]
    return any(
        m.cores >= job.cores and m.memory_bytes >= job.memory_bytes and m.gpus >= job.gpus for m in makes
    )


def _too_much(job: Allocation, used: Sequence[Partition]) -> list[str]:
    """What a job asks for that no node has, and no partition allows."""
    parts = [
        (human_cores(job.cores), all(job.cores > p.cores for p in used)),
        (f"{human_bytes(job.memory_bytes)} of memory", all(job.memory_bytes > p.memory_bytes for p in used)),
        (human_count(job.gpus, "GPU"), all(job.gpus > p.gpus for p in used)),
        (
            human_seconds(job.wall_seconds),
            all(p.wall_seconds is not None and job.wall_seconds > p.wall_seconds for p in used),
        ),
    ]
    return [text for text, much in parts if much]


def _asked(job: Allocation, used: Sequence[Partition]) -> str:
    """What of a job is too much; all of it if only the whole is."""
    if too_much := _too_much(job, used):
        return " and ".join(too_much)
    whole = [human_cores(job.cores), f"{human_bytes(job.memory_bytes)} of memory"]
    whole += [human_count(job.gpus, "GPU")] if job.gpus else []
    return f"{', '.join([*whole, human_seconds(job.wall_seconds)])} on one node"


def _most(used: Sequence[Partition]) -> str:
    cores, memory = max(p.cores for p in used), max(p.memory_bytes for p in used)
    gpus, walls = max(p.gpus for p in used), [p.wall_seconds for p in used]
    parts = [human_cores(cores), f"{human_bytes(memory)} of memory"]
    parts += [human_count(gpus, "GPU")] if gpus else []
    limit = None if None in walls else max(w for w in walls if w is not None)
    return f"{', '.join(parts)}" + (f", for {human_seconds(limit)}" if limit is not None else "")
