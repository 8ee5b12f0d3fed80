"""The slices of a run, whatever a place does and whenever its owners are killed: each is accepted once, and what is accepted is whole."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from faults.place import HERE
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from esap_wf.backends import NeedsPersonError, OutageError
from esap_wf.running.ownership import Ownership
from esap_wf.running.pieces import bringing
from esap_wf.running.pieces.asking import Asking
from esap_wf.running.pieces.rounds import Rounds
from esap_wf.running.pieces.slices import Slices
from esap_wf.running.trouble import Trouble
from esap_wf.runs import crashpoints
from esap_wf.runs.lease import FencedError
from esap_wf.runs.pieces import second_executions
from esap_wf.runs.store import Store

from .elsewhere import Elsewhere
from .instant import LIVING, Instant

SLICES = ("1", "2", "3", "join")
POINTS = ("piece-written", "piece-started", "handle-kept", "pulled", "end-kept", "slot-taken", "forgotten")
#: Each step is synced to disk, which is not the point here.
MEMORY = Path("/dev/shm")
ALL = "".join(f"unit u{unit:03}\n" for unit in range(1, 7))


class KilledError(BaseException):
    """What happens instead of SIGKILL: nobody catches it."""


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]) -> None:
    """A store with a run in three slices whose supervisor has done nothing yet."""
    there = Elsewhere(tmp_path_factory.mktemp("template"), dict(toy_environment))
    armed = [sys.executable, str(HERE / "armed.py")]
    done = there(
        "supervisor-started", "run", there.cut, "--backend", "toy", "--slices", "3", "--detach", "--json",
        command=armed,
    )  # fmt: skip
    Slots.run_id = str(done.json["run"])
    there.ended(Slots.run_id)
    Slots.template = there.store


#: Only the template is asked of a real place.
pytestmark = pytest.mark.faults


class Slots(RuleBasedStateMachine):
    """A run in three slices and a join; its owner goes round by round, is killed, and is succeeded, also by mistake."""

    run_id = ""
    template = Path()

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        root = Path(self.folder.name)
        shutil.copytree(self.template, root / "store", symlinks=True)
        self.store = Store.open(root / "store")
        (root / "place").mkdir()
        self.place = Instant(root / "place")
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(crashpoints, "reached", self.reached)
        self.armed = ""
        self.accepted: dict[str, tuple[int, dict[str, str]]] = {}
        self.harmed: set[str] = set()
        self.former: list[Rounds] = []
        self.rounds = self.owned()

    def reached(self, name: str) -> None:
        if name == self.armed:
            self.armed = ""
            raise KilledError(name)

    def owned(self) -> Rounds:
        owner = Ownership(self.store, self.store.run(self.run_id), Path(self.folder.name) / "cache")
        owner.acquire()
        owner.open_events()
        owner.read_plan()
        owner._launcher = self.place
        return Rounds(owner, Slices(owner), Asking(self.place, "toy"), Trouble("toy"))

    def next(self, rounds: Rounds) -> None:
        before = {s: self.place.living(s) for s in SLICES}
        try:
            rounds.next()
        except (OutageError, NeedsPersonError):
            pass
        except KilledError:
            self.rounds = self.owned()
        finally:
            for slice_ in SLICES:
                end = rounds.pieces.accepted(slice_)
                if end is not None and slice_ not in self.accepted:
                    assert not self.place.away, "nothing is accepted while nobody can be asked"
                    others = [k for k in before[slice_] if not k.endswith(f".{slice_}.{end.attempt}")]
                    assert others == [], "nothing is accepted while another attempt works"
                    self.accepted[slice_] = end.attempt, end.files

    # --- what happens to the owner

    @rule()
    def goes_on(self) -> None:
        self.next(self.rounds)

    @rule(point=st.sampled_from(POINTS))
    def will_be_killed_at(self, point: str) -> None:
        self.armed = point

    @rule()
    def has_a_successor_and_does_not_know(self) -> None:
        self.former.append(self.rounds)
        self.rounds = self.owned()

    @precondition(lambda self: bool(getattr(self, "former", [])))
    @rule(data=st.data())
    def a_former_owner_goes_on(self, data: st.DataObject) -> None:
        with pytest.raises(FencedError):
            data.draw(st.sampled_from(self.former)).next()

    # --- what happens at the place

    @rule(
        data=st.data(), what=st.sampled_from(["begins", "ends", "ends", "ends", "fails to tell", "is lost"])
    )
    def a_piece(self, data: st.DataObject, what: str) -> None:
        keys = sorted(k for k, j in self.place.jobs.items() if what == "is lost" or j.condition in LIVING)
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if what in ("is lost", "fails to tell"):
            self.harmed.add(key)
        if what == "is lost":
            self.place.loses(key)
        elif what == "begins":
            self.place.begins(key)
        else:
            self.place.ends(key, 0 if what == "ends" else None)

    @rule(fault=st.sampled_from(["twice", "busy", "cut", "deaf"]))
    def something_will_go_wrong(self, fault: str) -> None:
        self.place.once.add(fault)

    @rule(away=st.booleans(), wants=st.booleans())
    def is_away_or_wants_somebody(self, away: bool, wants: bool) -> None:
        self.place.away, self.place.wants = away, wants

    # --- what holds

    @invariant()
    def what_is_accepted_stays(self) -> None:
        for slice_, (attempt, files) in getattr(self, "accepted", {}).items():
            end = self.rounds.pieces.accepted(slice_)
            assert end is not None and (end.attempt, end.files) == (attempt, files)

    @invariant()
    def nothing_works_twice_at_a_time(self) -> None:
        if hasattr(self, "place"):
            assert all(len(self.place.living(slice_)) <= 1 for slice_ in SLICES)

    def teardown(self) -> None:
        """In the end all is well, whatever has happened, unless a place has lost the same piece again and again."""
        if not hasattr(self, "place"):
            return
        try:
            self.place.away = self.place.wants = False
            self.place.once.clear()
            for _ in range(60):
                if self.rounds.slices.is_done and self.rounds.tidy:
                    break
                if self.rounds.slices.failures:
                    self.rounds = self.owned()
                self.next(self.rounds)
                for key in sorted(self.place.jobs):
                    if self.place.jobs[key].condition in LIVING:
                        self.place.ends(key, 0)
            assert self.rounds.slices.is_done and self.rounds.tidy
            self.is_whole()
        finally:
            self.patch.undo()
            self.folder.cleanup()

    def is_whole(self) -> None:
        pieces = self.rounds.pieces
        bringing.bring(pieces, self.rounds.slices.accepted())
        assert (pieces.run / "outputs/all.txt").read_text() == ALL
        assert len(list((pieces.run / "outputs/units").iterdir())) == 6
        assert self.place.jobs == {}, "nothing is left"
        again = len(self.place.begun) - len({key.split(".")[2] for key in self.place.begun})
        assert second_executions(pieces) >= again, "each second execution is counted"
        for slice_ in SLICES:
            begun = [key for key in self.place.begun if key.split(".")[2] == slice_]
            assert set(begun[:-1]) <= self.harmed, "nothing is executed again without need"
        assert len(self.place.begun) == len(set(self.place.begun)), "no key is executed twice"


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=40, stateful_step_count=25)
