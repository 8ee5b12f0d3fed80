"""Accepted results go to the place where they are wanted. Light: the supervisor, the command line and Python call it.

Imports files, digests, models, runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from esap_wf import digests, files
from esap_wf.errors import Problem, RefusedError
from esap_wf.runs.run import Run


def confirm_writable(target: Path) -> None:
    """
    Make sure that results can be copied to a place, before hours of work are spent on them.

    Raises
    ------
    RefusedError
        It is no folder, or can't be made or written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        what = f"{str(target)[:300]}: {error.strerror or error}"
        raise RefusedError("results can't be copied there", [Problem("--results", what, "choose another place")]) from None


def copy_outputs(run: Run, target: Path) -> None:
    """
    Copy accepted outputs, keeping their places below ``outputs/``; each appears whole or not at all.

    Raises
    ------
    RefusedError
        The place can't be written, or a file there has other content.
    """
    outputs = run.outputs()
    for output in outputs.outputs if outputs else []:
        place = Path(output.path)
        copy = target.absolute() / (place.relative_to("outputs") if place.is_relative_to("outputs") else place)
        if copy.exists() and (not copy.is_file() or digests.of_file(copy) != output.sha256):
            raise RefusedError(
                "a result is not copied over another file",
                [Problem(str(copy), "there is a file with other content", "choose another folder")],
            )
        temporary = copy.with_name(f".{copy.name}.part")
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.dir / place, temporary)
            temporary.replace(copy)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise files.explain(error, copy) from error
