"""A folder run by its bare engine and through esap-wf, and everything in which they differ.

``python tests/foreign/differential.py FOLDER [TARGET] --bare 'WORDS' -- --parameter VALUE`` does it with yours (docs/testing.md).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

if __name__ == "__main__":
    sys.path.insert(1, str(Path(__file__).parents[1]))

from foreign import bare, trees
from foreign.bare import Made
from foreign.trees import Tree
from helpers.command_line import Done, Place
from services import engines

from esap_wf.cli import main

#: Codes of an answer that starts nothing.
REFUSED = (2, 3, 4)
#: Where runs put what their engines make; results are named relative to it.
PLACES = ("project/", "outputs/")
OWN_FOLDER = re.compile(r"^code/[0-9a-f]+/workflows/[^/]+/")


class Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One start: of the engine, of esap-wf, and what of it is compared."""

    #: It is only run in `make soak`.
    soak: bool = False
    #: Those of the case's engines that it is for; none: all.
    engines: list[str] = []
    #: What ``esap-wf run`` is given, relative to `at`, and its flags. ``{case}`` is the copy of the folder.
    run: str = "."
    flags: list[str] = []
    #: Words for the engine; None where it is not to be asked (`expect` says what must come).
    bare: list[str] | None = []
    at: str = "."
    #: The folder that is the engine's working directory, if it is not `at`; names of results are relative to it.
    root: str | None = None
    #: The folder of the bare engine's results to which esap-wf's ``outputs/`` corresponds.
    published: str = ""
    #: Patterns of what of that are results; none: all that appeared. The rest appears in the run, too, but isn't told.
    results: list[str] = msgspec.field(default_factory=lambda: ["*"])
    #: Patterns of files whose bytes are never the same, and of those that only esap-wf makes.
    varies: list[str] = []
    more: list[str] = []
    #: same, or refused: before the start and with a reason that is true
    expect: str = "same"
    #: What the words of a refusal or of a failure, or the warnings, must say (a regular expression).
    because: str = ""
    #: Who is to mend what differs today. Strict: once nothing differs, it must go.
    owed: str = ""


class Ours(msgspec.Struct, kw_only=True):
    """How esap-wf ended."""

    code: int
    printed: str
    phase: str = ""
    reason: str = ""
    warnings: list[str] = []
    #: Whether a run directory was made by this start.
    started: bool = False
    reused: bool = False
    #: What `results` tells, as it lies in the run; what ``--copy-to`` gave; all that appeared in a working copy, if there is one.
    reported: Tree = {}
    copied: Tree = {}
    work: Tree | None = None
    values: dict[str, Any] = {}
    #: What is wrong with the answers themselves.
    wrong: list[str] = []


# --- through esap-wf


