"""``piece.sh``: what a place is given to start for a piece."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

from esap_wf.engines import LaunchAdditions
from esap_wf.models.place import Profile

NAME = "piece.sh"
#: What names a piece in the environment of its processes; not `processes.RUN_VARIABLE`, by which the run's
#: own processes on this machine are found and ended.
VARIABLE = "ESAP_WF_PIECE"
_HEAD = """\
#!/usr/bin/env bash
# {title}
set -euo pipefail
cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")"
here=$PWD
mkdir -p engine logs outputs work
exec >> logs/engine.log 2>&1
"""
#: The lines of ``command.sh`` that a piece's own head stands for.
_COMMAND_HEAD = re.compile(r"\A(?:#[^\n]*\n)*set -euo pipefail\ncd [^\n]*\n")


def text(
    command: str, title: str, key: str, profile: Profile, additions: LaunchAdditions, folder: str
) -> str:
    """
    The script of a piece.

    Parameters
    ----------
    command : str
        Text of ``command.sh``, without what brings inputs: a piece gets them.
    title : str
        For people who read it.
    key : str
    profile : Profile
        Of the place: modules, and which of the user's variables a piece gets.
    additions : LaunchAdditions
        Of the engine, made for a folder of this machine.
    folder : str
        That folder: where it stands in the additions, the script's own folder is meant.
    """
    lines = [_HEAD.format(title=" ".join(title.split()))]
    lines += [f"export {VARIABLE}={shlex.quote(key)}\n"]
    passed = {name: os.environ[name] for name in profile.environment if name in os.environ}
    lines += [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(passed.items())]
    if profile.software.modules:
        lines.append(f"module load {shlex.join(profile.software.modules)}\n")
    if profile.software.path:
        lines.append(f'export PATH={shlex.quote(":".join(profile.software.path))}:"$PATH"\n')
    lines += [_export(name, value, folder) for name, value in sorted(additions.environment.items())]
    lines.append(f"set -- {_words(additions.arguments, folder)}\n")
    return "".join(lines) + _COMMAND_HEAD.sub("", command)


def _export(name: str, value: str, folder: str) -> str:
    # an engine's plug-in goes before what is there; it is not told what that is
    after = '"${PYTHONPATH:+:$PYTHONPATH}"' if name == "PYTHONPATH" else ""
    return f"export {name}={_quoted(value, folder)}{after}\n"


def _words(words: Sequence[str], folder: str) -> str:
    return " ".join(_quoted(word, folder) for word in words)


def _quoted(word: str, folder: str) -> str:
    """A word for bash; `folder` in it is wherever the script stands."""
    if not word:
        return "''"
    parts = word.split(folder)
    return '"$here"'.join(shlex.quote(part) if part else "" for part in parts)
