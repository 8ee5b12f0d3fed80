"""Accepted results go to the folder where they are wanted."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from esap_wf import files
from esap_wf.errors import EsapError, Problem, RefusedError, UsageError
from esap_wf.formats import digests, reading
from esap_wf.formats.quantities import human_count
from esap_wf.models.plan import Plan
from esap_wf.models.run import OutputFile
from esap_wf.runs.run import Run
from esap_wf.runs.trees import Tree, given_to


def confirm_writable(target: Path) -> None:
    """
    Make sure that results can be copied to a folder, before hours of work are spent on them.

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
        raise RefusedError(
            "results can't be copied there", [Problem("--results", what, "choose another folder")]
        ) from None


def altered(run: Run) -> list[Problem]:
    """Which accepted results are gone or no longer of their size: seen without reading them."""
    outputs, found = run.outputs(), []
    accepted = outputs.outputs if outputs else []
    tree, names = _tree_of(run), {o.path for o in accepted}
    for output in accepted:
        size, added = None, list[str]()
        with contextlib.suppress(OSError, ValueError):
            size, added = _present(run.dir / output.path, output, tree, names)
        found += [Problem(n, "was added to the results after they were accepted") for n in added[:1]]
        if size is None:
            found.append(Problem(output.path, "the result is gone"))
        elif size != output.bytes:
            now = human_count(size, "byte")
            what = f"the result was changed: it has {now}, but {output.bytes} were accepted"
            found.append(Problem(output.path, what))
    return found


def _present(
    path: Path, output: OutputFile, tree: Tree, names: Collection[str]
) -> tuple[int | None, list[str]]:
    """The size that a result has now, None if it is no result any more; and what a folder holds besides."""
    if tree.wrong_with(path) or not path.exists() or path.is_dir() != output.is_folder:
        return None, []
    if not output.is_folder:
        return path.stat().st_size, []
    inner = list(tree.below(path))
    added = [n for p in inner if (n := tree.name(p)) not in names and f"{n}/" not in names]
    return sum(p.stat().st_size for p in inner if not p.is_dir()), added


def copy_outputs(run: Run, target: Path) -> int:
    """
    Copy accepted outputs, keeping their paths below ``outputs/``; each appears whole or not at all, and with
    the accepted content.

    Of a link what it leads to is copied. Folders are copied whole; what a target's folder holds besides
    stays.

    Parameters
    ----------
    run : Run
    target : Path
        A folder; made if it is not there.

    Returns
    -------
    int
        Number of files.

    Raises
    ------
    RefusedError
        The folder can't be written, a file there has other content, or a result is gone or no longer the
        accepted one.
    UsageError
        A name leads out of the run or of the target.
    """
    outputs = run.outputs()
    tree, copied = _tree_of(run), 0
    for output in outputs.outputs if outputs else []:
        try:
            _deliver(run, output, target, tree)
        except OSError as error:
            raise files.explain(error, Path(error.filename or target)) from error
        copied += not output.is_folder
    return copied


def _deliver(run: Run, output: OutputFile, target: Path, tree: Tree) -> None:
    """Copy one output, unless it is there."""
    path = Path(output.path)
    source = _inside(run, path, tree)
    copy = files.inside(
        target.absolute(), path.relative_to("outputs") if path.is_relative_to("outputs") else path
    )
    there = copy.exists()
    if there and (what := _against(copy, output)):
        raise RefusedError(
            "a result is never copied over another file", [Problem(str(copy), what, "choose another folder")]
        )
    if not (source.is_dir() if output.is_folder else source.is_file() or there):
        what = "was accepted, but no longer exists"
        raise RefusedError(
            f"the result {output.name} is gone", [Problem(str(source), what, f"esap-wf rerun {run.id}")]
        )
    if output.is_folder:
        copy.mkdir(parents=True, exist_ok=True)
    elif not there:
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, copy, output, run.id)


def _tree_of(run: Run) -> Tree:
    """The run directory; its links may lead to what the user gave it."""
    given: list[Path] = []
    with contextlib.suppress(EsapError):
        given = given_to(files.read_json(run.dir / "plan.json", Plan))
    return Tree(run.dir, given)


def _inside(run: Run, path: Path, tree: Tree) -> Path:
    """Where a result is: in the run directory, or what a link among the results leads to."""
    try:
        return files.inside(run.dir, path)
    except UsageError:
        if path.is_absolute() or ".." in path.parts or tree.wrong_with(run.dir / path):
            raise
    return run.dir / path


def _against(copy: Path, output: OutputFile) -> str:
    """Why what stands where a result is to be copied must not be touched; empty if it is the same."""
    if output.is_folder:
        return "" if copy.is_dir() else "there is a file"
    if not copy.is_file():
        return "there is a folder" if copy.is_dir() else "something there is not a file"
    return "there is a file with different content" if digests.of_file(copy) != output.sha256 else ""


def _copy(source: Path, copy: Path, output: OutputFile, run_id: str) -> None:
    temporary = copy.with_name(f".{os.urandom(6).hex()}.part")
    content = hashlib.sha256()
    try:
        with reading.opened(source) as given, temporary.open("xb") as written:
            while block := given.read(1 << 20):
                content.update(block)
                written.write(block)
        if content.hexdigest() != output.sha256:
            what = "its content is not what was accepted"
            raise RefusedError(
                f"the result {output.name} was changed",
                [Problem(str(source), what, f"esap-wf rerun {run_id}")],
            )
        temporary.replace(copy)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
