"""What the texts of a pipeline show of the files that it may read: by name, by pattern, by listing a folder,
above its own folder.

Each is answered by yes if in doubt: then more is snapshotted, and an edit of more makes a new run.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

#: Files of which the text is looked at: code of any size up to the second, others only if they are small.
_SMALL, _LARGE = 100_000, 64_000_000
_CODE = re.compile(
    r".*\.(py|r|rmd|qmd|jl|pl|sh|bash|smk|nf|groovy|config|cwl|ipynb|ya?ml|json|toml|ini|c|cc|cpp|h|f90|java|js|rs)",
    re.I,
)
#: What stands in repositories for people, hosts of code and editors: read by a pipeline only if it names it.
#: Names → words that may.
_FOR_PEOPLE: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"(.*/)?readme(\.[a-z]+)?", re.I), ("readme",)),
    (
        re.compile(r"(.*/)?(licen[sc]e|copying|notice)([.-][a-z0-9.-]+)?", re.I),
        ("license", "licence", "copying", "notice"),
    ),
    (
        re.compile(
            r"(.*/)?(changelog|changes|history|news|contributing|code_of_conduct|authors|security)(\.(md|rst|txt))?",
            re.I,
        ),
        ("changelog", "changes", "history", "news", "contributing", "code_of_conduct", "authors", "security"),
    ),
    (
        re.compile(r"(.*/)?(citations?(\.(md|cff|bib))?|codemeta\.json|\.zenodo\.json)", re.I),
        ("citation", "codemeta", "zenodo"),
    ),
    (re.compile(r"docs?/.*", re.I), ("docs", "doc/", '"doc"', "'doc'")),
    (
        re.compile(r"\.(github|gitlab|circleci|devcontainer|vscode|idea)/.*"),
        (".github", ".gitlab", ".circleci", ".dev", ".vscode", ".idea"),
    ),
    (
        re.compile(
            r"(.*/)?\.(git(ignore|attributes|modules|keep|-blame-ignore-revs)|editorconfig|dockerignore|pre-commit-config\.ya?ml"
            r"|prettier\w*(\.\w+)?|gitlab-ci\.yml|travis\.yml|gitpod\.yml|nf-core\.yml|readthedocs\.ya?ml"
            r"|snakemake-workflow-catalog\.yml|all-contributorsrc)"
        ),
        (
            ".git",
            "editorconfig",
            "dockerignore",
            "pre-commit",
            "prettier",
            "travis",
            "nf-core.yml",
            "readthedocs",
            "catalog.yml",
            "contributorsrc",
        ),
    ),
)
#: What reads the names of files that it isn't told. Patterns begin with their words, which are looked for
#: first: that is quick.
_LISTING = (
    "listdir",
    "scandir",
    "iterdir",
    "os.walk",
    "rglob",
    "readdir",
    "list.files",
    "list_files",
    "listfiles",
    "eachfile",
    "rsync",
    "*.*",
)
_PERHAPS = tuple(
    (word, re.compile(word + rest))
    for word, rest in (
        ("glob_wildcards", r"\(\s*f?[\"']\{"),
        ("find", r"(?<!\wfind)\s+[\"'$.{/]"),
        ("ls", r"(?<!\wls)(?!\w)"),
        ("cp", r"(?<!\wcp)\s+-\w*[ra]"),
        ("tar", r"(?<!\wtar)\s+-?c"),
        ("git", r"\s+(-c\s+\S+\s+)?(ls-files|status|archive|diff|describe|grep|hash-object|log|rev-parse)"),
    )
)
_STAR = re.compile(r"\*{1,2}(?=[\s;\"'/]|$)")
_COMMAND = re.compile(r"(?<!\w)(cat|in|wc|\w+sum|head|tail|grep|cp|mv|file|stat|du)\s[^\"']*$")
#: How what lies above a folder is reached.
_UPWARDS = (
    "pardir",
    "dirname",
    "getparent",
    "parentfile",
    "rev-parse",
    "toplevel",
    "rprojroot",
    "setwd",
    "chdir",
)
_ABOVE = tuple(
    (word, re.compile(re.escape(word) + rest))
    for word, rest in (
        ("..", r"(?<![.\w)\]]\.\.)(?![.\w])"),
        (".parent", r"s?(?!\w)"),
        ("here", r"(?<!\where)\s*\("),
    )
)
_URL = re.compile(r"(?:https?|ftp|ssh|git)://\S+")
#: Stands for a program's text: it may read anything.
_ANYTHING = "listdir pardir"


def is_code(path: Path) -> bool:
    """Whether a file is code or configuration, by its name."""
    return _CODE.fullmatch(path.name) is not None


def is_for_people(name: str) -> bool:
    """Whether a file is for people, hosts of code or editors, by its name."""
    return any(pattern.fullmatch(name) for pattern, _ in _FOR_PEOPLE)


def hidden(name: str) -> str | None:
    """The part of a name that begins with a dot."""
    return next((part for part in name.split("/") if part.startswith(".")), None)


def words_of(name: str) -> tuple[str, ...]:
    """Texts of which one stands wherever a file is named, or a pattern that fits its ending."""
    known = next((words for pattern, words in _FOR_PEOPLE if pattern.fullmatch(name)), None)
    if known is None:
        return ((hidden(name) or name).lower(),)
    ending = PurePosixPath(name).suffix.lower()
    return (*known, f"*{ending}", f"}}{ending}") if ending else known


def names(text: str, word: str) -> bool:
    """
    Whether a text has a word of `words_of`; one that begins with a dot must be a whole part of a path, and
    not below the home.
    """
    if word not in text:
        return False
    if not word.startswith("."):
        return True
    return (
        re.search(
            rf"(?<!\w)(?<!~/)(?<!home/){re.escape(word)}" + ("" if word in (".git", ".dev") else r"(?!\w)"),
            text,
        )
        is not None
    )


def lists_folders(text: str) -> bool:
    """Whether a text may read the names of files that it doesn't have."""
    if any(word in text for word in _LISTING) or any(
        word in text and pattern.search(text) for word, pattern in _PERHAPS
    ):
        return True
    if "*" not in text:
        return False
    for match in _STAR.finditer(text):
        before = text[: match.start()][-2:]
        if before.endswith(('"', "'", "/")) or (before.endswith(".") and before[:1] in {'"', "'", "/"}):
            if text[match.end() :][:1] in {'"', "'", "/"}:
                return True
        elif before[-1:].isspace() and _COMMAND.search(
            text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        ):
            return True
    return False


def reaches_above(text: str) -> bool:
    """Whether a text may lead out of the folder that it is in."""
    return any(word in text for word in _UPWARDS) or any(
        word in text and pattern.search(text) for word, pattern in _ABOVE
    )


def text_of(path: Path) -> str:
    """The text of a file, in lower case and without addresses; empty if it is none."""
    try:
        size = path.stat().st_size
        if path.is_symlink() or not path.is_file() or size > (_LARGE if is_code(path) else _SMALL):
            return ""
        data = path.read_bytes()
    except OSError:
        return ""
    if b"\0" in data[:8000]:
        return _ANYTHING if os.access(path, os.X_OK) else ""
    text = data.decode("utf-8", "replace").lower()
    return _URL.sub("", text) if "://" in text else text
