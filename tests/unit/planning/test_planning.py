"""Plans: offers with reasons, sizes, seeds, and what makes a saved plan stale."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from esap_wf import config as configuration
from esap_wf import files
from esap_wf.config import Config
from esap_wf.errors import EsapError, RefusedError, UnavailableError, UsageError
from esap_wf.models.plan import Plan, checksum
from esap_wf.models.request import Request, ResourceRequest
from esap_wf.models.run import encode
from esap_wf.planning import making, saved
from esap_wf.request.validation import validate

PROPERTIES = {
    "units": {"type": "integer", "title": "Units", "default": 4},
    "seed": {"type": ["integer", "null"], "title": "Seed", "default": 7},
}
MANIFEST = {
    "inputs": {"data": {"title": "Data", "required": False}},
    "units": {"axis": "unit", "count": "units"},
    "random": {"seed": "seed"},
    "identity": {"scheme": "toy/1", "parameters": ["units"]},
    "resources": {
        "default": "small",
        "sizes": {
            "small": {"cores": 1, "memory": "1 GB", "wall": "1 h"},
            "huge": {"cores": 100000, "memory": "100 TB", "gpus": 4},
        },
        "estimate": {
            "core_seconds": "3600 * units",
            "serial_seconds": "60",
            "memory_bytes": "2e9 if units > 100 else 1e6",
            "disk_bytes": "input_bytes",
        },
    },
}


@pytest.fixture
def plan(toy: Any, config: Config, tmp_path: Path) -> Any:
    workflow = toy(PROPERTIES, MANIFEST)
    (tmp_path / "data.txt").write_text("one")

    def make(parameters: dict[str, Any] | None = None, within: Config = config, **more: Any) -> Plan:
        more.setdefault("inputs", {"data": [str(tmp_path / "data.txt")]})
        request = Request(
            workflow=str(workflow.folder / "workflow.yaml"), parameters=parameters or {}, **more
        )
        valid, problems = validate(request, within)
        assert not problems, problems
        return making.make(request, within, valid)

    return make


def profiles(place: Any, text: str) -> Config:
    (place.root / "config.toml").write_text(text)
    return configuration.load()


def test_a_plan_counts_units_and_costs(plan: Any) -> None:
    made = plan()
    assert made.units == 4
    assert made.estimate.core_hours == 4.0
    assert made.estimate.wall_seconds == 60 + 4 * 3600 - 60
    assert made.estimate.disk_bytes == 3
    assert made.allocation.memory_bytes == 10**9
    assert made.allocation.wall_seconds == 3600


def test_memory_grows_with_the_estimate_unless_the_user_says_how_much(plan: Any) -> None:
    assert plan({"units": 200}).allocation.memory_bytes == 2 * 10**9
    asked = plan({"units": 200}, resources=ResourceRequest(memory="1 GB"))
    assert asked.allocation.memory_bytes == 10**9
    assert any("the run will probably need 2 GB" in w for w in asked.warnings)


def test_overrides_take_the_place_of_the_size(plan: Any) -> None:
    made = plan(resources=ResourceRequest(cores=1, memory="300 MB", wall="10 min"))
    assert (made.allocation.cores, made.allocation.memory_bytes, made.allocation.wall_seconds) == (
        1,
        300 * 10**6,
        600,
    )
    assert "mem_mb=300" in made.command


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"size": "smal"}, "did you mean small?"),
        ({"resources": ResourceRequest(memory="a lot")}, "--memory"),
        ({"backend": "lokal"}, "did you mean local?"),
        ({"engine": "nextflow"}, "it has snakemake"),
        ({"software": "container"}, "has installed"),
    ],
)
def test_a_choice_that_is_not_there_is_a_usage_error(plan: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(**more)
    assert said in str(caught.value)


def test_a_default_size_shrinks_to_the_cores_there_are_but_what_was_asked_for_does_not(
    plan: Any, place: Any
) -> None:
    small = profiles(
        place, "[backends.tiny]\nkind = 'local'\ncores = 1\nmemory = '500 MB'\nwall = '10 min'\n"
    )
    with pytest.raises(RefusedError) as caught:
        plan(within=small, backend="tiny")
    assert "1 GB of memory asked for, but it has 500 MB" in str(caught.value)
    assert "60 min" in str(caught.value) or "1 h" in str(caught.value)
    offers = {o.backend: o for o in plan(within=small).offers}
    assert offers["local"].fits
    assert not offers["tiny"].fits
    assert len(offers["tiny"].reasons) == 2


def test_when_nothing_fits_every_reason_is_told(plan: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(size="huge", resources=ResourceRequest(cores=100000))
    text = str(caught.value)
    for said in ("100000 cores asked for", "100 TB of memory", "4 GPUs asked for, but it has 0"):
        assert said in text


def test_a_profile_of_a_kind_that_is_not_installed_is_an_offer_that_does_not_fit(
    plan: Any, place: Any
) -> None:
    offers = plan(within=profiles(place, "[backends.grid]\nkind = 'dirac'\n")).offers
    assert any(
        o.backend == "grid" and "no plug-in for backends of kind 'dirac'" in o.reasons[0] for o in offers
    )


@pytest.mark.parametrize(
    "text",
    [
        "[backends.x]\nkind = 'local'\nmemory = 'much'\n",
        "[backends.x]\nkund = 'local'\n",
        "[backends.x]\ncores = '1'\n",
    ],
)
def test_a_broken_profile_is_told_by_its_name(plan: Any, place: Any, text: str) -> None:
    with pytest.raises(UsageError, match=r"backend.*x"):
        plan(within=profiles(place, text))


def test_a_run_without_a_seed_is_identical_to_no_other(plan: Any) -> None:
    one, two = plan({"seed": None}), plan({"seed": None})
    assert one.parameters["seed"] != two.parameters["seed"]
    assert one.digest.identity != two.digest.identity
    assert not one.digest.deterministic
    assert one.digest.science is None
    again = plan({"seed": one.parameters["seed"]})
    assert again.digest.identity != one.digest.identity, "the nonce stays even for the same number"
    assert plan().digest.deterministic


def test_the_scientific_identity_follows_its_parameters_only(plan: Any) -> None:
    assert plan({"seed": 8}).digest.science == plan().digest.science
    assert plan({"units": 5}).digest.science != plan().digest.science


def test_a_resource_model_that_fails_is_told_with_its_line(toy: Any, config: Config) -> None:
    for count, estimate in (
        ("units / 8", "1"),
        ("0 * units", "1"),
        ("units", "1 / (units - 4)"),
        ("units", "10 ** 400"),
        ("units", "0 - 1"),
    ):
        workflow = toy(
            PROPERTIES,
            {
                "units": {"axis": "u", "count": count},
                "resources": {"default": "small", "estimate": {"core_seconds": estimate}},
            },
        )
        request = Request(workflow=str(workflow.folder))
        valid, problems = validate(request, config)
        assert not problems
        with pytest.raises(UsageError, match=r"resource model fails\n.*workflow\.yaml:\d+:\d+: resources"):
            making.make(request, config, valid)


def test_a_missing_engine_is_told_with_the_command_that_installs_it(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from esap_wf.engines import programs

    monkeypatch.setattr(programs, "candidates", lambda *_: iter(()))
    with pytest.raises(UnavailableError) as caught:
        plan()
    assert caught.value.exit_code == 4
    assert "esap-wf engines install snakemake" in str(caught.value)


def test_a_configured_engine_that_is_not_there_is_not_replaced_silently(plan: Any, place: Any) -> None:
    with pytest.raises(UsageError, match=r"engines\.snakemake\.path.*no file /nowhere/snakemake"):
        plan(within=profiles(place, "[engines.snakemake]\npath = '/nowhere/snakemake'\n"))


def stale(made: Plan, config: Config) -> str:
    with pytest.raises(RefusedError) as caught:
        saved.confirm_fresh(made, config)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_fresh_plan_may_run(plan: Any, config: Config) -> None:
    saved.confirm_fresh(plan(), config)
    saved.confirm_fresh(plan({"seed": None}), config)


def test_a_stale_plan_says_what_changed(plan: Any, config: Config, tmp_path: Path) -> None:
    made, folder = plan(), tmp_path / "toy"
    (tmp_path / "data.txt").write_text("two")
    assert "input data: its content changed since the plan was made" in stale(made, config)
    (tmp_path / "data.txt").unlink()
    assert "there is no such file" in stale(made, config)
    (tmp_path / "data.txt").write_text("one")
    saved.confirm_fresh(made, config)

    (folder / "Snakefile").write_text("# other\n")
    assert "code of the workflow" in stale(made, config)
    (folder / "Snakefile").unlink()
    assert "Snakefile" in stale(made, config)


def test_a_changed_manifest_makes_a_plan_stale(plan: Any, config: Config, tmp_path: Path) -> None:
    made, manifest = plan(), tmp_path / "toy/workflow.yaml"
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "version": "2.0.0"}))
    assert "version of the workflow: was 1.0.0, is now 2.0.0" in stale(made, config)
    manifest.write_text(json.dumps({**said, "units": {"axis": "unit", "count": "2 * units"}}))
    assert "units: was 4, is now 8" in stale(made, config)
    manifest.write_text("nonsense: [")
    assert "workflow.yaml" in stale(made, config)
    manifest.unlink()
    assert "there is no" in stale(made, config)


def test_a_changed_schema_makes_a_plan_stale(plan: Any, config: Config, tmp_path: Path) -> None:
    made, schema = plan(), tmp_path / "toy/params.schema.json"
    said = json.loads(schema.read_text())
    said["properties"]["units"]["maximum"] = 3
    schema.write_text(json.dumps(said))
    assert "units" in stale(made, config)


def test_another_engine_makes_a_plan_stale(plan: Any, config: Config) -> None:
    made = plan()
    other = msgspec.structs.replace(made, engine=msgspec.structs.replace(made.engine, version="9.3.0"))
    assert "engine: was snakemake 9.3.0" in stale(other, config)


def test_a_plan_that_was_edited_with_its_checksum_is_held_against_its_request(
    plan: Any, config: Config
) -> None:
    """From 4 units to 7: never unvalidated, and its results never given to who asks for 4."""
    made = plan()

    def edited(said: str, **changes: Any) -> Plan:
        other = msgspec.structs.replace(made, **changes)
        other = msgspec.structs.replace(other, checksum=checksum(other))
        assert said in stale(other, config)
        return other

    seven = {**made.parameters, "units": 7}
    edited("parameters: says", parameters=seven)
    request = msgspec.structs.replace(made.request, parameters=seven)
    edited("digest: says", request=request, parameters=seven, units=7, estimate=plan({"units": 7}).estimate)
    edited("units", request=msgspec.structs.replace(request, parameters={"units": "many"}))
    edited("item: says", item="other")
    edited("outputs: says", outputs=[msgspec.structs.replace(made.outputs[0], path="outputs/other.txt")])
    edited("allocation: says", allocation=msgspec.structs.replace(made.allocation, memory_bytes=1))
    edited("files: says", files=made.files[1:])
    (ref,) = made.inputs["data"]
    edited(
        "input data: the plan describes a different file",
        inputs={"data": [msgspec.structs.replace(ref, path="/etc/passwd")]},
    )
    edited("digest: says", digest=msgspec.structs.replace(made.digest, identity="0" * 64))
    edited("another version of esap-wf", digest=msgspec.structs.replace(made.digest, scheme=1))
    as_asked = making.sealed(msgspec.structs.replace(plan({"units": 7}), created=made.created))
    saved.confirm_fresh(as_asked, config)


def test_an_expired_plan_is_stale(plan: Any, config: Config) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="seconds")
    old = msgspec.structs.replace(plan(), expires=past)
    assert f"it was valid until {past}" in stale(msgspec.structs.replace(old, checksum=checksum(old)), config)
    assert "edited by hand" in stale(old, config)


def test_a_saved_plan_reads_back_and_an_edited_one_is_refused(plan: Any, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    made = plan({"units": 300})
    path.write_bytes(encode(made))
    assert saved.read_intact_plan(path) == msgspec.json.decode(encode(made), type=Plan)
    path.write_text(path.read_text().replace('"units": 300', '"units": 301'))
    with pytest.raises(UsageError, match="edited by hand"):
        saved.read_intact_plan(path)


def test_what_others_ran_meanwhile_does_not_count_as_an_edit(plan: Any) -> None:
    from esap_wf.models.plan import Duplicate

    made = plan()
    told = Duplicate(
        run="0" * 16, level="request", phase="COMPLETED", owner="x", created="2026-01-01T00:00:00Z"
    )
    assert checksum(msgspec.structs.replace(made, duplicates=[told])) == made.checksum


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "{", '{"schema_version": 99}', "\xff"])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "p.json").write_text(content, "latin-1")
    with pytest.raises(EsapError) as caught:
        saved.read_intact_plan(tmp_path / "p.json")
    assert caught.value.exit_code == 2
    if "99" in content:
        assert "newer esap-wf" in str(caught.value)


def test_nothing_is_written_by_planning(plan: Any, place: Any) -> None:
    plan()
    assert not place.store.exists()
    assert not files.NoSpaceError("x").problems
