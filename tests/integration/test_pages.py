"""README and docs: every command in a block or in a line is one that the command line understands, every file that is shown can be read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from helpers.command_line import Place, understood
from helpers.paths import ROOT
from helpers.workflows import write_workflow

from esap_wf import config
from esap_wf.cli import VERBS, cli
from esap_wf.formats import documents, schemas
from esap_wf.models.manifest import Manifest
from esap_wf.models.request import Request

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / "workflows" / n / "README.md" for n in ("hello", "noop")),
]
URL = "https://example.org/group/pipeline.git@v1.2#main"
#: Of the page's commands those that show what a wrong flag is answered.
WRONG = {"esap-wf run irf --zenith 20 parsec --sit North"}


def blocks(page: Path, kind: str) -> list[str]:
    found = re.findall(r"(?m)^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL)
    return [text for language, text in found if language == kind]


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every line of a block, or of a block that is indented, that is a command of ours."""
    text = "\n".join(blocks(page, "") + re.findall(r"(?m)^    (esap-wf .*)$", page.read_text("utf-8")))
    for line in text.splitlines():
        line = re.sub(r"^\$ |^eval \"\$\(|\)\"$|\s#.*$", "", line.strip())
        for part in re.split(r"&& | \| ", line):
            if re.match(r"(~/esap/bin/)?esap-wf ", part):
                yield shlex.split(part)[1:]


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what the pages name."""
    pipeline = tmp_path / "rnaseq-nf"
    pipeline.mkdir()
    (pipeline / "main.nf").write_text(
        "params.reads = null\nworkflow { Channel.fromFilePairs(params.reads) | view }\n"
    )
    write_workflow(tmp_path / "main", manifest={"inputs": {"input_file": {"title": "Events"}}})
    for name in ("my-workflow", "distances", "pipeline"):
        write_workflow(
            tmp_path / name,
            {n: {"type": "string", "title": n} for n in ("numbers", "parts", "step", "offset")},
        )
    (tmp_path / "params.yaml").write_text("zenith: 40 deg\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_command_in_a_block_is_understood(place: Place, somewhere: Path, page: Path) -> None:
    for words in commands(page):
        # what is elsewhere is here for once; `run .` in a new folder is that folder
        here = [{URL: "./main", ".": "./my-workflow"}.get(word, word) for word in words]
        if "…" in words:
            continue
        try:
            understood(here, somewhere)
        except click.NoSuchOption:
            assert "esap-wf " + " ".join(words) in WRONG, words
        except click.exceptions.Exit:
            pass  # --help, --version


def spans(page: Path) -> Iterator[list[str]]:
    """Words of every command of ours that stands in a line of text."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    for span in re.findall(r"`(esap-wf [^`]*)`", text):
        try:
            yield shlex.split(span)[1:]
        except ValueError:
            yield span.split()[1:]


def test_every_command_in_a_line_of_text_has_a_verb_and_options_that_exist() -> None:
    top, seen = click.Context(cli), 0
    for page in PAGES:
        for words in spans(page):
            own = words[: words.index("--")] if "--" in words else words
            names = [w for w in own if w in VERBS]
            if not names or own[0].isupper() or own[0].startswith("["):
                assert own[0] in (
                    "VERB",
                    "COMMAND",
                    "WORKFLOW",
                    "-v",
                    "[--store",
                    "--version",
                    "--help",
                    "…",
                ), f"{page.name}: {words}"
                continue
            command = cli.get_command(top, names[0])
            options = {o for p in cli.params for o in p.opts} | {"--help", "-h"}
            assert command is not None
            below = command.commands.values() if isinstance(command, click.Group) else ()
            options |= {o for c in (command, *below) for p in c.get_params(click.Context(c)) for o in p.opts}
            # a workflow that is named may have flags of its own
            given = (
                set()
                if names[0] in ("run", "plan", "validate")
                else {w.split("=")[0] for w in own if w.startswith("--")}
            )
            assert given <= options, f"{page.name}: {words}"
            seen += 1
    assert seen > 60


def shown(page: str, kind: str, n: int = 0) -> documents.Document:
    """A file that a page shows; what it leaves out stands as a text."""
    return documents.parse(blocks(ROOT / "docs" / page, kind)[n].replace("…", "x"), f"docs/{page}")


def test_files_that_pages_show_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert schemas.convert(shown("commands.md", "yaml"), Request, "request").size == "medium"
    manifest = shown("workflows.md", "yaml")
    manifest.data["authors"][0]["orcid"] = "0000-0002-1825-0097"
    assert schemas.convert(manifest, Manifest, "manifest").units is not None
    for page in ("commands.md", "install.md", "containers.md"):
        for block in blocks(ROOT / "docs" / page, "toml"):
            (tmp_path / "config.toml").write_text(block)
            monkeypatch.setenv("ESAP_WF_CONFIG", str(tmp_path / "config.toml"))
            assert config.load(None).source == tmp_path / "config.toml"
    files = {
        *re.findall(
            r"site-packages/(esap_wf/engines/\S+\.txt)", (ROOT / "docs" / "install.md").read_text("utf-8")
        )
    }
    assert files and all((ROOT / file).is_file() for file in files)


def test_paths_in_this_repository_that_pages_name_are_there() -> None:
    """Those in capitals stand for what a reader has; `profiles/default` lies in a pipeline."""
    lost = []
    for page in [*PAGES, *(ROOT / n for n in ("CONTRIBUTING.md", "RELEASING.md", "SECURITY.md"))]:
        text = page.read_text("utf-8")
        named = re.findall(
            r"`((?:esap_wf|tests|workflows|docs|rules|profiles|containers|executors|benchmarks)/[\w./-]*)`",
            text,
        )
        named += re.findall(r"(?<![\w/`(])(docs/[\w-]+\.md)", text)
        lost += [
            f"{page.name}: {n}"
            for n in named
            if not (ROOT / n).exists() and "NAME" not in n and n != "profiles/default"
        ]
    assert lost == []
