"""
The node on which a piece runs: ``python node.py FOLDER LOCK``, standard library only.

It goes into the background when it has written down who it is, and lets go of the lock only then: whoever submits the same job
meanwhile waits, and finds it. When the command has ended it ends what that has left, and writes down how it ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
PAUSE = 0.02


def write(path: Path, document: object) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(document))
    part.replace(path)


def field(pid: int | str, number: int) -> int | None:
    """A number of /proc/…/stat, counted behind the name; None if there is no such process, or only a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[number])


def children(parent: int) -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and field(p.name, 1) == parent]


def end_what_is_left() -> None:
    """What loses its parent becomes ours, so it is over when we have no child."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE / 4)


def default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def main() -> None:
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    spec = json.loads((folder / "spec.json").read_text())
    secrets = json.loads(sys.stdin.read())
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os._exit(0 if os.read(ready, 1) else 1)
    os.close(ready)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    write(folder / "node.json", {"pid": os.getpid(), "start": field(os.getpid(), 19), "boot": spec["boot"]})
    os.write(tell, b"1")
    os.close(tell)
    os.close(lock)
    os.chdir(folder)

    while time.clock_gettime(time.CLOCK_BOOTTIME) < spec["not_before"] or Path(spec["hold"]).exists():
        time.sleep(PAUSE)
    executions = Path(spec["executions"])
    with executions.open("a") as log:
        log.write("begin\n")
    write(folder / "begun.json", {"time": time.clock_gettime(time.CLOCK_BOOTTIME)})
    begin = time.monotonic()
    sandbox = folder / "sandbox"
    code: int | None = 127
    cpu, rss = 0.0, 0
    with (folder / "output").open("ab") as output:
        try:
            task = subprocess.Popen(
                spec["command"],
                cwd=sandbox,
                env={**spec["environment"], **secrets},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=default_signals,
            )
        except OSError as error:
            output.write(f"{error}\n".encode())
        else:
            write(folder / "task.json", {"pid": task.pid, "start": field(task.pid, 19)})
            while True:
                pid, status, usage = os.wait4(-1, 0)
                if pid == task.pid:
                    break
            code = os.waitstatus_to_exitcode(status)
            cpu, rss = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    end_what_is_left()
    with executions.open("a") as log:
        log.write(f"end {code}\n")
    with Path(spec["log"]).open("a") as log:
        log.write(json.dumps({"job": "over", "key": folder.name, "by": os.getpid()}) + "\n")
    write(
        folder / "exit.json",
        {
            "exit_code": code,
            "cpu_seconds": round(cpu, 3),
            "max_rss_bytes": rss,
            "wall_seconds": round(time.monotonic() - begin, 3),
        },
    )


if __name__ == "__main__":
    main()
