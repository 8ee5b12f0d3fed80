"""What lint asks of Snakemake: rules and what they write, from its files and from its dry run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from esap_wf.engines import DryRun, Outline
from esap_wf.engines.snakemake import interface, snakefile
from esap_wf.engines.snakemake.declarations import Declarations
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import schemas
from esap_wf.formats.reading import read_text

#: Directives by which a rule does something.
_ACTS = {"shell", "run", "script", "notebook", "wrapper", "cwl", "template_engine"}
_DIRECTIVE = re.compile(
    r"\s+(input|output|params|log|threads|resources|shell|run|script|benchmark|conda|container|message|wildcard_constraints)"
)
_FORGOTTEN = re.compile(_DIRECTIVE.pattern + r"\s*(?:[\"'\[{\d]|$)")
_AT = re.compile(
    r"^(?P<kind>\w+)(?: in rule (?P<rule>\S+))? in file \"(?P<file>[^\"\n]+)\", line (?P<line>\d+):\n"
    r"(?P<text>.*?)(?=\n\w+(?: in rule \S+)? in file |\Z)",
    re.MULTILINE | re.DOTALL,
)
_INNER = re.compile(r'^\s*File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
_OUTPUT = re.compile(r"^    output: (?P<files>.+)$", re.MULTILINE)


def outline(entry: Path, item: str | None = None) -> Outline:
    """Rules, what they write, a forgotten colon, rules without a log; a target that is neither."""
    file, root = interface.find(entry) or (entry, entry.parent)
    try:
        declared = snakefile.read_snakefile(file, root)
    except UsageError as error:
        return Outline(problems=tuple(error.problems))
    certain = not any("are not known" in w or "include" in w for w in declared.warnings)
    steps = tuple(rule.name for rule in declared.rules)
    made = tuple(
        _stars(text.value) if text.literal else "*"
        for rule in declared.rules
        for text in rule.directives.get("output", [])
    )
    return Outline(
        steps if certain else None,
        made if certain else None,
        (
            *(p for f in declared.files for p in _colons(f)),
            *(_no_target(file, item, steps, made) if certain else ()),
        ),
        tuple(_unlogged(declared, root)),
    )


def _no_target(
    file: Path, item: str | None, steps: tuple[str, ...], made: tuple[str, ...]
) -> Iterator[Problem]:
    if item and item not in steps and not any(fnmatchcase(item, name) for name in made):
        yield Problem(str(file), f"there is no rule {item}", schemas.closest(item, steps))


def _stars(text: str) -> str:
    return re.sub(r"\{[^{}]*\}", "*", text)


def _unlogged(declared: Declarations, root: Path) -> Iterator[Problem]:
    for rule in declared.rules:
        if _ACTS & set(rule.directives) and "log" not in rule.directives:
            where = rule.where if Path(rule.where).is_absolute() else f"{root / rule.where}"
            hint = f'log: "logs/{rule.name}/…", and `> {{log:q}} 2>&1` in its command'
            yield Problem(
                where, f"the rule {rule.name} has no log, so the output of its jobs can't be found", hint
            )


def _colons(file: Path) -> Iterator[Problem]:
    """Snakemake itself stumbles over these without a word of where."""
    try:
        lines = read_text(file, strict=False).splitlines()
    except EsapError:
        return
    inside = False
    for number, line in enumerate(lines, start=1):
        inside = bool(re.match(r"\s*(rule|checkpoint)\b.*:\s*(#.*)?$", line)) or (
            inside and (not line.strip() or line[0] in " \t#")
        )
        if inside and (match := _FORGOTTEN.match(line)):
            yield Problem(f"{file}:{number}", f"a colon is missing after {match[1]}", f"{match[1]}:")


def read_dry_run(exit_code: int, text: str, entry: str) -> DryRun:
    """Errors with file and line, and the files that the jobs would make."""
    made = tuple(name for m in _OUTPUT.finditer(text) for name in m["files"].split(", "))
    if exit_code == 0:
        return DryRun(made=made)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for match in _AT.finditer(text):
        inner = None if match["rule"] else _last(_INNER, match["text"])
        where = f"{inner['file']}:{inner['line']}" if inner else f"{match['file']}:{match['line']}"
        rule = f"rule {match['rule']}: " if match["rule"] else ""
        found = Problem(where, rule + _what(match["kind"], match["text"]), _hint(match["kind"]))
        (warnings if match["kind"] == "MissingInputException" else problems).append(found)
    if not problems and not warnings:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        problems.append(
            Problem(
                entry, f"Snakemake can't read it: {lines[-1] if lines else f'exit code {exit_code}'}"[:600]
            )
        )
    return DryRun(tuple(problems), tuple(warnings))


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return (list(pattern.finditer(text)) or [None])[-1]  # type: ignore[list-item]


def _what(kind: str, text: str) -> str:
    if kind == "MissingInputException":
        files = re.findall(r"^ {8}(\S.*)$", text, re.MULTILINE)
        return f"nothing makes {', '.join(files[:10])}, and there is no such file"
    message = re.sub(r"\s*(?:Traceback:|^\s*File \").*", "", text, flags=re.DOTALL | re.MULTILINE)
    message = re.sub(r"^Error:\s*", "", message)
    message = re.sub(r"\s+", " ", message.split(" Also note that braces")[0]).strip()
    message = re.sub(r"Wildcards: .*", "", message).strip()
    return (
        message
        if kind in ("RuleException", "InputFunctionException", "WorkflowError")
        else f"{kind}: {message}"
    )[:600]


def _hint(kind: str) -> str:
    if kind == "MissingInputException":
        return (
            "add a rule that makes it, or correct its name; if it is part of the pipeline's data, put it "
            "there"
        )
    return ""
