"""
Where a run's inputs lie in its directory, if the run works where this machine's files are not seen:
``inputs/<name>/<number>/…``, links to what the user gave. What is sent to the place follows them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

import msgspec

from esap_wf import plugins
from esap_wf.models.plan import Plan
from esap_wf.models.request import INPUTS, DataRef

#: Of a run with inputs that lie elsewhere: what brings them without esap-wf (`esap_wf.running.by_hand`).
PROGRAM, LISTING = "stage.py", "stage.json"
#: Files beyond which nobody brings them without esap-wf: a list of more takes longer than the plan.
MANY = 2000
_MAGIC = re.compile(r"[*?\[{]")


def is_elsewhere(plan: Plan) -> bool:
    """Whether a run works at a place that does not see the store."""
    if plan.profile is None or plan.profile.kind == "local":
        return False
    return not plugins.one("esap_wf.backends", plan.profile.kind).shares(plan.profile)


def brought(plan: Plan) -> list[DataRef]:
    """What lies elsewhere until the run is prepared (`esap_wf.running.arrival`), each place once."""
    given = [*chain.from_iterable(plan.inputs.values()), *plan.nested]
    found = {r.path: r for r in given if r.is_brought and r.path and not r.cells}
    return list(found.values())


def brought_by_hand(plan: Plan) -> list[DataRef]:
    """What can be brought without esap-wf: all of it, or nothing."""
    refs = brought(plan)
    return refs if len(refs) <= MANY else []


def by_hand(plan: Plan) -> str:
    """
    Of ``command.sh``: what brings inputs that are missing. The engine gets nothing of it; without Python it
    works if nothing is missing.
    """
    paths = [shlex.quote(ref.path or "") for ref in brought_by_hand(plan)]
    if not paths:
        return ""
    return (
        "# inputs that lie elsewhere, if one is missing\n"
        f'(for input in {" ".join(paths)}; do [ -e "$input" ] || exit 1; done) || '
        f"[ ! -f {PROGRAM} ] || python3 {PROGRAM} </dev/null\n"
    )


def copied(plan: Plan) -> list[DataRef]:
    """Tables that are copied, with paths in place of addresses."""
    return [ref for ref in chain.from_iterable(plan.inputs.values()) if ref.cells]


def staged(plan: Plan) -> dict[str, str]:
    """
    What lies where: path relative to the run directory → absolute path of what the user gave. Empty for a run
    that sees this machine's files.
    """
    if not is_elsewhere(plan):
        return {}
    found: dict[str, str] = {}
    for name, refs in plan.inputs.items():
        for number, ref in enumerate(refs):
            for path in _files_of(ref):
                if not _is_there(plan, path):
                    found[_place(name, number, ref, path)] = path
    return found


def placed(plan: Plan, name: str, number: int, ref: DataRef) -> DataRef:
    """A reference as the engine is given it: where it lies in the run directory, if it had to be staged."""
    if ref.path is None or not ref.path.startswith("/") or not is_elsewhere(plan):
        return ref
    if _is_there(plan, ref.path):
        return ref
    beside = {
        (path if _is_there(plan, path) else _place(name, number, ref, path)): identity
        for path, identity in ref.beside.items()
    }
    return msgspec.structs.replace(ref, path=_place(name, number, ref, ref.path), beside=beside)


def _files_of(ref: DataRef) -> Iterator[str]:
    """Absolute paths of what a reference means: of a pattern its matches, which stand beside it."""
    if ref.path and not (ref.beside and _MAGIC.search(ref.path) and not Path(ref.path).exists()):
        yield ref.path
    yield from ref.beside


def _is_there(plan: Plan, path: str) -> bool:
    """Whether a path means the same at the place, or is the run's own."""
    return not path.startswith("/") or bool(plan.profile and plan.profile.sees(path))


def _place(name: str, number: int, ref: DataRef, path: str) -> str:
    assert ref.path is not None
    parts = PurePosixPath(ref.path).parts
    plain = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    root = Path(*parts[: min(plain, len(parts) - 1)])
    inner = Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path(Path(path).name)
    return f"{INPUTS}/{name}/{number}/{inner.as_posix()}"
