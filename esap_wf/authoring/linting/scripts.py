"""Scripts that can't be read: syntax, and names that nothing in a Python file gives a value.

Nothing is imported or run.
"""

from __future__ import annotations

import ast
import builtins
import shutil
import subprocess
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from esap_wf.catalogue.workflow import Workflow
from esap_wf.errors import EsapError, Problem
from esap_wf.formats import digests, reading

#: What a module has without saying so; Snakemake gives `snakemake` to the scripts that it runs itself.
_GIVEN = {
    *dir(builtins),
    "__file__",
    "__name__",
    "__doc__",
    "__package__",
    "__spec__",
    "__path__",
    "__loader__",
    "snakemake",
    "WindowsError",
}
#: With one of these anything may get a name.
_ANYTHING = {"globals", "locals", "vars", "exec", "eval"}
_NAMED = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.ExceptHandler,
    ast.MatchAs,
    ast.MatchStar,
)


def of_workflow(workflow: Workflow) -> list[Problem]:
    """In all code that is snapshotted."""
    return _all(f.source for f in workflow.code_files() if not f.link)


def problems(folder: Path) -> list[Problem]:
    """In the code of a folder whose manifest can't be read."""
    return _all(digests.code_files(folder))


def _all(files: Iterable[Path]) -> list[Problem]:
    return [p for file in files if file.is_file() for p in _of(file)]


def _of(file: Path) -> Iterator[Problem]:
    if file.suffix == ".py":
        yield from _python(file)
    elif file.suffix in {".sh", ".bash"}:
        yield from _shell(file)


def _python(file: Path) -> Iterator[Problem]:
    try:
        text = reading.read_text(file)
    except (EsapError, UnicodeDecodeError, OSError) as error:
        yield Problem(str(file), f"can't be read: {error}")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, str(file))
            compile(tree, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        yield Problem(
            f"{file}:{getattr(error, 'lineno', None) or 1}",
            f"is not valid Python: {getattr(error, 'msg', None) or error}",
        )
        return
    for line, name in _unknown(tree):
        yield Problem(
            f"{file}:{line}",
            f"{name} is never given a value in this file",
            "correct the name, or add an import",
        )


def _unknown(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names that are read and bound nowhere in a file; of what is bound somewhere nothing is said."""
    bound = set(_GIVEN)
    read: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.setdefault(node.id, node.lineno)
        elif isinstance(node, ast.alias) and node.name == "*":
            return
        elif name := _bound_by(node):
            bound.add(name)
    if not _ANYTHING & set(read):
        yield from ((line, name) for name, line in read.items() if name not in bound)


def _bound_by(node: ast.AST) -> str | None:
    """The name that a part of a program gives a value, if it does."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.alias):
        return node.asname or node.name.partition(".")[0]
    if isinstance(node, ast.MatchMapping):
        return node.rest
    # of a type parameter, too, which Python 3.11 doesn't know
    if isinstance(node, _NAMED) or type(node).__name__ in {"TypeVar", "ParamSpec", "TypeVarTuple"}:
        name: str | None = node.name  # type: ignore[attr-defined]
        return name
    return None


def _shell(file: Path) -> Iterator[Problem]:
    shell = shutil.which("bash")
    if shell is None:
        return
    done = subprocess.run(
        [shell, "-n", str(file.absolute())],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    for line in done.stderr.splitlines()[:1] if done.returncode else []:
        position, _, what = line.removeprefix(f"{file.absolute()}: ").partition(": ")
        yield Problem(f"{file}:{position.removeprefix('line ')}", f"is not a valid shell script: {what}")
