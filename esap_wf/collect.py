"""Declared outputs: present, valid by the workflow's own checks, checksummed. Reads only.

Used by the supervisor.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from esap_wf import digests, documents, files, schemas
from esap_wf.errors import EsapError, UsageError
from esap_wf.models.manifest import Manifest, Output
from esap_wf.models.run import Failure, OutputFile, Reason

STEP = "collect"


def collect(
    manifest: Manifest, run: Path, snapshot: Path, beat: Callable[[], None] = lambda: None
) -> tuple[list[OutputFile], list[Failure], list[str]]:
    """
    Look at every declared output.

    Parameters
    ----------
    manifest : Manifest
    run : Path
        Run directory.
    snapshot : Path
        The workflow's folder in it: schemas of outputs stand there.
    beat : callable, optional
        Called between files and while a large one is hashed; may raise to stop.

    Returns
    -------
    outputs : list of OutputFile
    failures : list of Failure
        Missing or invalid ones; empty if the run may be COMPLETED.
    warnings : list of str
        Of the workflow's verdicts.
    """
    found: list[OutputFile] = []
    failures: list[Failure] = []
    warnings: list[str] = []
    verdicts: dict[str, tuple[list[dict[str, object]], list[str]]] = {}
    folders: dict[Path, bool] = {}
    taken: set[Path] = set()
    for output in manifest.outputs:
        paths = sorted(p for p in run.glob(output.path) if p.is_file())
        checks: list[dict[str, object]] = []
        wrong: list[tuple[Reason, str]] = []
        if len(paths) < output.at_least:
            if output.required:
                what = (
                    f"{output.path} is missing"
                    if output.at_least == 1
                    else f"{len(paths)} of at least {output.at_least} files {output.path} are there"
                )
                wrong.append((Reason.MISSING_OUTPUT, what))
            elif not paths:
                continue
        if "*" in output.path:  # a folder of results also holds those that have a name of their own
            paths = [p for p in paths if p not in taken]
        taken.update(paths)
        for path in paths:
            if _leads_out(path, run, folders):
                name = path.relative_to(run).as_posix()
                wrong.append((Reason.INVALID_OUTPUT, f"{name} is a link that leads out of the run directory"))
                continue
            wrong += [(Reason.INVALID_OUTPUT, what) for what in _wrong_with(path, output, run, snapshot, checks)]
        if output.verdict and paths:
            if output.verdict not in verdicts:
                verdicts[output.verdict] = _verdict(run / output.verdict, output.verdict, warnings)
            told, against = verdicts[output.verdict]
            checks += told
            wrong += [(Reason.INVALID_OUTPUT, what) for what in against]
        failures += [Failure(step=STEP, unit=output.name, reason=reason, detail=what) for reason, what in wrong]
        if not wrong:
            for path in paths:
                found.append(
                    OutputFile(
                        name=output.name,
                        path=path.relative_to(run).as_posix(),
                        bytes=path.stat().st_size,
                        sha256=digests.of_file(path, beat),
                        media_type=output.media_type,
                        checks=checks,
                    )
                )
    return found, failures, warnings


def _leads_out(path: Path, run: Path, folders: dict[Path, bool]) -> bool:
    """Whether links lead from a path out of the run directory. Folders are resolved once: there may be 10^5 files in one."""
    if not path.is_symlink():
        path = path.parent
        if path in folders:
            return folders[path]
    try:
        files.inside(run, path)
        out = False
    except UsageError:
        out = True
    folders[path] = out
    return out


def _wrong_with(path: Path, output: Output, run: Path, snapshot: Path, checks: list[dict[str, object]]) -> list[str]:
    name = path.relative_to(run).as_posix()
    size = path.stat().st_size
    if size < output.min_bytes:
        return [f"{name} has {size} bytes, at least {output.min_bytes} are expected"]
    if output.schema:
        try:
            check = schemas.validator(documents.load(snapshot / output.schema, schema=True).data)
            problems = schemas.problems(check, documents.load(path))
        except EsapError as error:
            return [f"{name}: {error}"]
        checks.append({"name": f"schema {output.schema}", "passed": not problems})
        return [str(p) for p in problems]
    return []


def _verdict(path: Path, name: str, warnings: list[str]) -> tuple[list[dict[str, object]], list[str]]:
    """Checks of the workflow's own verdict, and what it says against the output."""
    try:
        data = documents.load(path).data
        checks = [{k: c[k] for k in ("name", "passed", "detail") if k in c} for c in data.get("checks", [])]
        warnings += [str(w) for w in data.get("warnings", []) if str(w) not in warnings]
        against = [f"check failed: {c['name']}" + (f" ({c['detail']})" if c.get("detail") else "") for c in checks if not c["passed"]]
        if data["valid"] is not True and not against:
            against = [f"the workflow's verdict {name} says: not valid"]
        return checks, against
    except EsapError as error:
        return [], [f"the verdict {name} can't be read: {error}"]
    except (KeyError, TypeError, AttributeError):
        return [], [f"the verdict {name} is not of the form that docs/workflows.md describes"]
