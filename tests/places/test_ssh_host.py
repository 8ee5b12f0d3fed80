"""What happens to a host that is reached by SSH, to the way there, and to what works on it."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from helpers.waiting import until
from services import sshd
from services.sshd import Host

from esap_wf.backends import Condition, NeedsPersonError, OutageError, Part, Piece, Refusal, Signal
from esap_wf.backends.ssh import Ssh, connection, far, packing
from esap_wf.backends.ssh.channel import Sink
from esap_wf.backends.ssh.launcher import SshLauncher
from esap_wf.models.place import EngineThere, SoftwareThere
from esap_wf.software import packed
from esap_wf.testing.pieces import There, ended

pytestmark = [pytest.mark.integration, pytest.mark.faults]

WAITS = "echo begun > logs/begun; sleep 600"
ONCE = "echo $$ >> outputs/count"


@pytest.fixture
def there(host: Host, tmp_path: Path) -> Iterator[There]:
    profile = host.profile()
    made = There(tmp_path, profile, SshLauncher(profile, tmp_path / "cache"))
    yield made
    if host.listener is None:
        host.listen()
    made.clear()
    assert host.left() == []
    assert host.processes() == []


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, host: Host, there: There) -> Iterator[None]:
    """Nobody waits long."""
    monkeypatch.setattr(connection, "ASK", 1)
    monkeypatch.setattr(connection, "FRESH", 0.0)
    assert isinstance(there.launcher, SshLauncher)
    there.launcher.far.connection.patience = 2.0
    yield
    for failure in host.sockets.glob("esap-wf/*.failed"):
        failure.unlink()


def master(host: Host) -> psutil.Process:
    """The process that holds the connection."""
    (pid,) = host.sockets.glob("esap-wf/*.pid")
    return psutil.Process(int(pid.read_text().split()[0]))


def wrapper(host: Host, piece: Piece) -> psutil.Process:
    """The process there that waits for the end of a piece."""
    return psutil.Process(int((host.base / piece.key / "pid").read_text().split()[0]))


# --- the way there


def test_a_connection_that_breaks_while_a_piece_is_sent_starts_it_once(
    host: Host, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.started(there.piece(WAITS, "2"))
    piece = there.piece(ONCE)
    (piece.folder / "big").write_bytes(os.urandom(4 << 20))
    send = packing.send
    cuts: list[int] = []

    class Cutting:
        def __init__(self, sink: Sink) -> None:
            self.sink, self.count = sink, 0

        def write(self, data: bytes) -> int:
            self.count += len(data)
            if self.count > 2 << 20 and not cuts:
                cuts.append(self.count)
                until(lambda: list((host.base / ".in").glob("*")))
                host.cut()
            return self.sink.write(data)

    monkeypatch.setattr(packing, "send", lambda sink, *rest: send(Cutting(sink), *rest))
    # if nothing was answered yet it is tried again at once
    with contextlib.suppress(OutageError):
        there.launcher.start([piece])
    assert cuts
    there.started(piece)
    assert ended(there, piece).exit_code == 0
    assert there.results(piece)["outputs/count"].count(b"\n") == 1


def test_a_piece_works_on_while_nobody_can_come_there(host: Host, there: There, hasty: None) -> None:
    piece = there.piece("echo begun > logs/begun; while [ ! -e go ]; do sleep 0.05; done; exit 4")
    there.started(piece)
    there.running(piece)
    host.deaf()
    assert there.seen(piece).condition is Condition.RUNNING, "an open connection goes on"
    host.cut()
    seen = there.seen(piece)
    assert (seen.condition, "refuses connections" in seen.reason) == (Condition.UNKNOWN, True), seen
    assert there.launcher.survivors(there.run) is None
    with pytest.raises(OutageError):
        there.launcher.start([there.piece(ONCE, "2")])
    with pytest.raises(OutageError):
        there.launcher.pull(piece.key, None, there.into(piece), Part.RECORD)
    there.launcher.stop(there.asked(piece), None)
    there.launcher.forget(there.asked(piece))
    host.listen()
    assert there.seen(piece).condition is Condition.RUNNING
    (host.base / piece.key / "run/go").touch()
    assert ended(there, piece).exit_code == 4


def test_a_master_that_was_killed_is_replaced(host: Host, there: There) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    before = master(host)
    before.kill()
    until(lambda: not before.is_running() or before.status() == psutil.STATUS_ZOMBIE)
    assert there.seen(piece).condition is Condition.RUNNING
    assert master(host) != before


def test_a_master_that_hangs_hangs_nobody(host: Host, there: There, hasty: None) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    before = master(host)
    before.suspend()
    began = time.monotonic()
    seen = there.seen(piece)
    assert (seen.condition, "in time" in seen.reason) == (Condition.UNKNOWN, True), seen
    assert time.monotonic() - began < 20
    assert there.seen(piece).condition is Condition.RUNNING
    assert master(host) != before


def test_many_processes_share_one_connection(host: Host, there: There) -> None:
    pieces = [there.piece(ONCE, str(number)) for number in range(1, 31)]
    there.launcher.look({pieces[0].key: None})
    before = host.accepted()
    assert isinstance(there.launcher, SshLauncher)
    there.launcher.far.connection.close()
    program = (
        "import sys\nfrom pathlib import Path\nfrom esap_wf.backends import Profile, Piece\n"
        "from esap_wf.backends.ssh.launcher import SshLauncher\nfrom esap_wf.testing.pieces import NEEDS\n"
        "import msgspec\n"
        "launcher = SshLauncher(msgspec.json.decode(sys.argv[1], type=Profile), Path(sys.argv[2]))\n"
        "pieces = [Piece(Path(f).name, Path(f), ('bash', 'piece.sh'), NEEDS) for f in sys.argv[3:]]\n"
        "left = pieces\n"
        "while left:\n    given = launcher.start(left)\n    left = [p for p in left if p.key not in given]\n"
        "while any(s.condition != 'ended' for s in launcher.look({p.key: None for p in pieces}).values()): pass\n"
    )
    import msgspec

    profile = msgspec.json.encode(there.profile).decode()
    others = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                program,
                profile,
                str(there.root / "cache"),
                *(str(p.folder) for p in some),
            ],
            stderr=subprocess.PIPE,
        )
        for some in (pieces[n::6] for n in range(6))
    ]
    said = [other.communicate(timeout=120)[1] for other in others]
    assert [o.returncode for o in others] == [0] * 6, said
    assert host.accepted() - before == 1
    assert host.connections() == 1
    seen = there.launcher.look({p.key: None for p in pieces})
    assert {s.condition for s in seen.values()} == {Condition.ENDED}
    assert sum(there.results(p)["outputs/count"].count(b"\n") for p in pieces[:3]) == 3


def test_a_host_that_takes_few_sessions_is_asked_by_turns(tmp_path: Path) -> None:
    with sshd.running("MaxSessions 1\n") as narrow:
        launcher = SshLauncher(narrow.profile(), tmp_path)
        key, answers = "0.1.whole.1", []
        launcher.look({key: None})
        asking = [
            threading.Thread(target=lambda: answers.append(launcher.look({key: None})[key])) for _ in range(4)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert [a.condition for a in answers] == [Condition.GONE] * 4, answers
        assert narrow.accepted() == 1


def test_what_start_up_files_print_is_no_answer(tmp_path: Path) -> None:
    greeting = 'ForceCommand echo "Welcome!"; printf "no newline"; eval "$SSH_ORIGINAL_COMMAND"\n'
    with sshd.running(greeting) as chatty:
        there = There(tmp_path, chatty.profile(), SshLauncher(chatty.profile(), tmp_path / "cache"))
        piece = there.piece("printf '\\0binary' > outputs/x")
        there.started(piece)
        assert ended(there, piece).exit_code == 0
        assert there.results(piece)["outputs/x"] == b"\0binary"
        there.clear()


@pytest.mark.parametrize(
    "command, what",
    [
        ("echo This account is currently not available.; exit 1", "account there can't be used"),
        ("echo This is a file server.; exit 1", "does not run commands"),
    ],
)
def test_a_host_that_runs_no_commands_needs_a_person(tmp_path: Path, command: str, what: str) -> None:
    with sshd.running(f"ForceCommand {command}\n") as refusing:
        for ask in (
            lambda: SshLauncher(refusing.profile(), tmp_path).look({"0.1.whole.1": None}),
            lambda: Ssh().survey(refusing.profile(), tmp_path),
        ):
            with pytest.raises(NeedsPersonError, match=what):
                ask()


def test_a_profile_can_not_weaken_the_check_of_the_host(host: Host, there: There, hasty: None) -> None:
    weak = host.profile(options=["-o", "StrictHostKeyChecking=no", "-o", "Compression=yes"])
    assert SshLauncher(weak, there.root).look({there.key(): None})[there.key()].condition is Condition.GONE
    (host.folder / "known_hosts").write_text("")
    try:
        weak.options.append("-v")
        with pytest.raises(NeedsPersonError, match="not known"):
            SshLauncher(weak, there.root).look({there.key(): None})
    finally:
        host.know(host.folder / "hostkey.pub")


def test_a_host_with_another_key_needs_a_person(there: There, host: Host, hasty: None) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host.folder / "other")], check=True
    )
    host.cut()
    for text, what in (
        ("", "is not known"),
        ((host.folder / "other.pub").read_text(), "another key than before"),
    ):
        (host.folder / "known_hosts").write_text(f"[127.0.0.1]:{host.port} {text}\n" if text else "")
        with pytest.raises(NeedsPersonError) as raised:
            _fresh(there).look({there.key(): None})
        assert what in str(raised.value)
        assert f"ssh -F {host.config} far" in str(raised.value)
    host.know(host.folder / "hostkey.pub")
    assert _fresh(there).look({there.key(): None})[there.key()].condition is Condition.GONE


def test_a_key_that_is_not_let_in_needs_a_person(there: There, host: Host, hasty: None) -> None:
    host.cut()
    (host.folder / "authorized_keys").write_text("")
    try:
        for ask in (
            lambda: _fresh(there).look({there.key(): None}),
            lambda: Ssh().survey(there.profile, there.root),
        ):
            with pytest.raises(NeedsPersonError, match="none of this user's keys"):
                ask()
        assert there.launcher.survivors(there.run) is None
    finally:
        (host.folder / "authorized_keys").write_bytes((host.folder / "id.pub").read_bytes())


def test_a_host_behind_another_is_reached_as_the_configuration_says(tmp_path: Path, host: Host) -> None:
    text = host.config.read_text()
    behind = text.replace(f"Host {sshd.ALIAS}\n", "Host behind\n  ProxyJump far\n").replace(
        "HostName 127.0.0.1", "HostName localhost"
    )
    known = (host.folder / "known_hosts").read_text()
    (host.folder / "known_hosts").write_text(known + known.replace("127.0.0.1", "localhost"))
    own = tmp_path / "ssh_config"
    own.write_text(text + behind)
    profile = host.profile()
    profile.settings.update(host="behind", config=str(own))
    before = host.accepted()
    launcher = SshLauncher(profile, tmp_path)
    key = "0.1.whole.1"
    assert [launcher.look({key: None})[key].condition for _ in range(3)] == [Condition.GONE] * 3
    assert host.accepted() - before == 2, "one to the first host, one through it"
    launcher.far.connection.close()
    host.know(host.folder / "hostkey.pub")


def test_a_name_that_leads_nowhere_is_an_outage(tmp_path: Path, host: Host) -> None:
    profile = host.profile()
    profile.settings["host"] = "nowhere.invalid"
    seen = SshLauncher(profile, tmp_path).look({"0.1.whole.1": None})["0.1.whole.1"]
    assert (seen.condition, "resolved" in seen.reason) == (Condition.UNKNOWN, True), seen


def _fresh(there: There) -> SshLauncher:
    return SshLauncher(there.profile, there.root / "cache")


# --- what works there


def test_a_piece_that_is_killed_there_is_gone(host: Host, there: There) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    there.running(piece)
    os.kill(wrapper(host, piece).pid, signal.SIGKILL)
    for process in host.processes():
        process.kill()
    until(lambda: not host.processes())
    seen = there.seen(piece)
    assert (seen.condition, "killed" in seen.reason, seen.exit_code) == (Condition.GONE, True, None)


def test_what_goes_on_without_its_wrapper_is_not_gone(host: Host, there: There) -> None:
    piece = there.piece("echo begun > logs/begun; while [ ! -e go ]; do sleep 0.05; done")
    there.started(piece)
    there.running(piece)
    wrapper(host, piece).kill()
    seen = until(lambda: s if "killed" in (s := there.seen(piece)).reason else None)
    assert seen.condition is Condition.RUNNING
    there.launcher.forget(there.asked(piece))
    (host.base / piece.key / "run/go").touch()
    # nobody knows how it has ended
    until(lambda: there.seen(piece).condition is Condition.GONE)


def test_what_an_engine_leaves_behind_is_ended(host: Host, there: There) -> None:
    piece = there.piece(
        "setsid sleep 600 & (trap '' TERM; sleep 599; :) & sleep 598 & echo begun > logs/begun; kill -9 $$"
    )
    there.started(piece)
    assert ended(there, piece).exit_code == 137
    assert there.processes(piece) == {}


def test_interrupting_an_engine_reaches_it(there: There) -> None:
    piece = there.piece("trap 'exit 9' INT; echo begun > logs/begun; while :; do sleep 0.05; done")
    there.started(piece)
    there.running(piece)
    there.launcher.stop(there.asked(piece), Signal(signal.SIGINT, to_jobs=False))
    assert ended(there, piece).exit_code == 9


def test_what_a_piece_has_used_is_told(there: There) -> None:
    piece = there.piece("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 0.3")
    there.started(piece)
    usage = ended(there, piece).usage
    assert usage.wall_seconds is not None and 0.2 < usage.wall_seconds < 100
    assert usage.cpu_seconds is not None and 0.05 < usage.cpu_seconds < 100


def test_a_claim_that_nobody_follows_never_starts(host: Host, there: There) -> None:
    piece, other = there.piece(ONCE), there.piece(ONCE, "2")
    there.launcher.start([other])
    claim = host.base / piece.key
    claim.mkdir()
    os.chown(claim, host.base.stat().st_uid, host.base.stat().st_gid)
    assert there.seen(piece).condition is Condition.WAITING
    os.utime(claim, (time.time() - 90,) * 2)
    assert there.seen(piece).condition is Condition.GONE
    there.launcher.start([piece])
    seen = there.seen(piece)
    assert (seen.condition, (claim / "run").exists()) == (Condition.GONE, False), seen


def test_what_is_left_of_a_start_that_was_killed_is_removed(host: Host, there: There) -> None:
    other = there.piece(WAITS)
    there.started(other)
    dead = host.base / ".in" / f"{there.key('2')}_1.0"
    sent = host.base / ".in" / f"{there.key('3')}_1.0"
    for folder in (dead, sent):
        folder.mkdir()
        os.chown(folder, host.base.stat().st_uid, host.base.stat().st_gid)
        (folder / "by").write_text((host.base / other.key / "pid").read_text().replace(" ", " 1", 1))
    (sent / "off").touch()
    seen = there.launcher.look({there.key("2"): None, there.key("3"): None})
    # what was sent off may start within a moment
    assert [s.condition for s in seen.values()] == [Condition.GONE, Condition.WAITING]
    assert not dead.exists()
    os.utime(sent, (time.time() - 90,) * 2)
    assert there.launcher.look({there.key("3"): None})[there.key("3")].condition is Condition.GONE
    assert not sent.exists()


def test_a_host_that_was_restarted_has_lost_its_pieces(host: Host, there: There) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    there.running(piece)
    file = host.base / piece.key / "pid"
    pid, born, boot, name = file.read_text().split()
    file.write_text(f"{pid} {born} 00000000-{boot[9:]} {name}\n")
    assert "restarted" in there.seen(piece).reason
    # the same folder, seen by another host: who knows
    file.write_text(f"{pid} {born} {boot} another\n")
    seen = there.seen(piece)
    assert (seen.condition, seen.where) == (Condition.UNKNOWN, "another")
    there.launcher.forget(there.asked(piece))
    assert there.launcher.survivors(there.run) == [piece.key]
    file.write_text(f"{pid} {born} {boot} {name}\n")
    assert there.seen(piece).condition is Condition.RUNNING


def test_a_thousand_pieces_are_one_question(there: There) -> None:
    keys = {f"{there.run}.1.{n}.1": None for n in range(1000)}
    assert {s.condition for s in there.launcher.look(keys).values()} == {Condition.GONE}


def test_no_secret_is_in_a_command_line(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, seen, done = secrets.token_hex(16), list[str](), threading.Event()
    monkeypatch.setenv("MY_TICKET", secret)

    def watch() -> None:
        while not done.is_set():
            for process in psutil.process_iter(["cmdline"]):
                if any(secret in word for word in process.info["cmdline"] or ()):
                    seen.append(str(process))

    watching = threading.Thread(target=watch)
    watching.start()
    piece = there.piece('[ -n "$MY_TICKET" ]', secrets=("MY_TICKET",))
    there.started(piece)
    assert ended(there, piece).exit_code == 0
    done.set()
    watching.join()
    assert seen == []


def test_a_bundle_that_is_too_large_is_refused(there: There, host: Host, tmp_path: Path) -> None:
    piece = there.piece(ONCE)
    (piece.folder / "big").write_bytes(b"x" * 20_000)
    answer = SshLauncher(host.profile(bundle="10 kB"), tmp_path).start([piece])[piece.key]
    assert isinstance(answer, Refusal) and "20" in answer.reason, answer


# --- what it sends


@pytest.mark.parametrize("what", ["link", "above", "elsewhere", "device", "half", "text"])
def test_a_host_that_sends_something_else_is_not_believed(host: Host, there: There, what: str) -> None:
    piece = there.piece(ONCE)
    there.started(piece)
    ended(there, piece)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo({"above": "../../up", "elsewhere": "outputs/x"}.get(what, "logs/x"))
        info.type = {"link": tarfile.SYMTYPE, "device": tarfile.CHRTYPE}.get(what, tarfile.REGTYPE)
        info.linkname = "/etc/passwd" if what == "link" else ""
        info.size = 2000 if info.isreg() else 0
        tar.addfile(info, io.BytesIO(bytes(2000)))
    sent = {"half": data.getvalue()[:600], "text": b"hello"}.get(what, data.getvalue())
    (host.base / "hostile.tar").write_bytes(sent)
    program = host.base / ".far" / f"{far.digest()}.sh"
    honest = program.read_bytes()
    try:
        program.write_text(
            f"printf '\\nesap-wf-far %s x {host.base}\\nfiles\\n' $2; cat {host.base}/hostile.tar; "
            "printf '\\nesap-wf-end %s\\n' $2\n"
        )
        with pytest.raises(NeedsPersonError, match="can't be taken"):
            there.launcher.pull(piece.key, None, there.into(piece), Part.RECORD)
    finally:
        program.write_bytes(honest)
        (host.base / "hostile.tar").unlink()
    assert [p for p in there.into(piece).parent.rglob("*") if not p.is_dir()] == []


# --- what is there, and what is brought


def test_a_host_says_what_it_has(host: Host, tmp_path: Path) -> None:
    (tmp_path / "snakemake").write_text("#!/bin/sh\necho 9.1.2\n")
    (tmp_path / "snakemake").chmod(0o755)
    tools = host.home / host.token / "tools"
    subprocess.run(["install", "-D", str(tmp_path / "snakemake"), str(tools / "snakemake")], check=True)
    for folder in (tools.parent, tools):
        folder.chmod(0o755)
    survey = Ssh().survey(host.profile(software=SoftwareThere(path=[str(tools)])), tmp_path)
    assert survey.cores >= 1 and survey.memory_bytes > 10**8 and 10**6 < survey.disk_bytes < 10**17
    assert survey.programs["bash"].startswith("/") and survey.programs["tar"]
    assert (survey.engines["snakemake"].path, survey.engines["snakemake"].version) == (
        str(tools / "snakemake"),
        "9.1.2",
    )
    assert survey.engines["command"].version.startswith("5.")
    assert survey.system.startswith("Linux ")
    assert host.left() == ["tools", "tools/snakemake"], "it leaves nothing there"
    subprocess.run(["rm", "-r", str(tools.parent)], check=True)


def test_a_packed_environment_is_sent_once(host: Host, there: There, tmp_path: Path) -> None:
    made = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    for name in ("hello", "long"):
        text = (
            f"#!{made}/bin/python\n"
            if name == "hello"
            else (f"#!/bin/sh\n'''exec' {made}/bin/python \"$0\" \"$@\"\n' '''\n")
        )
        (made / "bin" / name).write_text(f"{text}import sys\nprint(sys.prefix, sys.argv[1])\n")
        (made / "bin" / name).chmod(0o755)
    archives = [tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"]
    for archive in archives:
        packed.pack(made, archive)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    digest = packed.short_digest(archives[0], tmp_path / "cache")
    profile = host.profile(engines={"snakemake": EngineThere(environment=str(archives[0]))})
    launcher = SshLauncher(profile, tmp_path / "cache")
    pieces = [
        there.piece(
            f"@environments/{digest}/bin/hello 1 > outputs/said && @environments/{digest}/bin/long 2 >> outputs/said",
            str(n),
        )
        for n in (1, 2)
    ]
    try:
        assert all(isinstance(a, str) for a in launcher.start(pieces).values())
        folder = host.base.parent / "environments" / digest
        for piece in pieces:
            assert ended(there, piece).exit_code == 0, there.record(piece)
            assert there.results(piece)["outputs/said"].decode() == f"{folder} 1\n{folder} 2\n"
        assert [p.name for p in folder.parent.iterdir()] == [digest]
        archives[0].write_bytes(b"another")
        launcher.start([there.piece(ONCE, "3")])
        with pytest.raises(NeedsPersonError, match="another one"):
            launcher.start([there.piece(f"@environments/{'0' * 20}/bin/x", "4")])
    finally:
        there.clear()
        subprocess.run(["rm", "-r", str(host.base.parent)], check=True)
