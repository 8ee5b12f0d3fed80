"""Results of other runs as inputs: with links in them, of one name, changed, or removed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.conftest import end
from helpers.waiting import until
from helpers.workflows import write_workflow

from esap_wf.models.run import Phase

from .gathering import Gathering

pytestmark = pytest.mark.integration

_MAKER = """\
rule all:
    input: "outputs/tree", "outputs/given.dat", "outputs/own.dat"

rule make:
    input: config["inputs"]["file"]
    output: directory("outputs/tree"), "outputs/given.dat", "outputs/own.dat"
    log: "logs/make/all.log"
    shell:
        "mkdir -p outputs/tree/a outputs/tree/b outputs/tree/empty aside; "
        "echo A > outputs/tree/a/x.dat; echo B > outputs/tree/b/x.dat; echo I > aside/inner.dat; "
        "ln -s a outputs/tree/c; ln -s .. outputs/tree/up; ln -s /etc/passwd outputs/tree/out; "
        "ln -s ../../aside/inner.dat outputs/tree/inner.dat; touch $'outputs/tree/-n\\\\n.dat'; "
        "ln -s {input:q} outputs/given.dat; ln -s ../aside/inner.dat outputs/own.dat 2> {log}"
"""
_TAKER = """\
rule all:
    input: "outputs/all.txt"

rule take:
    output: "outputs/all.txt"
    log: "logs/take/all.log"
    shell: "(cd inputs; find . -type f -print0 | sort -z | xargs -0 cat) > {output} 2> {log}; sleep {config[seconds]}"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gathering]:
    made = Gathering(tmp_path_factory.mktemp("results"))
    outputs = [
        {"name": name, "path": f"outputs/{path}"}
        for name, path in (("tree", "tree"), ("given", "given.dat"), ("own", "own.dat"))
    ]
    write_workflow(
        made.root / "maker",
        {},
        {"inputs": {"file": {"title": "File"}}, "outputs": outputs},
        files={"Snakefile": _MAKER},
    )
    write_workflow(
        made.root / "taker",
        {"seconds": {"type": "number", "default": 0}},
        {
            "inputs": {"any": {"title": "Any", "kind": "any"}},
            "outputs": [{"name": "all", "path": "outputs/all.txt"}],
        },
        files={"Snakefile": _TAKER},
    )
    yield made
    end(made)


@pytest.fixture(scope="module")
def mine(place: Gathering) -> Path:
    """A file of the user's own."""
    path = place.root / "mine.dat"
    path.write_bytes(b"mine\n")
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def maker(place: Gathering, mine: Path) -> str:
    return str(place.ok("run", str(place.root / "maker"), "--input", f"file={mine}")["run"])


def taken(place: Gathering, reference: str, *more: str) -> tuple[Path, str]:
    """The directory of a run that is given a result, and what it has read."""
    run = place.ok("run", str(place.root / "taker"), "--input", f"any={reference}", *more)["run"]
    folder = place.run(run).dir
    return folder, (folder / "outputs/all.txt").read_text()


def test_a_folder_is_what_was_accepted_with_what_its_links_mean(place: Gathering, maker: str) -> None:
    folder, text = taken(place, f"run:{maker}/tree")
    assert text == "A\nB\nA\nI\n"
    there = folder / "inputs/any/0/tree"
    assert sorted(p.name for p in there.iterdir()) == ["-n\n.dat", "a", "b", "c", "empty", "inner.dat"]
    assert not [p for p in there.rglob("*") if p.is_symlink()], "all is the run's own"


def test_a_result_that_is_a_link_is_the_file_that_it_means(place: Gathering, maker: str) -> None:
    folder, text = taken(place, f"run:{maker}/own")
    assert text == "I\n"
    brought = folder / "inputs/any/0/own.dat"
    assert not brought.is_symlink()
    assert brought.samefile(place.run(maker).dir / "aside/inner.dat")


def test_what_the_user_gave_the_other_run_stays_his_own(place: Gathering, maker: str, mine: Path) -> None:
    """It is neither made read-only, nor may what he writes into it later change a run."""
    folder, text = taken(place, f"run:{maker}/given")
    assert text == "mine\n"
    assert mine.stat().st_mode & 0o777 == 0o644
    brought = folder / "inputs/any/0/given.dat"
    assert not brought.is_symlink() and not brought.samefile(mine)
    assert brought.stat().st_mode & 0o222 == 0


def test_of_two_files_of_one_name_the_right_one_is_taken_or_none(place: Gathering, maker: str) -> None:
    done = place.inside("run", place.root / "taker", "--input", f"any=run:{maker}/tree/x.dat")
    assert done.code == 2
    assert "3 files of that name" in done.err
    assert "outputs/tree/a/x.dat" in done.err
    assert taken(place, f"run:{maker}/tree/b/x.dat")[1] == "B\n"
    assert taken(place, f"run:{maker}/tree/outputs/tree/a/x.dat")[1] == "A\n"


def test_a_file_with_a_line_end_in_its_name_is_refused_when_it_is_planned(
    place: Gathering, maker: str
) -> None:
    done = place.inside("run", place.root / "taker", "--input", f"any=run:{maker}/tree/-n%0A.dat")
    assert done.code == 2
    assert "control characters" in done.err


def test_a_folder_of_which_a_file_was_changed_later_is_no_input(place: Gathering, mine: Path) -> None:
    again = place.ok("run", str(place.root / "maker"), "--input", f"file={mine}", "--if-exists", "rerun")[
        "run"
    ]
    path = place.run(again).dir / "outputs/tree/b/x.dat"
    path.chmod(0o644)
    path.write_text("other")
    words = ["run", str(place.root / "taker"), "--input", f"any=run:{again}/tree", "--if-exists", "rerun"]
    done = place(*words, "--json")
    assert done.code == 1, done
    (failure,) = place.status(done.json["run"])["failures"]
    assert (failure["step"], failure["reason"]) == ("input", "STAGE_IN")
    assert "tree/b/x.dat was changed" in failure["detail"]


def test_a_run_that_is_removed_between_plan_and_start_and_while_it_is_used(
    place: Gathering, mine: Path
) -> None:
    again = place.ok("run", str(place.root / "maker"), "--input", f"file={mine}", "--if-exists", "rerun")[
        "run"
    ]
    words = [str(place.root / "taker"), "--input", f"any=run:{again}/tree"]
    plan = place.root / "plan.json"
    assert place.inside("plan", *words, "--seconds", "0.5", "-o", plan).code == 0
    works = str(place.ok("run", *words, "--seconds", "3", "--detach")["run"])
    until(lambda: (place.run(works).dir / "inputs/any/0/tree/inner.dat").exists(), what="the input")
    place.ok("rm", again, "--yes")
    assert place.ended(works).phase is Phase.COMPLETED, place.explain(works)
    assert (place.run(works).dir / "outputs/all.txt").read_text() == "A\nB\nA\nI\n"
    done = place("run", "--plan", plan, "--json")
    assert done.code != 0
    assert again in done.err and "Traceback" not in done.err, done
