"""Plans for a Slurm: what it can't give is refused before anything is submitted, with what would do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from services import engines
from services.slurm import NODES, Cluster

from esap_wf.backends.launcher import Condition
from esap_wf.backends.slurm import questions
from esap_wf.backends.slurm.commands import Commands
from esap_wf.models.place import Profile

pytestmark = pytest.mark.integration

HELLO = ("plan", "hello", "--json")


def place(root: Path, cluster: Cluster, **profiles: dict[str, Any]) -> Place:
    """With a profile `slurm`, and others by name."""
    lines = []
    for name, keys in {"slurm": {}, **profiles}.items():
        lines += [f"[backends.{name}]", 'kind = "slurm"']
        lines += [f"{key} = {value!r}" for key, value in keys.items()]
        lines += [f"[backends.{name}.software]", f"path = ['{Path(sys.executable).parent}']"]
    lines += [engines.configuration("snakemake", slurm=True)]
    (root / "config.toml").write_text("\n".join(lines) + "\n")
    return Place(root, extra=dict(cluster.environment))


def commands(cluster: Cluster) -> Commands:
    conf = cluster.environment["SLURM_CONF"]
    return Commands(Profile(name="slurm", kind="slurm", settings={"conf": conf}))


def test_a_plan_says_who_submits_where_and_when_it_would_begin(cluster: Cluster, tmp_path: Path) -> None:
    here = place(tmp_path, cluster, sized={"partition": "main", "account": "science", "qos": "normal"})
    plan = tmp_path / "plan.json"
    made = here.inside(*HELLO, "--backend", "sized", "-o", plan).json
    offer = next(o for o in made["offers"] if o["backend"] == "sized")
    assert offer["fits"]
    assert offer["starts"].endswith("Z")
    text = plan.read_text()
    assert '"way": "native"' in text
    assert '"account": "science"' in text
    assert cluster.jobs() == []
    shown = here.inside("plan", "hello", "--backend", "sized").out
    assert "submitted to slurm (partition main, account science, QOS normal)" in shown
    assert "begins" in shown


def test_wrong_names_are_told_at_once_with_what_was_meant(cluster: Cluster, tmp_path: Path) -> None:
    wrong = {"partition": "bgi", "account": "scienc", "qos": "norml"}
    done = place(tmp_path, cluster, wrong=wrong).inside(*HELLO, "--backend", "wrong")
    assert done.code == 3
    for meant in ("did you mean big?", "did you mean science?", "did you mean normal?"):
        assert meant in done.problems


@pytest.mark.parametrize(
    ("profile", "asked", "words"),
    [
        ({}, ["--memory", "30 GB"], 'partition = "big"'),
        ({}, ["--memory", "1 TB"], "but it has 4.19 GB"),
        ({}, ["--gpus", "1"], 'partition = "gpu"'),
        ({"partition": "closed"}, [], "partition closed is down"),
        ({"constraint": "fat"}, [], "no node has the feature 'fat'"),
        ({"partition": "short", "job_wall": "2 h"}, [], 'partition = "main"'),
        ({"job_cores": 5}, [], "no other partition gives more"),
        ({"job_memory": "1 TB"}, [], "one job needs 1 TB of memory"),
        ({"options": ["--comment=mine"]}, [], "by it a run finds its own jobs"),
    ],
    ids=["memory", "too-much", "gpu", "down", "feature", "wall", "cores", "job-memory", "option"],
)
def test_what_nobody_can_meet_is_refused(
    cluster: Cluster, tmp_path: Path, profile: dict[str, Any], asked: list[str], words: str
) -> None:
    done = place(tmp_path, cluster, one=profile).inside(*HELLO, "--backend", "one", *asked)
    assert done.code == 3
    assert words in done.problems


def test_engines_that_submit_nothing_are_sent_there(cluster: Cluster, tmp_path: Path) -> None:
    pieces = tmp_path / "pieces"
    here = place(tmp_path, cluster, both={"folder": str(pieces)})
    done = here.inside("plan", "noop", "--json", "--engine", "cwl", "--backend", "slurm")
    assert "submits no jobs to slurm" in done.problems
    assert "name `folder`" in done.problems


def test_a_store_that_the_nodes_do_not_see_is_found_before_the_start(
    cluster: Cluster, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "store").mkdir(parents=True)
    for node in NODES:
        cluster.cover(node, hidden)
    try:
        away = {"folder": str(tmp_path / "pieces")}
        here = place(tmp_path, cluster, both=away)
        here.extra["ESAP_WF_STORE"] = str(hidden / "store")
        done = here.inside(*HELLO, "--backend", "slurm")
        assert done.code == 3
        assert "don't see the run store" in done.problems
        checked = here.inside("backends", "check", "slurm", "--json").json["backends"][0]
        assert checked["sees_store"] is False
        # where there is a folder that they see, the work is sent there
        plan = tmp_path / "plan.json"
        made = here.inside(*HELLO, "--backend", "both", "--engine", "snakemake", "-o", plan)
        assert made.code == 0, made.out
        assert '"way": "there"' in plan.read_text()
    finally:
        for node in NODES:
            cluster.uncover(node, hidden)
    assert cluster.jobs() == []
    assert [p.name for p in (hidden / "store").iterdir()] == []


def test_a_full_cluster_leaves_nobody_waiting(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.submit("sleep 300", "--nodes=4", "--exclusive", "--partition=main")
    try:
        done = place(tmp_path, cluster).inside(*HELLO, "--backend", "slurm")
        assert any("nobody knows yet whether" in w for w in done.json["warnings"])
        assert cluster.jobs() == [job]
    finally:
        cluster.cancel(job)
        cluster.ends(job)


@pytest.mark.parametrize("says", ["echo '|||'; exit 0", "exit 3", "echo x >&2; exit 1", ":"])
def test_commands_that_talk_nonsense(cluster: Cluster, tmp_path: Path, says: str) -> None:
    stand_in = tmp_path / "bin" / "sinfo"
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/sh\n{says}\n")
    stand_in.chmod(0o755)
    done = place(tmp_path, cluster, bad={"commands": str(stand_in.parent)}).inside(*HELLO, "--backend", "bad")
    assert done.code == 4
    assert "sinfo" in done.problems


def test_commands_that_are_missing(cluster: Cluster, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = place(tmp_path, cluster, none={"commands": str(empty)}).inside(*HELLO, "--backend", "none")
    assert done.code == 4
    assert f"sinfo is not in {empty}" in done.problems


def test_how_jobs_ended_is_known_by_their_ids_alone(cluster: Cluster, tmp_path: Path) -> None:
    name = 'a|b\n1|COMPLETED "é'
    failing = cluster.submit("exit 7", f"--job-name={name}", f"--comment={name}")
    array = cluster.submit("exit 0", "--array=1-2")
    held = cluster.submit("true", "--hold")
    try:
        assert [cluster.ends(job) for job in (failing, f"{array}_1")] == ["FAILED", "COMPLETED"]
        cluster.ends(f"{array}_2")
        asked = commands(cluster)
        found = questions.known(asked, [failing, f"{array}_1", f"{array}_2", held, "999999", "no id"])
        assert set(found) == {failing, f"{array}_1", f"{array}_2", held}
        bad = found[failing]
        assert (bad.condition, bad.exit_code, bad.reason) == (Condition.ENDED, 7, "exit code 7")
        assert bad.name.startswith("a|b\n1|COMPLETED")
        assert bad.usage.wall_seconds is not None
        assert found[f"{array}_2"].exit_code == 0
        assert found[held].condition is Condition.WAITING
        assert "held by you" in found[held].reason
        assert [job.id for job in questions.active(asked)] == [held]
    finally:
        questions.cancel(commands(cluster), [held, failing, "999999"])
    after = questions.known(commands(cluster), [held])[held]
    assert (after.condition, after.state, after.reason) == (
        Condition.GONE,
        "CANCELLED",
        "it was cancelled by you",
    )


def test_a_controller_that_is_away_is_an_outage(plain_cluster: Cluster, tmp_path: Path) -> None:
    here = place(tmp_path, plain_cluster)
    assert here.inside("backends", "check", "slurm", "--json").code == 0
    plain_cluster.stop_controller()
    try:
        done = here.inside("backends", "check", "slurm", "--json")
        assert done.code == 4
        assert "can't be asked" in done.problems
    finally:
        plain_cluster.start_controller()


def test_without_accounting_nobody_says_which_accounts_there_are(
    plain_cluster: Cluster, tmp_path: Path
) -> None:
    here = place(tmp_path, plain_cluster, any={"account": "whatever"})
    survey = here.inside("backends", "show", "any", "--json").json["backends"][0]["survey"]
    assert (survey["accounting"], survey["accounts"], survey["qos"]) == (False, [], [])
    assert {p["name"] for p in survey["partitions"]} >= {"main", "big", "gpu", "closed"}
    assert here.inside(*HELLO, "--backend", "any").code == 0


def test_what_is_submitted_can_be_printed(cluster: Cluster, tmp_path: Path) -> None:
    here = place(
        tmp_path,
        cluster,
        one={"partition": "main"},
        sent={"way": "there", "folder": str(tmp_path / "pieces")},
    )
    done = here.inside("plan", "noop", "--backend", "one", "--print-script", "--json")
    assert done.code == 0, done.out
    native = done.json["scripts"]
    assert "snakemake" in native["whole"]
    jobs = native["jobs of its steps"].splitlines()
    assert any(line.startswith("sbatch --partition=main") and line.endswith("# unit_shard") for line in jobs)
    sent = here.inside("plan", "noop", "--backend", "sent", "--print-script", "--json").json["scripts"]
    assert sent["whole as a job"].startswith("#!/bin/bash")
    assert "sbatch" in sent["whole as a job"]
    assert cluster.jobs() == []
