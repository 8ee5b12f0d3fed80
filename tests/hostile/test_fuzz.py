"""All verbs that look, on folders, documents and stores of which something is spoilt: an answer or an error, soon, and nothing else."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.command_line import Place

from .folders import FOLDERS, Verbs
from .spoiling import Spoiler

#: Seconds and bytes that one verb may take beyond what the process has; `rm` waits for a heartbeat where a lease is gone.
SECONDS, MEMORY = 60, 8 << 30
#: What no answer holds: a terminal would act upon it.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Hang(BaseException):
    """A verb took too long."""


@contextmanager
def bounded() -> Iterator[None]:
    """As long and as large as a look may be."""

    def late(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


class Surroundings:
    """What no case may touch, ask or start."""

    def __init__(self, root: Path) -> None:
        self.root, self.canary, self.marker = root, root / "canary", root / "marker"
        self.canary.mkdir()
        (self.canary / "kept.json").write_text('{"type": "string", "title": "a secret of this machine"}')
        (self.canary / "kept.json").chmod(0o600)
        os.mkfifo(self.canary / "pipe")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.setblocking(False)
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}/x.json"
        self.before = self._state()

    def _state(self) -> list[tuple[object, ...]]:
        return [
            (p.name, (s := p.lstat()).st_mode, s.st_mtime_ns, s.st_nlink, s.st_size)
            for p in sorted(self.canary.iterdir())
        ]

    def untouched(self) -> bool:
        return self._state() == self.before and not self.marker.exists()

    def asked(self) -> bool:
        try:
            self.server.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def found(kind: str, seed: int, place: Place, around: Surroundings, most: int) -> list[str]:
    """What is wrong with what the verbs do about one spoilt folder."""
    folder = Path(tempfile.mkdtemp(prefix="case-", dir=place.root))
    chance = random.Random(seed)
    verbs: Verbs = FOLDERS[kind](folder)
    spoilt = Spoiler(chance, around.canary, around.marker, around.url).spoil(folder)
    environment = {"ESAP_WF_CONFIG": str(folder / "config.toml")} if kind == "settings" else {}
    environment |= (
        {"ESAP_WF_STORE": str(folder / "store"), "ESAP_WF_CACHE": str(folder / "cache")}
        if kind == "store"
        else {}
    )
    wrong = []
    for verb in chance.sample(verbs, min(most, len(verbs))):
        what = f"{kind} {seed} {' '.join(verb)}: {spoilt}"
        started = time.process_time()
        try:
            with bounded():
                done = place.inside(*verb, cwd=folder, env=environment)
        except Hang:
            wrong.append(f"HANG {what}")
            continue
        if done.code not in (0, 1, 2, 3, 4) or "Traceback" in done.err:
            wrong.append(f"CRASH {done.code} {what}\n{done.err[-1500:]}")
        elif ACTING.search(done.out + done.err):
            wrong.append(f"CONTROL {what}")
        elif done.code and not (done.err.strip() and re.search(r"\n  \S", done.err + done.out)):
            wrong.append(f"NO REASON {what} {done.err}")
        elif "a secret of this machine" in done.out + done.err and "link" not in str(spoilt):
            wrong.append(f"SECRET {what}")
        if time.process_time() - started > 10:
            wrong.append(f"SLOW {what}")
    if not around.untouched():
        wrong.append(f"CANARY {kind} {seed} {spoilt}")
    if around.asked():
        wrong.append(f"NETWORK {kind} {seed} {spoilt}")
    shutil.rmtree(folder, ignore_errors=True)
    return wrong


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path)


@pytest.mark.parametrize("kind", FOLDERS)
def test_spoilt_folders_end_in_answers_or_errors(kind: str, place: Place, around: Surroundings) -> None:
    """The same cases each time: a change is judged by itself."""
    wrong = [w for seed in range(40) for w in found(kind, seed, place, around, 2)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.soak
@pytest.mark.parametrize("kind", FOLDERS)
def test_thousands_of_spoilt_folders_end_in_answers_or_errors(
    kind: str, place: Place, around: Surroundings
) -> None:
    """New cases each time; what is found names its seed."""
    first, until = (
        random.randrange(10**9),
        time.monotonic() + float(os.environ.get("ESAP_WF_FUZZ_SECONDS", "90")),
    )
    wrong: list[str] = []
    count = 0
    while time.monotonic() < until and len(wrong) < 20:
        wrong += found(kind, first + count, place, around, 3)
        count += 1
    print(f"{count} folders of {kind} from seed {first}")
    assert not wrong, "\n".join(wrong)
