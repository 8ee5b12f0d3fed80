"""Runs whose inputs lie elsewhere, at a place that sees nothing of this machine: the same bytes as here."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.conftest import end
from faults.place import HERE
from helpers.waiting import until
from helpers.websites import File, Site
from helpers.workflows import write_workflow
from places.conftest import toy_environment  # noqa: F401
from places.elsewhere import Elsewhere
from services import engines

from esap_wf.models.run import Phase

from .gathering import Gathering

pytestmark = [pytest.mark.integration, pytest.mark.apart]

UNIT = (
    "import sys; from pathlib import Path; out, *files = map(Path, sys.argv[1:]);"
    "out.write_bytes(b''.join(f.name.encode() + b' ' + f.read_bytes() for f in files))"
)
#: Each unit reads the file that is its turn, and the list of a folder.
FLOW = f"""\
import sys
from pathlib import Path
UNIT = {UNIT!r}
def units(config, first, last):
    files, (folder,) = config["inputs"]["files"], config["inputs"]["folder"]
    beside = sorted(str(p) for p in Path(folder).iterdir())
    for i in range(first, last + 1):
        out = f"outputs/units/u{{i:03}}.dat"
        yield ("unit", f"u{{i:03}}", ["python3", "-c", UNIT, out, files[i % len(files)], *beside], out)
def all_of(files):
    return [("all", None, ["bash", "-c", 'cat "$@" > outputs/all.dat', "-", *sorted(files)], "outputs/all.dat")]
"""
FILES = {
    "main.flow": FLOW
    + """\
def stages(config):
    yield list(units(config, 1, config["units"]))
    yield all_of([f"outputs/units/u{i:03}.dat" for i in range(1, config["units"] + 1)])
""",
    "map.flow": FLOW
    + """\
