"""What texts show of the files that a pipeline may read: in doubt, yes."""

from __future__ import annotations

import pytest

from esap_wf.code import mentions


@pytest.mark.parametrize(
    "text",
    [
        "os.listdir('.')",
        "path.iterdir()",
        "ls",
        "$(ls data)",
        "find . -name x",
        'find "$x"',
        "cp -r a b",
        "tar cf x .",
        "git status",
        "git -c a=b ls-files",
        'glob("*")',
        "'./*'",
        "/*'",
        "cat * > x",
        "for f in *; do",
        "md5sum *",
        "*.*",
        'glob_wildcards("{x}.y")',
        'glob("**/*")',
    ],
)
def test_what_lists_a_folder_is_seen(text: str) -> None:
    assert mentions.lists_folders(f"a\n{text}\nb")


@pytest.mark.parametrize(
    "text",
    [
        "x = 2 * y",
        "calls",
        "false",
        "find the mean",
        "cp a b",
        "start",
        "digit",
        "/* a comment */",
        "glob('data/*.fq')",
        "a ** b",
        "glob_wildcards('data/{x}.fq')",
        "gitlab",
        "path '*.bam'",
    ],
)
def test_what_does_not_is_not_taken_for_it(text: str) -> None:
    assert not mentions.lists_folders(f"a\n{text}\nb")


@pytest.mark.parametrize(
    "text",
    ["../data", '"..", "x"', "Path(__file__).parent / 'x'", "os.path.dirname(x)", "here('x')", "setwd('/x')"],
)
def test_what_leads_above_a_folder_is_seen(text: str) -> None:
    assert mentions.reaches_above(text)


@pytest.mark.parametrize("text", ["1..10", "and so on...", "a..b", "where (x)", "transparent", "apparently"])
def test_what_leads_nowhere_is_not_taken_for_it(text: str) -> None:
    assert not mentions.reaches_above(text)


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("README.md", "cat readme", True),
        ("README.md", "*.md", True),
        ("README.md", "{x}.md", True),
        ("README.md", "md", False),
        (".test/x", "samples: .test/x", True),
        (".test/x", "a.test/x", False),
        (".ssh/id", "~/.ssh/id", False),
        (".env", ".environ", False),
        (".gitignore", ".gitmodules", True),
        ("docs/a.rst", "see docs/a", True),
        ("sub/LICENSE-MIT.txt", "the licence", True),
    ],
)
def test_a_file_is_named_by_a_word(name: str, text: str, named: bool) -> None:
    assert any(mentions.names(text, word) for word in mentions.words_of(name)) is named
