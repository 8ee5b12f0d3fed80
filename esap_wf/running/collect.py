"""Results: what the workflow declares or the engine names, present, valid by the workflow's own checks,
checksummed. Reads only.
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
from esap_wf.formats import digests
from esap_wf.formats.quantities import human_count
from esap_wf.models.manifest import Manifest, Output
from esap_wf.models.run import FOLDER_TYPE, Failure, OutputFile, Reason
from esap_wf.running.products import Workplace
from esap_wf.running.validity import Check, Validity
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
        named = engine.results(run, epoch)
        msgspec.json.encode(named.values if named else None)
    except Exception as error:  # a plug-in may raise anything, and the work is done
        what = f"{type(error).__name__}: {error}"[:300]
        return None, [
            (
                f"what {engine.title} names as results can't be read, so what is in the run directory is "
                f"taken: {what}"
            )
        ]
    return named, []


def collect(
    manifest: Manifest,
    run: Path,
    snapshot: Path,
    beat: Callable[[], None] = lambda: None,
    *,
    named: Results | None = None,
    given: Iterable[Path] = (),
    workplace: Workplace | None = None,
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
    named : Results, optional
        What the engine itself names: it takes the place of outputs that are only guessed (`Output.guess`).
    given : iterable of Path
        What the user gave the run: a link to it is a result.
    workplace : Workplace, optional
        Where a pipeline worked that was not written for esap-wf: if nobody says what its results are, what
        appeared there is.
    """
    named = _to_be_trusted(manifest, named or Results(appeared="if empty"))
    look = _Look(run, snapshot, beat, given, workplace)
    look.found.values = dict(named.values)
    by_name, by_pattern = _wanted(manifest, named)
    for output in by_name:
        look.declared(output)
    for name, path in _flat(named.paths):
        look.named(name, path, manifest.outputs)
    for output in by_pattern:
        look.declared(output)
    guessed = named.appeared == "if empty" and look.is_empty
    if workplace and not look.found.failures and (guessed or named.appeared == "always"):
        look.appeared(workplace, manifest.outputs, guessed)
    look.found.warnings += _at_most(look.tree.passed_over)
    if not look.found.outputs and not look.found.values and not look.found.failures:
        look.found.warnings.insert(0, NOTHING)
    return look.found


def _to_be_trusted(manifest: Manifest, named: Results) -> Results:
    """What an engine names, as far as it counts: what an author declares is what there is."""
    if not manifest.outputs or any(o.guess for o in manifest.outputs):
        return named
    return replace(named, paths=None, appeared="never" if named.appeared == "never" else "if empty")


def _wanted(manifest: Manifest, named: Results) -> tuple[list[Output], list[Output]]:
    """
    Declared outputs: those to look for before what the engine names, and the patterns that take the rest.
    """
    if named.paths is None:
        return manifest.outputs, []
    sure = [o for o in manifest.outputs if not o.guess]
    return [o for o in sure if "*" not in o.path], [o for o in sure if "*" in o.path]


