"""What the commands of a real Slurm print of jobs of every kind, written into ``tests/data/slurm``.

``PYTHONPATH=tests python -m slurm.capture`` asks the Slurm of this machine as `esap_wf.backends.slurm` asks it; takes about three minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from helpers.waiting import until
from services import slurm
from services.slurm import USERS, Cluster

from esap_wf.backends.slurm.accounting import COLUMNS
from esap_wf.backends.slurm.parsing import job_format

HERE = Path(__file__).parents[1] / "data" / "slurm"
#: Stands for the mark, which nobody can know.
MARK = "~0123456789abcdef~"
#: Names and comments that somebody may think of.
HOSTILE = (
    "two words",
    "a|b|RUNNING|c",
    "first\nsecond",
    "JobId=1 JobState=COMPLETED",
    "'quotes' \"and\" `more` $(true) \\ %j %A",
    "Überprüfung λ 🐟",
    "\t\x1b[31mred\x07",
    "x" * 1000,
    "ewf-r-1",
)


def main() -> None:
    """Write all texts."""
    with slurm.running(min_job_age=3600) as cluster:
        version = cluster.ask("sinfo", "--version").split()[1]
        folder = HERE / ".".join(version.split(".")[:2])
        folder.mkdir(exist_ok=True)
        _refused(cluster, folder)
        _jobs(cluster)
        _written(cluster, folder)
        _away(cluster, folder)


def _said(cluster: Cluster, *command: str) -> str:
    done = subprocess.run(
        [*command, *(["--output=/dev/null"] if command[0] == "sbatch" else [])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **cluster.environment},
        input="#!/bin/sh\n",
    )
    return f"exit code {done.returncode}\n{done.stderr}{done.stdout}"


def _refused(cluster: Cluster, folder: Path) -> None:
    asked = {
        "partition": ("--partition=none",),
        "account": ("--account=none",),
        "qos": ("--qos=none",),
        "feature": ("--constraint=none",),
        "memory": ("--mem=100G",),
        "cores": ("--cpus-per-task=64",),
        "time-of-qos": ("--qos=quick", "--time=60"),
        "reservation": ("--reservation=none",),
        "gpu": ("--gres=gpu:9", "--partition=gpu"),
        "kind-of-gpu": ("--gres=none:1",),
        "time": ("--time=soon",),
        "option": ("--none",),
        "dependency": ("--dependency=afterok:99999",),
        "starts": ("--test-only",),
        "never-starts": ("--test-only", "--mem=100G"),
        "waits-for-ever": ("--test-only", "--partition=closed"),
    }
    text = "".join(
        f"== {name}: {' '.join(options)}\n{_said(cluster, 'sbatch', *options)}"
        for name, options in asked.items()
    )
    (folder / "sbatch.txt").write_text(text)


def _jobs(cluster: Cluster) -> None:
    """Jobs of every kind: those of the numbers 1 to … in this order."""
    for job in cluster.jobs():
        cluster.cancel(job)
    over = [
        cluster.submit("true", "--job-name=good", "--comment=ewf-r-1"),
        cluster.submit("exit 3", "--job-name=exit-code"),
        cluster.submit("ulimit -c 0; kill -SEGV $$", "--job-name=signal"),
        cluster.submit(
            "python3 -c 'x = bytearray(10**9); import time; time.sleep(60)'", "--mem=100", "--job-name=memory"
        ),
        cluster.submit("sleep 300", "--time=1", "--job-name=time", "-p", "short"),
        cluster.submit("true", "--array=1-3", "--job-name=array", user=USERS[0]),
    ]
    by = cluster.submit("sleep 300", "--job-name=cancelled-by-a-user", user=USERS[1])
    admin = cluster.submit("sleep 300", "--job-name=cancelled-by-root", user=USERS[1])
    lost = cluster.submit("sleep 300", "--job-name=node", "--no-requeue", "-w", "n2")
    again = cluster.submit("sleep 300", "--job-name=node-again", "-w", "n2")
    low = cluster.submit("sleep 300", "--job-name=low", "-p", "low", "-w", "n4", "-c", "4")
    started = (by, admin, lost, again, low)
    until(lambda: all(cluster.state(job) == "RUNNING" for job in started), what="the start of jobs")
    cluster.cancel(by, by=USERS[1])
    cluster.cancel(admin)
    cluster.kill_node("n2")
    cluster.down("n2")
    over += [by, admin, lost, low, cluster.submit("true", "--job-name=high", "-w", "n4", "-c", "4")]
    over += [cluster.submit("true", f"--job-name={name}", f"--comment={name}") for name in HOSTILE]
    for job in reversed(over):
        cluster.ends(job)
    cluster.drain("n3", "broken fan | and\tmore")
    cluster.submit("sleep 3000", "--job-name=runs", "-w", "n1", "-c", "2")
    cluster.submit("true", "--job-name=held", "--hold")
    held = cluster.submit("true", "--job-name=held-by-root", user=USERS[0])
    cluster.ask("scontrol", "hold", held)
    cluster.submit("true", "--job-name=down", "-p", "closed")
    cluster.submit("true", "--job-name=too-long", "-p", "short", "--time=60")
    cluster.submit("true", "--job-name=later", "--begin=now+1day")
    cluster.submit("true", "--job-name=never", f"--dependency=afterok:{over[1]}")
    cluster.submit("sleep 3000", "--job-name=single", "-q", "single", user=USERS[0])
    cluster.submit("sleep 3000", "--job-name=single", "-q", "single", user=USERS[0])
    cluster.submit("sleep 3000", "--job-name=big", "-N", "4", "--exclusive")
    cluster.submit("sleep 3000", "--job-name=on-drained", "-w", "n3")
    cluster.submit("sleep 3000", "--job-name=array", "--array=1-20:2%1", "-w", "n1")
    cluster.submit("sleep 3000", "--job-name=gpu", "-p", "gpu", "--gres=gpu:2")
    cluster.submit("sleep 3000", "--job-name=no-gpu", "-p", "gpu", "--gres=gpu:2")
    until(lambda: "QOSMaxJobsPerUserLimit" in cluster.ask("squeue", "-h", "-o", "%r"), what="the reasons")


def _written(cluster: Cluster, folder: Path) -> None:
    # the accounting is told a little later
    last = max(map(int, cluster.ask("squeue", "--all", "-h", "-o", "%A").split()))
    until(lambda: cluster.ask("sacct", "-a", "-n", "-X", "-j", str(last)), what="the accounting")
    asked = {
        "squeue": [
            "squeue",
            "--all",
            "--noheader",
            "--array",
            "--states=all",
            f"--format={job_format(MARK)}",
        ],
        "squeue-arrays": ["squeue", "--all", "--noheader", "--states=all", f"--format={job_format(MARK)}"],
        "squeue-exits": [
            "squeue",
            "--all",
            "--noheader",
            "--array",
            "--states=all",
            "--Format=JobArrayID:60,exit_code:20",
        ],
        "sacct": [
            "sacct",
            "--allusers",
            "--noheader",
            "--parsable2",
            f"--delimiter={MARK}",
            f"--format={COLUMNS}",
        ],
        "scontrol-job": ["scontrol", "--oneliner", "show", "job"],
        "scontrol-node": ["scontrol", "--oneliner", "show", "node"],
        "scontrol-partition": ["scontrol", "--oneliner", "show", "partition"],
        "sinfo": ["sinfo", "--all", "--noheader", "--format=%R|%a|%D|%c|%m|%l|%C"],
        "sinfo-nodes": ["sinfo", "--all", "--noheader", "--Node", "--format=%N|%R|%T|%c|%m|%f|%G|%E"],
        "sacctmgr-associations": [
            *("sacctmgr", "--noheader", "--parsable2", "show", "association"),
            "format=Cluster,Account,User,Partition,QOS,DefaultQOS,GrpTRES,MaxJobs,MaxSubmit,MaxWall",
        ],
        "sacctmgr-qos": [
            "sacctmgr",
            "--noheader",
            "--parsable2",
            "show",
            "qos",
            "format=Name,MaxWall,MaxTRES,MaxJobsPU,MaxSubmitPU,Flags",
        ],
    }
    for name, command in asked.items():
        # nothing of this machine is written down
        text = (
            cluster.ask(*command)
            .replace(str(cluster.folder), "/cluster")
            .replace(str(Path.cwd()), "/scratch")
        )
        text = re.sub(r"OS=Linux .*?  RealMemory", "OS=Linux 6.1.0 #1 SMP  RealMemory", text)
        (folder / f"{name}.txt").write_text(text)


def _away(cluster: Cluster, folder: Path) -> None:
    cluster.stop_controller()
    asked = (
        ("squeue",),
        ("sinfo",),
        ("scontrol", "show", "job"),
        ("sbatch",),
        ("scancel", "1"),
        ("scontrol", "ping"),
    )
    text = "".join(f"== {' '.join(command)}\n{_said(cluster, *command)}" for command in asked)
    cluster.pieces["dbd"].end()
    text += f"== sacct\n{_said(cluster, 'sacct')}== sacctmgr show qos\n{_said(cluster, 'sacctmgr', 'show', 'qos')}"
    (folder / "away.txt").write_text(text)


if __name__ == "__main__":
    main()
