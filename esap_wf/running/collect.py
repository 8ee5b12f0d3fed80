"""Results: what the workflow declares or the engine names, present, valid by the workflow's own checks,
checksummed. Reads only.

Used by the supervisor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.engines import EngineBase, Results
from esap_wf.errors import EsapError
from esap_wf.formats import digests, documents, schemas
from esap_wf.formats.quantities import human_count
from esap_wf.models.manifest import Manifest, Output
from esap_wf.models.run import FOLDER_TYPE, Failure, OutputFile, Reason
from esap_wf.running.products import Workplace
from esap_wf.runs.trees import SHOWN, Tree

STEP = "collect"
#: What a result is called that nobody has given a name.
UNNAMED = "results"
NOTHING = (
    "there is no result: nothing that the pipeline declares or its engine names exists, and nothing "
    "appeared where it worked"
)


@dataclass
class Collected:
    """
    What was found.

    Parameters
    ----------
    outputs : list of OutputFile
    values : dict
        What the engine gave back that is no file.
    failures : list of Failure
        Missing or invalid ones; empty if the run may be COMPLETED.
    warnings : list of str
        Of the workflow's verdicts, and what was passed over.
    """

    outputs: list[OutputFile] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def named_by(engine: EngineBase, run: Path, epoch: int) -> tuple[Results | None, list[str]]:
    """What an engine names as results, and a warning if its plug-in can't."""
    try:
        told = engine.results(run, epoch)
        msgspec.json.encode(told.values if told else None)
    except Exception as error:  # a plug-in may raise anything, and the work is done
        what = f"{type(error).__name__}: {error}"[:300]
        return None, [
            (
                f"what {engine.title} names as results can't be read, so what is in the run directory is "
                f"taken: {what}"
            )
        ]
    return told, []


def collect(
    manifest: Manifest,
    run: Path,
    snapshot: Path,
    beat: Callable[[], None] = lambda: None,
    *,
    told: Results | None = None,
    given: Iterable[Path] = (),
    place: Workplace | None = None,
) -> Collected:
    """
    Look at every result.

    Parameters
    ----------
    manifest : Manifest
    run : Path
        Run directory.
    snapshot : Path
        The workflow's folder in it: schemas of outputs stand there.
    beat : callable, optional
        Called between files and while a large one is hashed; may raise to stop.
    told : Results, optional
        What the engine itself names: it takes the place of outputs that are only guessed (`Output.guess`).
    given : iterable of Path
        What the user gave the run: a link to it is a result.
    place : Workplace, optional
        Where a pipeline worked that was not written for esap-wf: if nobody says what its results are, what
        appeared there is.
    """
    look = _Look(run, snapshot, beat, given, place)
    told = told or Results(appeared="if empty")
    look.found.values = dict(told.values)
    # what their author declares is what there is
    if manifest.outputs and not any(o.guess for o in manifest.outputs):
        told = replace(told, paths=None, appeared="if empty" if told.appeared != "never" else "never")
    wanted = [o for o in manifest.outputs if told.paths is None or not o.guess]
    # what has a name of its own first: a pattern takes the rest
    for output in [o for o in wanted if told.paths is None or "*" not in o.path]:
        look.declared(output)
    for name, path in _flat(told.paths):
        look.named(name, path, manifest.outputs)
    for output in [o for o in wanted if told.paths is not None and "*" in o.path]:
        look.declared(output)
    empty = not look.found.values and not any(o.bytes for o in look.found.outputs)
    if (
        place
        and not look.found.failures
        and (told.appeared == "always" or (told.appeared == "if empty" and empty))
    ):
        look.appeared(place, manifest.outputs, guessed=told.appeared != "always")
    look.found.warnings += _at_most(look.tree.told)
    if not look.found.outputs and not look.found.values and not look.found.failures:
        look.found.warnings.insert(0, NOTHING)
    return look.found


