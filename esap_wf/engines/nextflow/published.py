"""
What Nextflow published, by its own log: every place with what it evaluated to, also that of a task that came
from its cache.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from esap_wf.engines import Results, following
from esap_wf.engines.nextflow.log import log_path

#: In the environment it makes Nextflow log each file that it publishes; its arguments stay as they are.
TRACED = {"NXF_TRACE": "nextflow.processor.PublishDir"}
_PUBLISHED = re.compile(
    rb"^\S+-\d\d [\d:.]+ \[[^\n]*?\] TRACE nextflow\.processor\.PublishDir - publishing file: .* "
    rb"-\[[A-Z_]+\]-> (.*)\n"
)


def results(run: Path, epoch: int) -> Results:
    """
    Places of published files and folders.

    What else appeared in the launch folder is a result as well: `collectFile`, `storeDir`, reports, versions
    that log otherwise.
    """
    log = log_path(run, epoch)
    found: dict[str, None] = {}
    real = os.path.realpath(run)
    for line in following.all_lines(log) if log else ():
        if b"PublishDir - publishing file: " in line and (match := _PUBLISHED.match(line)):
            found[os.fsdecode(match[1]).removeprefix(f"{real}/")] = None
    return Results(sorted(found) or None, appeared="always")
