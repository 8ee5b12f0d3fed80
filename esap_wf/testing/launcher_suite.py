"""The questions that esap-wf asks of the launcher of every place: pieces that are started once, found again,
ended altogether, brought back whole, and forgotten.

The pieces are small scripts of bash, so the place needs nothing but bash and coreutils.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from esap_wf import plugins
from esap_wf.backends import LONGEST_HANDLE, Condition, Part, Profile, Refusal, Signal
from esap_wf.testing.pieces import There, ended, starting_elsewhere
from esap_wf.testing.places import until

#: What a place may take for its own in names, words and values.
HOSTILE = "a 'b' \"c\" $(touch pwned) `touch pwned` ${x} \\ ; | & * ~ %s {} مريم\n\tlast"
#: It says that it is there, and waits to be ended.
WAITS = "echo begun > logs/begun; sleep 600"


class LauncherSuite:
    """
    All questions to a launcher, asked by pytest.

    Derive from it in a test file::

        class TestMine(LauncherSuite):
            @classmethod
            def profile(cls, root: Path) -> Profile:
                return Profile(name="mine", kind="mine", settings={"host": "cluster.example.org"})

    Attributes
    ----------
    environment : mapping
        Variables with which other processes find the plug-in, if they don't anyway.
    """

    environment: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def profile(cls, root: Path) -> Profile:
        """The place that is asked; what it needs on this machine can be put into a folder."""
        raise NotImplementedError

    @classmethod
    def kept(cls, root: Path) -> list[Path]:
        """Folders in which all that lies that the place writes, as far as this user can read it."""
        return [root]

    # --- what several questions look at

    @pytest.fixture
    @classmethod
    def there(cls, tmp_path: Path) -> Iterator[There]:
        """The place, and what is needed to put pieces there; nothing of them is left afterwards."""
        root = tmp_path / "place"
        root.mkdir()
        profile = cls.profile(root)
        kind = plugins.one("esap_wf.backends", profile.kind)
        made = There(tmp_path, profile, kind.launcher(profile, tmp_path / "cache"), dict(cls.environment))
        yield made
        made.clear()

    # --- starting

    def test_the_plugin_keeps_the_contract(self, there: There) -> None:
        kind = plugins.one("esap_wf.backends", there.profile.kind)
        assert plugins.check("esap_wf.backends", kind) == []
        assert kind.shares_store == there.launcher.shares_store

    def test_nothing_is_asked_of_no_pieces(self, there: There) -> None:
        assert dict(there.launcher.start([])) == {} == dict(there.launcher.look({}))
        there.launcher.stop({}, None)
        there.launcher.forget({})

    def test_a_started_piece_has_a_handle(self, there: There) -> None:
        pieces = [there.piece(WAITS, slice_=str(number)) for number in (1, 2, 3)]
        answers = there.launcher.start(pieces)
        assert set(answers) == {p.key for p in pieces}
        handles = list(answers.values())
        assert all(isinstance(h, str) and 0 < len(h.encode()) <= LONGEST_HANDLE for h in handles), handles

    def test_starting_again_starts_nothing(self, there: There) -> None:
        piece = there.piece("echo once >> outputs/count; touch logs/begun; sleep 2; exit 3")
        first = there.launcher.start([piece])[piece.key]
        again = there.launcher.start([piece])[piece.key]
        assert isinstance(first, str) and isinstance(again, str)
        # by its key alone, while it runs and when it has ended
        there.running(piece)
        assert not isinstance(there.launcher.start([piece])[piece.key], Refusal)
        assert ended(there, piece).exit_code == 3
        last = there.launcher.start([piece])[piece.key]
        assert isinstance(last, str)
        seen = there.launcher.look({piece.key: last})[piece.key]
        assert (seen.condition, seen.exit_code) == (Condition.ENDED, 3)
        assert there.results(piece)["outputs/count"] == b"once\n"

    def test_two_processes_at_once_start_it_once(self, there: There) -> None:
        piece = there.piece("echo $BASHPID >> outputs/count; sleep 1")
        others = [starting_elsewhere(there, piece) for _ in range(4)]
        said = [other.communicate(timeout=120)[0].splitlines() for other in others]
        assert all(other.returncode == 0 for other in others)
        assert all(len(lines) == 2 for lines in said), said
        assert ended(there, piece).exit_code == 0
        assert there.results(piece)["outputs/count"].count(b"\n") == 1

    def test_one_that_died_while_it_started_is_no_harm(self, there: There) -> None:
        for number, least in enumerate((0.0, 0.1, 0.3), start=1):
            piece = there.piece("echo $BASHPID >> outputs/count", slice_=str(number))
            other = starting_elsewhere(there, piece)
            assert other.stdout
            other.stdout.readline()  # it is about to start it
            there.pause(least)
            other.kill()
            other.communicate()
            answer = there.started(piece)
            assert isinstance(answer, str)
            assert ended(there, piece).exit_code == 0
            assert there.results(piece)["outputs/count"].count(b"\n") == 1

    def test_what_a_piece_is_started_with_arrives(self, there: There) -> None:
        piece = there.piece(
            'printf "%s\\0" "$@" > outputs/words; printf "%s" "$VALUE" > outputs/value; '
            "pwd -P > outputs/root",
            words=(HOSTILE, "", "-rf", "--", "last"),
            environment={"VALUE": HOSTILE},
        )
        there.started(piece)
        seen = ended(there, piece)
        found = there.results(piece)
        assert found["outputs/words"].decode().split("\0")[:-1] == [HOSTILE, "", "-rf", "--", "last"]
        assert found["outputs/value"].decode() == HOSTILE
        assert seen.root in ("", found["outputs/root"].decode().rstrip("\n"))
        assert not any("pwned" in name for name in found)

    def test_the_folder_arrives_as_it_is(self, there: There) -> None:
        piece = there.piece(
            'test -x tool -a -d outputs/empty -a -d "$NAME" && [ "$(readlink link)" = tool ] && '
            'stat -c "%Y" old > outputs/time && cat out/side >> outputs/side && wc -c < big > outputs/size'
            ' && cat -- "-rf a\'b" > outputs/odd',
            environment={"NAME": "a b\n$(x)"},
        )
        if there.launcher.shares_store:
            pytest.skip("nothing is sent")
        folder, outside = piece.folder, there.root / "outside"
        outside.mkdir()
        (outside / "side").write_text("side")
        (folder / "out").symlink_to(outside)
        (folder / "tool").write_text("#!/bin/sh\n")
        (folder / "tool").chmod(0o755)
        (folder / "link").symlink_to("tool")
        (folder / "outputs/empty").mkdir()
        (folder / "a b\n$(x)").mkdir()
        (folder / "-rf a'b").write_text("odd")
        (folder / "old").write_text("old")
        os.utime(folder / "old", (10**9, 10**9))
        (folder / "big").write_bytes(os.urandom(3 << 20))
        there.started(piece)
        assert ended(there, piece).exit_code == 0, there.told(piece)
        found = there.results(piece)
        said = {name: found[f"outputs/{name}"].decode().strip() for name in ("time", "side", "size", "odd")}
        assert said == {"time": str(10**9), "side": "side", "size": str(3 << 20), "odd": "odd"}

    def test_a_piece_gets_only_its_environment(self, there: There, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ESAP_WF_STRANGER", "not for pieces")
        monkeypatch.setenv("ESAP_WF_RUN", "0123456789abcdef")
        piece = there.piece("env -0 > outputs/environment", environment={"MINE": "yes"})
        there.started(piece)
        assert ended(there, piece).exit_code == 0
        said = there.results(piece)["outputs/environment"].decode().split("\0")
        variables = dict(line.split("=", 1) for line in said if "=" in line)
        assert variables.get("MINE") == "yes"
        assert variables.get("ESAP_WF_PIECE") == piece.key
        assert variables.keys() & {"ESAP_WF_STRANGER", "ESAP_WF_RUN"} == set()

    def test_secrets_arrive_and_are_in_no_file(self, there: There, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = f"hush {secrets.token_hex(16)}"
        monkeypatch.setenv("MY_TICKET", secret)
        piece = there.piece(
            'printf "%s" "$MY_TICKET" | sha256sum > outputs/sum; echo begun > logs/begun; sleep 600',
            secrets=("MY_TICKET", "NOT_SET_HERE"),
        )
        there.started(piece)
        there.running(piece)
        assert there.containing(secret, self.kept(there.root / "place")) == []
        there.launcher.stop(there.asked(piece), None)
        until(lambda: there.seen(piece).condition in (Condition.ENDED, Condition.GONE))
        assert there.containing(secret, self.kept(there.root / "place")) == []
        told = there.piece(
            'printf "%s" "$MY_TICKET" | sha256sum > outputs/sum', slice_="2", secrets=("MY_TICKET",)
        )
        there.started(told)
        ended(there, told)
        said = there.results(told)["outputs/sum"].split()[0].decode()
        assert said == hashlib.sha256(secret.encode()).hexdigest()
        assert there.containing(secret, self.kept(there.root / "place")) == []

    # --- looking

    def test_what_was_never_started_is_gone(self, there: There) -> None:
        key = there.key()
        seen = there.launcher.look({key: None, there.key("2"): "no-such-handle"})
        assert {s.condition for s in seen.values()} == {Condition.GONE}
        with pytest.raises(LookupError):
            there.launcher.pull(key, None, there.root / "nothing", Part.RESULTS)
        there.launcher.stop({key: None}, None)
        there.launcher.stop({key: None}, Signal(signal.SIGTERM, True))
        there.launcher.forget({key: None})

    def test_exit_codes_are_those_of_the_command(self, there: There) -> None:
        pieces = {code: there.piece(f"exit {code}", slice_=str(code + 1)) for code in (0, 3, 255)}
        there.started(*pieces.values())
        assert {code: ended(there, piece).exit_code for code, piece in pieces.items()} == {
            code: code for code in pieces
        }
        # one question, also without handles
        seen = there.launcher.look({p.key: None for p in pieces.values()})
        assert [seen[p.key].exit_code for p in pieces.values()] == list(pieces)

    def test_a_piece_runs_and_then_it_has_ended(self, there: There) -> None:
        piece = there.piece("echo begun > logs/begun; sleep 2")
        there.started(piece)
        seen = there.running(piece)
        assert seen.condition is Condition.RUNNING
        assert seen.exit_code is None
        assert seen.where
        assert seen.root == "" or Path(seen.root).is_absolute()
        assert ended(there, piece).exit_code == 0

    def test_a_command_that_can_not_be_started_has_failed(self, there: There) -> None:
        piece = there.piece("true", command=("./not-there",))
        answer = there.launcher.start([piece])[piece.key]
        if not isinstance(answer, Refusal):
            assert ended(there, piece).exit_code != 0

    def test_survivors_are_the_living_of_one_run(self, there: There) -> None:
        run = there.run
        other = run[:-1] + ("0" if run[-1] != "0" else "1")
        living = [there.piece(WAITS, slice_=s) for s in ("1", "join")]
        later = there.piece(WAITS, slice_="1", attempt=2, epoch=3)
        short, stranger = there.piece("exit 0", slice_="3"), there.piece(WAITS, run=other)
        there.started(*living, later, short, stranger)
        ended(there, short)
        for piece in (*living, later, stranger):
            there.running(piece)
        mine = sorted(p.key for p in (*living, later))
        assert sorted(there.launcher.survivors(run) or ()) == mine
        assert list(there.launcher.survivors(other) or ()) == [stranger.key]
        assert list(there.launcher.survivors(secrets.token_hex(8)) or ()) == []
        assert sorted(there.elsewhere().survivors(run) or ()) == mine, "another process knows the same"

    # --- stopping

    def test_a_signal_gets_to_the_engine_or_to_all(self, there: There) -> None:
        heard = (
            "trap 'echo x >> logs/engine' USR1\n"
            "(trap 'echo x >> logs/job' USR1; touch logs/ready; while :; do sleep 0.1; done) &\n"
            "while :; do sleep 0.1; [ -e logs/ready ] && echo begun > logs/begun; done"
        )
        piece = there.piece(heard)
        there.started(piece)
        there.running(piece)
        there.launcher.stop(there.asked(piece), Signal(signal.SIGUSR1, to_jobs=False))
        until(lambda: there.record(piece).get("logs/engine") == b"x\n")
        assert "logs/job" not in there.record(piece)
        there.launcher.stop(there.asked(piece), Signal(signal.SIGUSR1, to_jobs=True))
        until(lambda: there.record(piece).get("logs/job") == b"x\n")
        until(lambda: there.record(piece)["logs/engine"] == b"x\nx\n")
        assert there.seen(piece).condition is Condition.RUNNING

    def test_a_piece_that_ends_on_a_signal_has_ended(self, there: There) -> None:
        piece = there.piece(
            "trap 'echo bye > outputs/bye; exit 7' TERM; echo begun > logs/begun; while :; do sleep 0.1; done"
        )
        there.started(piece)
        there.running(piece)
        there.launcher.stop(there.asked(piece), Signal(signal.SIGTERM, to_jobs=False))
        assert ended(there, piece).exit_code == 7
        assert there.results(piece)["outputs/bye"] == b"bye\n"

    def test_stopping_ends_everything(self, there: There) -> None:
        deaf = "trap '' TERM INT HUP; while :; do sleep 0.1; done"
        piece = there.piece(
            f"trap '' TERM\n({deaf}) &\nsetsid bash -c \"{deaf}\" &\nsetsid sleep 599 &\n"
            "(while :; do echo x >> logs/alive; sleep 0.1; done) &\necho begun > logs/begun; sleep 600"
        )
        bystander = there.piece(WAITS, slice_="2")
        there.started(piece, bystander)
        there.running(piece)
        there.running(bystander)
        assert there.processes(piece), (
            "what works there is seen by this machine, or nothing is told by this test"
        )
        there.launcher.stop({piece.key: None}, None)
        until(lambda: there.seen(piece).condition in (Condition.ENDED, Condition.GONE))
        assert list(there.processes(piece)) == []
        assert there.launcher.survivors(there.run) == [bystander.key]
        assert there.seen(bystander).condition is Condition.RUNNING
        there.launcher.stop(there.asked(piece), None)  # again: nothing to do

    def test_nothing_of_a_piece_works_when_it_has_ended(self, there: There) -> None:
        piece = there.piece("(while :; do echo x >> outputs/late; sleep 0.05; done) & sleep 0.5; exit 0")
        there.started(piece)
        assert ended(there, piece).exit_code == 0
        assert list(there.processes(piece)) == []
        first = there.results(piece)["outputs/late"]
        assert there.results(piece)["outputs/late"] == first

    # --- pulling and forgetting

    def test_the_record_is_pulled_while_it_runs(self, there: There) -> None:
        if there.launcher.shares_store:
            pytest.skip("nothing is pulled")
        piece = there.piece(
            "mkdir engine/1; echo one > engine/1/record; echo begun > logs/begun; echo not > outputs/yet; "
            "while :; do echo more >> engine/1/record; sleep 0.1; done"
        )
        there.started(piece)
        there.running(piece)
        first = there.record(piece)
        assert first["engine/1/record"].startswith(b"one\n")
        assert "outputs/yet" not in first
        longer = until(lambda: now if (now := there.record(piece)) != first else None)
        assert longer["engine/1/record"].startswith(first["engine/1/record"])

    def test_results_are_whole_however_often_they_are_pulled(self, there: There) -> None:
        if there.launcher.shares_store:
            pytest.skip("nothing is pulled")
        piece = there.piece(
            "head -c 3000000 /dev/urandom > outputs/big; sha256sum < outputs/big > outputs/sum; "
            'chmod 444 outputs/sum; mkdir -p outputs/empty "outputs/a b" work/deep; '
            'echo x > "outputs/a b/$ODD"; echo scratch > work/deep/file; '
            "ln -s ../work/deep/file outputs/link; "
            "echo more >> sent; echo log > logs/log; echo record > engine/record; "
            "ln -s /etc/hostname outputs/outside; ln -s nowhere outputs/broken",
            environment={"ODD": "-rf 'مريم'\n$(x)"},
        )
        (piece.folder / "sent").write_text("sent\n")
        (piece.folder / "unchanged").write_text("here")
        there.started(piece)
        assert ended(there, piece).exit_code == 0, there.told(piece)
        first = there.results(piece)
        assert hashlib.sha256(first["outputs/big"]).hexdigest() == first["outputs/sum"].split()[0].decode()
        assert first["outputs/a b/-rf 'مريم'\n$(x)"] == b"x\n"
        assert first["outputs/link"] == b"scratch\n", "what a link leads to comes, also out of scratch"
        assert (first["sent"], first["logs/log"], first["engine/record"]) == (
            b"sent\nmore\n",
            b"log\n",
            b"record\n",
        )
        assert not [name for name in first if name.startswith("work/")]
        assert "unchanged" not in first
        into = there.into(piece)
        assert (into / "outputs/empty").is_dir()
        (into / "outputs/big").write_bytes(b"half")
        (into / "outputs/a b" / "-rf 'مريم'\n$(x)").unlink()
        (into / "kept").write_text("of somebody else")
        assert there.results(piece) == {**first, "kept": b"of somebody else"}
        there.launcher.pull(piece.key, None, into, Part.RESULTS, ("work/deep", "missing", "../../etc/passwd"))
        assert (into / "work/deep/file").read_bytes() == b"scratch\n"

    def test_what_is_forgotten_is_not_there_any_more(self, there: There) -> None:
        canary = secrets.token_hex(16)
        piece = there.piece(f"echo {canary} > outputs/canary", environment={"CANARY": canary})
        there.started(piece)
        ended(there, piece)
        handle = there.handles[piece.key]
        there.launcher.forget({piece.key: handle})
        assert there.seen(piece).condition is Condition.GONE
        there.launcher.forget({piece.key: handle})
        there.launcher.forget({piece.key: None})
        if not there.launcher.shares_store:
            with pytest.raises(LookupError):
                there.launcher.pull(piece.key, handle, there.root / "nothing", Part.RECORD)
            assert there.containing(canary, self.kept(there.root / "place")) == []

    def test_one_that_works_is_not_forgotten(self, there: There) -> None:
        piece = there.piece(WAITS)
        there.started(piece)
        there.running(piece)
        there.launcher.forget(there.asked(piece))
        there.launcher.forget({piece.key: None})
        assert there.seen(piece).condition is Condition.RUNNING
        assert there.launcher.survivors(there.run) == [piece.key]
        assert there.record(piece)["logs/begun"] == b"begun\n"