class _Look:
    """One look at a run directory."""

    def __init__(
        self,
        run: Path,
        snapshot: Path,
        beat: Callable[[], None],
        given: Iterable[Path],
        place: Workplace | None,
    ) -> None:
        self.run, self.snapshot, self.beat, self.place = run, snapshot, beat, place
        self.tree = Tree(run, given, beat)
        self.found = Collected()
        self.taken: set[Path] = set()
        self.names: dict[Path, set[str]] = {}
        self.verdicts: dict[str, tuple[list[dict[str, object]], list[str]]] = {}
        self.sums: dict[Path, str] = {}

    def declared(self, output: Output) -> None:
        """What a pattern of the manifest means."""
        paths, checks, wrong = (
            self.tree.matching(output.path),
            list[dict[str, object]](),
            list[tuple[Reason, str]](),
        )
        if output.guess and self.place:
            paths = [p for p in paths if not self.place.is_own(p)]
        if len(paths) < output.at_least:
            if output.required and not output.guess:
                what = (
                    f"{output.path} is missing"
                    if output.at_least == 1
                    else (
                        f"{human_count(len(paths), 'file')} matching {output.path}, but at least "
                        f"{output.at_least} expected"
                    )
                )
                wrong.append((Reason.MISSING_OUTPUT, what))
            elif not paths:
                return
        if "*" in output.path:  # a folder of results also holds those that have a name of their own
            paths = [p for p in paths if p not in self.taken]
        needed = output.required and not output.guess and "*" not in output.path
        for path in [p for p in paths if needed and self.tree.wrong_with(p)]:
            wrong.append((Reason.INVALID_OUTPUT, self.tree.wrong_with(path)))
            paths.remove(path)
        usable = [p for p in paths if not self._passed_over(p)]
        for path in usable:
            wrong += [(Reason.INVALID_OUTPUT, what) for what in self._wrong_with(path, output, checks)]
        if output.verdict and paths:
            if output.verdict not in self.verdicts:
                self.verdicts[output.verdict] = _verdict(
                    self.run / output.verdict, output.verdict, self.found.warnings
                )
            said, against = self.verdicts[output.verdict]
            checks += said
            wrong += [(Reason.INVALID_OUTPUT, what) for what in against]
        self.found.failures += [
            Failure(step=STEP, unit=output.name, reason=reason, detail=what) for reason, what in wrong
        ]
        if not wrong:
            for path in usable:
                self.accept(path, output.name, output.media_type, checks)

    def named(self, name: str, place: str, outputs: list[Output]) -> None:
        """A path that the engine names."""
        path = self.run / place
        if "://" in place or ".." in path.parts or not path.is_relative_to(self.run):
            self.tree.tell(f"{place} is outside of the run directory")
        elif not path.exists() and not path.is_symlink():
            self.tree.tell(f"{self.tree.name(path)} was named as a result but does not exist")
        elif not (self.place and self.place.is_own(path)):
            self._undeclared(path, name, outputs)

    def appeared(self, place: Workplace, outputs: list[Output], guessed: bool) -> None:
        """What appeared where the pipeline worked."""
        before = len(self.found.outputs)
        for path in place.appeared(self.tree, self.taken):
            self._undeclared(path, "", outputs)
        if guessed and (count := len(self.found.outputs) - before):
            why = "what is named as a result is empty" if before else "nothing says what the results are"
            self.found.warnings.append(
                f"{why}; as a guess, what appeared in {place.folder} is taken "
                f"({human_count(count, 'file or empty folder', 'files or empty folders')})"
            )

    def _undeclared(self, path: Path, name: str, outputs: list[Output]) -> None:
        """A result without a name gets that of an output whose pattern it fits."""
        # an engine may give one file under several names
        names = self.names.setdefault(path, set())
        if (path in self.taken and (not name or not names or name in names)) or self._passed_over(path):
            return
        names |= {name} if name else set()
        relative = self.tree.name(path)
        fitting = [
            o
            for o in outputs
            if (o.name == name if name else fnmatchcase(relative, o.path) or relative == o.path.rstrip("/"))
        ]
        media_type = fitting[0].media_type if fitting else Output(name="any", path="any").media_type
        self.accept(path, name or (fitting[0].name if fitting else UNNAMED), media_type, [])

    def accept(self, path: Path, name: str, media_type: str, checks: list[dict[str, object]]) -> None:
        """Enter a file, or a folder with all that it holds."""
        if not path.is_dir():
            self._enter(path, name, media_type, checks, path.stat().st_size, self._sum(path))
            return
        inner = list(self.tree.below(path))
        named = {p for p in inner if p in self.taken}
        total = hashlib.sha256()
        for part in inner:
            kind = "folder" if part.is_dir() else self._sum(part)
            total.update(f"{part.relative_to(path).as_posix()}\0{kind}\n".encode())
        size = sum(p.stat().st_size for p in inner if not p.is_dir())
        self._enter(path, name, FOLDER_TYPE, checks, size, total.hexdigest())
        for part in inner:
            if part in named:  # it has an entry already, and a name of its own
                continue
            if part.is_dir():
                self._enter(part, name, FOLDER_TYPE, [], 0, hashlib.sha256().hexdigest())
            else:
                self._enter(part, name, media_type, [], part.stat().st_size, self._sum(part))

    def _enter(
        self, path: Path, name: str, media_type: str, checks: list[dict[str, object]], size: int, content: str
    ) -> None:
        self.taken.add(path)
        place = self.tree.name(path) + ("/" if media_type == FOLDER_TYPE else "")
        self.found.outputs.append(
            OutputFile(
                name=name, path=place, bytes=size, sha256=content, media_type=media_type, checks=checks
            )
        )

    def _sum(self, path: Path) -> str:
        if path not in self.sums:
            self.sums[path] = digests.of_file(path, self.beat)
        return self.sums[path]

    def _passed_over(self, path: Path) -> bool:
        wrong = self.tree.wrong_with(path)
        if wrong:
            self.tree.tell(wrong)
        return bool(wrong)

    def _wrong_with(self, path: Path, output: Output, checks: list[dict[str, object]]) -> list[str]:
        name = self.tree.name(path)
        size = (
            path.stat().st_size
            if not path.is_dir()
            else sum(p.stat().st_size for p in self.tree.below(path) if not p.is_dir())
        )
        if size < output.min_bytes:
            return [f"{name} has {human_count(size, 'byte')}, but at least {output.min_bytes} are expected"]
        if output.schema:
            try:
                file = self.snapshot / output.schema
                check = schemas.validator(documents.load(file, schema=True).data, file, self.snapshot)
                problems = schemas.problems(check, documents.load(path))
            except EsapError as error:
                return [f"{name}: {error}"]
            checks.append({"name": f"schema {output.schema}", "passed": not problems})
            return [str(p) for p in problems]
        return []


