"""Seeded plans of kills: who dies when, and what must be true afterwards."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.processes import kill, of_run
from helpers.waiting import until

from esap_wf.models.run import Phase
from esap_wf.runs import processes as identities
from esap_wf.runs import states

from .place import SMALL, WatchedPlace

TARGETS = ("supervisor", "keeper", "engine", "job", "supervisor+engine", "supervisor+keeper", "everything")
#: Lines of the engine's record of a whole run of `SMALL`, about.
LINES = 36


@dataclass
class Kill:
    """One moment: so many lines of the engine's record (None: before it has written one), then a little later."""

    target: str
    lines: int | None
    delay: float

    def __str__(self) -> str:
        when = "while starting" if self.lines is None else f"line {self.lines}"
        return f"{self.target} at {when} +{self.delay:.2f} s"


def plan(seed: int) -> list[Kill]:
    """One to three kills of one run, over the whole of its life."""
    chance = random.Random(seed)
    kills = []
    for nth in range(chance.choice([1, 1, 2, 3])):
        target = TARGETS[seed % len(TARGETS)] if nth == 0 else chance.choice(TARGETS)
        if chance.random() < 0.3:
            kills.append(Kill(target, None, chance.uniform(0, 2.5)))
        else:
            kills.append(
                Kill(
                    target,
                    chance.randrange(LINES) if nth == 0 else chance.randrange(LINES // 2),
                    chance.uniform(0, 0.4),
                )
            )
    return kills


@dataclass
class Outcome:
    seed: int
    hit: list[str] = field(default_factory=list)
    resumes: int = 0
    units_repeated: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {'; '.join(self.hit) or 'too late'} -> {self.resumes} resumes, "
            f"{self.units_repeated} unfinished units run again{' WRONG: ' + ' | '.join(self.wrong) if self.wrong else ''}"
        )


