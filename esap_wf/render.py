"""From a plan to a run directory that the bare engine runs by hand. Writes below one folder only.

Imported by plan (names), flow, supervisor.
"""

from __future__ import annotations

import json
import shlex
import shutil
import stat
from pathlib import Path
from typing import Any

from esap_wf import digests
from esap_wf.catalog import Workflow
from esap_wf.errors import EsapError
from esap_wf.models.plan import Plan
from esap_wf.models.request import DataRef
from esap_wf.models.run import encode

PARAMS = "config.json"
COMMAND = "command.sh"

_COMMAND = """\
#!/usr/bin/env bash
# {title}, with the bare engine: `bash {command}`. esap-wf is not needed. Arguments are added to the engine's.
set -euo pipefail
cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")"
{path}exec {argv} "$@"
"""


def snapshot_place(code: str) -> str:
    """Where the snapshot of some code stands in a run directory."""
    return f"code/{code[:16]}"


def manifest_of(plan: Plan) -> Path:
    """The snapshot's manifest, relative to the run directory."""
    source = Path(plan.source)
    return Path(snapshot_place(plan.code), "workflows", source.parent.name, source.name)


def files_of(workflow: Workflow, code: str) -> list[str]:
    """What `render` writes, relative to the run directory."""
    names = ["request.json", "plan.json", PARAMS, COMMAND]
    for place, folder in workflow.code_folders().items():
        names += [f"{snapshot_place(code)}/{place}/{p.relative_to(folder).as_posix()}" for p in digests.code_files(folder)]
    return names


def config_of(plan: Plan) -> dict[str, Any]:
    """The flat configuration that the engine gets (docs/workflows.md)."""
    # a default that comes with the workflow is read from the snapshot: the workflow's own folder is not the run's to touch
    folder, inside = Path(plan.source).parent, manifest_of(plan).parent
    snapshot = {str(folder / Path(name).relative_to(inside)): name for name in plan.files if Path(name).is_relative_to(inside)}
    paths = {name: [snapshot.get(_path(ref), _path(ref)) for ref in refs] for name, refs in plan.inputs.items()}
    return {**plan.parameters, "inputs": paths, "selected": plan.selected, "workflow": plan.workflow}


def _path(ref: DataRef) -> str:
    if ref.path is None:
        raise EsapError(f"{ref.uri} has no path: an input must be staged before a run is rendered")
    return ref.path


def command_script(plan: Plan) -> str:
    """``command.sh``: every word quoted, so that a path or an option can't become a command."""
    path = ""
    if plan.software.bin_dirs:
        path = f'export PATH={":".join(shlex.quote(d) for d in plan.software.bin_dirs)}:"$PATH"\n'
    title = "".join(c if c.isprintable() else " " for c in plan.title)
    return _COMMAND.format(title=title, command=COMMAND, path=path, argv=shlex.join(plan.command))


def render(plan: Plan, workflow: Workflow, target: Path) -> None:
    """
    Write a run directory's engine side.

    Parameters
    ----------
    plan : Plan
    workflow : Workflow
        Whose code is snapshotted; it has the plan's digest.
    target : Path
        An empty staging folder.
    """
    (target / "request.json").write_bytes(encode(plan.request))
    (target / "plan.json").write_bytes(encode(plan))
    (target / PARAMS).write_text(json.dumps(config_of(plan), indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    script = target / COMMAND
    script.write_text(command_script(plan), "utf-8")
    script.chmod(0o755)
    root = target / snapshot_place(plan.code)
    for place, folder in workflow.code_folders().items():
        for source in digests.code_files(folder):
            copy = root / place / source.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(0o555 if source.stat().st_mode & 0o100 else 0o444)
    for folder in sorted((p for p in root.rglob("*") if p.is_dir()), reverse=True):
        # without the write bits only: a shared store's folders keep their group (setgid)
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o222)
    for name in ("outputs", "logs", "engine"):
        (target / name).mkdir()
