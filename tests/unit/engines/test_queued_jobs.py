"""How jobs of a workload manager have failed is read in what it, and the engine in the job, have printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esap_wf.engines import Cursor, queued
from esap_wf.engines.nextflow import raised as nextflow
from esap_wf.engines.nextflow.events import NextflowEvents
from esap_wf.engines.nextflow.trace import FIELDS, trace_path
from esap_wf.engines.snakemake import raised as snakemake
from esap_wf.engines.snakemake.events import SnakemakeEvents
from esap_wf.models.run import Event, Raised, Reason
from esap_wf.running.failures import tail_of

BEGINNING = """\
srun: cluster configuration lacks support for cpu binding

Building DAG of jobs...
[Fri Nov 27 13:41:42 2026]
rule unit:
    output: out/1
"""
END = """\
[Fri Nov 27 13:42:12 2026]
Error in rule unit:
    message: None
Exiting because a job execution failed. Look above for error messages
WorkflowError:
At least one job did not complete successfully.
srun: error: n1: task 0: Exited with exit code 1
"""
CALLED = (
    'RuleException:\nCalledProcessError in file "/w/Snakefile", line 12:\nCommand \'set -eu;\n  work > out/1'
)
MEMORY = """\
slurmstepd-n1: error: StepId=10.0 exceeded memory limit (611438592 > 314572800), being killed
slurmstepd-n1: error: Exceeded job memory limit
slurmstepd-n1: error: *** STEP 10.0 ON n1 CANCELLED AT 2026-11-27T13:42:17 ***
"""
SAID = {
    "code": (
        f"this unit is bad\n{CALLED}' returned non-zero exit status 3.\n{END}",
        (Reason.EXIT_CODE, 3, "exit status 3"),
    ),
    "signal": (
        f"{CALLED}' died with <Signals.SIGSEGV: 11>.\n{END}",
        (Reason.SIGNAL, 139, "killed by SIGSEGV"),
    ),
    "memory": (
        MEMORY + END,
        (Reason.OUT_OF_MEMORY, None, "it used more memory than it had asked for: 611 MB of 315 MB"),
    ),
    "cgroup": (
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0. Some of your processes may have been "
        f"killed by the cgroup out-of-memory handler.\n{CALLED}' returned non-zero exit status 137.\n",
        (Reason.OUT_OF_MEMORY, None, "it used more memory than it had asked for"),
    ),
    "time": (
        "slurmstepd-n2: error: *** JOB 13 ON n2 CANCELLED AT 2026-11-27T13:42:12 DUE TO TIME LIMIT ***\n",
        (Reason.TIMEOUT, None, "it was ended at its time limit"),
    ),
    "output": (
        "MissingOutputException in rule unit in file /w/Snakefile, line 3:\nJob 0 completed successfully\n"
        + END,
        (Reason.MISSING_OUTPUT, None, "an output is missing"),
    ),
}


def failed(run: Path, said: str, own: str = "", status: str = "FAILED") -> Event:
    """The event of a job that a workload manager has carried out."""
    (run / "slurm_logs").mkdir(parents=True)
    (run / "logs").mkdir()
    (run / "logs" / "1.log").write_text(own)
    (run / "slurm_logs" / "7.log").write_text(said)
    text = f"SLURM-job '7' failed, SLURM status is: '{status}'. Reason: Unknown."
    lines = [
        {"event": "job_info", "jobid": 3, "rule": "unit", "wildcards": {"u": "1"}, "log": ["logs/1.log"]},
        {"event": "job_submitted", "jobid": 3, "external_id": "7", "log": f"{run}/slurm_logs/7.log"},
        {"event": "job_error", "jobid": 3, "rule": "unit", "log": ["logs/1.log"], "kind": "other"}
        | {"reason": text, "external_id": "7", "exit_code": None},
    ]
    record = run / "record.jsonl"
    record.write_text("".join(json.dumps({"t": 1.0, **line}) + "\n" for line in lines))
    start, end = SnakemakeEvents(record, run, 1).read()
    assert (start.kind, start.batch, end.kind, end.batch) == ("start", None, "failed", "7")
    return end


@pytest.mark.parametrize("name", SAID)
def test_a_job_of_snakemake_says_how_it_failed(tmp_path: Path, name: str) -> None:
    said, expected = SAID[name]
    event = failed(tmp_path, BEGINNING + said)
    assert (event.reason, event.exit_code, event.detail) == expected
    assert event.log == "slurm_logs/7.log"


def test_the_log_of_the_step_comes_first(tmp_path: Path) -> None:
    assert failed(tmp_path, BEGINNING + SAID["code"][0], own="my own words\n").log == "logs/1.log"


def test_what_the_executor_says_of_the_state_counts(tmp_path: Path) -> None:
    event = failed(tmp_path, BEGINNING, status="NODE_FAIL")
    assert (event.reason, event.exit_code) == (Reason.NODE_FAIL, None)


@pytest.mark.parametrize(
    "said",
    [
        "Job submission failed with exception: The given account nobody appears to be invalid. Available "
        "accounts:\nreserve, scienceFor further error details see the cluster/cloud log and the log files",
        "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: nowhere\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified'.\n    sbatch call:\n"
        "        sbatch --parsable …TIMEOUT",
    ],
)
def test_a_job_that_slurm_does_not_take_is_told_in_its_words(tmp_path: Path, said: str) -> None:
    line = {"t": 1.0, "event": "job_error", "jobid": 3, "rule": "unit", "kind": "other", "reason": said}
    (tmp_path / "record.jsonl").write_text(json.dumps(line) + "\n")
    (event,) = SnakemakeEvents(tmp_path / "record.jsonl", tmp_path, 1).read()
    assert event.reason == Reason.PLACE
    assert event.detail in (
        "The given account nobody appears to be invalid. Available accounts: reserve, science",
        "sbatch: error: invalid partition specified: nowhere sbatch: error: Batch job submission failed: "
        "Invalid partition name specified",
    )


def test_the_tail_of_a_jobs_log_is_what_the_job_said(tmp_path: Path) -> None:
    failed(tmp_path, BEGINNING + SAID["code"][0])
    assert tail_of(tmp_path / "slurm_logs" / "7.log")[-1] == "this unit is bad"


def test_a_task_of_nextflow_has_the_id_of_its_job(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "ab" / "cdef12"
    folder.mkdir(parents=True)
    (folder / ".command.log").write_text(MEMORY)
    (tmp_path / "engine").mkdir()
    row = dict.fromkeys(FIELDS, "-") | {
        "task_id": "1",
        "hash": "ab/cdef12",
        "native_id": "42",
        "status": "FAILED",
        "attempt": "1",
        "workdir": str(folder),
        "name": "UNIT (1)",
    }
    trace_path(tmp_path, 1).write_text("\t".join(FIELDS) + "\n" + "\t".join(row[f] for f in FIELDS) + "\n")
    assert NextflowEvents(tmp_path, 1).read()[-1].batch is None  # of a run on this machine it is a pid
    (tmp_path / "plan.json").write_text('{"queue": {"kind": "slurm"}}')
    event = NextflowEvents(tmp_path, 1, Cursor.START).read()[-1]
    assert (event.kind, event.batch, event.reason) == ("failed", "42", Reason.OUT_OF_MEMORY)


def test_raised_amounts_are_read_back_and_a_broken_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    assert queued.raised(tmp_path) == {}
    amounts = {"unit": Raised(memory_bytes=4_000_000_000, times=1)}
    queued.keep_raised(tmp_path, amounts, None)
    assert queued.raised(tmp_path) == amounts
    (tmp_path / queued.RAISED).write_text("{")
    assert queued.raised(tmp_path) == {}


def test_snakemake_is_given_what_was_raised_beside_what_its_command_says(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    command = ["snakemake", "--set-resources", "unit:mem_mb=477", "other:mem_mb=9", "--jobs", "3"]
    (tmp_path / "plan.json").write_text(json.dumps({"command": command}))
    assert snakemake.arguments(tmp_path) == []
    more = {"unit": Raised(memory_bytes=2**30), "late": Raised(wall_seconds=90)}
    queued.keep_raised(tmp_path, more, None)
    assert snakemake.arguments(tmp_path) == [
        "--set-resources",
        "unit:mem_mb=1024",
        "other:mem_mb=9",
        "late:runtime=2",
    ]


def test_nextflow_is_given_what_was_raised_as_a_configuration() -> None:
    more = {"unit": Raised(memory_bytes=2**30, wall_seconds=90), "it's": Raised(wall_seconds=60)}
    assert nextflow.configuration(more).decode() == (
        "process {\n"
        "    withName: 'it\\'s' { time = '60 s' }\n"
        "    withName: 'unit' { memory = '1073741824 B'; time = '90 s' }\n"
        "}\n"
    )
