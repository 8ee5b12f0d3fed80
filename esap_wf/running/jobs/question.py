"""One question to a workload manager, asked in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from esap_wf.backends import NeedsPersonError, OutageError
from esap_wf.backends.launcher import BatchJob, Launcher

logger = logging.getLogger(__name__)


@dataclass
class Question:
    """One question, under way in a thread."""

    ids: list[str]
    began: float = field(default_factory=time.monotonic)
    over: threading.Event = field(default_factory=threading.Event)
    jobs: Sequence[BatchJob] | None = None
    trouble: str = ""
    person: bool = False
    took: float = 0.0

    def ask(self, launcher: Launcher, run: str) -> None:
        def work() -> None:
            try:
                self.jobs = launcher.batch_jobs(run, self.ids)
                if self.jobs is None:
                    self.trouble = "it can't be asked now"
            except NeedsPersonError as error:
                self.trouble, self.person = str(error), True
            except OutageError as error:
                self.trouble = str(error)
            except Exception as error:  # a plug-in may raise anything
                logger.exception("the jobs of run %s could not be asked for", run)
                self.trouble = f"{type(error).__name__}: {error}"
            self.took = time.monotonic() - self.began
            self.over.set()

        threading.Thread(target=work, name="jobs", daemon=True).start()
