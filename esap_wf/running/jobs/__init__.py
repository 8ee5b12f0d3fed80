"""What a workload manager says of the jobs that a run's engine has submitted."""

from esap_wf.running.jobs.manager import Jobs
from esap_wf.running.jobs.telling import told_by, waiting, why

__all__ = ["Jobs", "told_by", "waiting", "why"]
