"""What decides a run's bytes: every field of a plan counts or is recorded, none is neither, and the digest does what the list says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.models.manifest import Output
from esap_wf.models.plan import (
    Allocation,
    ContainerChoice,
    Digest,
    Duplicate,
    EngineChoice,
    Estimate,
    Offer,
    Plan,
    SoftwareChoice,
)
from esap_wf.models.request import DataRef, Request
from esap_wf.planning import identity, making
from esap_wf.planning.identity import FIELDS, Identity
from esap_wf.request.validation import validate

IMAGE = ContainerChoice(
    image="i", reference="/i.sif", form="sif", digest="sha256:1", runtime="apptainer", program="/a"
)
#: A plan in which every field holds something, so that each can be changed alone.
WHOLE = Plan(
    created="2026-11-26T00:00:00Z",
    expires="2026-12-03T00:00:00Z",
    workflow="w",
    version="1.0.0",
    title="W",
    source="/p/w/workflow.yaml",
    reference="/p/w#part",
    place="workflows/w",
    code="c0de",
    entry="code/c0de/workflows/w/Snakefile",
    config="plain",
    item="part",
    parameters={"n": 3},
    inside={"f": ["sha256:7"]},
    inputs={
        "data": [
            DataRef(
                uri="file:///a",
                path="/d/a.txt",
                bytes=1,
                checksum="sha256:1",
                rows=2,
                beside={"/d/a.idx": "sha256:2"},
            )
        ]
    },
    selected={"column": 1.5},
    outputs=[Output(name="out", path="out/*.txt", title="Out", schema="s.json", verdict="v.json")],
    nonce="00ff",
    request=Request(
        workflow="w",
        parameters={"n": 3},
        inputs={"data": ["/d/a.txt"]},
        backend="local",
        engine="snakemake",
        engine_options=["--x"],
        size="small",
        software="installed",
        results="/r",
        name="mine",
        tags=["t"],
    ),
    engine=EngineChoice(
        name="snakemake", path="/bin/snakemake", version="9.3.1", found="PATH", detail="java 21"
    ),
    software=SoftwareChoice(
        route="container", detail="i", bin_dirs=["/b"], refused=["no"], container=IMAGE, images={"j": IMAGE}
    ),
    backend="local",
    allocation=Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1),
    units=3,
    estimate=Estimate(core_hours=1, memory_bytes=1, disk_bytes=1, wall_seconds=1),
    offers=[Offer(backend="local", fits=True)],
    duplicates=[Duplicate(run="0" * 16, level="request", phase="ERROR", owner="x", created="y")],
    digest=Digest(identity="", recorded={}),
    command=["snakemake"],
    files=["command.sh"],
    warnings=["careful"],
)


def structs_in(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in get_args(kind):
        yield from structs_in(inner)


def leaves(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Names of all fields that the list must say something of: those of a part only where the whole part isn't in it."""
    hints = get_type_hints(struct)
    for name in struct.__struct_fields__:
        inner = [] if prefix + name in FIELDS else list(structs_in(hints[name]))
        if inner:
            yield from leaves(inner[0], f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_field_of_a_plan_is_identity_or_recorded_and_says_why() -> None:
    assert sorted(leaves(Plan)) == sorted(FIELDS), (
        "esap_wf/identity.py lists what a plan has, no more and no less"
    )
    assert all(rule.why for rule in FIELDS.values())


def test_a_field_that_nobody_has_decided_on_is_no_silent_part_of_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("units", "engine.path", "outputs.title"):
        monkeypatch.delitem(FIELDS, name)
        with pytest.raises(KeyError, match=f"{name}: neither identity nor recorded"):
            identity.of(WHOLE)
        monkeypatch.undo()


def at(part: Any, name: str) -> Any:
    """The value of a field; of a list or mapping the first element's."""
    for key in name.split("."):
        part = next(iter(part.values())) if isinstance(part, dict) else part
        part = part[0] if isinstance(part, list) else part
        part = getattr(part, key)
    return part


def put(part: Any, name: str, value: Any) -> Any:
    """The same with another value there."""
    if isinstance(part, dict):
        return {k: put(v, name, value) for k, v in part.items()}
    if isinstance(part, list):
        return [put(v, name, value) for v in part]
    key, _, rest = name.partition(".")
    return msgspec.structs.replace(part, **{key: put(getattr(part, key), rest, value) if rest else value})


TEXT = st.text(st.characters(codec="ascii", exclude_characters="/\0."), min_size=1, max_size=8)
#: Where only a part of the value counts: that part is changed.
OWN: dict[str, st.SearchStrategy[Any]] = {
    "source": TEXT.map(lambda t: f"/p/w/{t}.yaml"),
    "entry": TEXT.map(lambda t: f"code/c0de/workflows/w/{t}"),
    "engine.version": st.integers(10, 99).map(lambda n: f"9.{n}.1"),
    "inputs.path": TEXT.map(lambda t: f"/d/{t}"),
    "inputs.beside": TEXT.map(lambda t: {"/d/a.idx": t}) | TEXT.map(lambda t: {f"/d/{t}": "sha256:2"}),
    "request.resources": st.just(None),
}


def like(value: Any) -> st.SearchStrategy[Any]:
    """Other values of the kind."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, (int, float)):
        return st.integers(0, 2**40)
    if isinstance(value, list):
        return TEXT.map(lambda t: [*value, t])
    if isinstance(value, dict):
        return TEXT.map(lambda t: {**value, "new": t})
    return TEXT


@pytest.mark.parametrize("name", FIELDS)
@settings(max_examples=12)
@given(data=st.data())
def test_each_field_alone_changes_the_digest_if_it_counts_and_leaves_it_if_not(
    name: str, data: st.DataObject
) -> None:
    old = at(WHOLE, name)
    new = data.draw((OWN[name] if name in OWN else like(old)).filter(lambda v: v != old))
    changed = identity.of(put(WHOLE, name, new)) != identity.of(WHOLE)
    assert changed is isinstance(FIELDS[name], Identity), (name, new)


def test_what_does_not_count_of_a_field_changes_nothing() -> None:
    for name, value in {
        "source": "/x/workflow.yaml",
        "entry": "code/ffff/workflows/w/Snakefile",
        "engine.version": "9.3.7",
        "inputs.path": "/e/a.txt",
        "inputs.beside": {"/e/a.idx": "sha256:2"},
    }.items():
        assert identity.of(put(WHOLE, name, value)) == identity.of(WHOLE), name
    house = msgspec.structs.replace(WHOLE, config="house")
    assert identity.of(put(house, "inputs.path", "/d/b.txt")) == identity.of(house), (
        "its files may be called anything"
    )
    looked_up = put(WHOLE, "inputs.counts", False)
    assert identity.of(put(looked_up, "inputs.checksum", "other")) == identity.of(looked_up)


def test_files_that_change_places_are_seen() -> None:
    one, two = (
        DataRef(uri="file:///a", path="/a", checksum="1"),
        DataRef(uri="file:///b", path="/b", checksum="2"),
    )
    for config in ("plain", "house"):
        plan = msgspec.structs.replace(WHOLE, config=config, inputs={"data": [one, two]})
        assert identity.of(plan) != identity.of(msgspec.structs.replace(plan, inputs={"data": [two, one]}))
        beside = put(plan, "inputs.beside", {"/x": "3", "/y": "4"})
        assert identity.of(beside) != identity.of(put(plan, "inputs.beside", {"/x": "4", "/y": "3"}))


def test_a_plan_that_is_read_again_has_the_digest_that_it_says(toy: Any, config: Config) -> None:
    made = planned(toy({"x": {"type": "number", "title": "X", "default": 3}}), config)
    assert made.digest.identity == identity.of(made)
    stored = msgspec.json.decode(msgspec.json.encode(made), type=Plan)
    assert identity.of(stored) == made.digest.identity


def planned(workflow: Workflow | str, config: Config) -> Plan:
    text = workflow if isinstance(workflow, str) else str(workflow.folder / "workflow.yaml")
    request = Request(workflow=text)
    valid, problems = validate(request, config)
    assert not problems, problems
    return making.make(request, config, valid)


SNAKEFILE = 'rule all:\n    input: "{0}.txt"\nrule other:\n    output: "{0}.txt"\n    shell: "echo {0} > {{output}}"\n'


def test_files_and_parts_of_one_folder_are_different_runs(tmp_path: Path, config: Config) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.smk").write_text(SNAKEFILE.format(name))
    plans = [planned(f"{folder}/{part}", config) for part in ("a.smk", "b.smk", "a.smk#other", "b.smk#other")]
    assert len({p.code for p in plans}) == 1, "one folder, one snapshot: only the file and the part differ"
    assert len({p.digest.identity for p in plans}) == len(plans)


def test_two_manifests_of_one_folder_are_different_runs(toy: Any, config: Config) -> None:
    folder = toy().folder
    text = (folder / "workflow.yaml").read_text()
    for name in ("one", "two"):
        (folder / f"{name}.workflow.yaml").write_text(text)
    one, two = (planned(f"{folder}/{name}.workflow.yaml", config) for name in ("one", "two"))
    assert one.workflow == two.workflow
    assert one.digest.identity != two.digest.identity
