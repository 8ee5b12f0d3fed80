"""
The CWL conformance tests both ways: ``python benchmarks/conformance.py SUITE [--only ID …] [--tags TAG …]
[--jobs N] [--table FILE]``.

SUITE is a checkout of ``common-workflow-language/cwl-v1.2`` (it is read and run, nothing of it is kept). Each
test runs bare, with the engine's own command, and through esap-wf, with its command line in a fork of this
process and a store of its own; both are held against what the test expects, and against each other. Exit
status 1 if the two disagree on any test.

With ``--table`` the answers are kept in a file and a test that is in it is not run again: an interrupted run
goes on; ``--again`` runs those anew on which the two disagreed, ``--anew`` all, with the bare answers of the
file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cwl_objects
import measure
import yaml

#: What the user of each engine writes beside outputs, document and job order: as esap-wf, without containers,
#: with any name of a file.
PLAIN = {
    "cwl": ["--quiet", "--no-container", "--relax-path-checks"],
    "toil": ["--quiet", "--no-container", "--relax-path-checks", "--clean", "always", "--logError"],
}
#: Seconds for one test, each way.
LIMIT = 120


@dataclass(frozen=True)
class Case:
    """One test of the suite."""

    number: int
    id: str
    tags: tuple[str, ...]
    tool: Path
    job: Path | None
    expected: Any
    should_fail: bool
    folder: Path


@dataclass
class Way:
    """How a test ended, one way: whether as the test expects, the exit status, why not, and what came out."""

    passed: bool
    code: int
    why: str = ""
    plain: Any = None


@dataclass
class Answer:
    """Both ways."""

    id: str
    bare: Way
    ours: Way
    versions: str = ""
    tags: list[str] = field(default_factory=list)
    number: int = 0

    @property
    def reason(self) -> str:
        """Why the two disagree; empty if they agree."""
        if self.bare.passed != self.ours.passed:
            return (self.ours if self.bare.passed else self.bare).why or "?"
        if (
            self.bare.code == 0
            and self.ours.code == 0
            and not cwl_objects.same(self.bare.plain, self.ours.plain)
        ):
            return (
                f"other outputs: {json.dumps(self.ours.plain)[:150]}, bare "
                f"{json.dumps(self.bare.plain)[:150]}"
            )
        return ""


def cases(file: Path) -> Iterator[Case]:
    """All tests of a file, with those that it imports."""

    def read(place: Path) -> Iterator[tuple[dict[str, Any], Path]]:
        for test in yaml.safe_load(place.read_text()):
            if "$import" in test:
                yield from read(place.parent / test["$import"])
            else:
                yield test, place.parent

    for number, (test, folder) in enumerate(read(file), start=1):
        job = folder / test["job"] if test.get("job") else None
        yield Case(
            number,
            test["id"],
            tuple(test.get("tags", ())),
            folder / test["tool"],
            job,
            test.get("output"),
            bool(test.get("should_fail")),
            file.parent,
        )


def judged(case: Case, code: int, output: Any, said: str, folder: Path) -> Way:
    """Whether a test ended as it expects."""
    told = cwl_objects.plain(output, folder) if code == 0 else None
    if case.should_fail:
        return Way(code != 0, code, "" if code else "succeeds, but must fail", told)
    if code:
        return Way(False, code, f"exit status {code}: {_last(said)}")
    why = (
        ""
        if case.expected is None
        else cwl_objects.misfit(case.expected, output if output is not None else {})
    )
    return Way(not why, code, why, told)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-6:])[-400:]


def bare(case: Case, program: str, engine: str, folder: Path) -> Way:
    """A test with the engine's own command."""
    out = folder / "out"
    argv = [
        program,
        *PLAIN[engine],
        "--outdir",
        str(out),
        str(case.tool),
        *([str(case.job)] if case.job else []),
    ]
    # Toil calls its workers by name
    env = measure.environment(
        TMPDIR=str(folder), PATH=os.pathsep.join([os.environ["PATH"], str(Path(program).parent)])
    )
    process = subprocess.Popen(
        argv,
        cwd=case.folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Way(False, -1, f"not ended after {LIMIT} s")
    output = None
    with contextlib.suppress(ValueError):
        output = json.loads(said) if process.returncode == 0 else None
    return judged(case, process.returncode, output, errors, folder)


def ours(case: Case, engine: str, folder: Path) -> Way:
    """A test through esap-wf's command line, in a fork of this process."""
    arguments = [
        "run",
        str(case.tool),
        *(["--params", str(case.job)] if case.job else []),
        "--engine",
        engine,
        "--json",
    ]
    store = folder / "store"
    process = multiprocessing.get_context("fork").Process(
        target=_command, args=(arguments, store, case.folder, folder / "said")
    )
    process.start()
    process.join(LIMIT)
    if process.is_alive():
        process.kill()
        process.join()
        for run in store.glob("runs/*/*"):
            again = multiprocessing.get_context("fork").Process(
                target=_command, args=(["cancel", run.name], store, case.folder, folder / "c")
            )
            again.start()
            again.join(60)
        return Way(False, -1, f"not ended after {LIMIT} s")
    code = process.exitcode if process.exitcode is not None else -1
    said = (folder / "said").read_text(errors="replace")
    run = next(iter(store.glob("runs/*/*")), None)
    return judged(case, code, output_of(run) if code == 0 and run else None, said, folder)


def _command(arguments: list[str], store: Path, cwd: Path, said: Path) -> None:
    """The command line, as a process of its own; both of its streams go to a file."""
    os.setsid()
    file = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    env = measure.environment(store.parent, ESAP_WF_CACHE=str(measure.CACHE), TMPDIR=str(store.parent))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    from esap_wf.cli import main as command_line

    code = 1
    try:
        command_line(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    sys.stdout.flush()
    os._exit(code)


def output_of(run: Path) -> Any:
    """
    What the engine gave back, if all of it is among the results that esap-wf accepted; else what is lacking.
    """
    answer = json.loads((run / "engine" / "answer.json").read_bytes())
    accepted = json.loads((run / "outputs.json").read_bytes())
    files = {(o["name"], o["path"].rstrip("/")) for o in accepted["outputs"]}
    for name, value in answer.items():
        found = list(cwl_objects.files(value))
        told = {(name, os.path.relpath(place, os.path.realpath(run))) for place in found}
        if lost := told - files:
            return {"lost": sorted(lost)}
        told_as = [cwl_objects.plain(v, run) for v in (accepted["values"].get(name), value)]
        if not found and (name not in accepted["values"] or told_as[0] != told_as[1]):
            return {"lost": name, "value": value}
    return answer


def both(case: Case, program: str, engine: str, versions: str, known: Way | None) -> Answer:
    """One test, both ways."""
    with tempfile.TemporaryDirectory(prefix="esap-wf-cwl-") as name:
        folder = Path(name)
        first = known or bare(case, program, engine, folder)
        second = ours(case, engine, folder)
        for read_only in folder.rglob("*"):
            if read_only.is_dir() and not read_only.is_symlink():
                read_only.chmod(0o700)
        return Answer(case.id, first, second, versions, list(case.tags), case.number)


def engine_of(name: str) -> tuple[str, str]:
    """Program and versions of the engine that esap-wf takes."""
    from esap_wf import config, plugins
    from esap_wf.engines import programs

    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            {
                k: v
                for k, v in measure.environment(Path(folder), ESAP_WF_CACHE=str(measure.CACHE)).items()
                if "ESAP_WF" in k
            }
        )
        found = programs.first_suitable(plugins.one("esap_wf.engines", name), config.load(), None)
    if found.choice is None:
        raise SystemExit(f"no {name} is there: {'; '.join(found.refused) or 'make services'}")
    return found.choice.path, f"{name} {found.choice.version}"


def kept(table: Path | None) -> dict[str, Answer]:
    """Answers of an earlier run."""
    found: dict[str, Answer] = {}
    for line in table.read_text().splitlines() if table and table.is_file() else []:
        said = json.loads(line)
        found[said["id"]] = Answer(**{**said, "bare": Way(**said["bare"]), "ours": Way(**said["ours"])})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("suite", type=Path)
    parser.add_argument(
        "--only", action="append", default=[], help=("Id or number of a test; several times.")
    )
    parser.add_argument("--tags", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--engine", choices=sorted(PLAIN), default="cwl")
    parser.add_argument("--table", type=Path, help="Answers are kept here, one a line.")
    parser.add_argument(
        "--again",
        action="store_true",
        help="Run those anew on which the two disagreed; bare answers are kept.",
    )
    parser.add_argument(
        "--anew", action="store_true", help="Run all anew through esap-wf; bare answers are kept."
    )
    given = parser.parse_args()
    file = given.suite / "conformance_tests.yaml" if given.suite.is_dir() else given.suite
    if not file.is_file():
        raise SystemExit(f"no {file}: SUITE is a checkout of the CWL v1.2 standard")
    program, versions = engine_of(given.engine)
    chosen = [
        c
        for c in cases(file.absolute())
        if (not given.only or {c.id, str(c.number)} & set(given.only))
        and (not given.tags or set(c.tags) & set(given.tags))
    ]
    known = {i: a for i, a in kept(given.table).items() if a.versions == versions}
    wanted = [
        c
        for c in chosen
        if c.id not in known or given.only or given.anew or (given.again and known[c.id].reason)
    ]
    began = time.monotonic()

    def one(case: Case) -> Answer:
        before = known[case.id].bare if case.id in known else None
        try:
            return both(case, program, given.engine, versions, before)
        except Exception as error:  # of this script; the other tests go on
            return Answer(
                case.id,
                before or Way(False, -1, "?"),
                Way(False, -1, f"{type(error).__name__}: {error}"),
                versions,
                [],
                case.number,
            )

    with ThreadPoolExecutor(given.jobs) as pool:
        for answer in pool.map(one, wanted):
            known[answer.id] = answer
            if given.table:
                with given.table.open("a") as out:
                    out.write(json.dumps(asdict(answer)) + "\n")
            if answer.reason:
                print(f"{answer.number} {answer.id}: {answer.reason}", file=sys.stderr, flush=True)
    answers = [known[c.id] for c in chosen]
    show(answers, versions, time.monotonic() - began)
    sys.exit(1 if any(a.reason for a in answers) else 0)


def show(answers: list[Answer], versions: str, seconds: float) -> None:
    """The table, and what it comes to."""
    print(f"\nCWL v1.2 conformance tests, {versions} alone and through esap-wf\n")
    print("| number | id | tags | bare | esap-wf | reason |\n|---:|---|---|---|---|---|")
    word = {True: "passes", False: "fails"}
    for a in answers:
        reason = " ".join((a.reason or ("" if a.bare.passed else a.bare.why)).split()).replace("|", "/")
        print(
            f"| {a.number} | {a.id} | {', '.join(a.tags)} | {word[a.bare.passed]} | "
            f"{word[a.ours.passed]} "
            f"| {reason} |"
        )
    counts = Counter((a.bare.passed, a.ours.passed) for a in answers)
    other = sum(bool(a.reason) and a.bare.passed == a.ours.passed for a in answers)
    print(
        f"\n{len(answers)} tests: passed by both {counts[True, True]}, only bare "
        f"{counts[True, False]}, "
        f"only through esap-wf {counts[False, True]}, by neither {counts[False, False]}; with other "
        f"outputs {other}; {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
