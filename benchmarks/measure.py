"""
What the benchmarks share: CPU time of whole process trees, pairs measured in turn, and tables. Standard
library only.

Two programs are compared by CPU time (user + system, all descendants), because wall time on a shared machine
says little; they are measured in turn (A B B A …) and the median of the ratios of the pairs is told, so that
a machine that is slow for a while is slow for both.
"""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
#: The esap-wf of the Python that runs the benchmark.
ESAP_WF = str(Path(sys.executable).parent / "esap-wf")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esap-wf-tests"

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
#: A user's settings that would make one side slower or faster than it is.
_DROPPED = ("PYTHON", "ESAP_WF", "SNAKEMAKE_")


@dataclass(frozen=True)
class Cost:
    """What a command and all its descendants used."""

    cpu: float
    wall: float
    peak: int
    text: str


def environment(folder: Path | None = None, **added: str) -> dict[str, str]:
    """
    The caller's environment without what distorts; store, cache and configuration of esap-wf in a folder of
    the benchmark.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_DROPPED)}
    if folder is not None:
        kept |= {f"ESAP_WF_{name.upper()}": str(folder / name) for name in ("store", "cache", "config")}
    return {**kept, **added}


def cost(argv: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> Cost:
    """
    Run a command and wait for all its descendants, detached ones too.

    Parameters
    ----------
    argv : sequence of str
    env : mapping
    cwd : Path, optional

    Returns
    -------
    Cost
        `wall` until the command itself ended; `peak` is the largest resident set (bytes) of it and of
        children it waited for.

    Raises
    ------
    SystemExit
        The command failed: a benchmark of something broken tells nothing.
    """
    # detached descendants come to this process when their parents end, so that their time can be waited for
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        # what runs beside it, such as services, is not waited for
        others = {child.pid for child in psutil.Process().children()}
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = subprocess.Popen(
            argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        while left := [child.pid for child in psutil.Process().children() if child.pid not in others]:
            for pid in left:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        for file in (out, err):
            file.seek(0)
        text = out.read()
        if process.returncode:
            raise SystemExit(
                f"{' '.join(argv)}: exit code {process.returncode}\n{text[-2000:]}{err.read()[-2000:]}"
            )
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(used, wall, usage.ru_maxrss * 1024, text)


def in_turn(actions: Mapping[str, Callable[[], Cost]], rounds: int, warm: int = 1) -> dict[str, list[Cost]]:
    """
    Measure several things in turn, A B B A, so that a drift of the machine hits all; the first `warm` rounds
    don't count.
    """
    found: dict[str, list[Cost]] = {name: [] for name in actions}
    for number in range(warm + rounds):
        order = list(actions.items())
        for name, action in reversed(order) if number % 2 else order:
            measured = action()
            if number >= warm:
                found[name].append(measured)
    return found


def between(first: str, last: str) -> float:
    """Seconds between two times of a state."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def ratio(ours: Sequence[Cost], peer: Sequence[Cost]) -> float:
    """Median of the CPU ratios of the pairs."""
    return median([a.cpu / b.cpu for a, b in zip(ours, peer, strict=True)])


def line(counts: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """
    A straight line by least squares of the relative distances, so that the small ends count as much as the
    large one.

    Returns
    -------
    fixed, slope : float
    """
    weights = [1 / max(v, 1e-9) ** 2 for v in values]
    total = sum(weights)
    mean_x = sum(w * x for w, x in zip(weights, counts, strict=True)) / total
    mean_y = sum(w * y for w, y in zip(weights, values, strict=True)) / total
    above = sum(w * (x - mean_x) * (y - mean_y) for w, x, y in zip(weights, counts, values, strict=True))
    slope = above / sum(w * (x - mean_x) ** 2 for w, x in zip(weights, counts, strict=True))
    return mean_y - slope * mean_x, slope


def verdict(value: float, target: float) -> str:
    return "met" if value <= target else "missed"


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one Markdown table; the first column is text, the others numbers."""
    widths = [max(len(h), *(len(r[i]) for r in rows)) for i, h in enumerate(header)]

    def text(cells: Sequence[str]) -> str:
        return (
            "| "
            + " | ".join(
                c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
            )
            + " |"
        )

    print(f"\n{title}\n")
    print(text(header))
    print("|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|")
    for row in rows:
        print(text(row), flush=True)
