"""Who owns a run. The supervisor, `resume` and `rm` acquire; everybody may look.

An owner takes an *epoch*: the file ``epochs/<n>``, made by `files.create_exclusive`, so of two that resume at
once one gets it. A higher epoch makes a lower one void, also when its owner was only asleep. ``lease.json``
is the heartbeat: an observer on another host sees `seq` change, by its own monotonic clock; clocks of two
machines are never compared. ``epochs/0`` is the process that created the run.

Each epoch has one slot ``epochs/<n>.end``: its owner fills it with the accepted outputs, or its successor
fills it with "void". Whoever comes first decides, once: that is how results are accepted exactly once.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol

import msgspec

from esap_wf import files
from esap_wf.errors import EsapError, NotFoundError, Problem, RefusedError
from esap_wf.models import Model
from esap_wf.models.run import encode, now
from esap_wf.runs import crashpoints, decisions, processes
from esap_wf.runs.layout import Layout
from esap_wf.runs.processes import Holder, me

__all__ = [
    "RENEW",
    "TTL",
    "Epoch",
    "FencedError",
    "HeldByOther",
    "Holder",
    "Lease",
    "LeaseFile",
    "alive",
    "current",
    "me",
    "watch",
]

#: Seconds between two heartbeats.
RENEW = 5.0
#: Seconds without a heartbeat, watched, after which an owner that cannot be asked counts as gone.
TTL = 30.0

VOID = b'{"void": true}\n'


class Leased(Protocol):
    """What can be owned: `esap_wf.runs.run.Run`."""

    @property
    def id(self) -> str:
        """Of the run."""

    @property
    def dir(self) -> Path:
        """Its directory."""

    @property
    def store(self) -> Layout:
        """Where it is kept."""

    def expired(self, lease: LeaseFile) -> bool:
        """Whether its owner was watched for `TTL` seconds without a newer heartbeat than this."""


class HeldByOther(RefusedError):
    """Somebody else owns the run, or was quicker."""

    code = "held"


class FencedError(EsapError):
    """This process no longer owns the run: a newer epoch exists, and what this one writes is void."""

    code = "fenced"


class Epoch(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``epochs/<n>``."""

    schema_version: int = 1
    epoch: int
    holder: Holder
    taken: str


class LeaseFile(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``lease.json``: the owner's heartbeat."""

    schema_version: int = 1
    epoch: int
    holder: Holder
    seq: int = 0
    released: bool = False


def latest_epoch(run: Leased) -> int:
    """The highest epoch that was taken; 0 if nobody but the creator had the run."""
    # a listing, not a probe for the next number: NFS clients remember for a while that a name was missing
    try:
        return max((int(name) for name in os.listdir(run.dir / "epochs") if name.isdigit()), default=0)  # noqa: PTH208
    except FileNotFoundError:
        if not run.dir.is_dir():
            raise NotFoundError(
                f"run {run.id} does not exist", [Problem(run.id, "its directory is gone")]
            ) from None
        return 0


def current(run: Leased) -> LeaseFile | None:
    """
    The present or last owner.

    Returns
    -------
    LeaseFile or None
        Of the latest epoch; before the first it is the creator with epoch 0. None if nobody is recorded.
    """
    epoch = latest_epoch(run)
    try:
        lease = files.read_json(run.dir / "lease.json", LeaseFile)
        if lease.epoch == epoch:
            return lease
    except NotFoundError:
        pass
    try:
        taken = files.read_json(run.dir / "epochs" / str(epoch), Epoch)
    except NotFoundError:
        return None
    return LeaseFile(epoch=epoch, holder=taken.holder, seq=-1)


def alive(run: Leased) -> bool | None:
    """
    Whether somebody owns the run now, without waiting.

    Returns
    -------
    bool or None
        None if the owner is on another host and only `watch` can tell.
    """
    lease = current(run)
    if lease is None or lease.released:
        return False
    return processes.alive(lease.holder)


def watch(run: Leased, seconds: float = TTL, *, pause: float = 0.5) -> bool:
    """
    Whether a heartbeat is seen within a time, by this process's monotonic clock.

    Parameters
    ----------
    run : Leased
        What to look at.
    seconds : float
        How long to look; less than `TTL` proves life only, not death.
    pause : float
        Seconds between two looks.
    """
    before = current(run)
    until = time.monotonic() + seconds
    while True:
        seen = current(run)
        if seen is None or seen.released:
            return False
        if before is None or (seen.epoch, seen.seq) != (before.epoch, before.seq):
            return True
        if processes.alive(seen.holder) is False:
            return False
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))


