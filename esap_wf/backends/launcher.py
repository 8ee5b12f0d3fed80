"""What starts the pieces of runs at a place, and finds them again (docs/backends.md). Public through
`esap_wf.backends`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from esap_wf.errors import EsapError, ExitCode
from esap_wf.formats.quantities import human_count
from esap_wf.models.plan import Allocation, ContainerChoice

#: Bytes of a handle at most.
LONGEST_HANDLE = 4096


class Condition(StrEnum):
    """What is known of a piece."""

    #: The place has it, and has not begun with it.
    WAITING = "waiting"
    RUNNING = "running"
    #: It has ended by itself; its files can be pulled until it is forgotten.
    ENDED = "ended"
    #: The place is sure that nothing of it works: never started, lost, killed, forgotten.
    GONE = "gone"
    #: Nobody could be asked. Never a reason to start or to accept anything.
    UNKNOWN = "unknown"


class OutageError(EsapError):
    """A place can't be asked now. It is asked again, for hours."""

    code = "outage"
    exit_code = ExitCode.UNAVAILABLE


class NeedsPersonError(EsapError):
    """A place can't be used until somebody acts: a credential, a host key, a permission, a quota."""

    code = "needs-person"
    exit_code = ExitCode.REFUSED


class Piece(Struct, frozen=True):
    """
    One engine run: a slice of a run, or all of it.

    Parameters
    ----------
    key : str
        ``run.epoch.slice.attempt`` of letters, digits, ``-`` and ``.``: what it is called there, for ever. It
        is written down here, and on disk, before `Launcher.start` is called.
    folder : Path
        The run directory where the place shares the store; else a folder with all that is sent there:
        relative paths only, no secret in it. Symbolic links that lead out of it stand for what they lead to.
    command : tuple of str
        Started in the folder (there: in the copy of it).
    environment : mapping
        All of it where the place shares the store; else what is set beside the place's own.
    needs : Allocation
    secrets : tuple of str
        Names of variables whose values are the user's, to be handed over by the place's own means.
    drain : int, optional
        Signal at which its engine lets running jobs end and starts no others. A place that ends what has
        worked for too long sends it in time, `lead` seconds before; None: the engine can't do it.
    lead : int
        Seconds that its longest job takes at most.
    """

    key: str
    folder: Path
    command: tuple[str, ...]
    needs: Allocation
    environment: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
    drain: int | None = None
    lead: int = 0


class Usage(Struct, frozen=True):
    """What a piece has used, as far as the place tells."""

    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    wall_seconds: float | None = None


class Seen(Struct, frozen=True):
    """
    A piece as the place sees it.

    Parameters
    ----------
    condition : Condition
    exit_code : int, optional
        Of its command, if it has ENDED; None if nobody knows it.
    reason : str
        In the place's own words: why it waits, is gone, or can't be seen; of one that has ended why the place
        has ended it.
    where : str
        Host or node, for people.
    root : str
        Absolute folder there in which the command works, links resolved; empty if nobody knows it.
    usage : Usage
    orphans : bool
        Something that it has started may still work although it has ended, or is gone.
    kind : str
        The reason as an `esap_wf.models.run.Reason`, if the place has ended it and knows why: ``TIMEOUT``,
        ``NODE_FAIL``. Empty if it ended by itself, or nobody knows.
    drained : bool
        It has ended because its time at the place was almost over (`Piece.drain`): another goes on.
    """

    condition: Condition
    exit_code: int | None = None
    reason: str = ""
    where: str = ""
    root: str = ""
    usage: Usage = Usage()
    orphans: bool = False
    kind: str = ""
    drained: bool = False


class BatchJob(Struct, frozen=True):
    """
    A job that the engine of a run has submitted to a workload manager, as that tells of it.

    Parameters
    ----------
    id : str
        There; of an array its members are jobs of their own.
    name, comment : str
        As submitted. Anybody may have written them.
    condition : Condition
    state : str
        The workload manager's own word: ``OUT_OF_MEMORY``, ``CANCELLED``.
    reason : str
        Why it waits, or how it ended, in plain words; empty if there is nothing to say.
    since : float, optional
        Of the present condition, seconds since 1970.
    node : str
    exit_code, signal : int, optional
    usage : Usage
    folder : str
        In which it works; empty if nobody says.
    kind : str
        Why one that is over has failed (`esap_wf.models.run.Reason`), as far as its state says it: not by its
        exit code.
    """

    id: str
    name: str
    condition: Condition
    state: str
    comment: str = ""
    reason: str = ""
    since: float | None = None
    node: str = ""
    exit_code: int | None = None
    signal: int | None = None
    usage: Usage = Usage()
    folder: str = ""
    kind: str = ""


class Refusal(Struct, frozen=True):
    """The place does not take a piece, and will not take it later either."""

    reason: str


class Part(StrEnum):
    """What of a piece is pulled."""

    #: What the engine has reported so far (``engine/``) and the logs; also while it runs.
    RECORD = "record"
    #: All of it that came into being or was changed there, but scratch (``work/``, unless wanted).
    RESULTS = "results"


class Signal(Struct, frozen=True):
    """A piece is to get a signal: its engine alone, or all that it has started, too."""

    number: int
    to_jobs: bool


class Served(Struct, frozen=True):
    """
    The run that a launcher works for.

    Parameters
    ----------
    run : str
        Its id.
    folder : Path
        Its directory.
    mode : int, optional
        Of files that are written there.
    containers : sequence of ContainerChoice
        What it may start in containers.
    """

    run: str
    folder: Path
    mode: int | None = None
    containers: Sequence[ContainerChoice] = ()


