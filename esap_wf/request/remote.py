"""
References to what lies elsewhere: data in a lake, results of other runs, addresses. What they are is asked
for here; they are brought when the run is prepared (`esap_wf.running.arrival`).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import msgspec

from esap_wf.config import Config
from esap_wf.errors import EsapError, NotFoundError, Problem, UsageError
from esap_wf.formats import schemas
from esap_wf.formats.quantities import human_bytes, human_count
from esap_wf.models.data import Content, Did, Entry, lake_and_did
from esap_wf.models.manifest import Input
from esap_wf.models.request import BASKET, INPUTS, LAKE, RUN, WEB, DataRef
from esap_wf.models.run import OutputFile
from esap_wf.request import addressed
from esap_wf.request.references import BAD_IN_PATH, Wrong

if TYPE_CHECKING:
    from esap_wf.datalakes import Lake
    from esap_wf.runs.store import Run
    from esap_wf.transfers.learned import Shelf

#: Bytes of what is read to make a plan.
READ_TO_PLAN = 100_000_000
#: A last part that is a name as it is, for which nothing has to be looked at more closely.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*").fullmatch


class Remote:
    """
    What lies elsewhere, asked for once.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    warnings : list of str
        What is not as it might be, though all that is named is there.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.warnings = config, list[str]()
        self._lakes: dict[str, Lake] = {}
        self._entries: dict[str, tuple[str, Entry]] = {}
        self._shelf: Shelf | None = None
        self._runs: dict[str, Run] = {}
        self._read: dict[str, Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def ask(self, texts: Iterable[str]) -> None:
        """
        Ask the lakes for all data that is named, in few questions.

        Raises
        ------
        LakeOutageError
        """
        wanted: dict[str, list[tuple[str, Did]]] = {}
        for text in texts:
            if not text.startswith(LAKE):
                continue
            with contextlib.suppress(ValueError, EsapError):
                lake, did = lake_and_did(text)
                self._lake(lake)
                wanted.setdefault(lake, []).append((text, did))
        if not wanted:
            return
        from esap_wf.datalakes import BATCH  # for these requests alone

        for lake, named in wanted.items():
            for start in range(0, len(named), BATCH):
                some = named[start : start + BATCH]
                found = self._lake(lake).describe([did for _, did in some])
                self._entries |= {text: (lake, found[did]) for text, did in some if did in found}

    def _lake(self, name: str) -> Lake:
        if (known := self._lakes.get(name)) is not None:
            return known
        from esap_wf.datalakes import lake

        self._lakes[name] = lake(self.config, name)
        return self._lakes[name]

    # --- what a reference stands for

    def refs(self, text: str, spec: Input, wrong: Wrong) -> list[DataRef]:
        """
        The files or the folder that a reference means, without their places in the run.

        Raises
        ------
        UsageError
            There is no such thing, or it can't be this input.
        """
        if BAD_IN_PATH.search(unquote(text) if "%" in text else text):
            raise wrong("the reference contains control characters")
        if text.startswith(LAKE):
            found = self._in_lake(text, wrong)
        elif text.startswith(RUN):
            found = self._of_run(text, wrong)
        elif text.startswith(WEB):
            found, warnings = addressed.refs(self.config, text, wrong)
            self.warnings += warnings
        elif text.startswith(BASKET):
            raise wrong("an item of a basket is asked for, but no basket was given", "add --basket FILE")
        else:
            scheme = text.partition("://")[0]
            raise wrong(
                f"{scheme}:// can't be fetched by this version of esap-wf",
                "use rucio://, https:// or run:, or download the file and give its path",
            )
        for ref in found:
            if against := _unfit(ref, spec):
                raise wrong(*against)
        return found

    def _in_lake(self, text: str, wrong: Wrong) -> list[DataRef]:
        name, entry = self._entries.get(text) or self._described(text, wrong)
        if entry.content is Content.FILE:
            return [self._of_entry(name, entry)]
        files = list(self._lake(name).files(entry.did))
        if not files:
            raise wrong(f"the {entry.content.value} {entry.did} holds no files")
        return [self._of_entry(name, one) for one in files]

    def _described(self, text: str, wrong: Wrong) -> tuple[str, Entry]:
        try:
            name, did = lake_and_did(text)
            lake = self._lake(name)
        except ValueError as error:
            raise wrong(str(error), "rucio://LAKE/scope/name") from None
        entry = lake.describe([did]).get(did)
        if entry is None:
            hint = f"esap-wf lake find {name}:{did.scope} shows what there is; others may need permission"
            raise wrong(f"{name} has no {did} that you may read", hint)
        return name, entry

    def _of_entry(self, lake: str, entry: Entry) -> DataRef:
        uri, sums = entry.did.uri(lake), entry.checksums
        fetched = self._learned(uri, entry)
        said = sums.get("sha256")
        weak = ""
        if not said:
            told = ",".join(f"{kind}={value}" for kind, value in sorted(sums.items()))
            weak = f"lake:{lake}:{entry.did}:{entry.bytes}:{told}"
        sha256 = said or fetched
        return DataRef(
            uri=uri,
            bytes=entry.bytes,
            checksum=f"sha256:{sha256}" if sha256 else weak,
            strength="checksum" if sha256 else "catalogue",
            before=weak if sha256 else "",
            checksums=sums,
            modified=entry.created,
        )

    def _learned(self, uri: str, entry: Entry) -> str | None:
        if self._shelf is None:
            from esap_wf.transfers import learned

            self._shelf = learned.Shelf(self.config.store)
        if self._shelf.empty:
            return None
        from esap_wf.transfers.fetching import Wanted

        return self._shelf.known(Wanted(uri, entry.bytes, entry.checksums, entry.created))

    def _of_run(self, text: str, wrong: Wrong) -> list[DataRef]:
        given, _, rest = text.removeprefix(RUN).partition("/")
        output, _, inner = unquote(rest).partition("/")
        run = self._run(given, wrong)
        made = run.outputs()
        if made is None:
            phase = run.observe().phase
            raise wrong(f"run {run.id} is {phase} and has no results", f"esap-wf status {run.id}")
        tops = [one for one, _ in made.tops() if one.name == output]
        if not tops:
            names = list(dict.fromkeys(one.name for one in made.outputs))
            hint = schemas.closest(output, names) or f"it has {', '.join(names)}"
            raise wrong(f"run {run.id} has no output {output!r}", hint)
        if inner:
            folders = [one.path for one in tops if one.is_folder]
            tops = _called(inner, [one for one in made.outputs if one.name == output], folders)
            if len(tops) > 1:
                some = ", ".join(one.path for one in tops[:5])
                many = human_count(len(tops), "file")
                raise wrong(f"output {output} of run {run.id} has {many} of that name", f"name one of {some}")
            if not tops:
                there = [one.path for one in made.outputs if one.name == output]
                hint = schemas.closest(inner, there) or f"it has {', '.join(there[:5])}"
                raise wrong(f"output {output} of run {run.id} has no file {inner}", hint)
        record = run.record()
        return [
            DataRef(
                uri=f"{RUN}{run.id}/{quote(output)}/{quote(one.path.rstrip('/'))}",
                bytes=one.bytes,
                checksum=f"sha256:{one.sha256}",
                folder=one.is_folder,
                checksums={} if one.is_folder else {"sha256": one.sha256},
                modified=made.accepted or record.created,
            )
            for one in tops
        ]

    def _run(self, given: str, wrong: Wrong) -> Run:
        from esap_wf.runs import lookup

        if given not in self._runs:
            try:
                self._runs[given] = lookup.find_run(self.config, given)
            except (NotFoundError, UsageError) as error:
                hints = [p.hint for p in error.problems if p.hint]
                raise wrong(error.message, hints[0] if hints else "esap-wf list shows the runs") from None
        return self._runs[given]

    # --- what is read to make a plan

    def found(self, ref: DataRef) -> Path:
        """A file on this machine, wherever it lies."""
        if ref.is_brought:
            return self.here(ref)
        return Path(ref.original if ref.cells else ref.path or "")

    def here(self, ref: DataRef) -> Path:
        """
        A file that is read while planning (a table, a list to look something up in), on this machine.

        Raises
        ------
        UsageError
            It is too large for that.
        EsapError
            It can't be fetched.
        """
        from esap_wf.transfers import references
        from esap_wf.transfers.fetching import fetch

        assert ref.path
        if ref.path in self._read:
            return self._read[ref.path]
        if ref.bytes is None or ref.bytes > READ_TO_PLAN:
            size = "nobody says how large" if ref.bytes is None else human_bytes(ref.bytes)
            what = f"it is read to make the plan, and {size} is more than {human_bytes(READ_TO_PLAN)}"
            raise UsageError(
                "an input is not usable", [Problem(ref.uri, what, "fetch it, and give its path")]
            )
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="esap-wf-plan-")
        source = references.source_of(self.config, ref.uri)
        path = source.local()
        if path is None:
            path = fetch(source, references.wanted(ref), references.cache_of(self.config), lambda: None).path
        # under its own name: what a file is called says what it is
        target = Path(self._folder.name) / str(len(self._read)) / PurePosixPath(ref.path).name
        target.parent.mkdir()
        shutil.copyfile(path, target)
        self._read[ref.path] = target
        return target


