"""Where inputs lie in the directory of a run that works elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from esap_wf.models.place import Profile
from esap_wf.models.request import DataRef
from esap_wf.running import staging


def plan(profile: Profile | None, **inputs: list[DataRef]) -> Any:
    return SimpleNamespace(profile=profile, inputs=inputs)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    monkeypatch.setattr(staging, "is_elsewhere", lambda p: p.profile is not None)


FAR = Profile(name="far", kind="ssh", shared=["/shared/data"])


def ref(path: str, *beside: str) -> DataRef:
    return DataRef(uri=path, path=path, checksum="sha256:1", beside=dict.fromkeys(beside, "sha256:2"))


def test_a_run_on_this_machine_uses_files_where_they_are():
    assert staging.staged(plan(None, reads=[ref("/a/x")])) == {}
    assert staging.placed(plan(None), "reads", 0, ref("/a/x")).path == "/a/x"


def test_files_of_one_name_do_not_meet():
    given = plan(FAR, reads=[ref("/a/x.fq"), ref("/b/x.fq")], table=[ref("/a/x.fq")])
    assert staging.staged(given) == {
        "inputs/reads/0/x.fq": "/a/x.fq",
        "inputs/reads/1/x.fq": "/b/x.fq",
        "inputs/table/0/x.fq": "/a/x.fq",
    }
    assert staging.placed(given, "reads", 1, given.inputs["reads"][1]).path == "inputs/reads/1/x.fq"


def test_what_belongs_to_a_file_lies_beside_it():
    given = plan(FAR, reads=[ref("/a/x.bam", "/a/x.bam.bai", "/a/deep/x.idx")])
    assert set(staging.staged(given)) == {
        "inputs/reads/0/x.bam",
        "inputs/reads/0/x.bam.bai",
        "inputs/reads/0/deep/x.idx",
    }
    placed = staging.placed(given, "reads", 0, given.inputs["reads"][0])
    assert set(placed.beside) == {"inputs/reads/0/x.bam.bai", "inputs/reads/0/deep/x.idx"}


def test_a_pattern_stays_one_and_matches_the_same_files():
    given = plan(FAR, reads=[ref("/a/s*/x_{1,2}.fq", "/a/s1/x_1.fq", "/a/s2/x_2.fq")])
    assert staging.staged(given) == {
        "inputs/reads/0/s1/x_1.fq": "/a/s1/x_1.fq",
        "inputs/reads/0/s2/x_2.fq": "/a/s2/x_2.fq",
    }
    assert staging.placed(given, "reads", 0, given.inputs["reads"][0]).path == "inputs/reads/0/s*/x_{1,2}.fq"


def test_what_the_place_sees_is_not_copied():
    given = plan(FAR, reads=[ref("/shared/data/x"), ref("/shared/database/y")])
    assert staging.staged(given) == {"inputs/reads/1/y": "/shared/database/y"}
    assert staging.placed(given, "reads", 0, given.inputs["reads"][0]).path == "/shared/data/x"


def test_what_comes_with_the_workflow_stays_in_the_snapshot():
    own = ref("code/abc/workflows/w/data.json")
    assert staging.placed(plan(FAR), "reads", 0, own) is own
    assert staging.staged(plan(FAR, reads=[own])) == {}
    assert Path(own.path or "").parts[0] == "code"
