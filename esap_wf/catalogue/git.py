"""The program git, which can ask nobody anything: runs are detached, so a repository that wants a password
fails at once. What a repository holds is never executed here (no hooks, no ``ext::`` transports, no submodule
commands).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from esap_wf.catalogue.addresses import SCHEMES, Reference
from esap_wf.code.repositories import OWN_VARIABLES
from esap_wf.errors import NotFoundError, Problem, UnavailableError

#: Seconds for the answer of a server, and for a whole download; a download that stands still ends earlier
#: (`_STALLED`).
ANSWER, DOWNLOAD = 60, 1800
_STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")


def environment(url: str) -> dict[str, str]:
    """Variables of a git command that is about a URL."""
    ssh = os.environ.get("GIT_SSH_COMMAND") or "ssh"
    kept = {k: v for k, v in os.environ.items() if k not in OWN_VARIABLES}
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
        "GIT_SSH_COMMAND": f"{ssh} -oBatchMode=yes -oConnectTimeout=20",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
        # of submodules too: what comes from the network must not reach into this machine's folders
        "GIT_ALLOW_PROTOCOL": ":".join(s for s in SCHEMES if s != "file" or url.startswith("file:")),
    }


def git(argv: list[str], reference: Reference, folder: Path, seconds: float) -> str:
    """
    Output of one git command in a folder.

    Raises
    ------
    NotFoundError
        There is no such repository or ref.
    UnavailableError
        git is missing, or a server refuses, or doesn't answer in time.
    """
    program = shutil.which("git")
    if program is None:
        raise UnavailableError(
            "git is missing",
            [Problem("git", "is not on PATH", "install git, or give the path of a clone made elsewhere")],
        )
    # line ends and hooks are the user's business in his own clones, not here: a commit means the same bytes
    # everywhere
    safe = [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.autocrlf=false",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.askPass=",
        *_STALLED,
    ]
    folder = next(p for p in [folder, *folder.parents] if p.is_dir())
    with subprocess.Popen(
        [program, *safe, *argv],
        cwd=folder,
        env=environment(reference.url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                what = f"no answer within {seconds:.0f} s"
                raise UnavailableError(
                    "the repository can't be reached", [Problem(reference.url, what, _OFFLINE)]
                ) from None
            raise
    if process.returncode == 0:
        return out
    raise _explained(err, reference)


_OFFLINE = "offline, you can name a commit that was fetched before: URL@COMMIT"
_UNASKED = (
    "runs are detached and can't ask: let git's credential helper or an SSH agent supply it, or "
    "give the path of a clone"
)
_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        (
            r"terminal prompts disabled|Authentication failed|Permission denied \(|could not read "
            r"(Username|Password)|HTTP 40[13]|error: 40[13]"
        ),
        "asks for a password or key",
        _UNASKED,
    ),
    (r"Host key verification failed", "its host key is not known here", "connect to the host with ssh once"),
    (
        r"dubious ownership",
        "belongs to another user, and git refuses it",
        "git config --global --add safe.directory PATH",
    ),
    (
        r"not allowed|transport '",
        "its transport, or that of a submodule, is not allowed",
        "https, ssh, git; file only from file",
    ),
)
_MISSING = (
    r"not found|not exported|does not exist|does not appear to be a git repository"
    r"|couldn't find remote ref|not our ref|Needed a single revision"
)


def _explained(printed: str, reference: Reference) -> Exception:
    """The first line of git's message that says why."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    # of which git only says that it could not read
    ssh = next((line for line in lines if line.startswith("ssh:")), "")
    reason = ssh or next(
        (line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))),
        lines[0] if lines else "git printed nothing",
    )
    reason = "".join(c if c.isprintable() else " " for c in reason)[:300]
    for pattern, what, hint in _REASONS:
        if re.search(pattern, printed):
            return UnavailableError(f"the repository {what}", [Problem(reference.url, reason, hint)])
    if re.search(_MISSING, printed) or not lines:
        return NotFoundError(
            "there is no such repository or ref",
            [Problem(str(reference), reason, "is it spelled correctly? A private repository looks the same")],
        )
    return UnavailableError("the repository can't be fetched", [Problem(reference.url, reason, _OFFLINE)])