class Victim:
    """One run of a place that is killed again and again."""

    def __init__(self, place: WatchedPlace, seed: int) -> None:
        self.place, self.outcome = place, Outcome(seed)
        self.run = place.start(*SMALL)
        self.finished: dict[str, int] = {}

    def go(self, reference: dict[str, str]) -> Outcome:
        for nth, moment in enumerate(plan(self.outcome.seed)):
            if nth and not self.resume(wait=False):
                break
            if not self.strike(moment):
                break
        self.end(reference)
        return self.outcome

    def strike(self, moment: Kill) -> bool:
        """Kill; False if the run had ended before."""
        epoch = self.place.run(self.run).state().epoch

        def now() -> str | None:
            state = self.place.run(self.run).observe()
            if state.phase not in states.ACTIVE:
                return "over"
            if moment.lines is None:
                return "there"
            records = sorted(
                (self.place.run(self.run).dir / "engine").glob("*.snakemake.jsonl"),
                key=lambda p: int(p.name.split(".")[0]),
            )
            new = [r for r in records if int(r.name.split(".")[0]) >= epoch]
            return "there" if new and len(new[-1].read_bytes().splitlines()) >= moment.lines else None

        if until(now, what=f"the moment: {moment}") == "over":
            return self.place.run(self.run).observe().phase is not Phase.COMPLETED
        time.sleep(moment.delay)
        if self.hit(moment.target):
            self.outcome.hit.append(str(moment))
        self.truthful()
        return True

    def hit(self, target: str) -> bool:
        place, run = self.place, self.run
        engine, supervisor = place.engine(run), place.supervisor(run)
        pids: list[int | None] = []
        if target == "everything":
            for _ in range(3):  # what they start while they die
                everything = of_run(run)
                pids += everything
                kill(list(everything))
        elif target == "job":
            jobs = place.jobs(run)
            pids = [random.Random(self.outcome.seed).choice(jobs)] if jobs else []
        else:
            roles: dict[str, int | None] = {
                "supervisor": supervisor,
                "engine": engine.engine.pid if engine else None,
                "keeper": engine.keeper.pid if engine else None,
            }
            pids = [roles[role] for role in target.split("+")]
        alive = [pid for pid in pids if pid and identities.start_time(pid)]
        kill(alive)
        self.remember()
        return bool(alive) or target == "everything"

    def remember(self) -> None:
        """Which units are told as done, and how often each was started until now: they must not be started again."""
        told = (
            {
                event["unit"]
                for event in map(
                    _decoded, (self.place.run(self.run).dir / "events.jsonl").read_bytes().splitlines()
                )
                if event.get("kind") == "done" and event.get("step") == "unit"
            }
            if (self.place.run(self.run).dir / "events.jsonl").exists()
            else set()
        )
        starts = self.place.executions(self.run)
        for unit in told:
            self.finished.setdefault(unit, starts.get(unit, 0))

    def truthful(self) -> None:
        """`status` works right after the kill and says what is so."""
        told = self.place.status(self.run)
        phase = told["phase"]
        lease = self.place.run(self.run).owner_lease()
        lives = bool(lease and not lease.released and identities.alive(lease.holder))
        if phase == "UNKNOWN" and lives and self.place.status(self.run)["phase"] == "UNKNOWN":
            self.outcome.wrong.append("UNKNOWN, but its supervisor lives")
        if phase == "EXECUTING" and not lives and self.place.status(self.run)["phase"] == "EXECUTING":
            self.outcome.wrong.append("EXECUTING without a supervisor")
        if phase == "COMPLETED" and not (self.place.run(self.run).dir / "outputs.json").exists():
            self.outcome.wrong.append("COMPLETED without outputs.json")
        if told["progress"]["units_done"] > told["progress"]["units_total"]:
            self.outcome.wrong.append(f"more units done than there are: {told['progress']}")

    def resume(self, wait: bool) -> bool:
        """As a user would, once the run is seen to have stopped; False if it is COMPLETED."""
        if self.place.ended(self.run).phase is Phase.COMPLETED:
            return False
        self.outcome.resumes += 1
        answer = self.place("resume", self.run, "--json", *([] if wait else ["--detach"]))
        if answer.code not in (0, 1):
            self.outcome.wrong.append(f"resume: exit {answer.code}: {answer.err}")
        return True

    def end(self, reference: dict[str, str]) -> None:
        place, run, wrong = self.place, self.run, self.outcome.wrong
        for _ in range(6):
            if not self.resume(wait=True):
                break
        state = place.status(run)
        if state["phase"] != "COMPLETED":
            wrong.append(f"ended {state['phase']}: {place.explain(run)}")
            return
        if place.results(run) != reference:
            wrong.append("outputs differ from those of the undisturbed run")
        if place.accepted(run) != 1:
            wrong.append(f"results were accepted {place.accepted(run)} times")
        if place.listed() != [run]:
            wrong.append(f"the list is {place.listed()}")
        units = len([path for path in reference if path.startswith("outputs/units/")])
        progress = state["progress"]
        if (
            progress["units_done"],
            progress["units_total"],
            progress["units_failed"],
            progress["units_running"],
        ) != (units, units, 0, 0):
            wrong.append(f"counts: {progress}")
        starts = place.executions(run)
        again = {unit: starts[unit] for unit, before in self.finished.items() if starts[unit] > before}
        if again:
            wrong.append(f"finished units were run again: {again}")
        self.outcome.units_repeated = sum(n - 1 for n in starts.values())
        if set(place.executions(run, "end").values()) - set(range(1, 9)):
            wrong.append("a unit without an end")
        place.nothing_runs(run)
        place.opened.collect_garbage(older_than=0)
        left = [p.name for p in Path(place.store, "tmp").iterdir()]
        if left:
            wrong.append(f"left in the store: {left}")


def _decoded(line: bytes) -> dict[str, Any]:
    import json

    try:
        return dict(json.loads(line))
    except ValueError:
        return {}
