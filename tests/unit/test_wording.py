"""Words for people: what a machine can see of plain English in texts of the code and of the pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from helpers.paths import ROOT

from esap_wf.formats.quantities import human_cores, human_count

#: Things that messages count.
COUNTED = (
    "arguments|bytes|cells|characters|columns|cores|days|digits|engines|entries|errors|examples|failures|files|folders|hours"
    "|images|inputs|items|jobs|layers|levels|lines|links|minutes|names|options|outputs|packages|parameters|problems|processes"
    "|references|repositories|results|rows|rules|runs|scripts|seconds|steps|tags|units|values|warnings|words|GPUs"
)
#: Counts that are never 1, because the text stands behind a condition that says so.
SEVERAL = {
    f"len({name})"
    for name in (
        "values",
        "runs",
        "refs",
        "images",
        "matches",
        "named",
        "texts",
        "seen.names",
        "taken",
        "text",
    )
}
#: Words with "an": those that begin with a vowel that is heard. Abbreviations are not judged.
AN = re.compile(r"(?i:[aeio]|u(?!n(?:i[^mn]|$)|s[aeiu]|r[il]|t[ei]|u?id)|hour|honest)")


def sources() -> list[Path]:
    return [p for p in sorted((ROOT / "esap_wf").rglob("*.py")) if "templates" not in p.parts]


def pages() -> list[Path]:
    return [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *(ROOT / "workflows" / n / "README.md" for n in ("hello", "noop")),
    ]


def unfit_counts(code: str) -> Iterator[str]:
    """Numbers that are followed by a plural whatever they are: ``1 files``."""
    plural = re.compile(rf" (?:\w+ )?(?:{COUNTED})\b")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if not (
                    isinstance(value, ast.FormattedValue)
                    and isinstance(after, ast.Constant)
                    and plural.match(str(after.value))
                ):
                    continue
                count = ast.unparse(value.value)
                of_a_kind = count.isupper() or count.rsplit(".", 1)[-1].isupper()  # a constant
                if (
                    not of_a_kind
                    and count not in SEVERAL
                    and re.match(r"len\(|\w*(?:count|more|size|number|total)\b|.* - ", count)
                ):
                    yield f"{node.lineno}: {{{count}}}{after.value!s}"


def slips(text: str) -> Iterator[str]:
    """Wrong articles, and words that stand twice."""
    text = re.sub(r"`[^`]*`", "x", text)
    for article, word in re.findall(r"(?<![\w'./{-])([Aa]n?) (\w[\w-]*)", text):
        if not re.search(r"[A-Z].*[A-Z]|^.$", word) and (article.lower() == "an") != bool(AN.match(word)):
            yield f"{article} {word}"
    yield from (f"{word} {word}" for word in re.findall(r"(?<![\w./-])([a-z]{2,}) \1(?![\w/-])", text))


def texts(code: str) -> Iterator[str]:
    """Every text of a file, filled in with an ellipsis; what programs read (patterns, scripts, SQL) is no text for people."""
    tree = ast.parse(code)
    inner = {id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            text = node.value
        else:
            continue
        if not re.search(r"\\[swd]|\(\?|--\w+ …|SELECT|\n    ", text):
            yield text


def test_what_is_counted_agrees_with_its_number() -> None:
    found = [f"{p.name}:{text}" for p in sources() for text in unfit_counts(p.read_text("utf-8"))]
    assert found == [], "human_count(n, 'file') writes 1 file, 2 files"


def test_articles_fit_and_no_word_stands_twice() -> None:
    found = [f"{p.name}: {s}" for p in sources() for t in texts(p.read_text("utf-8")) for s in slips(t)]
    found += [
        f"{p.name}: {s}"
        for p in pages()
        for s in slips(re.sub(r"```.*?```", "", p.read_text("utf-8"), flags=re.DOTALL))
    ]
    assert found == []


def test_slips_are_seen() -> None:
    assert list(unfit_counts('f"{len(left)} files of {a}"')) and list(
        unfit_counts('f"and {more} more failures"')
    )
    assert not list(unfit_counts('f"{MAX_FILES} files, {human_count(len(x), chr(97))} of"'))
    assert list(slips("a input is an file of the the store")) == ["a input", "an file", "the the"]
    assert not list(
        slips(
            "an SQL file, a unit, an hour, a URL, a UTC time, an id, an unknown user, an MPI job, a SIF, a useful one"
        )
    )


def test_amounts_are_singular_for_one_only() -> None:
    assert [human_count(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [human_count(n, "process is", "processes are") for n in (1, 2)] == [
        "1 process is",
        "2 processes are",
    ]
    assert human_cores(1) == "1 core"
