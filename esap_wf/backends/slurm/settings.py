"""The keys of a profile of kind ``slurm`` beside those of every place."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from esap_wf.models import Model
from esap_wf.models.place import Amount, Count, Folder, Profile

#: Names of partitions, accounts and the like: nothing that means anything to a shell or to Slurm's options.
_NAME = r"^([A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99})?$"
Named = Annotated[str, msgspec.Meta(pattern=_NAME, description="letters, digits and . _ @ + -")]
#: Several of them, as Slurm reads it.
Names = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.@+,-]{0,199})?$", description="names, separated by commas"
    ),
]
#: Features with & | and brackets.
Features = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([A-Za-z0-9_(\[][A-Za-z0-9_.&|*()\[\]-]{0,199})?$", description="features, with & and |"
    ),
]


class Way(StrEnum):
    """How a run works there."""

    #: Native if the engine can submit jobs and the nodes see the store, else there.
    AUTO = "auto"
    #: The engine submits the jobs of its steps, in the run store.
    NATIVE = "native"
    #: Pieces: each one job, in a folder of its own.
    THERE = "there"


class Head(StrEnum):
    """Where the engine is, in the native way."""

    HERE = "here"
    JOB = "job"


class Settings(Model, frozen=True, kw_only=True):
    """
    Keys of a Slurm.

    Parameters
    ----------
    way : Way
    head : Head
        In the native way.
    partition, account, qos, constraint, reservation : str
        For all jobs; empty: what Slurm takes by itself. Several partitions: the first that is free.
    gpus_as : str
        Generic resource that is a GPU: ``gpu`` or ``gpu:a100``.
    head_memory, head_wall : amount
        Of an engine that is a job.
    engine_memory : amount
        What an engine takes beside its steps: a piece (`Way.THERE`) asks for so much more, within the
        profile's `memory`.
    job_cores, job_memory, job_wall
        Of a job whose step asks for nothing.
    folder : str, optional
        Where pieces work (`Way.THERE`): seen by this machine and by the nodes under the same path; a folder
        of the user's in it is made. Needed for that way only.
    latency : int
        Seconds that a file written on a node may take until it is seen here.
    commands : str, optional
        Folder with Slurm's commands, if they are not on the PATH.
    conf : str, optional
        Slurm's configuration, if it is not where the commands look for it (``SLURM_CONF``).
    """

    way: Way = Way.AUTO
    head: Head = Head.HERE
    partition: Names = ""
    account: Named = ""
    qos: Named = ""
    constraint: Features = ""
    reservation: Named = ""
    gpus_as: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]+(:[A-Za-z0-9_.-]+)?$")] = "gpu"
    head_memory: Amount = "2 GB"
    head_wall: Amount = "1 d"
    engine_memory: Amount = "1 GB"
    job_cores: Count = 1
    job_memory: Amount = "2 GB"
    job_wall: Amount = "1 h"
    folder: Folder | None = None
    latency: Count = 60
    commands: Folder | None = None
    conf: Folder | None = None


def of(profile: Profile) -> Settings:
    """The keys of a profile."""
    return msgspec.convert(profile.settings, Settings)
