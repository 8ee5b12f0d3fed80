"""CWL processes without a manifest, run bare and through esap-wf: the same outputs, byte for byte; and how they are called."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.command_line import Done, Place
from helpers.files import contents
from services import cwl, engines

PIPELINES = Path(__file__).parent / "pipelines/cwl"
FORMAT = "http://edamontology.org/format_1930"

pytestmark = pytest.mark.integration

Inside = Callable[..., Done]


@pytest.fixture
def at(place: Place) -> Place:
    (place.root / "config.toml").write_text(engines.configuration("cwl"))
    return place


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A user's folder with data of their own."""
    folder = tmp_path / "user"
    folder.mkdir()
    for name, text in {
        "r1.txt": "b\na\n",
        "r 2.txt": "d\nc\n",
        "reference.fa": "x",
        "reference.fa.fai": "x",
        "reference.dict": "x",
    }.items():
        (folder / name).write_text(text)
    return folder


def bare(folder: Path, document: Path, order: dict[str, object] | Path) -> dict[str, bytes]:
    """What cwltool alone makes of a job order, started in a folder."""
    job = order if isinstance(order, Path) else folder / "order.json"
    if isinstance(order, dict):
        job.write_text(json.dumps(order))
    command = [
        str(cwl.path("cwl")),
        "--no-container",
        "--relax-path-checks",
        "--outdir",
        "bare",
        str(document),
        str(job),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return contents(folder / "bare")


def completed(done: Done) -> Path:
    assert done.code == 0 and done.json["phase"] == "COMPLETED", done.out + done.err
    return Path(done.json["dir"])


def reported(done: Done) -> str:
    assert done.code == 2, done.out + done.err
    return done.problems


def file(path: str, **more: str) -> dict[str, str]:
    return {"class": "File", "path": path, **more}


def test_flags_of_a_tool_are_its_inputs(at: Place, user: Path) -> None:
    expected = bare(user, PIPELINES / "guide/1st-tool.cwl", {"message": "Hello, it's $HOME; 5 > 4"})
    run = completed(
        at.inside(
            "run",
            PIPELINES / "guide/1st-tool.cwl",
            "--message",
            "Hello, it's $HOME; 5 > 4",
            "--json",
            cwd=user,
        )
    )
    assert contents(run / "outputs") == expected == {"hello.txt": b"Hello, it's $HOME; 5 > 4\n"}


def test_types_are_handed_on_as_they_are_written(at: Place, user: Path) -> None:
    order = {
        "example_flag": True,
        "example_string": "none",
        "example_int": 42,
        "example_float": 2,
        "choice": "fast",
        "max-mem": "8 GB",
        "example_file": file("r 2.txt"),
    }
    expected = bare(user, PIPELINES / "guide/inp.cwl", order)
    flags = [
        "--example_flag",
        "--example-string",
        "none",
        "--example_int",
        "42",
        "--example_float",
        "2",
        "--choice",
        "fast",
        "--max-mem",
        "8 GB",
    ]
    run = completed(
        at.inside("run", PIPELINES / "guide/inp.cwl", *flags, "--example_file", "r 2.txt", "--json", cwd=user)
    )
    made = contents(run / "outputs")
    assert made.keys() == expected.keys() == {"args.txt"}
    # a staged file's folder is cwltool's own, and new each time
    bare_words, words = (
        [w for w in text["args.txt"].split() if b"--file" not in w] for text in (expected, made)
    )
    assert words == bare_words and b"-x 2 " in made["args.txt"] and b"none" in made["args.txt"]
    repeated = at.inside("run", PIPELINES / "guide/inp.cwl", "--params", user / "order.json", "--json")
    assert completed(repeated) == run and repeated.json["reused"]


def test_arrays_keep_their_items_whatever_they_hold(at: Place, user: Path) -> None:
    order: dict[str, object] = {
        "filesA": ["one", "two, three"],
        "filesB": ["four"],
        "filesC": ["seven", "eight"],
    }
    expected = bare(user, PIPELINES / "guide/array-inputs.cwl", order)
    flags = [
        "--filesA",
        "one",
        "--filesA",
        "two, three",
        "--filesB",
        "four",
        "--filesC",
        '["seven", "eight"]',
    ]
    run = completed(at.inside("run", PIPELINES / "guide/array-inputs.cwl", *flags, "--json", cwd=user))
    assert contents(run / "outputs") == expected and b"-N 1 2" in expected["output.txt"], (
        "the default is the document's own"
    )


def test_records_come_by_a_file_of_values_or_as_json(at: Place, user: Path) -> None:
    document = PIPELINES / "guide/record.cwl"
    order = {
        "dependent_parameters": {"itemA": "one", "itemB": "two"},
        "exclusive_parameters": {"itemD": "four"},
        "sample": {"reads": file("r1.txt"), "depth": 3},
    }
    (user / "order.yml").write_text(yaml.safe_dump(order))
    expected = bare(user, document, user / "order.yml")["output.txt"].split()
    run = completed(at.inside("run", document, "--params", user / "order.yml", "--json"))
    words = (run / "outputs/output.txt").read_bytes().split()
    assert [w for w in words if not w.endswith(b"r1.txt")] == [
        w for w in expected if not w.endswith(b"r1.txt")
    ]
    flags = [
        w
        for name, value in order.items()
        for w in (f"--{name}", json.dumps(value).replace("r1.txt", str(user / "r1.txt")))
    ]
    repeated = at.inside("run", document, *flags, "--json")
    assert completed(repeated) == run and repeated.json["reused"]
    (user / "r1.txt").write_text("other\n")
    planned = at.inside("plan", document, "--params", user / "order.yml", "--json").json
    assert planned["duplicates"] == [], "files in records are part of the run"
    (user / "r1.txt").unlink()
    assert f"there is no file {user}/r1.txt" in reported(
        at.inside("plan", document, "--params", user / "order.yml", "--json")
    )
    wrong = reported(
        at.inside(
            "plan",
            document,
            "--dependent_parameters",
            '{"itemA": 1}',
            "--exclusive_parameters",
            "{",
            "--json",
        )
    )
    assert "--dependent_parameters" in wrong and "--exclusive_parameters: '{' is not a JSON object" in wrong


# Toil reads the same documents; each time: test_cases_of_toil
@pytest.mark.parametrize("engine", ["cwl", pytest.param("toil", marks=pytest.mark.soak)])
def test_a_workflow_is_run_with_secondary_files_formats_and_defaults(
    at: Place, user: Path, engine: str
) -> None:
    (at.root / "config.toml").write_text(engines.configuration("cwl", engine))
    reads = [file("r1.txt", format=FORMAT), file("r 2.txt", format=FORMAT)]
    order = {"reads": reads, "reference": file("reference.fa"), "settings": {"order": "down"}}
    (user / "order.yml").write_text(yaml.safe_dump(order))
    expected = bare(user, PIPELINES / "align/main.cwl", user / "order.yml")
    run = completed(
        at.inside("run", PIPELINES / "align", "--engine", engine, "--params", user / "order.yml", "--json")
    )
    assert contents(run / "outputs") == expected == {"merged.txt": b"# merged\n3\nb\na\n3\nd\nc\n"}
    assert json.loads((run / "outputs.json").read_bytes())["outputs"][0]["name"] == "merged"
    flags = [
        "--reads",
        "r1.txt",
        "--reads",
        "r 2.txt",
        "--reference",
        "reference.fa",
        "--settings",
        '{"order": "down"}',
    ]
    repeated = at.inside("run", PIPELINES / "align", "--engine", engine, *flags, "--json", cwd=user)
    assert completed(repeated) == run and repeated.json["reused"]


def test_secondary_files_are_looked_for_before_the_run(at: Place, user: Path) -> None:
    (user / "reference.dict").unlink()
    (user / "reference.fa.fai").unlink()
    call = [
        "plan",
        PIPELINES / "align",
        "--reads",
        "r1.txt",
        "--reference",
        "reference.fa",
        "--settings",
        '{"order": "up"}',
        "--json",
    ]
    problem = reported(at.inside(*call, cwd=user))
    assert (
        "reference.fa.fai, reference.dict must be in the same folder" in problem
        and "reference.fa.note" not in problem
    )
    for name in ("reference.fa.fai", "reference.dict"):
        (user / name).write_text("x")
    before = at.inside(*call, cwd=user).json["digest"]
    (user / "reference.fa.fai").write_text("changed")
    assert at.inside(*call, cwd=user).json["digest"] != before, "they are part of the run"


def test_what_names_no_file_is_reported_at_its_line(at: Place, user: Path, inside: Inside) -> None:
    (user / "order.yml").write_text(
        "reads: 5\nreference:\n  class: Float\n  contents: x\nextra: r1.txt\nsettings: {order: left}\nother: 1\n"
    )
    problem = reported(inside("plan", PIPELINES / "align", "--params", user / "order.yml", "--json"))
    assert (
        f"{user}/order.yml:1:1: reads: names no file or folder" in problem
        and f"{user}/order.yml:2:1: reference" in problem
    )
    (user / "order.yml").write_text(
        "reads: r1.txt\nreference: reference.fa\nextra: r1.txt\nsettings: {order: left}\nother: 1\n"
    )
    problem = reported(inside("plan", PIPELINES / "align", "--params", user / "order.yml", "--json"))
    assert "a folder is expected, but this is a file" in problem
    assert "order.yml:4:1: settings" in problem and '"left" is not one of' in problem


def test_a_part_of_a_packed_document_can_be_run(at: Place, user: Path) -> None:
    whole = completed(at.inside("run", PIPELINES / "packed", "--text", "r1.txt", "--json", cwd=user))
    part = completed(
        at.inside("run", f"{PIPELINES}/packed/pair.cwl#count.cwl", "--file", "r1.txt", "--json", cwd=user)
    )
    assert contents(whole / "outputs").keys() == contents(part / "outputs").keys() == {"count.txt"}
    assert (whole / "outputs/count.txt").read_bytes().startswith(b"2 ")
