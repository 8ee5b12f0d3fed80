"""Two people in one store: both work, each with a umask of 077, and neither can harm the other's runs by mistake."""

from __future__ import annotations

import getpass
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.processes import kill
from helpers.waiting import until

from esap_wf.models.run import Phase

from .conftest import end
from .place import WatchedPlace

pytestmark = pytest.mark.faults

GROUP = 64_200
ANNA, BEN = 64_201, 64_202


def become(uid: int) -> list[str]:
    """
    A prefix that makes a command another user's.

    The capability lets it read everything (not write): the interpreter and the checkout may lie in a private folder.
    """
    capability = [
        "--inh-caps",
        "-all,+dac_read_search",
        "--ambient-caps",
        "-all,+dac_read_search",
        "--bounding-set",
        "-all,+dac_read_search",
    ]
    user = ["--reuid", str(uid), "--regid", str(GROUP), "--clear-groups"]
    return ["setpriv", *user, *capability, "sh", "-c", 'umask 077; exec "$@"', "sh"]


class Person(WatchedPlace):
    def __init__(self, folder: Path, store: Path, uid: int, name: str) -> None:
        super().__init__(folder, prefix=become(uid), store_at=store)
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, GROUP)
        self.extra |= {
            "HOME": str(folder),
            "USER": name,
            "LOGNAME": name,
            "XDG_CACHE_HOME": str(folder / "xdg"),
        }


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Person, Person]]:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root may become two users, with setpriv")
    folder = tmp_path_factory.mktemp("shared")
    test = subprocess.run(
        [*become(ANNA), sys.executable, "-c", "import os; print(os.getuid())"], capture_output=True, text=True
    )
    if test.stdout.strip() != str(ANNA):
        pytest.skip(f"another user can't start the interpreter: {test.stderr.strip()}")
    store = folder / "store"
    store.mkdir()
    os.chown(store, ANNA, GROUP)
    anna, ben = Person(folder / "anna", store, ANNA, "anna"), Person(folder / "ben", store, BEN, "ben")
    assert anna.ok("store", "init", "--shared")["shared"] is True
    yield anna, ben
    end(anna)


def test_both_see_and_reuse_what_one_has_made(people: tuple[Person, Person]) -> None:
    anna, ben = people
    run = anna.ok("run", "noop", "--units", "2")["run"]
    assert run in ben.listed()
    assert ben.status(run)["phase"] == "COMPLETED"
    ben.ok("results", run, "--copy-to", str(ben.root / "copy"))
    assert len(list((ben.root / "copy").rglob("*.dat"))) == 2
    again = ben.ok("run", "noop", "--units", "2")
    assert (again["run"], again["reused"]) == (run, True)
    own = ben.ok("run", "noop", "--units", "3")
    assert (own["phase"], own["reused"]) == ("COMPLETED", False)
    assert {run, own["run"]} <= set(anna.listed())
    rows = {row["run"]: ben.run(row["run"]).record().owner for row in anna.ok("list")["runs"]}
    assert (rows[run], rows[own["run"]]) == (str(ANNA), str(BEN)), (
        "the user of the process, whatever LOGNAME says"
    )
    assert getpass.getuser() not in rows.values()


def test_everything_in_the_store_belongs_to_the_group_whatever_the_umask(
    people: tuple[Person, Person],
) -> None:
    anna, ben = people
    anna.ok("run", "noop", "--units", "1")
    ben.ok("run", "hello")
    assert stat.S_IMODE(anna.store.stat().st_mode) == 0o2770, "which closes everything in it to others"
    wrong = []
    for path in [anna.store, *anna.store.rglob("*")]:
        if path.is_symlink():
            continue
        about = path.stat()
        mode = stat.S_IMODE(about.st_mode)
        needed = 0o050 if path.is_dir() else 0o040
        if (
            about.st_gid != GROUP
            or mode & needed != needed
            or (path.is_dir() and mode & 0o200 and not mode & stat.S_ISGID)
        ):
            wrong.append(f"{path.relative_to(anna.store)} {mode:o} {about.st_gid}")
    assert wrong == []


def test_a_run_at_work_is_followed_by_the_other_and_not_disturbed(people: tuple[Person, Person]) -> None:
    anna, ben = people
    words = ["--units", "4", "--seconds", "0.7"]
    run = anna.start(*words)
    anna.executing(run, done=0)
    with anna.held(run):
        answers = [ben(verb, run) for verb in ("resume", "rm")]
    for answer in answers:
        assert answer.code == 3, answer
        assert answer.err.startswith("esap-wf: error:")
    attached = ben.ok("run", "noop", *words)
    assert (attached["run"], attached["reused"], attached["phase"]) == (run, True, "COMPLETED")
    assert set(anna.executions(run).values()) == {1}
    anna.results(run)


