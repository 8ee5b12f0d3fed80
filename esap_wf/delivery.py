"""Accepted results go to the place where they are wanted. Light: the supervisor, the command line and Python call it.

Imports files, digests, models, runs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path

from esap_wf import digests, files
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.models.run import OutputFile
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


def altered(run: Run) -> list[Problem]:
    """Which accepted results are gone or no longer of their size: seen without reading them."""
    outputs, found = run.outputs(), []
    for output in outputs.outputs if outputs else []:
        try:
            place = files.inside(run.dir, output.path)
            size = place.stat().st_size if place.is_file() else None
        except (OSError, UsageError):
            size = None
        if size is None:
            found.append(Problem(output.path, "the result is gone"))
        elif size != output.bytes:
            found.append(Problem(output.path, f"the result was changed: it has {size} bytes, {output.bytes} were accepted"))
    return found


def copy_outputs(run: Run, target: Path) -> None:
    """
    Copy accepted outputs, keeping their places below ``outputs/``; each appears whole or not at all, and with the accepted content.

    Parameters
    ----------
    run : Run
    target : Path
        A folder; made if it is not there.

    Raises
    ------
    RefusedError
        The place can't be written, a file there has other content, or a result is gone or no longer the accepted one.
    UsageError
        A name leads out of the run or of the target.
    """
    outputs = run.outputs()
    for output in outputs.outputs if outputs else []:
        place = Path(output.path)
        try:
            source = files.inside(run.dir, place)
            copy = files.inside(target.absolute(), place.relative_to("outputs") if place.is_relative_to("outputs") else place)
            there = copy.exists()
            if there and (not copy.is_file() or digests.of_file(copy) != output.sha256):
                raise RefusedError(
                    "a result is not copied over another file",
                    [Problem(str(copy), "there is a file with other content", "choose another folder")],
                )
            if not there:
                copy.parent.mkdir(parents=True, exist_ok=True)
                _copy(source, copy, output, run.id)
        except OSError as error:
            raise files.explain(error, Path(error.filename or target)) from error


def _copy(source: Path, copy: Path, output: OutputFile, run_id: str) -> None:
    hint = f"esap-wf rerun {run_id}"
    if not source.is_file():
        raise RefusedError(f"the result {output.name} is gone", [Problem(str(source), "was accepted, but is no longer there", hint)])
    temporary = copy.with_name(f".{os.urandom(6).hex()}.part")
    content = hashlib.sha256()
    try:
        with source.open("rb") as given, temporary.open("xb") as taken:
            while block := given.read(1 << 20):
                content.update(block)
                taken.write(block)
        if content.hexdigest() != output.sha256:
            what = "its content is not the one that was accepted"
            raise RefusedError(f"the result {output.name} was changed", [Problem(str(source), what, hint)])
        temporary.replace(copy)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
