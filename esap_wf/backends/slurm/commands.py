"""Slurm's commands: started without a shell, with a time limit, and what their failures mean."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esap_wf.backends.launcher import NeedsPersonError, OutageError
from esap_wf.backends.slurm.settings import of
from esap_wf.formats.printing import printable
from esap_wf.models.place import Profile

logger = logging.getLogger(__name__)

#: Seconds that a command may take: a controller that is busy answers late.
PATIENCE = 60.0
#: What Slurm's commands say when nobody could be asked; the same question may be answered later.
_AWAY = re.compile(
    r"Unable to contact slurm controller|Connection refused|Connection timed out|Socket timed out"
    r"|Communication connection failure|Slurm backup controller in standby|Resource temporarily unavailable"
    r"|Transport endpoint is not connected|slurm_load_jobs error: Unexpected|Connection reset"
    r"|Unable to connect to database|slurm_persist_conn_open|Zero Bytes were transmitted|Munge decode failed"
    r"|Failed to connect to|Database is busy|temporarily disabled|try again",
    re.IGNORECASE,
)
#: With what users change what the commands do and how they answer; of several clusters none is asked for.
DEFAULTS = ("SBATCH_", "SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_", "SCONTROL_", "SLURM_CLUSTERS")
#: What only a person can mend.
_PERSON = re.compile(r"Access/permission denied|Invalid user id|Authentication|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it says of a failure, in one line for people."""
        text = self.err.strip() or self.out.strip()
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return printable("; ".join(lines[-3:])[:500]) or f"exit code {self.code}"


def away(said: str) -> bool:
    """Whether what a command says of its failure means that nobody could be asked."""
    return bool(_AWAY.search(said))


class Commands:
    """
    The commands of one Slurm.

    Parameters
    ----------
    profile : Profile

    Attributes
    ----------
    accounting : bool, optional
        Whether there is one; None: nobody has asked yet.
    """

    def __init__(self, profile: Profile) -> None:
        settings = of(profile)
        self.accounting: bool | None = None
        self.name = profile.name
        self._folder = settings.commands
        self.environment: Mapping[str, str] = {
            **{k: v for k, v in os.environ.items() if not k.startswith(DEFAULTS)},
            **({"SLURM_CONF": settings.conf} if settings.conf else {}),
            # an answer is read by its words
            "LC_ALL": "C",
            "SLURM_TIME_FORMAT": "%s",
            "SLURM_BITSTR_LEN": "0",
        }

    def where(self, program: str) -> str:
        """
        Path of a command.

        Raises
        ------
        NeedsPersonError
            It isn't there.
        """
        path = self._folder or self.environment.get("PATH", os.defpath)
        found = shutil.which(program, path=path)
        if found is None:
            place = self._folder or "the PATH"
            raise NeedsPersonError(
                f"Slurm's command {program} is not in {place}: install Slurm's client commands here, or name "
                f"their folder in the profile of {self.name} (commands)"
            )
        return found

    def run(
        self,
        program: str,
        *arguments: str,
        given: str = "",
        patience: float = PATIENCE,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """
        Start a command and wait for its end.

        Parameters
        ----------
        program : str
        *arguments : str
        given : str
            Its standard input.
        patience : float
            Seconds.
        environment : mapping, optional
            All of its variables, in place of `environment`.

        Raises
        ------
        OutageError
            Nobody could be asked, or it took too long.
        NeedsPersonError
            It isn't there, or refuses this user.
        """
        argv: Sequence[str] = (self.where(program), *arguments)
        try:
            done = subprocess.run(
                argv,
                input=given,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env=dict(self.environment if environment is None else environment),
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OutageError(f"{program} has not answered within {patience:.0f} s") from None
        except OSError as error:
            raise OutageError(f"{program} can't be started: {error.strerror}") from None
        ended = Ended(done.returncode, done.stdout, done.stderr)
        if ended.code and away(ended.err):
            logger.info("%s: %s", program, ended.said)
            raise OutageError(f"{self.name} can't be asked: {ended.said}")
        if ended.code and program != "sbatch" and _PERSON.search(ended.err):
            raise NeedsPersonError(f"{self.name} refuses {program}: {ended.said}")
        return ended
