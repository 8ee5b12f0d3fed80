"""The verbs in Python, for notebooks and scripts: what ``esap_wf.plan``, ``run``, ``list`` … are.

A verb whose name Python has for something else is named in full inside: `list_`.
"""

from __future__ import annotations

from esap_wf.api.backends import places
from esap_wf.api.catalogue import show, workflows
from esap_wf.api.looking import list_ as list
from esap_wf.api.looking import logs, results, status
from esap_wf.api.result import Result
from esap_wf.api.starting import plan, rerun, resume, run
from esap_wf.api.stopping import cancel, follow
from esap_wf.api.tables import Log, Rows, Runs, RunSummary

__all__ = [
    "Log",
    "Result",
    "Rows",
    "RunSummary",
    "Runs",
    "cancel",
    "follow",
    "list",
    "logs",
    "places",
    "plan",
    "rerun",
    "results",
    "resume",
    "run",
    "show",
    "status",
    "workflows",
]