class Launcher(ABC):
    """
    Starts pieces at one place, for one user. One instance serves one supervisor, from one thread.

    No method but `survivors` answers for what it was not asked. Each may be called again at any time, by
    another process, after a crash in the middle of the last call, and with a key whose handle was lost.

    Attributes
    ----------
    shares_store : bool
        The run directory is seen there under the same path: pieces work in it, nothing is sent or pulled.
    sees_itself : bool
        Pieces are seen without a question to anybody: nothing is to be shared with other runs.
    is_queue : bool
        What is started waits there for its turn, and works on without the process that has started it.
    waiting_for : str
        Why the last call of `start` left some out, for people; empty if it left out none.
    """

    shares_store: bool = False
    sees_itself: bool = False
    is_queue: bool = False
    waiting_for: str = ""

    @abstractmethod
    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        """
        Start pieces. Repeatable: one that is there already, be it ended, gives its handle and is not started
        again.

        Returns
        -------
        mapping
            Key → handle (at most `LONGEST_HANDLE` bytes, opaque), or `Refusal`. A key that is missing is to
            be tried again.

        Raises
        ------
        OutageError
            Nobody knows what was started: the same call is made again.
        NeedsPersonError
        """

    @abstractmethod
    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        """
        How pieces are: key → handle, None if it was never heard. One question for all where the place can.

        Returns
        -------
        mapping
            Key → `Seen`, for each. An outage is `Condition.UNKNOWN` with its reason, and raises nothing.

        Raises
        ------
        NeedsPersonError
        """

    @abstractmethod
    def survivors(self, run: str) -> Sequence[str] | None:
        """Keys of all pieces of a run that wait or run there, whoever started them; None: can't be asked."""

    @abstractmethod
    def stop(self, pieces: Mapping[str, str | None], signal: Signal | None) -> None:
        """
        Ask for the end of pieces: by a signal to each, or (None) by what ends everything of them for sure.
        Returns when it is asked; `look` says when it is done. An outage is no error: who asks, asks again.
        """

    @abstractmethod
    def pull(self, key: str, handle: str | None, into: Path, part: Part, wanted: Sequence[str] = ()) -> None:
        """
        Bring what a piece has made into a folder: whole files, what is there is replaced. Repeatable.

        Parameters
        ----------
        key, handle : str
        into : Path
            Mirrors the folder in which it works.
        part : Part
        wanted : sequence of str
            Further files and folders, relative, and files of a folder by their ending (``work/a/*.jsonl``);
            those that are missing are passed over.

        Raises
        ------
        OutageError
            Nothing, or only a part, has come; `into` may hold whole files of it.
        LookupError
            The place has it no more.
        """

    @abstractmethod
    def forget(self, pieces: Mapping[str, str | None]) -> None:
        """
        Remove all that is there of pieces, which have ended, are gone, or were stopped. Of one that still
        works nothing is removed.

        Raises
        ------
        OutageError
            Not all of it is known to be removed: it is asked again.
        """

    # --- what a place may know better; these do for one that shares nothing with this machine

    def serve(self, run: Served) -> None:
        """
        Told once, before anything is asked: the run whose pieces these are. Where the store is shared, its
        directory may hold the record by which they are found.
        """
        return None

    def wait(self, seconds: float) -> None:
        """Until the time is over, or something may have changed there."""
        time.sleep(seconds)

    def quiet(self, key: str, handle: str | None) -> float | None:
        """
        Processor seconds that a running piece has used so far, if only its engine is there, without any job.
        None if it has jobs, is held up by somebody, or nobody can tell: then it counts as busy.
        """
        return None

    def give_up(self, pieces: Mapping[str, str | None]) -> None:
        """
        Pieces of earlier owners of the run are void from now on, for ever: whatever of them lives, also
        where nobody can be asked now, is to end, and nothing of it is accepted. They may never have been
        started.
        """
        self.stop(pieces, None)

    def clear(self, run: str, grace: float, told: Callable[[str], None]) -> None:
        """
        End whatever is left of a run there, and wait until it is gone as far as one can wait for it here.

        Parameters
        ----------
        run : str
        grace : float
            Seconds before what was asked to end is killed.
        told : callable
            Told in words what is going to be ended, if anything is.

        Raises
        ------
        OutageError
            What is left can't be asked for.
        UnavailableError
            Something can't be ended.
        """
        left = self.survivors(run)
        if left is None:
            raise OutageError(f"what is left of run {run} can't be asked for")
        if left:
            told(f"ending {human_count(len(left), 'piece')} of an earlier attempt: {', '.join(left[:10])}")
            self.stop(dict.fromkeys(left), None)

    def batch_jobs(self, run: str, ended: Sequence[str] = ()) -> Sequence[BatchJob] | None:
        """
        Jobs that the engine of a run has submitted to a workload manager and that wait or work, and those
        of the ids in `ended`, however long ago they have ended, as far as it still knows them. One question
        for all; None: it can't be asked now. The default: there is no workload manager.
        """
        return ()

    def silent_nodes(self) -> Sequence[str]:
        """
        Nodes that the workload manager can't ask: there may work what it does not know any more. Raises as
        `start`. The default: there is no workload manager.
        """
        return ()

    def script(self, piece: Piece) -> str:
        """
        What is submitted for a piece, byte for byte, if the place is given a script. Nothing is submitted.
        The default: none.
        """
        return ""

    def fenced(self, pieces: Mapping[str, str | None]) -> None:
        """
        Who asks has lost the run to a later owner. What that one has given up of these pieces ends, as far as
        it is in reach from here; what it has adopted goes on.
        """
        return None
