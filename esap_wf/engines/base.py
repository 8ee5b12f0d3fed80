"""The contract between esap-wf and an engine's plug-in. Public through `esap_wf.engines`."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from esap_wf.config import Config
from esap_wf.engines.answers import (
    Demand,
    DryRun,
    Installable,
    Interface,
    LaunchAdditions,
    Outline,
    Results,
    StopSignal,
)
from esap_wf.engines.cursor import Cursor
from esap_wf.engines.job import Job, Rendered
from esap_wf.errors import Problem, UnavailableError
from esap_wf.models.place import Queue
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Event, Failure

#: Version of the contract. It changes when a plug-in that keeps the present one would not be understood any
#: more.
CONTRACT = 1


class EventSource(Protocol):
    """
    Reads what an engine reports, from where the last call ended. `esap_wf.engines.following.Record` is one
    for a file of lines.
    """

    def read(self) -> list[Event]:
        """
        Events since the last call; empty only if there are no more now.

        Called by the supervisor several times a second, each time until it is empty, and once more when the
        engine has ended. A record that is not there yet, or that ends within a line, is no error. The last
        event of each call has a mark (`Event.mark`): by it a successor of a killed supervisor knows what was
        passed on.
        """
        ...


class EngineBase(ABC):
    """
    What esap-wf asks of an engine. A plug-in derives from this class, names the attributes without a value,
    and writes `render` and `events`; everything else has a default.

    Instances are made without arguments, wherever one is needed, and nothing is kept in them: the process
    that plans a run is not the one that watches it, and another one may go on watching it after a crash, with
    a later version of the plug-in. What a run needs to remember is in its run directory. Methods are called
    by position.

    An installation at a place elsewhere (`EngineChoice.place`) is not looked for by the plug-in, and no
    method may look at this machine for it: what is known of it is `programs`, `packages` and its version.

    What a method may raise, it says; any `EsapError` is shown to the user with its problems. Anything else
    counts as a fault of the plug-in: while planning the command ends with an internal error, in the
    supervisor the run ends as ERROR, and ``logs/supervisor.log`` has the traceback.

    Attributes
    ----------
    contract : int
        The version of the contract that the plug-in is written for: a number, not `CONTRACT`, which would
        always fit.
    name, title : str
        That of the entry point; for people.
    runtimes : str
        Container runtimes that it can drive, separated by spaces (``apptainer docker podman udocker``); empty
        if none.
    program : str
        Name of its executable, for the default of `installations`.
    package : str
        Its distribution, if it is a Python package: so its version is known without starting it.
    needs : str
        The versions that the plug-in can drive, as PEP 440 has it (``>=9.3``); empty: all.
    pins : Path, optional
        A requirements file with hashes or pinned versions, from which ``esap-wf engines install`` builds an
        environment of its own.
    refused_in_paths : str
        Regular expression of what the path of a run may not hold, besides the colon.
    records : tuple of str
        What `events`, `explain` and `results` read beside ``engine/`` and is written while the engine works:
        paths relative to the run directory. At places that don't share the store it is brought back often.
    queues : tuple of str
        Kinds of workload managers to which it can submit its jobs itself (`Job.queue`): ``("slurm",)``.
    raises : bool
        Whether `launch_additions` gives submitted jobs what was raised (`esap_wf.engines.queued.raised`).
    drains : bool
        Stopped with time left (`stop_signal`), it starts nothing more, waits for its jobs, and another one
        goes on from there without repeating anything.
    takes_up : bool
        Whether it can count as done what jobs have done that ended at a workload manager while no engine
        lived (`take_up`). Then a new engine waits for the jobs of a killed one; else those are ended.
    """

    contract: int
    name: str
    title: str
    runtimes: str = ""
    program: str = ""
    package: str = ""
    needs: str = ""
    pins: Path | None = None
    refused_in_paths: str = ""
    records: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    raises: bool = False
    drains: bool = False
    takes_up: bool = False

    # --- installations: asked while planning, by `engines list` and `doctor`

    def installations(self, config: Config) -> Iterable[EngineChoice]:
        """
        Every installation that is there, best first: configured, esap-wf's own environment, PATH, ``engines
        install``.

        Called once a plan, and read no further than to the first one that can be used. A configured path is
        never replaced by another. The default looks for `program`, and asks what doesn't have the metadata of
        `package` with ``--version``.

        Raises
        ------
        UsageError
            What is configured is not there.
        """
        from esap_wf.engines import programs

        return programs.choices(self, config)

    def why_unsuitable(self, choice: EngineChoice, requires: str | None) -> str:
        """
        Why an installation is of no use, for a pipeline that `requires` a version in the engine's own words;
        empty if it is of use.

        Called once for each of `installations`. The default holds the version against `requires` and `needs`.
        """
        from esap_wf.engines import programs

        return programs.incompatibility(choice.version, requires, self.needs)

    def lacks(self) -> list[Problem]:
        """
        Parts of the plug-in itself that are missing, whichever installation is taken.

        Called before `installations`: with any of them the engine is passed over. The default: nothing.
        """
        return []

    def how_to_install(self) -> str:
        """
        One line for people: the command that installs it, and what to do without internet. Called when none
        can be used.
        """
        if self.pins:
            return f"esap-wf engines install {self.name}"
        return (
            f"put {self.program or self.title} on PATH, or name it in the configuration: "
            f"[engines.{self.name}] path"
        )

    def installable(self, requires: str | None) -> Installable | None:
        """
        What `install` would give; None if it can't tell. Called when no installation can be used, so that no
        useless advice is given.

        The default: the version of `package` in `pins`.
        """
        from esap_wf.engines import programs

        return programs.pinned(self, requires)

    def install(self, config: Config) -> Path:
        """
        Install it below the cache and say where. Called by ``engines install`` only, which may be killed:
        half a result is no installation.

        Raises
        ------
        UnavailableError
            It can't be had from here, and what to do instead. The default: without `pins`.
        """
        from esap_wf.software import environments

        if self.pins is None:
            problem = Problem(self.title, "is not installed by esap-wf", self.how_to_install())
            raise UnavailableError(f"{self.title} can't be installed from here", [problem])
        return environments.build(self.pins, config.cache)

    # --- a pipeline: asked by `show`, while planning and by `lint`; nothing is started, nothing is written

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """
        The interface of a pipeline without a manifest; None if this is none of this engine's.

        Called with any file or folder that a user names, of every engine: it is to be quick with what is
        somebody else's. `item` is the part of the file that is meant. The default: None, the engine needs a
        manifest.

        Raises
        ------
        UsageError
            It is one of this engine's, but broken: every problem with file and line. No other engine is asked
            then.
        """
        return None

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """
        What the pipeline in a file needs and this installation can't do, by file and line, before anything
        runs.

        Called once for each installation of a suitable version; with any, the next one is tried. The default:
        nothing.
        """
        return []

    def demands(
        self, entry: Path, item: str | None, options: Sequence[str], values: Mapping[str, Any]
    ) -> list[Demand]:
        """
        Cores, memory and time that the steps ask for, with a user's options and parameters. Called once a
        plan. The default: unknown.

        Raises
        ------
        UsageError
            The pipeline is broken; it is passed over here, for the engine to say.
        """
        return []

    def conflicts(self, choice: EngineChoice, job: Job) -> list[Problem]:
        """
        What of one job can't be done: a profile whose executor is not there, an image that its steps insist
        on.

        Called once a plan, after `render`; with any the plan is refused. The default: nothing.
        """
        return []

    @abstractmethod
    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """
        The bare command and its files.

        Called while planning, and once more when the run is created: the same arguments must give the same
        answer, wherever and whenever they are given. Values of users reach the command as whole arguments or
        in files, never as a part of a shell line.

        Raises
        ------
        UsageError, RefusedError, UnavailableError
            It can't be done like this, and what to do.
        """

    def profile(self, queue: Queue) -> Mapping[str, bytes]:
        """
        Files by which people let the bare engine submit any pipeline's jobs to a workload manager, without
        esap-wf: path → content. The default: none.
        """
        return {}

    # --- a run: asked by its supervisor, which lives as long as the run; by another one after a crash

    def launch_additions(self, run: Path, epoch: int, resume: bool) -> LaunchAdditions:
        """
        What is added to the bare command, so that the engine reports what happens and goes on where it was.

        Called once an epoch (a start of the engine, counted from 1), right before it is started, when nothing
        of an earlier epoch is alive any more on this machine. It may write below ``engine/`` and ``work/`` of
        the run. `resume`: there was an earlier epoch. What the engine starts must inherit its environment, in
        which the run's key is, in containers, too: by it the supervisor finds what a killed engine has left.
        The default: nothing.

        Raises
        ------
        UnavailableError
            A part of the plug-in is gone; the run ends as ERROR and can be resumed.
        """
        return LaunchAdditions()

    def left_behind(self, run: Path, epoch: int) -> list[Event]:
        """
        Jobs that a killed engine of an epoch had submitted and whose end it didn't tell, with their ids at
        the workload manager (`Event.batch`).

        Called when none of them waits or works any more, for an engine that `takes_up`. The default: none.
        """
        return []

    def take_up(self, run: Path, jobs: Sequence[Event]) -> None:
        """
        Some of `left_behind` have ended well, as the workload manager says: what they have made counts as
        done for the next engine. Called before it is started; may be called twice. The default: nothing.
        """
        return None

    @abstractmethod
    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        """
        What the engine of an epoch reports, behind `cursor`.

        Called once by each supervisor that watches the epoch, also before the engine has written anything,
        and once more for an earlier epoch whose supervisor was killed. An event that was passed on is never
        reported again; a field that the engine doesn't report is None.
        """

    def stop_signal(self, drain: bool) -> StopSignal | None:
        """
        How it is asked to let running jobs finish and to start no others (`drain`), or to cancel them.

        Called when a stop is asked for, twice if a drain is followed by a cancel. An engine that doesn't end
        in a quarter of a minute when it is to cancel is killed, and so is what it left. None, to `drain`
        only: it can't let them finish; then they are cancelled, and the run says so. The default: it can't,
        and SIGTERM to the engine and its jobs.
        """
        return None if drain else StopSignal(signal.SIGTERM, to_jobs=True)

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """
        Why it ended badly, from its own records, the cause first; empty if they don't say.

        Called once, when it has ended with another code than 0 (None: nobody saw it), nobody asked it to, and
        no event reported a failed job. The default: nothing; then the run says the exit code.
        """
        return []

    def ended_well(self, run: Path, epoch: int) -> bool:
        """
        Whether an engine whose end nobody saw has left what it leaves only when it ends well.

        Called when the process that waited for it was killed, too. The default: False; then it is started
        again, and looks itself at what is done.
        """
        return False

    def results(self, run: Path, epoch: int) -> Results | None:
        """
        What it names as results itself; None if it names none: then patterns and what appeared count.

        Called once, when it has ended well; `epoch` is the one that ended, and what earlier ones did counts
        as well. Whatever it raises does no harm: a warning says so. The default: None.
        """
        return None

    # --- lint

    def outline(self, entry: Path, item: str | None) -> Outline:
        """What the pipeline's files show without the engine. Called once a file. The default: nothing."""
        return Outline()

    def job_problems(self, entry: Path, item: str | None, job: Job) -> list[Problem]:
        """
        What a job of example values lacks. Called once a file, if there are example values. The default:
        nothing.
        """
        return []

    def dry_run(self, choice: EngineChoice, job: Job, rendered: Rendered) -> list[str] | None:
        """
        The command that reads everything and starts nothing, in a folder where `rendered` was written; None,
        the default: there is none.

        Called once an implementation; several are at work at the same time, and one that takes longer than
        five minutes is killed.
        """
        return None

    def read_dry_run(self, exit_code: int, text: str, entry: str) -> DryRun:
        """
        What a dry run has printed, on both streams. Called once when it has ended. The default: an exit code
        is a problem.
        """
        problem = Problem(entry, f"{self.title} can't read it: exit code {exit_code}", text.strip()[-300:])
        return DryRun((problem,) if exit_code else ())
