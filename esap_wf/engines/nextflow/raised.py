"""More memory and time for the jobs of some processes, as a configuration of Nextflow."""

from __future__ import annotations

from collections.abc import Mapping

from esap_wf.engines.nextflow.configuration import quoted
from esap_wf.models.run import Raised


def configuration(amounts: Mapping[str, Raised]) -> bytes:
    """A further configuration file: what it says comes before all others."""
    lines = ["process {"]
    for step, more in sorted(amounts.items()):
        said = []
        if more.memory_bytes:
            said.append(f"memory = '{more.memory_bytes} B'")
        if more.wall_seconds:
            said.append(f"time = '{more.wall_seconds} s'")
        lines.append(f"    withName: {quoted(step)} {{ {'; '.join(said)} }}")
    return "\n".join([*lines, "}", ""]).encode()