def inside(place: Place, at: Path, *words: str) -> Done:
    """The command line in this process; runs have their real supervisors."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        _environment(place),
        contextlib.chdir(at),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(list(words))
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _environment(place: Place) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(("SNAKEMAKE_", "NXF_", "TOIL_", "CWL_", "ESAP_")):
            del os.environ[name]
    os.environ.update(place.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def ours(place: Place, case: Path, asked: Asked, engine: str) -> Ours:
    """Run a copy of the folder through esap-wf and look at every answer."""
    before, known = trees.tree(case), set(place.runs())
    words = [word.replace("{case}", str(case)) for word in [asked.run, *asked.flags]]
    chosen = ["--engine", engine] if engine in engines_of(engine) else []
    cut = words.index("--") if "--" in words else len(words)
    done = inside(place, case / asked.at, "run", *words[:cut], *chosen, "--json", *words[cut:])
    made = Ours(
        code=done.code, printed=done.out[-3000:] + done.err[-3000:], started=bool(set(place.runs()) - known)
    )
    changed = {n for n, e in trees.tree(case).items() if before.get(n) != e} | {
        n for n in before if not os.path.lexists(case / n)
    }
    if changed:
        made.wrong.append(f"the run changed the user's own folder: {', '.join(sorted(changed)[:10])}")
    if done.code not in (0, 1):
        return made
    try:
        answer = json.loads(done.out)
        run = Path(answer["dir"])
    except (ValueError, KeyError):
        made.wrong.append(f"the answer is not one JSON object with a run: {done.out[-500:]!r}")
        return made
    state = inside(place, case, "status", answer["run"], "--json").json
    made.phase, made.reason, made.reused, made.warnings = (
        state["phase"],
        state["reason"],
        answer["reused"],
        state["warnings"],
    )
    made.printed += "\n".join(
        line for failure in state["failures"] for line in [failure["detail"] or "", *failure["tail"]]
    )
    if (run / "project").is_dir():
        left_out = bare.INTERNAL.get(engine, ())
        root = case / (asked.root or asked.at)
        made.work = trees.appeared(trees.tree(root, left_out), trees.tree(run / "project", left_out))
    if done.code == 0:
        look_at_results(place, case, run, made)
    return made


def engines_of(engine: str) -> tuple[str, ...]:
    """Engines that must be named, because another takes the same files."""
    return ("cwl", "toil") if engine in ("cwl", "toil") else ()


def look_at_results(place: Place, case: Path, run: Path, made: Ours) -> None:
    """What is told of a completed run, as it lies there, and a copy of it."""
    done = inside(place, case, "results", run.name, "--json")
    if done.code != 0:
        made.wrong.append(f"`results` ends with {done.code}: {(done.out + done.err)[-500:]}")
        return
    answer = done.json
    made.values = answer.get("values") or {}
    made.warnings = [*made.warnings, *(w for w in answer["warnings"] if w not in made.warnings)]
    for output in answer["outputs"]:
        path = output["path"]
        name, found = _named(path.rstrip("/")), _as_reported(run, path.rstrip("/"))
        if path.endswith("/") and found.kind == "folder":
            made.reported[name] = found
            made.reported |= {
                f"{name}/{n}": e for n, e in trees.tree(run / path, (".snakemake_timestamp",)).items()
            }
        elif found.kind != "file" or (found.bytes, found.sha256) != (output["bytes"], output["sha256"]):
            made.wrong.append(
                f"{path} is told with {output['bytes']} bytes, {output['sha256'][:12]}; there is {found}, {found.sha256[:12]}"
            )
        else:
            made.reported[name] = found
    with tempfile.TemporaryDirectory(prefix="copied-") as target:
        copying = inside(place, case, "results", run.name, "--copy-to", target, "--json")
        if copying.code != 0:
            made.wrong.append(
                f"`results --copy-to` ends with {copying.code}: {(copying.out + copying.err)[-500:]}"
            )
        copied = trees.results(trees.tree(Path(target)))
        made.copied = {_named(name): entry for name, entry in copied.items() if f"{name}/" not in PLACES}


def _named(path: str) -> str:
    """Relative to where the engine worked; what a pipeline wrote into its own folder, relative to that."""
    place = next((p for p in PLACES if path.startswith(p)), "")
    return OWN_FOLDER.sub("", path).removeprefix(place)


def _as_reported(run: Path, path: str) -> trees.Entry:
    """What stands at a told place, and whether a link leads there."""
    place = run / path
    link = "link" if place.is_symlink() else None
    for above in place.parents:
        if above == run:
            break
        link = link or ("below" if above.is_symlink() else None)
    return trees.entry(place, link)


# --- in what they differ


def differences(expected: Made | None, made: Ours, asked: Asked) -> list[str]:
    """Every difference in one line, none if esap-wf did what the bare engine does, or refused with a true reason what was to be refused."""
    found = list(made.wrong)
    words = "\n".join([made.printed, made.reason, *made.warnings])
    if asked.because and not re.search(asked.because, words):
        found.append(f"nothing says {asked.because!r}: {words[-1500:]}")
    if made.code in REFUSED:
        if made.started:
            found.append(f"it refuses with {made.code}, but a run was made")
        if asked.expect != "refused" and (expected is None or expected.code == 0):
            found.append(
                f"the bare engine succeeds, esap-wf refuses with {made.code}: {made.printed[-1500:]}"
            )
        return found
    if made.code not in (0, 1):
        return [*found, f"esap-wf ends with {made.code}: {made.printed[-1500:]}"]
    if asked.expect == "refused":
        return [*found, f"it is to be refused, and ends with {made.code} ({made.phase})"]
    if expected is None:
        return found
    if (expected.code == 0) != (made.code == 0) or (made.phase == "COMPLETED") != (made.code == 0):
        reason = made.reason if made.code else expected.printed[-500:]
        return [
            *found,
            f"the bare engine ends with {expected.code}, esap-wf with {made.code} ({made.phase}): {reason}",
        ]
    return found + (_different_results(expected, made, asked) if made.code == 0 else [])


def _different_results(expected: Made, made: Ours, asked: Asked) -> list[str]:
    appeared = trees.below(expected.tree, asked.root or asked.at)
    wanted = trees.results(trees.below(trees.matching(appeared, asked.results), asked.published))
    found = different("results", wanted, trees.results(made.reported), asked, links=True)
    found += different("a copy of the results", wanted, trees.results(made.copied), asked)
    if made.work is not None:
        found += different(
            "the working directory", trees.results(appeared), trees.results(made.work), asked, links=True
        )
    if not made.reported and not made.values and not made.warnings:
        found.append("COMPLETED without a result, and no warning says so")
    return found + different_values(expected.values, made.values)


def different(where: str, wanted: Tree, there: Tree, asked: Asked, links: bool = False) -> list[str]:
    """Names, kinds and bytes of two trees; with `links` also how one gets there."""
    found = [f"{where}: {name} is missing, {wanted[name]}" for name in sorted(wanted.keys() - there.keys())]
    extra = {n for n in there.keys() - wanted.keys() if not any(fnmatchcase(n, p) for p in asked.more)}
    found += [
        f"{where}: {name} is there, {there[name]}; the bare engine makes none" for name in sorted(extra)
    ]
    for name in sorted(wanted.keys() & there.keys()):
        one, other = wanted[name], there[name]
        varies = any(fnmatchcase(name, p) for p in asked.varies)
        if (
            one.kind != other.kind
            or (not varies and one.content != other.content)
            or (links and one.link != other.link)
        ):
            found.append(f"{where}: {name} is {other}; the bare engine makes {one}")
    return found


def different_values(expected: dict[str, Any] | None, values: dict[str, Any]) -> list[str]:
    """Values that are no files; what is null needs not be told."""
    if expected is None:
        return []
    wanted = {name: value for name, value in expected.items() if value is not None and not holds_files(value)}
    reported = {name: value for name, value in values.items() if value is not None and not holds_files(value)}
    found = [
        f"values: {name} is missing, {json.dumps(wanted[name])[:200]}"
        for name in sorted(wanted.keys() - reported.keys())
    ]
    found += [
        f"values: {name} is told, the bare engine gives none"
        for name in sorted(reported.keys() - expected.keys())
    ]
    for name in sorted(wanted.keys() & reported.keys()):
        if json.dumps(wanted[name], sort_keys=True) != json.dumps(reported[name], sort_keys=True):
            found.append(
                f"values: {name} is {json.dumps(reported[name])[:200]}, the bare engine gives {json.dumps(wanted[name])[:200]}"
            )
    return found


def holds_files(value: Any) -> bool:
    """Whether a file or a folder of CWL is in a value."""
    if isinstance(value, dict):
        return value.get("class") in ("File", "Directory") or any(map(holds_files, value.values()))
    return isinstance(value, list) and any(map(holds_files, value))


# --- both


def alone(folder: Path, asked: Asked, engine: str, repository: bool = False) -> Made | None:
    """What the bare engine makes of a folder, of which it gets a fresh copy; None if it is not to be asked."""
    return None if asked.bare is None else bare.run(bare.of(engine), folder, asked.bare, asked.at, repository)


def configured(place: Place, *names: str) -> Place:
    """A place in which engines are named."""
    (place.root / "home").mkdir(parents=True, exist_ok=True)
    known = [name for name in names if name in ("snakemake", "nextflow", "cwl", "toil", "notebook")]
    (place.root / "config.toml").write_text(engines.configuration(*known))
    return place


def _from_shell() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], epilog="What follows -- goes to esap-wf."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "run",
        nargs="?",
        default=".",
        help="what `esap-wf run` is given, relative to --at (default: the folder)",
    )
    parser.add_argument(
        "--engine",
        default="snakemake",
        choices=["snakemake", "nextflow", "cwl", "toil", "notebook", "command"],
    )
    parser.add_argument(
        "--bare", default="", help="words for the engine, as one text; {case} is the copy of the folder"
    )
    parser.add_argument("--repository", action="store_true", help="make the copies git repositories")
    parser.add_argument("--keep", type=Path, help="keep store, cache and the copy here")
    for name in ("at", "root", "published"):
        parser.add_argument(f"--{name}", default=getattr(Asked(), name))
    for name in ("results", "varies", "more"):
        parser.add_argument(f"--{name}", action="append", help="pattern; may be given several times")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:cut])
    more = {
        name: getattr(arguments, name) for name in ("results", "varies", "more") if getattr(arguments, name)
    }
    asked = Asked(
        run=arguments.run,
        flags=words[cut + 1 :],
        bare=shlex.split(arguments.bare),
        at=arguments.at,
        root=arguments.root,
        published=arguments.published,
        **more,
    )
    with contextlib.ExitStack() as stack:
        root = arguments.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="differential-"))
        )
        place = configured(Place(root.absolute()), arguments.engine)
        case = bare.copied(arguments.folder.absolute(), place.root / "case", arguments.repository)
        expected = alone(arguments.folder.absolute(), asked, arguments.engine, arguments.repository)
        found = differences(expected, ours(place, case, asked, arguments.engine), asked)
    print("\n".join(found) or "no difference")
    return bool(found)


if __name__ == "__main__":
    sys.exit(_from_shell())
