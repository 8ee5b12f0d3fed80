"""
Runs on disk: the store, who owns a run, what it is doing.

Modules here import `esap_wf.files`, `esap_wf.errors` and `esap_wf.models` and nothing above; the command
line, the service and campaigns may import all of them.
"""