def _called(inner: str, outputs: list[OutputFile], folders: list[str]) -> list[OutputFile]:
    """Files that are meant: by the path in the run, else by that below the output, else by their end."""
    whole = {inner}, {f"{folder}{inner}" for folder in folders}
    for names in whole:
        if found := [one for one in outputs if one.path.rstrip("/") in names]:
            return found
    return [one for one in outputs if one.path.rstrip("/").endswith(f"/{inner}")]


def _unfit(ref: DataRef, spec: Input) -> tuple[str, ...]:
    name = name_of(ref)
    if not name.isprintable():
        return (f"its name {name!a} holds control characters", "give it another name in the workflow")
    if spec.extensions and not name.endswith(tuple(spec.extensions)):
        return (f"{spec.title} must be a file whose name ends with {' or '.join(spec.extensions)}",)
    if ref.folder and (spec.kind == "file" or spec.rows):
        return ("a file is expected, but this is a folder",)
    if not ref.folder and spec.kind == "folder":
        return ("a folder is expected, but this is a file",)
    return ()


def name_of(ref: DataRef) -> str:
    """The last part of what it is called."""
    name = ref.uri.rpartition("/")[2]
    if ref.uri.startswith(LAKE) and _PLAIN(name):
        return name
    path = ref.uri.partition("#")[0].partition("?")[0]
    path = unquote(path) if "%" in path else path
    name = path.rpartition("/")[2]
    return name if name not in {"", "."} else PurePosixPath(path).name


def several(found: Sequence[DataRef], takes: str) -> tuple[str, str]:
    """That a reference means several files where one can be taken, and what to do."""
    some = ", ".join(ref.uri for ref in found[:3])
    what = f"it holds {human_count(len(found), 'file')}, and {takes}"
    return what, f"name one of them: {some}{', …' if len(found) > 3 else ''}"


def placed(refs: Sequence[DataRef], name: str, start: int, counts: bool) -> list[DataRef]:
    """References with their places in the run: ``inputs/<name>/<number>/<base name>``."""
    return [
        msgspec.structs.replace(ref, path=f"{INPUTS}/{name}/{start + i}/{name_of(ref)}", counts=counts)
        for i, ref in enumerate(refs)
    ]