def _flat(paths: Any, name: str = "", top: bool = True) -> Iterator[tuple[str, str]]:
    """Output name and path of all that an engine names, whatever it is nested in."""
    if isinstance(paths, str):
        yield name, paths
    elif isinstance(paths, Mapping):
        for key, part in paths.items():
            yield from _flat(part, str(key) if top else name, top=False)
    elif isinstance(paths, (list, tuple)):
        for part in paths:
            yield from _flat(part, name, top=False)


def _at_most(told: list[str]) -> list[str]:
    """What was passed over, in a number that can be read."""
    shown = [f"not among the results: {what}" for what in told[:SHOWN]]
    return [*shown, f"not among the results: {len(told) - SHOWN} more"] if len(told) > SHOWN else shown


def _verdict(path: Path, name: str, warnings: list[str]) -> tuple[list[dict[str, object]], list[str]]:
    """Checks of the workflow's own verdict, and what it says against the output."""
    try:
        data = documents.load(path).data
        checks = [{k: c[k] for k in ("name", "passed", "detail") if k in c} for c in data.get("checks", [])]
        warnings += [str(w) for w in data.get("warnings", []) if str(w) not in warnings]
        against = [
            f"check failed: {c['name']}" + (f" ({c['detail']})" if c.get("detail") else "")
            for c in checks
            if not c["passed"]
        ]
        if data["valid"] is None and not against:
            warnings.append(f"the workflow's verdict {name} says: not judged")
        elif data["valid"] is not True and not against:
            against = [f"the workflow's verdict {name} says: not valid"]
        return checks, against
    except EsapError as error:
        return [], [f"the verdict {name} can't be read: {error}"]
    except (KeyError, TypeError, AttributeError):
        return [], [f"the verdict {name} does not have the form that docs/workflows.md describes"]
