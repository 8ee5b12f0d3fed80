"""Files inside of structured parameters that lie elsewhere: values, places, identities. The lake is a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.datalakes import Did, lake
from esap_wf.engines import Job
from esap_wf.engines.settings import relocated
from esap_wf.models.plan import Allocation, SoftwareChoice
from esap_wf.models.request import Request, located
from esap_wf.request import nested
from esap_wf.request.remote import Remote
from esap_wf.request.validation import validate


@pytest.fixture
def uri(config: Config, tmp_path: Path) -> str:
    (tmp_path / "one").write_bytes(b"one")
    did = Did("toy", "d/one.dat")
    lake(config, "local").store(tmp_path / "one", did)
    return did.uri("local")


@pytest.fixture
def workflow(toy: Any) -> Workflow:
    made: Workflow = toy({"job": {"type": ["object", "array"]}})
    return made


def resolve(workflow: Workflow, config: Config, **values: Any) -> nested.Nested:
    return nested.resolve(workflow, values, {}, Remote(config))


def test_a_file_object_gets_a_place_and_everything_else_stays(
    workflow: Workflow, config: Config, uri: str
) -> None:
    value = {"a": [1, {"class": "File", "path": uri, "format": "x"}], "b": {"class": "File", "path": "/x"}}
    found = resolve(workflow, config, job=value, n=uri)
    assert found.values == {
        "job": {
            "a": [1, {"class": "File", "path": "inputs/job/0/one.dat", "format": "x"}],
            "b": {"class": "File", "path": "/x"},
        }
    }
    (ref,) = found.refs
    assert (ref.uri, ref.path, ref.bytes) == (uri, "inputs/job/0/one.dat", 3)
    assert value["a"][1]["path"] == uri  # type: ignore[index]


@pytest.mark.parametrize(
    ("basename", "called"),
    [
        ("x y.dat", "x y.dat"),
        ("../../x", "one.dat"),
        ("..", "one.dat"),
        ("", "one.dat"),
        ("a\nb", "one.dat"),
        ("a" * 300, "one.dat"),
        (7, "one.dat"),
    ],
)
def test_a_place_ends_with_a_safe_name(
    workflow: Workflow, config: Config, uri: str, basename: object, called: str
) -> None:
    (ref,) = resolve(workflow, config, job={"class": "File", "location": uri, "basename": basename}).refs
    assert ref.path == f"inputs/job/0/{called}"


@pytest.mark.parametrize("name", ["../../x", "..", ".x", "-x", "a/b", "a\0b", "", "ü", "a" * 300])
def test_a_parameter_of_any_name_gets_a_folder_below_inputs(
    workflow: Workflow, config: Config, uri: str, name: str
) -> None:
    (ref,) = resolve(workflow, config, **{name: {"class": "File", "location": uri}}).refs
    assert ref.path is not None
    inputs, folder, number, base = ref.path.split("/")
    assert (inputs, number, base) == ("inputs", "0", "one.dat")
    assert folder.isascii()
    assert folder.strip("_.-a") in ("", "x", "b")
    assert 0 < len(folder) <= 100
    assert not folder.startswith((".", "-"))


def test_no_two_files_share_a_place(workflow: Workflow, config: Config, uri: str) -> None:
    one = {"class": "File", "location": uri}
    values = {"a/b": [one, {**one, "secondaryFiles": [one, one]}], "a_b": one}
    paths = [ref.path for ref in resolve(workflow, config, **values).refs]
    assert paths == [
        "inputs/a_b/0/one.dat",
        "inputs/a_b/1/one.dat",
        "inputs/a_b/2/one.dat",
        "inputs/a_b/3/one.dat",
        "inputs/a_b/4/one.dat",
    ]


def test_what_belongs_to_a_file_lies_beside_it(workflow: Workflow, config: Config, uri: str) -> None:
    index = {"class": "File", "location": uri, "basename": "one.dat.idx"}
    found = resolve(workflow, config, job={"class": "File", "location": uri, "secondaryFiles": [index]})
    assert [ref.path for ref in found.refs] == ["inputs/job/0/one.dat", "inputs/job/0/one.dat.idx"]


def test_all_problems_are_told_with_their_parameters(workflow: Workflow, config: Config, uri: str) -> None:
    values = [{"class": c, "location": t} for c, t in (("File", f"{uri}x"), ("Directory", uri))]
    found = resolve(workflow, config, job=values, other={"class": "File", "path": "run:x"})
    told = [str(p) for p in found.problems]
    assert len(told) == 3, told
    assert told[0].startswith(f"parameter job: {uri}x: local has no toy:d/one.datx")
    assert told[1].startswith(f"parameter job: {uri}: a folder is expected, but this is a file")
    assert told[2].startswith("parameter other: run:x: ")


def test_the_identity_is_that_of_the_content(
    workflow: Workflow, config: Config, uri: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.dat").write_bytes(b"one")
    identities = []
    for where in (uri, str(tmp_path / "mine.dat")):
        request = Request(workflow="toy", parameters={"job": {"class": "File", "path": where}})
        valid, problems = validate(request, config, workflow=workflow)
        assert not problems
        assert valid.parameters["job"]["path"] == where
        identities.append(valid.inside)
    assert identities[0] == identities[1] != {}


def test_addresses_in_file_objects_are_no_relative_paths(tmp_path: Path) -> None:
    texts = ["run:abc/out", "rucio://l/s/n", "https://h/x", "basket:a:b"]
    values = {"x": [{"class": "File", key: t} for t in texts for key in ("path", "location")]}
    assert located(Request(workflow="w", parameters=values), tmp_path).parameters == values


def test_places_lead_out_of_a_working_copy() -> None:
    value = [{"class": "File", "path": "inputs/x/0/a b", "location": "inputs/x/0/a%20b"}]
    other = {"class": "File", "path": "/inputs/x/0/a", "text": "inputs/x/0/a"}
    job = Job(
        workflow="w",
        entry="e",
        parameters={"x": value, "y": other, "z": "inputs/x/0/a"},
        inputs={},
        selected={},
        allocation=Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1),
        software=SoftwareChoice(route="installed", detail=""),
    )
    assert relocated(job, "sub").parameters == {
        "x": [{"class": "File", "path": "../../inputs/x/0/a b", "location": "../../inputs/x/0/a%20b"}],
        "y": other,
        "z": "inputs/x/0/a",
    }
