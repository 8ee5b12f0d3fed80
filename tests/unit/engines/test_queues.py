"""What engines are told of the workload manager to which they submit: values arrive whole, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from esap_wf.engines.cwl import queue as toil
from esap_wf.engines.nextflow import queue as nextflow
from esap_wf.engines.snakemake import incomplete
from esap_wf.engines.snakemake import queue as snakemake
from esap_wf.models.place import Queue, StepNeeds

QUEUE = Queue(
    kind="slurm",
    partition="long",
    account="1e5",
    qos="normal",
    constraint="a&b",
    jobs=7,
    submissions=60,
    poll=2.5,
    memory_bytes=2**30,
    wall_seconds=90061,
    options=["--exclude=n 1", "--nice"],
)
STEPS = {"fit": StepNeeds(cores=3, memory_bytes=2**31, wall_seconds=61, gpus=2)}


def test_snakemake_gets_texts_as_texts_and_amounts_by_rule() -> None:
    words = snakemake.arguments(QUEUE, STEPS)
    defaults = words[words.index("--default-resources") + 1 : words.index("--latency-wait")]
    # Snakemake evaluates them: an account must not become a number
    assert {d.partition("=")[0]: eval(d.partition("=")[2]) for d in defaults} == {
        "slurm_account": "1e5",
        "slurm_partition": "long",
        "constraint": "a&b",
        "slurm_extra": "'--exclude=n 1' --nice",
        "mem_mb": 1024,
        "runtime": 1502,
    }
    assert words[words.index("--slurm-status-command") + 1] == "squeue"
    assert words[words.index("--max-jobs-per-timespan") + 1] == "60/1m"
    assert words[words.index("--set-threads") + 1] == "fit=3"
    assert words[words.index("--set-resources") + 1 :] == [
        "fit:mem_mb=2048",
        "fit:runtime=2",
        "fit:gres='gpu:2'",
    ]


def test_a_profile_says_the_same_as_the_command() -> None:
    made = yaml.safe_load(snakemake.profile(QUEUE))
    assert made["executor"] == "slurm"
    assert made["jobs"] == 7
    assert "slurm_account='1e5'" in made["default-resources"]
    assert made["keep-going"] is True


def test_nextflow_gets_options_for_which_it_has_no_word() -> None:
    text = "\n".join(nextflow.lines(QUEUE, STEPS))
    assert "queueSize = 7" in text
    assert "submitRateLimit = '60/1min'" in text
    assert "queue = 'long'" in text
    assert "--account=1e5 --qos=normal" in text
    assert "withName: 'fit' { cpus = 3; memory = '2147483648 B'; time = '61 s'; clusterOptions = " in text
    assert "--gres=gpu:2" in text


def test_toil_gets_one_argument_of_options() -> None:
    words = toil.arguments(QUEUE)
    assert words[words.index("--slurmTime") + 1] == "1-01:01:01"
    assert words[-1] == "--slurmArgs=--account=1e5 '--constraint=a&b' '--exclude=n 1' --nice"


def test_only_marks_of_jobs_that_ended_well_go(tmp_path: Path) -> None:
    marks = {"a": "11", "b": "12", "c": None}
    for name, number in marks.items():
        (tmp_path / name).write_text(json.dumps({"external_jobid": number}))
    (tmp_path / "d").write_text("{")
    assert incomplete.unmark([tmp_path, tmp_path / "none"], {"11"}) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "c", "d"]
