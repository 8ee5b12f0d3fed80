"""The harness itself: it sees each kind of difference, so it can't be green where something differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from foreign import bare, cases, differential, trees
from foreign.bare import Made
from foreign.differential import Asked, Ours, differences
from helpers.command_line import Place

Change = Callable[[Path], object]


def filled(folder: Path) -> Path:
    """Results of every kind."""
    (folder / "plots/deep").mkdir(parents=True)
    (folder / "hollow").mkdir()
    (folder / "a.txt").write_text("a\n")
    (folder / "plots/deep/p.txt").write_text("p\n")
    (folder / "linked.txt").symlink_to("a.txt")
    (folder / "shown").symlink_to("plots")
    (folder / "lost").symlink_to("nowhere")
    return folder


def made(tree: trees.Tree, **more: Any) -> Ours:
    """What esap-wf does that does everything right."""
    right = {
        "code": 0,
        "printed": "",
        "phase": "COMPLETED",
        "reported": tree,
        "copied": tree,
        "values": {"n": 3},
    }
    return Ours(**{**right, **more})


@dataclass
class Both:
    """A folder of the bare engine's, and one that is the same until it is changed."""

    first: Path
    second: Path

    def differ(self, change: Change = lambda _: None, **asked: Any) -> list[str]:
        """Whether it is seen in each of the three places."""
        change(self.second)
        one, other = trees.tree(self.first), trees.tree(self.second)
        expected = Made(code=0, printed="", tree=one, values={"n": 3})
        found = [
            differences(expected, made(one, **{where: other}), Asked(**asked))
            for where in ("reported", "copied", "work")
        ]
        links_only = not found[1]
        assert bool(found[0]) == bool(found[2]) and (links_only or bool(found[0])), found
        return found[0]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(filled(tmp_path / "first"), filled(tmp_path / "second"))


def relinked(folder: Path) -> None:
    (folder / "linked.txt").unlink()
    (folder / "linked.txt").write_text("a\n")


def copied_folder(folder: Path) -> None:
    (folder / "shown").unlink()
    (folder / "shown/deep").mkdir(parents=True)
    (folder / "shown/deep/p.txt").write_text("p\n")


CHANGES: dict[str, tuple[Change, str]] = {
    "a file is missing": (lambda f: (f / "plots/deep/p.txt").unlink(), "plots/deep/p.txt is missing"),
    "a file too many": (lambda f: (f / "b.txt").touch(), "b.txt is there"),
    "other bytes": (
        lambda f: (f / "plots/deep/p.txt").write_text("q\n"),
        "plots/deep/p.txt is a file of 2 bytes 'q\\n'",
    ),
    "other bytes behind a link": (
        lambda f: (f / "a.txt").write_text("b\n"),
        "linked.txt is a link to a file of 2 bytes 'b\\n'",
    ),
    "another case": (lambda f: (f / "a.txt").rename(f / "A.txt"), "a.txt is missing"),
    "an empty folder is missing": (lambda f: (f / "hollow").rmdir(), "hollow is missing, a folder"),
    "an empty folder too many": (lambda f: (f / "other").mkdir(), "other is there, a folder"),
    "a file in place of a folder": (
        lambda f: ((f / "hollow").rmdir(), (f / "hollow").touch()),
        "hollow is a file",
    ),
    "a file in place of a link": (relinked, "linked.txt is a file"),
    "a folder in place of a link": (copied_folder, "shown/deep/p.txt is a file"),
    "a link that leads nowhere is missing": (
        lambda f: (f / "lost").unlink(),
        "lost is missing, a link to a lost",
    ),
    "nothing": (lambda f: None, ""),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_kind_of_difference_in_files_is_seen(kind: str, both: Both) -> None:
    change, words = CHANGES[kind]
    found = both.differ(change)
    assert any(words in line for line in found) if words else not found, found


def test_names_that_are_said_to_vary_may_differ_in_bytes_only(both: Both) -> None:
    assert not both.differ(lambda f: (f / "plots/deep/p.txt").write_text("q\n"), varies=["*/p.txt"])
    assert both.differ(lambda f: (f / "plots/deep/p.txt").unlink(), varies=["*/p.txt"])
    assert not both.differ(
        lambda f: ((f / "plots/deep/p.txt").write_text("p\n"), (f / "more.log").touch()), more=["*.log"]
    )


def test_what_are_results_may_be_said(both: Both) -> None:
    one = trees.tree(both.first)
    expected = Made(code=0, printed="", tree=one)
    reported = {name: entry for name, entry in one.items() if name.startswith("plots")}
    assert not differences(expected, made(reported, values={}), Asked(results=["plots/*"]))
    assert not differences(
        expected, made(trees.below(one, "plots"), values={}), Asked(results=["plots/*"], published="plots")
    )
    assert differences(expected, made(reported, values={}), Asked())
    assert differences(expected, made(reported, values={}, work=reported), Asked(results=["plots/*"])), (
        "intermediate files must be made, too"
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n": 3}, ""),
        ({}, "n is missing, 3"),
        ({"n": 4}, "n is 4, the bare engine gives 3"),
        ({"n": "3"}, 'n is "3"'),
        ({"n": 3.0}, "n is 3.0"),
        ({"n": 3, "m": 1}, "m is told"),
        ({"n": 3, "none": None}, ""),
    ],
)
def test_each_kind_of_difference_in_values_is_seen(values: dict[str, object], words: str) -> None:
    file = {"class": "File", "location": "file:///x", "basename": "x"}
    expected = Made(
        code=0, printed="", tree={}, values={"n": 3, "none": None, "file": file, "files": [{"r": file}]}
    )
    found = differences(expected, made({}, values=values, warnings=["nothing"]), Asked())
    assert any(words in line for line in found) if words else not found, found


