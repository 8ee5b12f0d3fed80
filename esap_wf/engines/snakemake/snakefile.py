"""What a Snakefile says, read as tokens and never executed: configuration, schemas, rules, containers."""

from __future__ import annotations

import ast
import contextlib
import io
import keyword
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.engines.snakemake import constants
from esap_wf.engines.snakemake import tables as snakefile_tables
from esap_wf.engines.snakemake.tables import Table
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, reading

MAX_FILES = 500
_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_F_STRING = {n: getattr(tokenize, n, -1) for n in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END")}
#: Directives whose value is looked at, at the top of a file.
_TOP = {
    "configfile",
    "include",
    "container",
    "containerized",
    "singularity",
    "workdir",
    "pepfile",
    "conda",
    "storage",
}
_RULES = {"rule", "checkpoint"}
#: Directives of a rule that name files.
_PATHS = {"input", "output", "log", "benchmark"}
_WILD = re.compile(r"\{[^{}]*\}")


Tokens = list[tokenize.TokenInfo]


@dataclass(frozen=True)
class Text:
    """
    A text of a Snakefile; not `literal` if parts are only known when it runs (they are ``*`` then), not
    `certain` if it may not count.
    """

    value: str
    line: int
    literal: bool = True
    certain: bool = True


@dataclass
class Rule:
    """
    A rule: the texts of its directives; `paths`, the expressions of its files; the words behind ``threads``
    and ``resources``.

    An `included` one is no target by default.
    """

    name: str
    where: str
    included: bool = False
    asks: dict[str, Tokens] = field(default_factory=dict)
    directives: dict[str, list[Text]] = field(default_factory=dict)
    paths: dict[str, list[ast.expr]] = field(default_factory=dict)


@dataclass
class Declarations:
    """
    What a Snakefile and all that it includes say.

    `validates` are (variable, schema's path relative to the file, file, line); `tables` are variable → table
    that the configuration names; `fallbacks` are keys that the Snakefile can do without (``config.get("n",
    2)``), with what it takes then; `moves`: it says in which folder it works (`workdir`, if that is a plain
    text); `imports` are modules that it imports whatever happens, with file and line; `moves_path`: it says
    itself where from; `assigned` are its variables.
    """

    configfiles: list[tuple[Text, Path]] = field(default_factory=list)
    validates: list[tuple[str, str, Path, int]] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    requires: str | None = None
    workdir: str | None = None
    moves: bool = False
    conda: list[str] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    fallbacks: dict[str, object] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    moves_path: bool = False
    assigned: dict[str, list[ast.expr]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_snakefile(file: Path, root: Path) -> Declarations:
    """
    Read a Snakefile with what it includes.

    Parameters
    ----------
    file : Path
    root : Path
        Names in messages are relative to it.

    Raises
    ------
    UsageError
        It is broken: every problem with file and line.
    """
    declared = Declarations()
    _read(file, root, declared)
    if declared.problems:
        raise UsageError("the Snakefile is broken", declared.problems)
    declared.warnings = list(dict.fromkeys(declared.warnings))
    return declared


def written(declared: Declarations) -> set[str]:
    """Keys of the configuration that say where rules write."""
    names: dict[str, set[str]] = {}
    for name, values in declared.assigned.items():
        names[name] = {key for value in values for key in constants.keys(value, names)}
    places = [
        p
        for rule in declared.rules
        for kind in ("output", "log", "benchmark")
        for p in rule.paths.get(kind, [])
    ]
    return {key for place in places for key in constants.keys(place, names)}


def _name(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _read(file: Path, root: Path, declared: Declarations, always: bool = True) -> None:
    if reading.real(file) in (reading.real(f) for f in declared.files):
        return
    if len(declared.files) >= MAX_FILES:
        declared.problems.append(Problem(str(file), f"more than {MAX_FILES} files are included"))
        return
    declared.files.append(file)
    try:
        text = reading.read_text(file, limit=documents.MAX_BYTES)
        tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in _SKIPPED]
    except (tokenize.TokenError, SyntaxError) as error:
        line = error.args[1][0] if isinstance(error, tokenize.TokenError) else error.lineno
        what = str(error.args[0]) if error.args else "syntax error"
        declared.problems.append(Problem(f"{file}:{line}", f"is not a Snakefile: {what}"))
        return
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        declared.problems.append(Problem(str(file), f"can't be read: {error}"))
        return
    declared.moves_path = (
        declared.moves_path
        or re.search(r"\bsys\s*\.\s*path\b|\bsite\s*\.\s*addsitedir\b|\bPYTHONPATH\b", text) is not None
    )
    _statements(tokens, file, root, declared, always)
    for match in re.finditer(r"""config\s*((?:\[\s*(?:"[^"\n]+"|'[^'\n]+')\s*\])+)""", text):
        key = ".".join(re.findall(r"""["']([^"'\n]+)["']""", match[1]))
        declared.used.setdefault(key, f"{_name(file, root)}:{text.count(chr(10), 0, match.start()) + 1}")
    for match in re.finditer(r"""\bconfig\.get\(\s*["']([^"'\n]+)["']\s*(?:,\s*([^,()\n]+))?\)""", text):
        declared.used.setdefault(match[1], f"{_name(file, root)}:{text.count(chr(10), 0, match.start()) + 1}")
        with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            declared.fallbacks.setdefault(match[1], ast.literal_eval(match[2].strip()) if match[2] else None)


def _statements(tokens: Tokens, file: Path, root: Path, declared: Declarations, always: bool) -> None:
    for statement, block in _split(tokens):
        first = statement[0]
        colon = next((i for i, t in enumerate(statement) if t.string == ":"), None)
        if first.string in _RULES and colon in (1, 2):
            name = statement[1].string if colon == 2 else f"rule at line {first.start[0]}"
            rule = Rule(name, f"{_name(file, root)}:{first.start[0]}", included=file != declared.files[0])
            for inner, more in _split(block):
                if len(inner) > 1 and inner[1].string == ":" and inner[0].type == tokenize.NAME:
                    if inner[0].string in _PATHS:
                        rule.paths[inner[0].string] = constants.parsed(_source([*inner[2:], *more]))
                    rule.directives[inner[0].string] = [
                        t for a in _arguments([*inner[2:], *more]) if (t := _text(a))
                    ]
                    if inner[0].string in {"threads", "resources"}:
                        rule.asks[inner[0].string] = [*inner[2:], *more]
            declared.rules.append(rule)
            declared.images += [
                t.value
                for key in ("container", "singularity")
                for t in rule.directives.get(key, [])
                if t.literal
            ]
            declared.conda += [t.value for t in rule.directives.get("conda", [])]
        elif first.string in _TOP and colon == 1:
            _directive(first.string, [*statement[2:], *block], file, root, declared, always)
        elif first.string == "module" and colon == 2:
            declared.warnings.append(
                f"{_name(file, root)}:{first.start[0]}: the rules of the module "
                f"{statement[1].string} are "
                "not known before it runs"
            )
        else:
            if always and first.string in {"import", "from"}:
                _imports(statement, file, declared)
            if first.type == tokenize.NAME and len(statement) > 2 and statement[1].string == "=":
                declared.assigned.setdefault(first.string, []).extend(
                    constants.parsed(_source(statement[2:]))[:1]
                )
            _calls(statement, file, declared)
            _statements(block, file, root, declared, always=False)


def _source(tokens: Tokens) -> str:
    """
    The text of some tokens, in one line: a line's end, and how far it is indented, means nothing in a
    directive's value.
    """
    made = ""
    before: tokenize.TokenInfo | None = None
    for token in tokens:
        if token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}:
            continue
        made += ("" if before is None or before.end == token.start else " ") + token.string
        before = token
    return made


def _imports(statement: Tokens, file: Path, declared: Declarations) -> None:
    with contextlib.suppress(SyntaxError, ValueError):
        for node in ast.parse(" ".join(t.string for t in statement)).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                declared.imports.setdefault(name.split(".")[0], f"{file}:{statement[0].start[0]}")


def _directive(
    name: str, value: Tokens, file: Path, root: Path, declared: Declarations, always: bool
) -> None:
    where = f"{_name(file, root)}:{value[0].start[0] if value else '?'}"
    declared.moves = declared.moves or name == "workdir"
    texts = [t for a in _arguments(value) if (t := _text(a))]
    text = texts[0] if texts else None
    if (text is None or not text.literal) and name in {"configfile", "include"}:
        text = _placed(value, file, declared) or text
    if name == "workdir" and (text is None or not text.literal):
        return  # the engine says where it worked
    if text is None or not text.literal:
        declared.warnings.append(f"{where}: {name} is not known before it runs")
    elif name == "include":
        target = file.parent / text.value
        if re.match(r"[a-z][a-z0-9+.-]*://", text.value):
            declared.warnings.append(
                f"{where}: {text.value} is included from elsewhere: its rules are not known, and "
                "not part "
                "of the snapshot"
            )
        elif not target.is_file() and not always:
            declared.warnings.append(
                f"{where}: {text.value} is included under a condition, but there is no such file"
            )
        elif not target.is_file():
            declared.problems.append(
                Problem(f"{file}:{text.line}", f"includes {text.value}, but there is no such file")
            )
        else:
            _read(target, root, declared, always)
    elif name == "configfile":
        declared.configfiles.append((Text(text.value, text.line, certain=always), file))
    elif name in {"container", "containerized", "singularity"}:
        declared.images.append(text.value)
    elif name == "conda":
        declared.conda.append(text.value)
    elif name == "workdir":
        declared.workdir = text.value
    else:
        declared.warnings.append(f"{where}: {name} is left to Snakemake")


def _placed(value: Tokens, file: Path, declared: Declarations) -> Text | None:
    """A path that is made of the place of the Snakefile, or of variables that are set once."""
    places = {"workflow.basedir": declared.files[0].parent, "workflow.current_basedir": file.parent}
    known = {name: values[0] for name, values in declared.assigned.items() if len(values) == 1}
    known |= {name: ast.Constant(str(place)) for name, place in places.items()}
    for node in constants.parsed(_source(value))[:1]:
        found = constants.texts(node, {}, known)
        if found and len(found) == 1 and found[0].strip():
            return Text(found[0], value[0].start[0])
    return None


def _calls(statement: Tokens, file: Path, declared: Declarations) -> None:
    """``validate(config, "…")``, ``min_version("…")``, ``samples = pd.read_csv(config["samples"], …)``."""
    _table(statement, declared)
    for i, token in enumerate(statement[:-1]):
        if token.type != tokenize.NAME or statement[i + 1].string != "(":
            continue
        arguments = list(_arguments(_bracket(statement[i + 1 :])))
        if token.string == "validate" and len(arguments) >= 2 and len(arguments[0]) == 1:
            text = _text(next((a for a in arguments[1:] if a[0].string == "schema"), arguments[1]))
            if text and text.literal:
                declared.validates.append((arguments[0][0].string, text.value, file, token.start[0]))
            else:
                declared.warnings.append(
                    f"{file.name}:{token.start[0]}: the schema of {arguments[0][0].string} is "
                    "not known "
                    "before it runs"
                )
        elif token.string == "min_version" and arguments:
            text = _text(arguments[0])
            if text and text.literal and re.fullmatch(r"\d+(\.\d+)*", text.value):
                declared.requires = f">={text.value}"


def _table(statement: Tokens, declared: Declarations) -> None:
    """A variable that holds a sample sheet, or a statement that changes one before it is checked."""
    first, text = statement[0].string, " ".join(t.string for t in statement)
    if first in declared.tables and not any(first == variable for variable, *_ in declared.validates):
        declared.tables[first] = (
            snakefile_tables.changed(text, declared.tables[first]) or declared.tables[first]
        )
    elif ("read_csv" in text or "read_table" in text) and (found := snakefile_tables.table(text)):
        declared.tables[found.variable] = found


def _split(tokens: Tokens) -> Iterator[tuple[Tokens, Tokens]]:
    """Statements, each with the block below it."""
    statement: Tokens = []
    block: Tokens = []
    depth = 0
    for i, token in enumerate(tokens):
        if token.type == tokenize.INDENT:
            depth += 1
        if depth:
            if not (token.type == tokenize.INDENT and depth == 1):
                block.append(token)
            if token.type == tokenize.DEDENT:
                depth -= 1
                if depth == 0:
                    block.pop()
        elif token.type == tokenize.NEWLINE:
            pass
        elif token.type != tokenize.DEDENT:
            statement.append(token)
            continue
        following = tokens[i + 1].type if i + 1 < len(tokens) else None
        if depth == 0 and following != tokenize.INDENT and statement:
            yield statement, block
            statement, block = [], []
    if statement:
        yield statement, block


def _bracket(tokens: Tokens) -> Tokens:
    """What stands in the bracket that the tokens begin with."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += token.string in {"(", "[", "{"} and token.type == tokenize.OP
        depth -= token.string in {")", "]", "}"} and token.type == tokenize.OP
        if depth == 0:
            return tokens[1:i]
    return tokens[1:]


def _arguments(tokens: Tokens) -> Iterator[Tokens]:
    """Arguments between commas, without their names and line ends."""
    depth = 0
    argument: Tokens = []
    for token in [t for t in tokens if t.type not in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}]:
        if token.type == tokenize.OP:
            depth += (token.string in {"(", "[", "{"}) - (token.string in {")", "]", "}"})
            if token.string == "," and depth == 0:
                if argument:
                    yield _unnamed(argument)
                argument = []
                continue
        argument.append(token)
    if argument:
        yield _unnamed(argument)


def _unnamed(argument: Tokens) -> Tokens:
    named = len(argument) > 2 and argument[0].type == tokenize.NAME and argument[1].string == "="
    return argument[2:] if named and not keyword.iskeyword(argument[0].string) else argument


def _text(argument: Tokens) -> Text | None:
    """The text of an argument: literal, or with ``*`` for what is not known; None if it is something else."""
    if not argument:
        return None
    first = argument[0]
    if first.type == tokenize.NAME and len(argument) > 1 and argument[1].string == "(":
        return _text_of_call(first, argument)
    value, literal, inside, depth = "", True, False, 0
    for token in argument:
        if token.type in {_F_STRING["FSTRING_START"], _F_STRING["FSTRING_END"]}:  # of Python 3.12 and newer
            inside = token.type == _F_STRING["FSTRING_START"]
        elif inside and token.type == tokenize.OP and token.string in {"{", "}"}:
            depth += 1 if token.string == "{" else -1
            if depth == 0:
                value, literal = value + "*", False
        elif depth or (token.type == tokenize.OP and token.string == "+"):
            continue
        elif token.type == tokenize.STRING:
            if (part := _string(token.string)) is None:
                return None
            value, literal = value + part.value, literal and part.literal
        elif token.type == _F_STRING["FSTRING_MIDDLE"]:
            value += token.string
        elif token.type in {tokenize.NAME, tokenize.OP, tokenize.NUMBER}:
            value, literal = value + "*", False
        else:
            return None
    value = value if literal else _stars(value)
    return Text(value, first.start[0], literal) if value.strip("*") else None


def _text_of_call(function: tokenize.TokenInfo, argument: Tokens) -> Text | None:
    """What a call of one of Snakemake's functions stands for, by its first argument."""
    text = _text(next(_arguments(_bracket(argument[1:])), []))
    if text is None or function.string in constants.FLAGS:
        return text
    if function.string in {"expand", "collect"}:
        return Text(_stars(_WILD.sub("*", text.value)), function.start[0], literal=False)
    return None


def _string(token: str) -> Text | None:
    """A string as it is written in Python; what is filled in when it runs becomes ``*``."""
    prefix = token[: token.find(token.lstrip("rRbBuUfF")[:1])]
    try:
        part = ast.literal_eval(re.sub("[fF]", "", prefix) + token[len(prefix) :])
    except (ValueError, SyntaxError):
        return None
    if not isinstance(part, str):
        return None
    if "f" not in prefix.lower():
        return Text(part, 0)
    return Text(_WILD.sub("*", part), 0, literal=not _WILD.search(part))


def _stars(text: str) -> str:
    return re.sub(r"\*+", "*", text)