def test_one_stops_the_run_of_the_other_and_it_says_who(people: tuple[Person, Person]) -> None:
    anna, ben = people
    run = anna.start("--units", "5", "--seconds", "600")
    anna.executing(run, done=0)
    assert ben.ok("cancel", run, "--wait", "150")["phase"] == "ABORTED"
    assert f"stopped by {BEN}" in anna.status(run)["reason"]
    anna.nothing_runs(run)


def test_a_lost_run_of_the_other_is_not_taken_while_its_jobs_live(people: tuple[Person, Person]) -> None:
    """Ben may not end Anna's processes, so he must not start the same beside them."""
    anna, ben = people
    run = anna.start("--units", "6", "--seconds", "600")
    anna.executing(run, done=0)
    until(lambda: anna.jobs(run), what="a job")
    engine = anna.engine(run)
    assert engine
    kill([pid for pid in [anna.supervisor(run), engine.engine.pid] if pid])
    assert ben.status(run)["phase"] == "UNKNOWN"
    jobs = anna.jobs(run)
    started = anna.executions(run)
    answer = ben("resume", run)
    assert answer.code != 0
    assert "can't be ended" in ben.status(run)["reason"], (answer, ben.status(run))
    assert anna.executions(run) == started, "nothing was started beside the survivors"
    assert set(anna.jobs(run)) == set(jobs), "they live"
    assert anna("resume", run, "--detach").code == 0
    anna.wait(run, lambda s: s.phase is Phase.EXECUTING)
    assert not set(anna.jobs(run)) & set(jobs)
    assert anna.ok("cancel", run, "--wait", "150")["phase"] == "ABORTED"
    anna.nothing_runs(run)


def test_each_goes_on_with_what_the_other_has_stopped(people: tuple[Person, Person]) -> None:
    anna, ben = people
    run = anna.start("--units", "20", "--seconds", "0.5")
    anna.executing(run)
    with anna.held(run):
        anna.ok("cancel", run, "--drain", "--wait", "0")
    assert anna.ended(run).phase is Phase.ABORTED
    answer = ben("resume", run, "--json")
    assert answer.code == 0, (answer, anna.explain(run))
    assert answer.json["phase"] == "COMPLETED"
    assert anna.accepted(run) == 1
    anna.results(run)


def test_a_member_deletes_the_run_of_another_and_all_of_it(people: tuple[Person, Person]) -> None:
    """The store is the group's: read-only snapshots of code, too."""
    anna, ben = people
    run = anna.ok("run", "noop", "--units", "8")["run"]
    code = next((anna.run(run).dir / "code").glob("*/workflows/noop"))
    assert not code.stat().st_mode & 0o200, "who owns it can't write into it"
    assert ben("rm", run).code == 0
    assert run not in anna.listed() and run not in ben.listed()
    assert list((anna.store / "tmp").iterdir()) == []
    assert anna.ok("run", "noop", "--units", "8")["reused"] is False


def test_what_a_member_cannot_delete_is_said_and_its_owner_can(people: tuple[Person, Person]) -> None:
    anna, ben = people
    run = anna.ok("run", "noop", "--units", "9")["run"]
    own = anna.run(run).dir / "outputs" / "own"
    own.mkdir()
    (own / "file").write_text("a step has closed its folder to others\n")
    for path in (own, own / "file"):
        os.chown(path, ANNA, GROUP)
    own.chmod(0o700)
    answer = ben("rm", run)
    assert answer.code == 3 and f"of user {ANNA} could not be deleted" in answer.err, answer
    assert run not in anna.listed(), "it is removed for all the same"
    cleaned = ben("store", "clean", "--json")
    assert (cleaned.json["deleted"], len(cleaned.json["left"])) == ([], 1), cleaned
    assert "store clean" in cleaned.err
    assert anna.ok("store", "clean")["left"] == []
    assert list((anna.store / "tmp").iterdir()) == []


def test_each_attends_own_runs_only(people: tuple[Person, Person]) -> None:
    anna, ben = people
    run = anna.start("--units", "4", "--seconds", "0.5", "--group-size", "2")
    anna.executing(run)
    with anna.held(run):
        supervisor = anna.supervisor(run)
        assert supervisor
        kill([supervisor])
        assert anna.ended(run).phase is Phase.UNKNOWN
        assert ben.ok("attend", "--once")["attended"] == []
        assert anna.run(run).observe().phase is Phase.UNKNOWN
        assert [row["run"] for row in anna.ok("attend", "--once")["attended"]] == [run]
    assert anna.ended(run).phase is Phase.COMPLETED, anna.explain(run)
