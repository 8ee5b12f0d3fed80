"""A new workflow's folder, from the templates that come with esap-wf."""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.errors import Problem, RefusedError, UsageError

TEMPLATES = Path(__file__).parent / "templates" / "workflow"


def make(name: str, into: Path) -> Path:
    """
    Make the folder ``into/name``.

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
        for template in sorted(
            p for p in TEMPLATES.rglob("*") if p.is_file() and "__pycache__" not in p.parts
        ):
            target = folder / template.relative_to(TEMPLATES)
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
