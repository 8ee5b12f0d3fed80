"""The verb attend: runs whose supervisor is gone go on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import click

from esap_wf.cli.output import Answer, Verb

if TYPE_CHECKING:
    from esap_wf.attending import Attended
    from esap_wf.config import Config

#: Runs that one that stays remembers for its answer.
REMEMBERED = 1000
UNIT = "esap-wf-attend.service"


@click.command(
    "attend",
    cls=Verb,
    examples=[
        "esap-wf attend --once",
        "esap-wf attend --unit",
    ],
)
@click.option("--once", is_flag=True, help="Look once, and don't stay.")
@click.option(
    "--unit",
    is_flag=True,
    help="Print a unit file for systemd that attends the runs of this store; do nothing.",
)
@click.pass_obj
def attend(answer: Answer, once: bool, unit: bool) -> None:
    """
    Resume your runs whose supervisor is gone, because it was killed or the machine was started anew. Runs
    of others, runs that have ended, and runs that were cancelled are not resumed; what was cancelled and lost
    its supervisor is ended.

    It stays and looks again each minute until it gets SIGTERM; with --once it looks once, and watches an
    owner on another host for half a minute. Several may attend at the same time.

    \b
    As a service of systemd, that goes on when you have logged out:
      esap-wf attend --unit > ~/.config/systemd/user/esap-wf-attend.service
      systemctl --user daemon-reload
      systemctl --user enable --now esap-wf-attend.service
      loginctl enable-linger
    """
    config = answer.config()
    if unit:
        text = unit_file(config)
        answer.give({"name": UNIT, "unit": text}, text.rstrip("\n"))
        return
    from esap_wf.attending import EVERY, Attendant
    from esap_wf.runs.lease import TTL

    attendant = Attendant(config, answer.say)
    if once:
        found = attendant.look(patience=TTL + 1)
        answer.give({"attended": found}, "\n".join(map(_line, found)) or "no run needs a supervisor")
        return
    asked_to_end = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
    try:
        seen: deque[Attended] = deque(maxlen=REMEMBERED)
        answer.say(f"attending the runs in {config.store}")
        while not asked_to_end.is_set():
            for one in attendant.look():
                seen.append(one)
                answer.say(_line(one))
            asked_to_end.wait(EVERY)
    finally:
        signal.signal(signal.SIGTERM, before)
    answer.give({"attended": list(seen)}, "")


def _line(one: Attended) -> str:
    return f"{one.run} {one.phase}: {one.why}"


# --- the unit


def unit_file(config: Config) -> str:
    """
    A unit of systemd for this store, with this program, and what decides where things are.

    Supervisors are its children: they stay when it ends (``KillMode=process``).
    """
    own = Path(sys.executable).parent / "esap-wf"
    program = str(own) if own.is_file() else shutil.which(sys.argv[0]) or sys.argv[0]
    words = [str(Path(program).absolute()), "--store", str(config.store), "attend"]
    variables = {
        "ESAP_WF_CONFIG": str(config.source.absolute()),
        "ESAP_WF_CACHE": str(config.cache.absolute()),
        "PATH": os.environ.get("PATH", os.defpath),
    }
    return "\n".join(
        [
            "[Unit]",
            f"Description=esap-wf resumes runs whose supervisor is gone, in {_plain(str(config.store))}",
            "",
            "[Service]",
            f"ExecStart={' '.join(_quoted(word, command=True) for word in words)}",
            *(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()),
            "Restart=on-failure",
            "RestartSec=30",
            "KillMode=process",
            "",
            "[Install]",
            "WantedBy=default.target",
            "",
        ]
    )


def _plain(text: str) -> str:
    """A text as a value that is not split into words."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("%", "%%").rstrip("\\")


def _quoted(text: str, command: bool = False) -> str:
    """A word as systemd reads it: in double quotes, with nothing that it would replace."""
    escaped = "".join(
        f"\\{c}" if c in '"\\' else c if c.isprintable() else "".join(f"\\x{b:02x}" for b in os.fsencode(c))
        for c in text
    ).replace("%", "%%")
    return f'"{escaped.replace("$", "$$") if command else escaped}"'
