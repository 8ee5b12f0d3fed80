"""Pages for people: the tutorial's commands and edits are tried, messages that are quoted exist."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command_line import Place, understood
from helpers.paths import ROOT

DOCS = ROOT / "docs"
#: Commands of the tutorial that don't end with 0, and how they end.
ENDS = {
    "esap-wf run noop --units 3 --fail-unit 2 --name broken": 1,
    "esap-wf resume broken": 1,
    "esap-wf results broken": 3,
}
#: One run shows what all edits of the tutorial do; the others are made in the long form of this test.
RUN = 'esap-wf run ./distances --numbers distances/test/numbers.csv --parts 4 --offset "1 km"'


def tutorial() -> Iterator[tuple[str, list[str]]]:
    """What stands in a comment before a block (an edit, or nothing), and the lines of the block."""
    text = (DOCS / "first-workflow.md").read_text("utf-8")
    for match in re.finditer(r"(?:<!-- edit: (.*?) -->\n)?```\n(.*?)```", text, re.DOTALL):
        yield match[1] or "", match[2].splitlines()


def edit(root: Path, how: str, block: list[str]) -> None:
    """Do to a file what the tutorial tells a reader to."""
    name, rest = how.split(" ", 1)
    file = root / name
    lines = file.read_text("utf-8").splitlines()
    if rest.startswith("after "):
        (at,) = (n for n, line in enumerate(lines) if line.strip() == rest.removeprefix("after "))
        lines[at + 1 : at + 1] = block
    elif rest == "replaces the shell of join":
        at = lines.index("    shell:", lines.index("rule join:"))
        lines[at : at + 2] = block
    else:
        old, new = rest.split(" becomes ")
        (at,) = (n for n, line in enumerate(lines) if old in line and "join" not in line)
        lines[at] = lines[at].replace(old, new)
    file.write_text("\n".join(lines) + "\n", "utf-8")


def follow(place: Place, runs: set[str] | None) -> dict[str, str]:
    """Do all that the tutorial says, of its runs those that are named; gives what each command answered."""
    said = {}
    for how, block in tutorial():
        becomes = " becomes " in how
        if how:
            edit(place.root, how, block)
        for line in block if not how or becomes else []:
            words = shlex.split(line)[1:]
            if (
                runs is not None
                and line not in runs
                and (
                    {"broken", "tutorial", "ciao"} & set(words)
                    or (words[0] == "run" and "--help" not in words)
                )
            ):
                understood(words, place.root)
                continue
            done = place.inside(*words)
            assert done.code == ENDS.get(line, 0), f"{line}\n{done.out}{done.err}"
            said[line] = done.out
    return said


def test_the_tutorial_can_be_followed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.root)
    said = follow(place, {RUN})
    assert "--offset M" in said["esap-wf run ./distances --help"]
    (result,) = place.store.glob("runs/*/*/outputs/result.json")
    assert ast.literal_eval(result.read_text()) == {"sum": 1.5 * 20.5 + 1000, "parts": 4}
    assert "this is a length" in place.inside("validate", "./distances", "--offset", "3 s").err
    assert place.inside("validate", "noop", "--seconds", "5 deg").code == 2


@pytest.mark.soak
def test_every_command_of_the_tutorial_ends_as_it_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.root)
    follow(place, None)
    assert (place.root / "my-results").is_dir()


def literals() -> list[str]:
    """Every text in the code; what is filled in stands as an ellipsis."""
    found = []
    for file in (ROOT / "esap_wf").rglob("*.py"):
        if "templates" not in file.parts:
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    found.append(
                        "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
                    )
    return found


def test_messages_that_troubleshooting_quotes_are_messages_of_the_code() -> None:
    text = (DOCS / "troubleshooting.md").read_text("utf-8")
    quoted = [
        m for m in re.findall(r"\*\*`(.*?)`", text) if not m.startswith("No such option")
    ]  # that one is click's
    quoted += re.findall(r"(?<=\*\*, \*\*`)(.*?)`", text)
    assert len(quoted) > 20
    known = literals()
    assert [message for message in quoted if not any(message.rstrip("… ") in one for one in known)] == []
    reasons = set(re.findall(r"`([A-Z_]{4,})`", text.split("| reason |")[1].split("\n\n")[0]))
    from esap_wf.models.run import Reason

    assert reasons <= set(Reason)


def test_links_between_pages_lead_somewhere() -> None:
    pages = [
        *ROOT.glob("*.md"),
        *DOCS.glob("*.md"),
        ROOT / "changes" / "README.md",
        ROOT / "benchmarks" / "README.md",
    ]
    lost = []
    for page in pages:
        for target in re.findall(
            r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)",
            re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE),
        ):
            file = page.parent / target[0] if target[0] else page
            if not file.exists():
                lost.append(f"{page.name}: {target[0]}")
            elif target[1] and file.suffix == ".md":
                heads = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads}
                if target[1][1:] not in anchors:
                    lost.append(f"{page.name}: {target[0]}{target[1]}")
    assert lost == []