class Lease:
    """The right to write into a run, while `valid`."""

    __slots__ = ("_run", "_seq", "epoch", "holder")

    def __init__(self, run: Leased, epoch: int, holder: Holder) -> None:
        self._run = run
        self.epoch = epoch
        self.holder = holder
        self._seq = 0

    @classmethod
    def acquire(cls, run: Leased, holder: Holder | None = None, *, wait: float = TTL) -> Lease:
        """
        Become the owner.

        Parameters
        ----------
        run : Leased
            What to own.
        holder : Holder, optional
            Who owns it; this process by default.
        wait : float
            Seconds to watch an owner that cannot be asked (another host) before it counts as gone. One that
            `run` presumes dead (`Run.presume_dead`) is not watched again.

        Raises
        ------
        HeldByOther
            The owner lives, or another process took the next epoch first.
        """
        holder = holder or me()
        former = current(run)
        epoch, end = former.epoch if former else 0, "gave it back"
        if former and epoch and not former.released and former.holder != holder:
            lives = processes.alive(former.holder)
            if lives or (lives is None and not run.expired(former) and watch(run, wait)):
                raise cls._held(run, former.holder)
            end = "is gone" if lives is False else "can't be asked, and gave no sign of life: presumed dead"
        taken = Epoch(epoch=epoch + 1, holder=holder, taken=now())
        folder = run.dir / "epochs"
        path = run.store.make_folder(folder) / str(epoch + 1)
        if not run.store.claim_file(run.dir, path, encode(taken)):
            other = current(run)
            raise cls._held(run, other.holder if other else None)
        crashpoints.reached("epoch-taken")
        if former and epoch:
            text = "run %s: epoch %d begins; its owner in epoch %d, %s, %s"
            decisions.log(__name__, text, run.id, epoch + 1, epoch, former.holder, end)
        # from here on no earlier owner can accept results; what one has accepted before stays accepted
        for earlier in range(1, epoch + 1):
            files.create_exclusive(folder / f"{earlier}.end", VOID, mode=run.store.file_mode)
        lease = cls(run, epoch + 1, holder)
        run.store.make_reserve(run.dir)
        lease.renew()
        return lease

    @staticmethod
    def _held(run: Leased, holder: Holder | None) -> HeldByOther:
        who = str(holder) if holder else "another process"
        return HeldByOther(
            f"run {run.id} is owned by {who}",
            [Problem(run.id, f"{who} is still working on it", f"esap-wf status {run.id}")],
        )

    def valid(self) -> bool:
        """Whether no newer epoch exists."""
        try:
            return latest_epoch(self._run) == self.epoch
        except NotFoundError:
            return False

    def require(self) -> None:
        """Raise FencedError unless `valid`."""
        if not self.valid():
            raise FencedError(
                (
                    f"run {self._run.id} has a new owner; this process (epoch {self.epoch}) stops and leaves "
                    "nothing behind"
                ),
                [Problem(self._run.id, f"epoch {self.epoch} is void")],
            )

    def renew(self) -> None:
        """Show a sign of life. Every `RENEW` seconds; raises FencedError when the run has a new owner."""
        self.require()
        self._seq += 1
        self._write(released=False)

    def release(self) -> None:
        """Give the run back. Nothing to do if it has a new owner."""
        if self.valid():
            self._seq += 1
            self._write(released=True)

    def _write(self, *, released: bool) -> None:
        lease = LeaseFile(epoch=self.epoch, holder=self.holder, seq=self._seq, released=released)
        path: Path = self._run.dir / "lease.json"
        try:
            files.write_atomic(
                path, msgspec.json.encode(lease), mode=self._run.store.file_mode, sync=released
            )
        except files.NoSpaceError:
            if not released:
                # a missed heartbeat on a full disk is no reason to stop an engine: on this host the pid tells
                return
            self._run.store.free_reserve(self._run.dir)
            files.write_atomic(path, msgspec.json.encode(lease), mode=self._run.store.file_mode, sync=False)
