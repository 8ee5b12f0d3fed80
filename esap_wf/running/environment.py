"""The environment in which an engine is started on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Settings of engines in a user's shell that would silently change a run.
ENGINE_VARIABLES = ("NXF_", "SNAKEMAKE_", "TOIL_", "CWL_", "CWLTOOL_")
#: Variables by which packages of the user could take the place of pinned ones.
PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE")
#: Secrets that are esap-wf's own business, and no step's.
SECRET_VARIABLES = ("ESAP_WF_GATEWAY_TOKEN", "ESAP_WF_TOKEN_")


def environment(added: Mapping[str, str], isolated: bool = False) -> dict[str, str]:
    """
    The user's environment without engine settings and secrets of esap-wf.

    Parameters
    ----------
    added : mapping
        What the engine's plug-in adds; its PYTHONPATH goes before the user's.
    isolated : bool
        Leave out what could put other packages in the place of pinned ones.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ENGINE_VARIABLES + SECRET_VARIABLES)}
    if isolated:
        kept = {k: v for k, v in kept.items() if k not in PYTHON_VARIABLES}
    path = os.pathsep.join(p for p in (added.get("PYTHONPATH"), kept.get("PYTHONPATH")) if p)
    return {**kept, **added, **({"PYTHONPATH": path} if path else {})}