@pytest.mark.parametrize(
    ("bare_code", "ours", "asked", "words"),
    [
        (
            0,
            {"code": 1, "phase": "ERROR", "reason": "why"},
            {},
            "the bare engine ends with 0, esap-wf with 1 (ERROR): why",
        ),
        (1, {}, {}, "the bare engine ends with 1, esap-wf with 0 (COMPLETED)"),
        (0, {"phase": "ERROR"}, {}, "esap-wf with 0 (ERROR)"),
        (0, {"code": 5, "printed": "a bug"}, {}, "esap-wf ends with 5: a bug"),
        (1, {"code": 5}, {}, "esap-wf ends with 5"),
        (0, {"code": 2, "printed": "no"}, {}, "the bare engine succeeds, esap-wf refuses with 2: no"),
        (0, {"code": 2, "printed": "no"}, {"expect": "refused", "because": "yes"}, "nothing says 'yes': no"),
        (
            0,
            {"code": 2, "printed": "yes", "started": True},
            {"expect": "refused", "because": "yes"},
            "a run was made",
        ),
        (1, {"code": 3, "printed": "yes", "started": True}, {"because": "yes"}, "a run was made"),
        (0, {}, {"expect": "refused"}, "it is to be refused, and ends with 0"),
        (1, {"code": 1, "phase": "ERROR", "reason": "other"}, {"because": "why"}, "nothing says 'why'"),
        (0, {"wrong": ["the run changed the user's own folder: a.txt"]}, {}, "the user's own folder"),
        (0, {"values": {}}, {}, "COMPLETED without a result, and no warning says so"),
        # what is as it should be
        (0, {}, {}, ""),
        (1, {"code": 1, "phase": "ERROR", "reason": "why"}, {"because": "why"}, ""),
        (1, {"code": 2, "printed": "yes"}, {"because": "yes"}, ""),
        (0, {"code": 4, "printed": "yes"}, {"expect": "refused", "because": "yes"}, ""),
        (0, {"values": {}, "warnings": ["no result"]}, {"because": "no result"}, ""),
    ],
)
def test_each_kind_of_end_is_judged(
    bare_code: int, ours: dict[str, Any], asked: dict[str, Any], words: str
) -> None:
    found = differences(Made(code=bare_code, printed="", tree={}), made({}, **ours), Asked(**asked))
    assert any(words in line for line in found) if words else not found, found