class _Look:
    """One look at a run directory."""

    def __init__(
        self,
        run: Path,
        snapshot: Path,
        beat: Callable[[], None],
        given: Iterable[Path],
        workplace: Workplace | None,
    ) -> None:
        self.run, self.beat, self.workplace = run, beat, workplace
        self.tree = Tree(run, given, beat)
        self.found = Collected()
        self.validity = Validity(self.tree, snapshot, self.found.warnings)
        self.entered: set[Path] = set()
        self.names: dict[Path, set[str]] = {}
        self.sums: dict[Path, str] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found yet, or nothing but empty files."""
        return not self.found.values and not any(o.bytes for o in self.found.outputs)

    def declared(self, output: Output) -> None:
        """What a pattern of the manifest means."""
        paths = self._matching(output)
        wrong = _too_few(output, len(paths))
        if not paths and not wrong:
            return
        if "*" in output.path:  # a folder of results also holds those that have a name of their own
            paths = [p for p in paths if p not in self.entered]
        usable, refused = self._usable(paths, output)
        judged = [self.validity.of_file(path, output) for path in usable]
        if output.verdict and len(paths) > len(refused):
            judged.append(self.validity.of_verdict(output.verdict))
        against = [what for one in judged for what in one.problems]
        wrong += [(Reason.INVALID_OUTPUT, what) for what in (*refused, *against)]
        self.found.failures += [
            Failure(step=STEP, unit=output.name, reason=reason, detail=what) for reason, what in wrong
        ]
        if not wrong:
            checks = [check for one in judged for check in one.checks]
            for path in usable:
                self.accept(path, output.name, output.media_type, checks)

    def _matching(self, output: Output) -> list[Path]:
        paths = self.tree.matching(output.path)
        if output.guess and self.workplace:
            return [p for p in paths if not self.workplace.is_own(p)]
        return paths

    def _usable(self, paths: list[Path], output: Output) -> tuple[list[Path], list[str]]:
        """Those that can be results, and of a needed output why others can't; else they are passed over."""
        if not output.required or output.guess or "*" in output.path:
            return [p for p in paths if not self._passed_over(p)], []
        against = {p: why for p in paths if (why := self.tree.wrong_with(p))}
        return [p for p in paths if p not in against], list(against.values())

    def named(self, name: str, text: str, outputs: list[Output]) -> None:
        """A path that the engine names."""
        path = self.run / text
        if "://" in text or ".." in path.parts or not path.is_relative_to(self.run):
            self.tree.pass_over(f"{text} is outside of the run directory")
        elif not path.exists() and not path.is_symlink():
            self.tree.pass_over(f"{self.tree.name(path)} was named as a result but does not exist")
        elif not (self.workplace and self.workplace.is_own(path)):
            self._undeclared(path, name, outputs)

    def appeared(self, workplace: Workplace, outputs: list[Output], guessed: bool) -> None:
        """What appeared where the pipeline worked."""
        before = len(self.found.outputs)
        for path in workplace.appeared(self.tree, self.entered):
            self._undeclared(path, "", outputs)
        if guessed and (count := len(self.found.outputs) - before):
            why = "what is named as a result is empty" if before else "nothing says what the results are"
            self.found.warnings.append(
                f"{why}; as a guess, what appeared in {workplace.folder} is taken "
                f"({human_count(count, 'file or empty folder', 'files or empty folders')})"
            )

    def _undeclared(self, path: Path, name: str, outputs: list[Output]) -> None:
        """A result without a name gets that of an output whose pattern it fits."""
        # an engine may give one file under several names
        names = self.names.setdefault(path, set())
        if (path in self.entered and (not name or not names or name in names)) or self._passed_over(path):
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

    def accept(self, path: Path, name: str, media_type: str, checks: list[Check]) -> None:
        """Enter a file, or a folder with all that it holds."""
        if not path.is_dir():
            self._enter(path, name, media_type, checks, path.stat().st_size, self._sum(path))
            return
        inner = list(self.tree.below(path))
        named = {p for p in inner if p in self.entered}
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
        self, path: Path, name: str, media_type: str, checks: list[Check], size: int, content: str
    ) -> None:
        self.entered.add(path)
        relative = self.tree.name(path) + ("/" if media_type == FOLDER_TYPE else "")
        self.found.outputs.append(
            OutputFile(
                name=name, path=relative, bytes=size, sha256=content, media_type=media_type, checks=checks
            )
        )

    def _sum(self, path: Path) -> str:
        if path not in self.sums:
            self.sums[path] = digests.of_file(path, self.beat)
        return self.sums[path]

    def _passed_over(self, path: Path) -> bool:
        wrong = self.tree.wrong_with(path)
        if wrong:
            self.tree.pass_over(wrong)
        return bool(wrong)


def _too_few(output: Output, there: int) -> list[tuple[Reason, str]]:
    """The failure if a needed output is not there, or not often enough."""
    if there >= output.at_least or not output.required or output.guess:
        return []
    what = f"{human_count(there, 'file')} matching {output.path}, but at least {output.at_least} expected"
    return [(Reason.MISSING_OUTPUT, f"{output.path} is missing" if output.at_least == 1 else what)]


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


def _at_most(passed_over: list[str]) -> list[str]:
    """What was passed over, in a number that can be read."""
    shown = [f"not among the results: {what}" for what in passed_over[:SHOWN]]
    more = len(passed_over) - SHOWN
    return [*shown, f"not among the results: {more} more"] if more > 0 else shown
