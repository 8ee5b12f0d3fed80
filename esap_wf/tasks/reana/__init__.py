"""``reana.yaml``: a pipeline as REANA describes it (serial, CWL, Snakemake), run here.

Its values are defaults that are filled in: REANA passes them, too.
"""

from esap_wf.tasks.reana.completion import completed
from esap_wf.tasks.reana.declaration import PROJECT, Declared, declared, files, find, outputs, values

__all__ = ["PROJECT", "Declared", "completed", "declared", "files", "find", "outputs", "values"]
