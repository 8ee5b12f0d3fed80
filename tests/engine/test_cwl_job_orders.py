"""What a CWL job order says reaches the engine as it stands, and what the engine gives back is the result: beside cwltool alone, once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Done, Place
from hypothesis import given, settings
from hypothesis import strategies as st
from services import cwl, engines

from esap_wf.formats import documents, literals

pytestmark = pytest.mark.integration

Inside = Callable[..., Done]

PIPELINES = Path(__file__).with_name("pipelines")
DOCUMENT = (PIPELINES / "job_order.cwl").read_text()

ORDER = (PIPELINES / "job_order.yml").read_text()


@dataclass
class Both:
    """One job order, bare and through esap-wf."""

    user: Path
    bare: dict[str, Any]
    files: dict[str, bytes]
    run: Path
    printed: str


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else b"(folder)"
        for p in sorted(folder.rglob("*"))
    }


def write(folder: Path) -> Path:
    (folder / "idx").mkdir(parents=True)
    for name, text in {
        "x.txt": "b\na\n",
        "r.txt": "",
        "idx/x.idx": "elsewhere",
        "a b#.txt": "spaced",
    }.items():
        (folder / name).write_text(text)
    (folder / "tool.cwl").write_text(DOCUMENT)
    (folder / "order.yml").write_text(ORDER)
    return folder


def write_order(folder: Path, text: str) -> Path:
    (folder / "order.yml").write_text(text)
    return folder / "order.yml"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    root = tmp_path_factory.mktemp("order")
    user, at = write(root / "user"), Place(root)
    (root / "config.toml").write_text(engines.configuration("cwl"))
    command = [
        str(cwl.path("cwl")),
        "--no-container",
        "--relax-path-checks",
        "--outdir",
        "bare",
        "tool.cwl",
        "order.yml",
    ]
    done = subprocess.run(command, cwd=user, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours = at("run", user / "tool.cwl", "--params", user / "order.yml", "--json")
    assert ours.code == 0, ours.out + ours.err
    return Both(user, json.loads(done.stdout), files(user / "bare"), Path(ours.json["dir"]), ours.err)


def accepted(both: Both) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((both.run / "outputs.json").read_bytes())
    return found


def test_a_job_order_reaches_the_engine_as_it_stands(both: Both) -> None:
    """Names, formats, sizes, literals, secondary files, numbers as they are written, null for a default, what the engine alone reads."""
    reported = accepted(both)["values"]["told"]
    assert reported == both.bare["told"]
    assert (
        reported["renamed"]["basename"] == "other.txt"
        and reported["renamed"]["secondaryFiles"][0]["basename"] == "other.txt.idx"
    )
    assert (
        reported["typed"]["format"].endswith("#seq")
        and reported["none"] == []
        and reported["text"] == "two\nlines"
    )
    assert reported["spaced"]["basename"] == "a b#.txt" and reported["literal"]["basename"] == "lit.txt"
    assert (
        both.files["line.txt"]
        == b"order two\nlines 2.50 7 -n 1.50 1000 16 123456789012345678901234567890 2\n"
    )


def test_what_the_engine_gives_back_is_the_result(both: Both) -> None:
    """Files with what belongs to them, folders, empty ones too, values, lists, records, nothing; by the names that the document has."""
    assert files(both.run / "outputs") == both.files
    reported = accepted(both)
    assert {(o["name"], o["path"]) for o in reported["outputs"]} == {
        ("line", "outputs/line.txt"),
        ("made", "outputs/made/"),
        ("made", "outputs/made/in/a b.txt"),
        ("empty", "outputs/empty/"),
        ("withIndex", "outputs/main.dat"),
        ("withIndex", "outputs/main.dat.idx"),
        ("mixed", "outputs/other.dat"),
    }
    assert {k: v for k, v in reported["values"].items() if k != "told"} == {
        "gone": None,
        "list": [1, 2],
        "mixed": {"n": 3, "f": {"class": "File", "path": "outputs/other.dat"}},
    }


def test_what_the_engine_passes_over_is_reported(both: Both) -> None:
    assert "warning: undeclared is not an input of tool: the engine ignores it" in both.printed
    assert (
        "warning: record has no field more: the engine ignores it" in both.printed
        and "cwl:requirements" not in both.printed
    )


CHANGES = {
    "another name": ("basename: other.txt,", "basename: third.txt,"),
    "another format": ("formats#seq", "formats#other"),
    "another text of a literal": ("made up", "made down"),
    "another member of a folder": ('basename: l, contents: ""', 'basename: m, contents: ""'),
    "another requirement": ("envValue: order", "envValue: elsewhere"),
    "a number as it is written": ("2.50", "2.5"),
    "a size": ("size: 4", "size: 5"),
    "a key that nobody declares": ("undeclared: 1", "undeclared: 2"),
}


def test_each_of_it_decides_what_a_run_is(both: Both, place: Place, inside: Inside) -> None:
    """Where the files lie does not."""
    (place.root / "config.toml").write_text(engines.configuration("cwl"))
    user = write(place.root / "user")

    def digest() -> str:
        done = inside("plan", user / "tool.cwl", "--params", user / "order.yml", "--json")
        assert done.code == 0, done.err
        return str(done.json["digest"])

    first = json.loads((both.run / "plan.json").read_bytes())["digest"]["identity"]
    found = {"nothing": digest()}
    assert found["nothing"] == first
    for what, (old, new) in CHANGES.items():
        assert ORDER.count(old) == 1, what
        (user / "order.yml").write_text(ORDER.replace(old, new))
        found[what] = digest()
    (user / "order.yml").write_text(ORDER)
    for name in ("x.txt", "r.txt", "idx/x.idx", "a b#.txt"):
        before = (user / name).read_text()
        (user / name).write_text("changed")
        found[name] = digest()
        (user / name).write_text(before)
    assert len(set(found.values())) == len(found), found


def test_a_flag_takes_the_place_of_what_the_file_says(both: Both, place: Place, inside: Inside) -> None:
    (place.root / "config.toml").write_text(engines.configuration("cwl"))
    user = write(place.root / "user")
    done = inside(
        "plan",
        user / "tool.cwl",
        "--params",
        user / "order.yml",
        "--literal",
        user / "x.txt",
        "--preset",
        "8",
        "--json",
    )
    assert (
        done.code == 0 and "literal" not in done.json["parameters"] and done.json["parameters"]["preset"] == 8
    )
    refused = inside("plan", user / "tool.cwl", "--params", user / "order.yml", "--undeclared", "8", "--json")
    assert refused.code == 2


def test_what_is_not_there_is_reported_before_the_run(place: Place, inside: Inside) -> None:
    (place.root / "config.toml").write_text(engines.configuration("cwl"))
    user = write(place.root / "user")
    (user / "order.yml").write_text(
        ORDER.replace("idx/x.idx", "idx/y.idx")
        .replace("text:", "preset: x\ntxt:")
        .replace("preset: null", "")
    )
    done = inside("plan", user / "tool.cwl", "--params", user / "order.yml", "--json")
    assert (
        done.code == 2
        and f"there is no file {user}/idx/y.idx" in done.problems
        and "a value is needed" in done.problems
    )
    assert "preset" in done.problems
    assert (
        "parameter typed: a file has no format, but tool needs one (format: http://example.org/formats#other)"
        in inside(
            "plan",
            user / "tool.cwl",
            "--params",
            write_order(user, ORDER.replace('format: "http://example.org/formats#seq", ', "")),
            "--json",
        ).problems
    )
    (user / "order.yml").write_text(
        ORDER.replace("free: 2.50", 'free: {class: File, location: "rucio://host/scope/x"}')
    )
    assert (
        "parameter free: rucio://host/: the configuration has no [datalakes.host]"
        in inside("plan", user / "tool.cwl", "--params", user / "order.yml", "--json").problems
    )


number = st.from_regex(r"[-+]?(0|[1-9]\d{0,30})(\.\d{0,12})?([eE][-+]?\d{1,2})?", fullmatch=True)
value = st.recursive(
    number,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~ ", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=100)
@given(st.dictionaries(st.text("abc/~", min_size=1, max_size=3), value, max_size=3))
def test_numbers_are_handed_on_as_they_are_written(order: dict[str, Any]) -> None:
    """Whatever they are in; two numbers of one value are two texts."""

    def text(part: Any) -> str:
        if isinstance(part, dict):
            return "{" + ", ".join(f"{json.dumps(k)}: {text(v)}" for k, v in part.items()) + "}"
        return "[" + ", ".join(map(text, part)) + "]" if isinstance(part, list) else part

    def as_written(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: as_written(v) for k, v in part.items()}
        return [*map(as_written, part)] if isinstance(part, list) else part

    document = documents.parse(text(order), "order.yml", exact=True)
    repeated = literals.put_back(document.data, document.written)
    # what has neither point nor exponent is an integer, however it is written
    read = documents.parse(repeated.decode(), "again.yml", exact=True)
    assert (read.data, read.written) == (document.data, document.written)
    for pointer, written in document.written.items():
        part: Any = as_written(order)
        for key in pointer.split("/")[1:]:
            part = (
                part[int(key)] if isinstance(part, list) else part[key.replace("~1", "/").replace("~0", "~")]
            )
        assert part == written