def stages(config):
    n, s, k = config["units"], config["slice"], config["slices"]
    yield list(units(config, (s - 1) * n // k + 1, s * n // k))
""",
    "join.flow": FLOW
    + """\
def stages(config):
    yield all_of(config["inputs"]["unit_files"])
""",
}
MANIFEST = {
    "implementations": [
        {
            "engine": "miniflow",
            "file": "main.flow",
            "map": {"file": "map.flow", "gives": {"unit_files": "outputs/units/*.dat"}},
            "join": {"file": "join.flow"},
        }
    ],
    "software": [{"installed": ["python3", "bash"]}],
    "units": {"axis": "unit", "count": "units", "steps": ["unit"]},
    "inputs": {
        "files": {"title": "Files", "many": True},
        "folder": {"title": "Folder", "kind": "folder"},
    },
    "outputs": [{"name": "all", "path": "outputs/all.dat"}],
}
#: Makes what another run gives: a file, and a folder.
MAKES = """\
rule all:
    input: "outputs/made.dat", "outputs/folder"

rule make:
    output: "outputs/made.dat", directory("outputs/folder")
    log: "logs/make/all.log"
    shell: "(mkdir -p outputs/folder; echo made > outputs/made.dat; echo a > outputs/folder/a; echo b > outputs/folder/b) 2> {log}"
"""


@dataclass
class Both(Elsewhere, Gathering):
    """A place of the command line that has a lake, and knows a toy cluster."""


@pytest.fixture
def place(tmp_path: Path, toy_environment: dict[str, str], site: Site) -> Iterator[Both]:  # noqa: F811
    made = Both(tmp_path, dict(toy_environment), engines={"snakemake": str(engines.program("snakemake"))})
    with (tmp_path / "config.toml").open("a") as config:
        config.write(f"[web]\nhosts = {json.dumps(site.hosts)}\n")
    yield made
    made.cluster.come_back()
    end(made)
    made.cluster.end()


@pytest.fixture
def words(place: Both, site: Site) -> list[str]:
    """A run on files from a lake, from an address, from another run, and from here."""
    makes = write_workflow(
        place.root / "makes",
        manifest={
            "outputs": [
                {"name": "made", "path": "outputs/made.dat"},
                {"name": "folder", "path": "outputs/folder/"},
            ]
        },
        files={"Snakefile": MAKES},
    )
    run = place.ok("run", str(makes), "--backend", "local")["run"]
    site.pages["/b.dat"] = File(random.Random(1).randbytes(300_000), {"ETag": '"b"'})
    (place.root / "mine.dat").write_bytes(b"mine\n")
    files = [
        place.put("d/a.dat", b"a\0" * 50_000),
        str(place.root / "mine.dat"),
        site.url("/b.dat"),
        f"run:{run}/made",
    ]
    folder = write_workflow(
        place.root / "uses", {"units": {"type": "integer", "default": 5}}, MANIFEST, files=FILES
    )
    given = [word for one in files for word in ("--input", f"files={one}")]
    return ["run", str(folder), *given, "--input", f"folder=run:{run}/folder"]


@pytest.mark.parametrize("slices", [1, 3])
def test_inputs_from_elsewhere_make_the_same_bytes_as_here(
    slices: int, place: Both, words: list[str]
) -> None:
    here = place.ok(*words, "--backend", "local")["run"]
    more = ("--backend", "toy", "--slices", str(slices), "--if-exists", "rerun")
    run = place.ok(*words, *more)["run"]
    assert run != here
    assert place.results(run) == place.results(here)
    assert len(place.executed(run)) == (1 if slices == 1 else 4)
    place.clean(run)


def test_snakemake_reads_what_was_brought(place: Both) -> None:
    uris, whole = place.many(3)
    done = place.ok(*place.given(uris, "--backend", "toy"))
    assert place.result(done["run"]) == whole
    place.clean(done["run"])


def test_pieces_that_are_lost_and_owners_that_are_killed_cost_no_input(
    place: Both, site: Site, words: list[str]
) -> None:
    asked = len(site.asked)
    place.cluster.fault("lose", "*.2.1")
    began = place(
        "inputs-brought",
        *words,
        *("--backend", "toy", "--slices", "3", "--detach", "--json"),
        command=[sys.executable, str(HERE / "armed.py")],
    )
    run = str(began.json["run"])
    assert place.ended(run).phase is Phase.UNKNOWN
    assert place.executed(run) == {}
    brought = [q for q in site.asked[asked:] if q.method == "GET" and q.path == "/b.dat"]
    place.completed(run, times=1)
    assert place.again(run) == 1
    again = [q for q in site.asked[asked:] if q.method == "GET" and q.path == "/b.dat"]
    assert again == brought, "what was brought once is not fetched again"


def test_what_is_not_brought_yet_counts_for_what_may_be_sent(place: Both) -> None:
    config = place.root / "config.toml"
    config.write_text(config.read_text().replace("poll = 0.1", 'poll = 0.1\nbundle = "5 kB"'))
    uris, _ = place.many(2, size=3000)
    done = place.inside(*place.given(uris, "--backend", "toy"))
    assert done.code == 3, done
    assert "6 kB of it inputs" in " ".join(done.err.split())
    assert "the profile of toy allows 5 kB" in " ".join(done.err.split())


def test_inputs_that_are_waited_for_start_nothing_there(place: Both) -> None:
    uri = place.put("one.dat", b"one")
    (copy,) = (place.store / "lake/files").rglob("one.dat")
    copy.rename(place.root / "aside")
    run = place.ok(*place.given([uri], "--backend", "toy"), "--detach")["run"]
    until(lambda: "waiting for local since" in place.run(run).observe().reason, what="the reason")
    assert place.cluster.jobs() == []
    (place.root / "aside").rename(copy)
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)
    assert place.result(run) == b"one"


_NESTED = """\
rule all:
    output: "outputs/all.dat"
    log: "logs/all/all.log"
    input: [part["path"] for part in config["job"]["parts"]]
    shell: "cat {input:q} > {output} 2> {log}"
"""


def test_files_inside_of_a_parameter_are_sent_along(place: Both) -> None:
    uris, whole = place.many(2)
    outputs = [{"name": "all", "path": "outputs/all.dat"}]
    folder = write_workflow(
        place.root / "nested", {"job": {"type": "object"}}, {"outputs": outputs}, files={"Snakefile": _NESTED}
    )
    values = {"job": {"parts": [{"class": "File", "path": uri} for uri in uris]}}
    (place.root / "values.json").write_text(json.dumps(values))
    words = ("run", str(folder), "--params", str(place.root / "values.json"), "--backend", "toy")
    run = place.ok(*words)["run"]
    assert place.result(run) == whole
    place.clean(run)


def test_a_sheet_that_names_what_lies_elsewhere_is_refused_where_its_paths_mean_nothing(place: Both) -> None:
    column = {"type": "string", "format": "file-path"}
    rows = {"type": "array", "items": {"type": "object", "properties": {"reads": column}}}
    folder = write_workflow(
        place.root / "sheet",
        manifest={"inputs": {"sheet": {"title": "Sheet", "rows": "rows.json"}}},
        files={"rows.json": json.dumps(rows)},
    )
    (place.root / "s.csv").write_text(f"reads\n{place.put('one.dat', b'one')}\n")
    done = place.inside("plan", str(folder), "--sheet", place.root / "s.csv", "--backend", "toy")
    assert done.code == 3, done
    assert "names paths of this machine, which toy does not see" in " ".join(done.err.split())
