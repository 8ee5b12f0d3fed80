"""The configuration of a cluster: one controller, four equal nodes, a large one, one with GPUs; all on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CLUSTER = "tests"
#: Memory of an ordinary node in MB, and its cores.
MEMORY, CORES = 4000, 4
NODES = ("n1", "n2", "n3", "n4")
#: Has 64 000 MB, and the feature ``fat``.
BIG = "b1"
#: Has two GPUs (in name), and the feature ``cuda``.
GPU = "g1"

_GENERAL = """\
ClusterName={cluster}
SlurmctldHost=head(127.0.0.1)
SlurmctldPort={ports[slurmctld]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# a job that is put back into the queue waits for as long as its first permission counts, by default two minutes
AuthInfo=socket={folder}/run/munge.sock,cred_expire=20
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=50000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
GresTypes=gpu
ReturnToService=2
KillWait=2
InactiveLimit=0
MinJobAge={min_job_age}
SlurmctldTimeout=30
SlurmdTimeout={node_timeout}
BatchStartTimeout=5
MessageTimeout=10
MaxArraySize=10001
MaxJobCount=50000
UnkillableStepTimeout=30
PropagateResourceLimits=NONE
"""
_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[slurmdbd]}
AccountingStoragePass={folder}/run/munge.sock
AccountingStorageEnforce=associations,limits,qos
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu
"""
_PARTITIONS = """\
PartitionName=DEFAULT DefMemPerCPU=100 DefaultTime=00:30:00 State=UP PriorityTier=2 PreemptMode=OFF
PartitionName=main Nodes=n[1-4] Default=YES MaxTime=1-00:00:00
PartitionName=short Nodes=n[1-4] MaxTime=00:05:00 DefaultTime=00:05:00
PartitionName=big Nodes=b1 MaxTime=1-00:00:00
PartitionName=gpu Nodes=g1 MaxTime=1-00:00:00
PartitionName=low Nodes=n[1-4] MaxTime=1-00:00:00 PriorityTier=1 PreemptMode=CANCEL
PartitionName=closed Nodes=n[1-4] MaxTime=1-00:00:00 State=DOWN
"""
_DATABASE_DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[slurmdbd]}
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[mariadbd]}
StorageUser=slurm
StoragePass=of-tests
StorageLoc=slurm_acct
"""


def write(
    folder: Path,
    ports: Mapping[str, int],
    *,
    accounting: bool,
    min_job_age: int,
    node_timeout: int,
    more: str,
) -> None:
    """
    Write all files below ``etc`` of a cluster's folder.

    Parameters
    ----------
    folder : Path
        Of the cluster.
    ports : dict
        Of each daemon and node.
    accounting : bool
        Whether there is a database.
    min_job_age : int
        For how many seconds the controller remembers an ended job.
    node_timeout : int
        After how many seconds a silent node is down.
    more : str
        Further lines of slurm.conf.
    """
    values = {
        "folder": folder,
        "ports": ports,
        "cluster": CLUSTER,
        "min_job_age": min_job_age,
        "node_timeout": node_timeout,
    }
    nodes = [_node(name, ports[name], feature="plain,first" if name == "n1" else "plain") for name in NODES]
    nodes.append(_node(BIG, ports[BIG], memory=64000, feature="fat"))
    nodes.append(_node(GPU, ports[GPU], feature="cuda", more=" Gres=gpu:2"))
    storage = (
        _ACCOUNTING
        if accounting
        else "AccountingStorageType=accounting_storage/none\nJobCompType=jobcomp/none\n"
    )
    files = {
        "slurm.conf": (_GENERAL + storage).format(**values) + "\n".join(nodes) + "\n" + _PARTITIONS + more,
        # each of its hosts has to find its own name
        "hosts": f"127.0.0.1 localhost head {' '.join((*NODES, BIG, GPU))}\n",
        "gres.conf": f"NodeName={GPU} Name=gpu File=/dev/null\nNodeName={GPU} Name=gpu File=/dev/zero\n",
        "cgroup.conf": "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n",
    }
    if accounting:
        files["slurmdbd.conf"] = _DATABASE_DAEMON.format(**values)
    for name, text in files.items():
        path = folder / "etc" / name
        path.write_text(text)
        path.chmod(0o600 if name == "slurmdbd.conf" else 0o644)


def _node(name: str, port: int, *, memory: int = MEMORY, feature: str, more: str = "") -> str:
    return (
        f"NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={port} CPUs={CORES} Boards=1 SocketsPerBoard=1 "
        f"CoresPerSocket={CORES} ThreadsPerCore=1 RealMemory={memory} TmpDisk=1000 Feature={feature}{more} State=UNKNOWN"
    )
