"""A new workflow's folder, from the templates that come with esap-wf."""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.catalogue import manifests
from esap_wf.errors import Problem, RefusedError, UsageError

TEMPLATES = Path(__file__).parent / "templates" / "workflow"
#: What a workflow with shards has in place of it, or beside it.
SHARDS = Path(__file__).parent / "templates" / "shards"


def _files(shards: bool) -> dict[str, Path]:
    """Files of a new workflow, and what they are copies of."""
    found = {p.relative_to(TEMPLATES).as_posix(): p for p in TEMPLATES.rglob("*")}
    if shards:
        rules = manifests.builtin().parent / "rules"
        found |= {p.relative_to(SHARDS).as_posix(): p for p in SHARDS.rglob("*")}
        found |= {
            p.relative_to(rules).as_posix(): p for p in (*rules.glob("shard/*.py"), rules / "shards.smk")
        }
    return {name: p for name, p in sorted(found.items()) if p.is_file() and "__pycache__" not in p.parts}


def make(name: str, into: Path, shards: bool = False) -> Path:
    """
    Make the folder ``into/name``, with `shards` one whose units can share a job.

    Raises
    ------
    UsageError
        The name is none that a manifest may have.
    RefusedError
        The folder is there, or can't be made.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", name):
        raise UsageError(
            "the name is not valid",
            [
                Problem(
                    "NAME", f"{name!r}", "use lower-case letters, digits and dashes, beginning with a letter"
                )
            ],
        )
    folder = into.absolute() / name
    try:
        folder.mkdir(parents=True)
        for place, template in _files(shards).items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(template.read_text("utf-8").replace("<<name>>", name), "utf-8")
    except FileExistsError:
        raise RefusedError(
            f"{folder} already exists",
            [Problem(str(folder), "exists", "choose another name, or another folder with --into")],
        ) from None
    except OSError as error:
        raise RefusedError(
            f"{folder} can't be made", [Problem(str(folder), error.strerror or str(error))]
        ) from None
    return folder