def test_a_bare_result_is_remembered_by_folder_words_and_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bare, "REMEMBERED", tmp_path / "remembered")
    count, folder = tmp_path / "count", tmp_path / "case"
    folder.mkdir()
    (folder / "a.txt").write_text("a")

    def run(*words: str) -> Made:
        return bare.run(
            "shell",
            folder,
            ["bash", "-c", f"echo >> {count}; cat a.txt > b.txt; mkdir c; ln -s b.txt d; exit 3", *words],
        )

    def times() -> int:
        return count.read_text().count("\n")

    first = run()
    assert (first.code, sorted(first.tree)) == (3, ["b.txt", "c", "d"]) and first.tree["d"].link == "link"
    assert run() == first and times() == 1
    assert run("other words") == first and times() == 2
    (folder / "a.txt").write_text("b")
    assert run().tree["b.txt"].text == "b" and times() == 3
    (folder / "a.txt").chmod(0o755)
    run()
    assert times() == 4, "rights are part of it"
    for kept in (tmp_path / "remembered").iterdir():
        kept.write_bytes(kept.read_bytes()[:-5])
    run()
    assert times() == 5, "what can't be read is made anew"
    monkeypatch.setenv(bare.RENEW, "1")
    run()
    assert times() == 6 and not (folder / "b.txt").exists()


def test_a_step_that_is_owed_and_in_order_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cases/right").mkdir(parents=True)
    monkeypatch.setattr(cases, "CASES", tmp_path / "cases")
    step = {"run": "./no-such-thing", "bare": None, "expect": "refused"}

    def table(**more: str) -> None:
        printed = {"about": "It is refused.", "engines": ["command"], "steps": [{**step, **more}]}
        (tmp_path / "cases/right/case.yaml").write_bytes(msgspec.yaml.encode(printed))

    def checked(name: str) -> None:
        (tmp_path / name).mkdir()
        cases.check("right", "command", tmp_path / name, tmp_path / "cache")

    table()
    checked("in-order")
    table(owed="somebody")
    with pytest.raises(AssertionError, match="nothing differs any more: take `owed: somebody` out"):
        checked("still-owed")
    table(because="another reason", owed="somebody")
    with pytest.raises(pytest.xfail.Exception, match="somebody: step 1"):
        checked("differs")
    table(because="another reason")
    with pytest.raises(AssertionError, match="nothing says 'another reason'"):
        checked("fails")


def test_what_a_run_tells_is_looked_at_where_it_lies(tmp_path: Path) -> None:
    """The whole way, with a pipeline whose results are as told, and a folder that a run may not touch."""
    folder = filled(tmp_path / "given")
    (folder / "lost").unlink()
    (folder / "reana.yaml").write_text(
        "inputs: {parameters: {}}\nworkflow:\n  type: serial\n  specification:\n    steps:\n"
        "      - {environment: 'debian', commands: ['cp a.txt b.txt']}\n"
        "outputs: {files: [b.txt]}\n"
    )
    place = differential.configured(Place(tmp_path))
    asked = Asked(bare=["cp", "a.txt", "b.txt"], flags=["--software", "installed"])
    case = bare.copied(folder, tmp_path / "case", False)
    assert not differences(
        differential.alone(folder, asked, "command"), differential.ours(place, case, asked, "command"), asked
    )
    repeated = differential.ours(place, case, asked, "command")
    assert repeated.reused and repeated.reported["b.txt"].text == "a\n"
    run = next(p for p in place.runs() if (p / "outputs.json").exists())
    (run / "project/b.txt").chmod(0o644)
    (run / "project/b.txt").write_text("changed\n")
    differential.look_at_results(place, case, run, repeated)
    spoilt = "\n".join(differences(None, repeated, asked))
    assert "project/b.txt is told with" in spoilt and "--copy-to` ends with 3" in spoilt
