"""Files that say the same thing to different tools agree: versions, Pythons, targets, names of fragments."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import tomllib
from types import ModuleType
from typing import Any

import pytest
import yaml
from helpers.paths import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CITATION = 'cff-version: 1.2.0\nversion: 1.1.0\ndate-released: "2026-01-01"\nlicense: MIT\n'
CHANGES = "# Changelog\n\n## 2.0.0 (2027-03-04)\n\n- x\n\n## 1.1.0 (2026-01-01)\n"


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def targets() -> dict[str, str]:
    """Target → what `make help` says of it."""
    said = subprocess.run(
        ["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[0]: line.partition(" ")[2].strip() for line in said.splitlines()}


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """docs/generate.py."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("generate")


@pytest.mark.parametrize(
    "version, day", [("2.0.0", "2027-03-04"), ("1.1.0", "2026-01-01"), ("3.0.0", "2026-01-01")]
)
def test_the_citation_gets_the_version_and_its_day_from_the_changelog(
    generate: ModuleType, version: str, day: str
) -> None:
    made = generate.cited(CITATION, version, CHANGES)
    assert made == CITATION.replace(" 1.1.0", f" {version}").replace("2026-01-01", day)
    document = {"a": {"deeper": 1}, "version": "0.1", "dateModified": "2026-01-01", "license": "x"}
    assert json.loads(generate.cited(json.dumps(document, indent=2), version, CHANGES)) == document | {
        "version": version,
        "dateModified": day,
    }


def test_a_citation_without_a_version_is_an_error(generate: ModuleType) -> None:
    with pytest.raises(ValueError, match="is there 0 times"):
        generate.cited("cff-version: 1.2.0\n", "1.0", "")


def test_authors_are_the_same_everywhere() -> None:
    (author,) = PROJECT["project"]["authors"]
    assert [a["name"] for a in yaml.safe_load(text("CITATION.cff"))["authors"]] == [author["name"]]
    assert [a["name"] for a in json.loads(text("codemeta.json"))["author"]] == [author["name"]]


def test_every_python_that_is_promised_is_tested() -> None:
    jobs: dict[str, Any] = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    tested = jobs["quick"]["strategy"]["matrix"]["python"]
    promised = [
        m[1]
        for c in PROJECT["project"]["classifiers"]
        if (m := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", c))
    ]
    assert tested == promised
    assert PROJECT["project"]["requires-python"] == f">={promised[0]}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{promised[0].replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == promised[0]


def test_make_help_lists_every_target_and_pages_name_no_other() -> None:
    made = targets()
    phony = re.search(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)
    assert phony and set(made) == set(phony[1].split())
    assert all(made.values())
    pages = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / ".github").rglob("*.*ml"),
        ROOT / "changes" / "README.md",
    ]
    named = {
        m
        for page in pages
        for m in re.findall(r"(?:`|run: |^)make ([a-z][a-z-]*)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert {"demo", "fast", "site"} <= named
    assert named - set(made) == set()


def test_every_page_is_in_the_contents_of_the_site_once() -> None:
    """Sphinx is not there where the tests run, so docs/conf.py is read, not imported."""
    said = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(text("docs/conf.py")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("include_patterns", "CONTENTS")
    }
    pages = sorted(
        str(p.relative_to(ROOT).with_suffix(""))
        for pattern in said["include_patterns"]
        for p in ROOT.glob(pattern)
    )
    assert sorted(page for part in said["CONTENTS"].values() for page in part) == [
        page for page in pages if page != "README"
    ]


@pytest.mark.parametrize("page, least", [("docs/api.md", 15), ("docs/plug-ins.md", 8)])
def test_what_the_reference_describes_is_there(page: str, least: int) -> None:
    named = re.findall(r"^\.\. auto(?:module|class|function):: (\S+)$", text(page), re.MULTILINE)
    assert len(named) >= least
    assert [
        name
        for name in named
        if not callable(found := pkgutil.resolve_name(name)) and not isinstance(found, ModuleType)
    ] == []


def test_what_an_extra_installs_is_pinned() -> None:
    pinned = {
        canonicalize_name(re.split(r"[=<>]", line)[0])
        for line in text("constraints.txt").splitlines()
        if line and line[0] != "#"
    }
    project = PROJECT["project"]
    wanted = {
        Requirement(r).name
        for part in (project["dependencies"], *project["optional-dependencies"].values())
        for r in part
    }
    assert {canonicalize_name(name) for name in wanted} - pinned == set()


def test_fragments_have_a_kind_that_the_changelog_knows() -> None:
    news = PROJECT["tool"]["towncrier"]
    assert news["start_string"] in text(news["filename"])
    kinds = {kind["directory"] for kind in news["type"]}
    assert set(re.findall(r"^\| `(\w+)` \|", text("changes/README.md"), re.MULTILINE)) == kinds
    strange = [
        p.name
        for p in (ROOT / news["directory"]).iterdir()
        if not re.fullmatch(r"(\d+|\+[\w-]+)\.(\w+)\.md|README\.md", p.name)
    ]
    assert strange == []
    assert {p.name.split(".")[-2] for p in (ROOT / news["directory"]).glob("*.*.md")} <= kinds


@pytest.mark.parametrize(
    "line",
    ["fix(irf): energies are in TeV", "feat!: one name", "docs: words", "Merge branch 'x'", "fixup! fix: x"],
)
def test_the_hook_takes_commits_of_the_agreed_form(line: str) -> None:
    assert re.search(agreed_form(), f"{line}\n\nbody\n", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("line", ["Fixed things", "fix:x", "fix: ", "feature: x", "fix(A b): x", ""])
def test_the_hook_refuses_other_commits(line: str) -> None:
    assert not re.search(agreed_form(), f"{line}\n\nfix: in the body\n", re.MULTILINE | re.DOTALL)


def agreed_form() -> str:
    """The expression that pre-commit searches a commit's message for, with these flags."""
    (repository,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    (hook,) = (h for h in repository["hooks"] if h["id"] == "conventional-commit")
    assert hook["language"] == "pygrep" and hook["args"] == ["--negate", "--multiline"]
    return str(hook["entry"])


def test_no_header_says_who_imports_a_module() -> None:
    """The contracts in pyproject.toml say that, and are checked; sentences beside them become wrong."""
    claim = re.compile(
        r"\b[Uu]sed by\b|\bimports? (it|this|files|errors|models|only)\b|\b(imported by|may import)\b"
    )
    headers = {
        file: " ".join((ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split())
        for file in (ROOT / "esap_wf").rglob("*.py")
    }
    assert len(headers) > 100
    assert [f"{f}: {m[0]}" for f, text in headers.items() if (m := claim.search(text))] == []
