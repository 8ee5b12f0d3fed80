"""One run directory: `Store` makes it, the supervisor writes through it, everybody may look."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError, Problem, UsageError
from esap_wf.formats import reading
from esap_wf.models import Model
from esap_wf.models.run import Outputs, RunRecord, State, encode
from esap_wf.runs import crashpoints, journal, lease, requests, states
from esap_wf.runs.layout import Layout
from esap_wf.runs.observing import Observer

#: Seconds between two announcements of mere progress: the journal is for lists, not for progress bars.
ANNOUNCE_EVERY = 5.0
#: Who has stopped a run whose supervisor was asked to end (`StopRequest.by`): nobody wants its end.
BY_THE_SYSTEM = "the system (SIGTERM)"


class StopRequest(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``stop.json``: somebody asks the supervisor to stop."""

    schema_version: int = 1
    at: str
    by: str
    reason: str = ""
    drain: bool = False


class Run:
    """
    A run of the store.

    Attributes
    ----------
    id : str
        Sixteen hex digits.
    dir : Path
        The run directory.
    store : Layout
        Where it is kept.
    """

    __slots__ = ("_announced", "_observed_by", "_record", "dir", "id", "store")

    def __init__(self, store: Layout, run_id: str) -> None:
        self.store = store
        self.id = run_id
        self.dir = store.path_of(run_id)
        self._record: RunRecord | None = None
        self._announced = 0.0
        self._observed_by: Observer | None = None

    def __repr__(self) -> str:
        return f"Run({self.id})"

    @property
    def events_path(self) -> Path:
        """``events.jsonl``."""
        return self.dir / "events.jsonl"

    def exists(self) -> bool:
        """Whether the run directory is there and not given up to deletion."""
        return (self.dir / "run.json").is_file() and not self.store.tombstone_path(self.id).exists()

    def record(self) -> RunRecord:
        """What never changes; read once."""
        if self._record is None:
            path = self.dir / "run.json"
            record = files.read_json(path, RunRecord)
            if record.id != self.id:  # whoever finds a run by its record would work on another one
                raise UsageError(
                    f"{path} is broken", [Problem(str(path), (f"it is the record of run {record.id[:80]}"))]
                )
            self._record = record
        return self._record

    def state(self) -> State:
        """The state as last written; `observe` says what it means now."""
        return files.read_json(self.dir / "state.json", State)

    def owner_lease(self) -> lease.LeaseFile | None:
        """The present or last owner (`lease.alive` says which)."""
        return lease.current(self)

    def observe(self, waiting: Callable[[str], None] | None = None) -> State:
        """The state as an observer should see it. See `esap_wf.runs.observing.Observer.state`."""
        return self._observer().state(waiting)

    def expired(self, last: lease.LeaseFile) -> bool:
        """See `esap_wf.runs.observing.Observer.expired`."""
        return self._observer().expired(last)

    def presumed_dead(self) -> str:
        """See `esap_wf.runs.observing.Observer.presumed_dead`."""
        return self._observer().presumed_dead()

    def presume_dead(self, heartbeat: str) -> None:
        """See `esap_wf.runs.observing.Observer.presume_dead`."""
        self._observer().presume_dead(heartbeat)

    def _observer(self) -> Observer:
        if self._observed_by is None:
            self._observed_by = Observer(self)
        return self._observed_by

    def write_state(self, state: State, owner: lease.Lease) -> State:
        """
        Replace ``state.json``: announced in the journal first, then written in one go.

        Parameters
        ----------
        state : State
            Its `rev` and `epoch` are set here.
        owner : Lease
            The right to write.

        Returns
        -------
        State
            As written.

        Raises
        ------
        FencedError
            The run has a new owner.
        IllegalTransitionError
            The phase cannot follow the one on disk.
        """
        owner.require()
        old = self.state()
        states.check(old.phase, state.phase)
        if old.epoch > owner.epoch:
            owner.require()
        new = msgspec.structs.replace(state, rev=old.rev + 1, epoch=owner.epoch)
        moment = time.monotonic()
        if old.phase is not new.phase or moment - self._announced >= ANNOUNCE_EVERY:
            self._announce(new.rev, final=new.phase in states.FINAL)
            self._announced = moment
            crashpoints.reached("state-announced")
        data = encode(new)
        path = self.dir / "state.json"
        try:
            files.write_atomic(path, data, mode=self.store.file_mode)
        except files.NoSpaceError:
            # for the last state only: what it frees at any other moment, the engine's jobs take
            if new.phase not in states.FINAL or not self.store.free_reserve(self.dir):
                raise
            files.write_atomic(path, data, mode=self.store.file_mode)
        crashpoints.reached("state-written")
        if new.phase in states.FINAL:
            crashpoints.reached("final-written")
        return new

    def _announce(self, rev: int, *, final: bool) -> None:
        folder = self.store.root / "journal"
        try:
            journal.announce(folder, self.id, rev, mode=self.store.file_mode)
        except files.NoSpaceError:
            # the state matters more than the lists that follow the journal: a rebuild of the index finds it
            if final and self.store.free_reserve(self.dir):
                try:
                    journal.announce(folder, self.id, rev, mode=self.store.file_mode)
                except files.NoSpaceError:
                    pass

    def accept(self, outputs: Outputs, owner: lease.Lease) -> Outputs:
        """
        Accept results, once in the life of a run.

        Parameters
        ----------
        outputs : Outputs
            Its `epoch` is set here.
        owner : Lease
            The right to write.

        Returns
        -------
        Outputs
            The accepted ones: those given, or those that an earlier owner has accepted before it died.

        Raises
        ------
        FencedError
            The run has a new owner; nothing was accepted.
        """
        earlier = self.accepted()
        if earlier is None:
            owner.require()
            own = msgspec.structs.replace(outputs, epoch=owner.epoch)
            slot = self.dir / "epochs" / f"{owner.epoch}.end"
            if not self.store.claim_file(self.dir, slot, encode(own)):
                owner.require()
            crashpoints.reached("outputs-accepted")
            earlier = self.accepted()
            if earlier is None:
                raise lease.FencedError(
                    f"the results of run {self.id} came too late: epoch {owner.epoch} is void"
                )
        path = self.dir / "outputs.json"
        if not path.exists():
            files.write_atomic(path, encode(earlier), mode=self.store.file_mode)
        return earlier

    def accepted(self) -> Outputs | None:
        """
        The accepted outputs, if any owner accepted some; a successor calls `accept` or copies them to go on.
        """
        for epoch in range(lease.latest_epoch(self), 0, -1):
            slot = self.dir / "epochs" / f"{epoch}.end"
            try:
                if reading.read_bytes(slot) != lease.VOID:
                    return files.read_json(slot, Outputs)
            except NotFoundError:
                continue
        return None

    def outputs(self) -> Outputs | None:
        """The accepted outputs as users see them, None before."""
        try:
            return files.read_json(self.dir / "outputs.json", Outputs)
        except NotFoundError:
            return self.accepted()

    def also_asked(self, further: requests.Further) -> None:
        """
        Record what a later request wants of this run; indices read the run again. What a request that is
        refused wants is nobody's.
        """
        requests.append(self.dir, further, mode=self.store.file_mode)
        journal.announce(self.store.root / "journal", self.id, self.state().rev, mode=self.store.file_mode)

    def request_stop(self, request: StopRequest) -> None:
        """
        Ask the supervisor to stop. The first request stays, but one to stop at once replaces one to drain.
        """
        earlier = self.stop_requested()
        write = (
            files.write_atomic
            if earlier is not None and earlier.drain and not request.drain
            else files.create_exclusive
        )
        try:
            write(self.dir / "stop.json", encode(request), mode=self.store.file_mode)
        except files.NoSpaceError:
            if not self.store.free_reserve(self.dir):
                raise
            write(self.dir / "stop.json", encode(request), mode=self.store.file_mode)

    def stop_requested(self) -> StopRequest | None:
        """What was asked, if anything."""
        try:
            return files.read_json(self.dir / "stop.json", StopRequest)
        except NotFoundError:
            return None

    def clear_stop(self) -> None:
        """Forget the request: a resumed run starts without it."""
        path = self.dir / "stop.json"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise files.explain(error, path) from error
