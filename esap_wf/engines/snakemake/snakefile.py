"""What a Snakefile declares, read as words and never executed: configuration, schemas, rules, containers."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import tokenize
from pathlib import Path

from esap_wf.engines.snakemake import constants, tables, words
from esap_wf.engines.snakemake.declarations import Declarations, Rule
from esap_wf.engines.snakemake.words import Text, Tokens
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, reading

MAX_FILES = 500
_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_IMAGES = {"container", "containerized", "singularity"}
#: Directives whose value is looked at, at the top of a file.
_TOP = {"configfile", "include", "workdir", "pepfile", "conda", "storage", *_IMAGES}
_RULES = {"rule", "checkpoint"}
#: Directives of a rule that name files, and those that ask for something.
_PATHS = {"input", "output", "log", "benchmark"}
_ASKS = {"threads", "resources"}
_MOVES_PATH = re.compile(r"\bsys\s*\.\s*path\b|\bsite\s*\.\s*addsitedir\b|\bPYTHONPATH\b")
_SUBSCRIPT = re.compile(r"""config\s*((?:\[\s*(?:"[^"\n]+"|'[^'\n]+')\s*\])+)""")
_GET = re.compile(r"""\bconfig\.get\(\s*["']([^"'\n]+)["']\s*(?:,\s*([^,()\n]+))?\)""")


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
    _Reader(declared, root, file).read(always=True)
    if declared.problems:
        raise UsageError("the Snakefile is broken", declared.problems)
    declared.warnings = list(dict.fromkeys(declared.warnings))
    return declared


class _Reader:
    """
    Reads one file into `declared`, with what it includes.

    `always`, of its methods: what they read counts whatever happens, it stands under no condition.
    """

    def __init__(self, declared: Declarations, root: Path, file: Path) -> None:
        self.declared, self.root, self.file = declared, root, file
        self.name = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)

    def read(self, always: bool) -> None:
        """The file, unless it was read before."""
        declared = self.declared
        if reading.real(self.file) in (reading.real(f) for f in declared.files):
            return
        if len(declared.files) >= MAX_FILES:
            declared.problems.append(Problem(str(self.file), f"more than {MAX_FILES} files are included"))
            return
        declared.files.append(self.file)
        text = self._text()
        tokens = self._tokens(text) if text is not None else None
        if text is None or tokens is None:
            return
        declared.moves_path = declared.moves_path or _MOVES_PATH.search(text) is not None
        self._statements(tokens, always)
        self._uses(text)

    def _text(self) -> str | None:
        try:
            return reading.read_text(self.file, limit=documents.MAX_BYTES)
        except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
            self.declared.problems.append(Problem(str(self.file), f"can't be read: {error}"))
            return None

    def _tokens(self, text: str) -> Tokens | None:
        try:
            found = tokenize.generate_tokens(io.StringIO(text).readline)
            return [t for t in found if t.type not in _SKIPPED]
        except (tokenize.TokenError, SyntaxError) as error:
            line = error.args[1][0] if isinstance(error, tokenize.TokenError) else error.lineno
            what = str(error.args[0]) if error.args else "syntax error"
            problem = Problem(f"{self.file}:{line}", f"is not a Snakefile: {what}")
        except (ValueError, RecursionError) as error:
            problem = Problem(str(self.file), f"can't be read: {error}")
        self.declared.problems.append(problem)
        return None

    def _where(self, line: int | str) -> str:
        return f"{self.name}:{line}"

    def _uses(self, text: str) -> None:
        """Keys of the configuration that are used anywhere, and what is taken without them."""
        declared = self.declared
        for match in _SUBSCRIPT.finditer(text):
            key = ".".join(re.findall(r"""["']([^"'\n]+)["']""", match[1]))
            declared.used.setdefault(key, self._where(text.count("\n", 0, match.start()) + 1))
        for match in _GET.finditer(text):
            declared.used.setdefault(match[1], self._where(text.count("\n", 0, match.start()) + 1))
            with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                fallback = ast.literal_eval(match[2].strip()) if match[2] else None
                declared.fallbacks.setdefault(match[1], fallback)

    # --- statements

    def _statements(self, tokens: Tokens, always: bool) -> None:
        """What statements declare, and those in the blocks of Python's own."""
        for statement, block in words.statements(tokens):
            first = statement[0]
            colon = next((i for i, t in enumerate(statement) if t.string == ":"), None)
            if first.string in _RULES and colon in (1, 2):
                name = statement[1].string if colon == 2 else f"rule at line {first.start[0]}"
                self._rule(name, first.start[0], block)
            elif first.string in _TOP and colon == 1:
                self._directive(first.string, [*statement[2:], *block], always)
            elif first.string == "module" and colon == 2:
                self.declared.warnings.append(
                    f"{self._where(first.start[0])}: the rules of the module {statement[1].string} are not "
                    "known before it runs"
                )
            else:
                self._python(statement, always)
                self._statements(block, always=False)

    def _rule(self, name: str, line: int, block: Tokens) -> None:
        """A rule, by the directives in its block."""
        declared = self.declared
        rule = Rule(name, self._where(line), included=self.file != declared.files[0])
        for statement, more in words.statements(block):
            if len(statement) < 2 or statement[1].string != ":" or statement[0].type != tokenize.NAME:
                continue
            directive, value = statement[0].string, [*statement[2:], *more]
            if directive in _PATHS:
                rule.paths[directive] = constants.parsed(words.source(value))
            if directive in _ASKS:
                rule.asks[directive] = value
            rule.directives[directive] = [t for a in words.arguments(value) if (t := words.text_of(a))]
        declared.rules.append(rule)
        images = [t for key in ("container", "singularity") for t in rule.directives.get(key, [])]
        declared.images += [t.value for t in images if t.literal]
        declared.conda += [t.value for t in rule.directives.get("conda", [])]

    def _python(self, statement: Tokens, always: bool) -> None:
        """Any other statement: Python's own."""
        first = statement[0]
        if always and first.string in {"import", "from"}:
            self._imports(statement)
        if first.type == tokenize.NAME and len(statement) > 2 and statement[1].string == "=":
            values = constants.parsed(words.source(statement[2:]))
            self.declared.assigned.setdefault(first.string, []).extend(values[:1])
        self._table(statement)
        self._calls(statement)

    def _imports(self, statement: Tokens) -> None:
        with contextlib.suppress(SyntaxError, ValueError):
            for node in ast.parse(" ".join(t.string for t in statement)).body:
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    where = f"{self.file}:{statement[0].start[0]}"
                    self.declared.imports.setdefault(name.split(".")[0], where)

    def _table(self, statement: Tokens) -> None:
        """A variable that holds a sample sheet, or a statement that changes one before it is checked."""
        known, checked = self.declared.tables, {variable for variable, *_ in self.declared.validates}
        variable, text = statement[0].string, " ".join(t.string for t in statement)
        if variable in known and variable not in checked:
            known[variable] = tables.changed(text, known[variable]) or known[variable]
        elif ("read_csv" in text or "read_table" in text) and (found := tables.table(text)):
            known[found.variable] = found

    def _calls(self, statement: Tokens) -> None:
        """``validate(config, "…")`` and ``min_version("…")``."""
        for i, token in enumerate(statement[:-1]):
            if token.type != tokenize.NAME or statement[i + 1].string != "(":
                continue
            arguments = list(words.arguments(words.in_bracket(statement[i + 1 :])))
            if token.string == "validate" and len(arguments) >= 2 and len(arguments[0]) == 1:
                self._validate(arguments, token.start[0])
            elif token.string == "min_version" and arguments:
                text = words.text_of(arguments[0])
                if text and text.literal and re.fullmatch(r"\d+(\.\d+)*", text.value):
                    self.declared.requires = f">={text.value}"

    def _validate(self, arguments: list[Tokens], line: int) -> None:
        variable = arguments[0][0].string
        text = words.text_of(next((a for a in arguments[1:] if a[0].string == "schema"), arguments[1]))
        if text and text.literal:
            self.declared.validates.append((variable, text.value, self.file, line))
        else:
            self.declared.warnings.append(
                f"{self.file.name}:{line}: the schema of {variable} is not known before it runs"
            )

    # --- directives at the top

    def _directive(self, name: str, value: Tokens, always: bool) -> None:
        """A directive at the top of a file."""
        declared, where = self.declared, self._where(value[0].start[0] if value else "?")
        declared.moves = declared.moves or name == "workdir"
        text = self._value(name, value)
        if text is None or not text.literal:
            if name != "workdir":  # the engine says where it worked
                declared.warnings.append(f"{where}: {name} is not known before it runs")
        elif name == "include":
            self._include(text, where, always)
        elif name == "configfile":
            declared.configfiles.append((Text(text.value, text.line, certain=always), self.file))
        elif name in _IMAGES:
            declared.images.append(text.value)
        elif name == "conda":
            declared.conda.append(text.value)
        elif name == "workdir":
            declared.workdir = text.value
        else:
            declared.warnings.append(f"{where}: {name} is left to Snakemake")

    def _value(self, name: str, value: Tokens) -> Text | None:
        """The text of a directive; a path may be made of variables and of the Snakefile's own folder."""
        text = next((t for a in words.arguments(value) if (t := words.text_of(a))), None)
        if (text is None or not text.literal) and name in {"configfile", "include"}:
            return self._computed(value) or text
        return text

    def _computed(self, value: Tokens) -> Text | None:
        """A path that is made of the folder of the Snakefile, or of variables that are set once."""
        folders = {
            "workflow.basedir": self.declared.files[0].parent,
            "workflow.current_basedir": self.file.parent,
        }
        known = {name: values[0] for name, values in self.declared.assigned.items() if len(values) == 1}
        known |= {name: ast.Constant(str(folder)) for name, folder in folders.items()}
        for node in constants.parsed(words.source(value))[:1]:
            found = constants.texts(node, {}, known)
            if found and len(found) == 1 and found[0].strip():
                return Text(found[0], value[0].start[0])
        return None

    def _include(self, text: Text, where: str, always: bool) -> None:
        """Read a file that is included, if it is here."""
        declared, target = self.declared, self.file.parent / text.value
        if re.match(r"[a-z][a-z0-9+.-]*://", text.value):
            declared.warnings.append(
                f"{where}: {text.value} is included from elsewhere: its rules are not known, and not part of "
                "the snapshot"
            )
        elif target.is_file():
            _Reader(declared, self.root, target).read(always)
        elif always:
            what = f"includes {text.value}, but there is no such file"
            declared.problems.append(Problem(f"{self.file}:{text.line}", what))
        else:
            declared.warnings.append(
                f"{where}: {text.value} is included under a condition, but there is no such file"
            )
