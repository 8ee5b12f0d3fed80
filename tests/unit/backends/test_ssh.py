"""A place by SSH, without a host: what is sent, what is taken for an answer, what errors mean, which keys a profile has."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from esap_wf.backends import NeedsPersonError, OutageError, Piece, Profile, arriving, bundles, turns
from esap_wf.backends.ssh import failures, packing, settings, unpacking
from esap_wf.backends.ssh.answer import Answer, CutOffError, NoAnswerError
from esap_wf.backends.ssh.launcher import SshLauncher
from esap_wf.backends.ssh.settings import Address
from esap_wf.errors import EsapError, UsageError
from esap_wf.software import packed
from esap_wf.testing.pieces import NEEDS

BEGIN, END = b"\nesap-wf-far n0 host-1 /home/u/pieces\n", b"\nesap-wf-end n0\n"


class Trickle:
    """What comes, a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data, self.step = io.BytesIO(data), step

    def read(self, count: int = 65_536) -> bytes:
        return self.data.read(min(count, self.step))


# --- answers


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_an_answer_is_what_stands_between_its_lines(step: int) -> None:
    content = b"first\n\nesap-wf-end n\nlast\n" + bytes(range(256))
    answer = Answer(Trickle(b"motd: esap-wf-far\n" + BEGIN + content + END, step), "n0", 10_000)
    assert (answer.host, answer.base) == ("host-1", "/home/u/pieces")
    assert answer.line() == "first"
    assert answer.read(3) + answer.read() == content[6:]
    assert answer.read() == b""


@pytest.mark.parametrize("cut", [0, 1, 5, len(END) - 1, len(END)])
def test_an_answer_that_is_cut_off_is_none(cut: int) -> None:
    answer = Answer(Trickle(BEGIN + b"new" + END[:cut], 4), "n0", 1000)
    if cut == len(END):
        assert answer.read() == b"new"
    else:
        with pytest.raises(CutOffError):
            answer.read()


def test_what_is_no_answer_is_kept_for_people() -> None:
    for text in (b"", b"Welcome!\n", BEGIN.replace(b"n0", b"n1") + b"old" + END, b"x" * 200_000):
        with pytest.raises(NoAnswerError) as raised:
            Answer(Trickle(text, 1000), "n0", 1000)
        assert raised.value.text == text[:2000].decode()


def test_an_answer_without_end_is_not_taken() -> None:
    answer = Answer(Trickle(BEGIN + b"x" * 100_000 + END, 1000), "n0", 50_000)
    with pytest.raises(OverflowError):
        answer.read()


@pytest.mark.parametrize("base", ["relative", "/a b", "/a'b", "/a/../b", "/$(x)", ""])
def test_a_folder_that_would_need_quoting_is_strange(base: str) -> None:
    begin = f"\nesap-wf-far n0 host {base}\n".encode()
    assert Answer(Trickle(begin + END, 1000), "n0", 1000).strange_base


# --- what is sent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "piece"
    (made / "a/deep").mkdir(parents=True)
    (made / "a/deep/file").write_text("deep")
    (tmp_path / "outside/below").mkdir(parents=True)
    (tmp_path / "outside/below/one").write_text("one")
    (tmp_path / "outside/circle").symlink_to(tmp_path / "outside")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/big").write_text("big")
    (made / "inside").symlink_to("a/deep/file")
    (made / "absolute").symlink_to(made / "a/deep/file")
    (made / "out").symlink_to(tmp_path / "outside")
    (made / "there").symlink_to(tmp_path / "shared/big")
    (made / "nowhere").symlink_to("no such file")
    (made / "self").symlink_to(made)
    return made


def test_links_that_lead_out_stand_for_what_they_lead_to(folder: Path, tmp_path: Path) -> None:
    found = {i.name: i for i in bundles.items(folder, [str(tmp_path / "shared")])}
    assert set(found) == {
        *("a", "a/deep", "a/deep/file", "inside", "absolute", "out", "out/below", "out/below/one"),
        *("there", "self"),
    }
    assert found["inside"].link == found["absolute"].link == "a/deep/file"
    assert found["there"].link == str(tmp_path / "shared/big")
    assert found["self"].link == "."
    assert not found["out/below/one"].link
    assert bundles.size(list(found.values())) == len("deep") + len("one")


def sent(
    piece: Piece, secrets: dict[str, str], there: str = "/there"
) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """What arrives of a piece."""

    class Kept(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data)

    sink = Kept()
    packing.send(sink, piece, list(bundles.items(piece.folder, [])), secrets, there)
    sink.seek(0)
    with tarfile.open(fileobj=sink) as tar:
        return {
            m.name: (m, f.read() if (f := tar.extractfile(m)) and m.isreg() else b"")
            for m in tar
            if not m.issym()
        }


def test_a_packed_environment_gets_its_place_in_scripts_only(folder: Path) -> None:
    text = f"@environments/{'a' * 20}/bin/x @environments/{'a' * 19}/x @environments/{'A' * 20}/x\n"
    for name in ("piece.sh", "other.sh"):
        (folder / name).write_text(text)
    piece = Piece("r.1.1.1", folder, ("bash", f"@environments/{'b' * 20}/bin/y"), NEEDS, {"V": "it's"})
    assert bundles.environments(piece) == {"a" * 20, "b" * 20}
    found = sent(piece, {"TICKET": "it's\nsecret"})
    assert found["run/piece.sh"][1].decode() == text.replace(
        f"@environments/{'a' * 20}/", f"/there/{'a' * 20}/"
    )
    assert found["run/other.sh"][1].decode() == text
    assert found["start.sh"][1].decode() == (
        f"export V='it'\"'\"'s'\nexport ESAP_WF_PIECE=r.1.1.1\nset -- bash /there/{'b' * 20}/bin/y\n"
    )
    secrets = found["secrets.sh"]
    assert (secrets[0].mode, secrets[1]) == (0o600, b"export TICKET='it'\"'\"'s\nsecret'\n")
    assert list(found)[-1] == "whole"
    assert all((m.uid, m.gid, m.uname) == (0, 0, "") for m, _ in found.values())


@pytest.mark.parametrize("key", ["", ".far", "../up", "a/b", "-rf", "a b", "a_b", "a\n", "a" * 300, "ä"])
def test_a_key_that_would_be_another_name_is_not_used(key: str, tmp_path: Path) -> None:
    launcher = SshLauncher(Profile(name="x", settings={"host": "nowhere.invalid"}), tmp_path)
    with pytest.raises(ValueError, match="no key"):
        launcher.look({key: None})
    with pytest.raises(ValueError, match="no key"):
        launcher.start([Piece(key, tmp_path, ("true",), NEEDS)])


# --- what comes back


def archive(*members: tuple[str, bytes, dict[str, Any]], form: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    """A tar of names, contents and other properties."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        for name, content, more in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    data.seek(0)
    return data


def anything(_: PurePosixPath) -> bool:
    return True


def test_files_come_whole_and_replace_what_is_there(tmp_path: Path) -> None:
    into = tmp_path / "into"
    (into / "a").mkdir(parents=True)
    (into / "a/old").write_text("old")
    (into / "a/file").write_text("half")
    data = archive(
        ("./a/file", b"new", {"mtime": 10**9, "mode": 0o755}),
        ("./a/b c\nd/x", b"", {"mtime": 10**40}),
        ("./empty", b"", {"type": tarfile.DIRTYPE}),
    )
    assert unpacking.unpack(data, into, anything) == 3
    assert (into / "a/file").read_text() == "new"
    assert ((into / "a/file").stat().st_mtime, (into / "a/file").stat().st_mode & 0o700) == (10**9, 0o700)
    assert (into / "a/old").exists() and (into / "empty").is_dir() and (into / "a/b c\nd/x").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["into"]


@pytest.mark.parametrize(
    "name, more",
    [
        ("../up", {}),
        ("/etc/x", {}),
        ("a/../../up", {}),
        ("logs/..", {}),
        ("link/x", {}),
        ("taken/x", {}),
        ("logs", {}),
        ("logs/x", {"type": tarfile.SYMTYPE, "linkname": "y"}),
        ("logs/x", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
        ("logs/x", {"type": tarfile.FIFOTYPE}),
        ("logs/x", {"type": tarfile.CHRTYPE}),
        ("logs/" + "x/" * 600 + "y", {}),
        ("plan.json", {}),
        (".", {}),
    ],
)
def test_what_no_honest_host_sends_is_refused(tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    into, outside = tmp_path / "into", tmp_path / "outside"
    (into / "logs").mkdir(parents=True)
    outside.mkdir()
    (into / "link").symlink_to(outside)
    (into / "taken").write_text("x")
    with pytest.raises(arriving.StrangeError):
        unpacking.unpack(archive((name, b"", more)), into, lambda n: n != PurePosixPath("plan.json"))
    assert list(outside.iterdir()) == []
    assert sorted(p.name for p in into.rglob("*")) == ["link", "logs", "taken"]


def test_a_record_is_its_own_files_only() -> None:
    mine = ["engine/1/x", "logs/a/b", "work/ab/cd/.command.log"]
    others = ["outputs/x", "plan.json", "work/ab/cd/result", "engines/x", ".command.log"]
    assert [n for n in (*mine, *others) if arriving.is_record(PurePosixPath(n))] == mine


@pytest.mark.parametrize("data", [b"", b"hello", b"\x1f\x8b" + b"x" * 2000, bytes(10_240)])
def test_what_is_no_tar_holds_no_files(tmp_path: Path, data: bytes) -> None:
    try:
        assert unpacking.unpack(io.BytesIO(data), tmp_path / "into", anything) == 0
    except arriving.StrangeError:
        pass
    assert list((tmp_path / "into").iterdir()) == []


# --- errors


@pytest.mark.parametrize(
    "text, kind, word",
    [
        ("u@h: Permission denied (publickey).", NeedsPersonError, "keys"),
        ("No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.", NeedsPersonError, "not known"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", NeedsPersonError, "another key"),
        ("Received disconnect from 1.2.3.4 port 22:2: Too many authentication failures", NeedsPersonError, "too many keys"),
        ("/home/u/.ssh/config: line 3: Bad configuration option: hots\n/home/u/.ssh/config: terminating, 1 bad configuration options", NeedsPersonError, "configuration"),
        ("This account is currently not available.", NeedsPersonError, "account"),
        ("tar: x: Cannot write: No space left on device", NeedsPersonError, "full"),
        ("ssh: connect to host h port 22: Connection refused", OutageError, "refuses"),
        ("ssh: connect to host h port 22: Connection timed out", OutageError, "in time"),
        ("ssh: Could not resolve hostname h: Temporary failure in name resolution", OutageError, "resolved"),
        ("kex_exchange_identification: Connection closed by remote host", OutageError, "closed"),
        ("ssh: connect to host h port 22: No route to host", OutageError, "network"),
        ("what nobody has ever read", OutageError, "can't be reached"),
    ],
)  # fmt: skip
def test_what_ssh_says_is_an_outage_or_for_a_person(text: str, kind: type[EsapError], word: str) -> None:
    error = failures.understood(text, Address("cluster", user="me", port=2222, config="/c"))
    assert type(error) is kind
    assert word in error.message
    assert error.problems[0].what
    if kind is NeedsPersonError and word != "full":
        assert "ssh -F /c -p 2222 me@cluster" in error.problems[0].hint


# --- profiles


@pytest.mark.parametrize(
    "wrong",
    [
        *({"host": h} for h in ("-oProxyCommand=x", "a b", "me@there", "a;b", "", "a\n", "$(x)", 3)),
        *({"host": "h", "user": u} for u in ("-l", "a b", "", "a;b")),
        *({"host": "h", "port": p} for p in (0, 70_000, "22", 1.5)),
        *(
            {"host": "h", "folder": f}
            for f in ("", "/", "../up", "a/../b", "~/x", "a b", "-x", "$HOME", "a//b", "a\n")
        ),
        *({"host": "h", "config": c} for c in ("relative", "-F", "/a\nb")),
        {},
    ],
)
def test_a_profile_that_can_not_be_used_says_why(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not valid"):
        settings.of(Profile(name="x", settings=wrong))


@pytest.mark.parametrize(
    "right",
    [
        {"host": "login.example.org"},
        {"host": "::1", "port": 22, "user": "u.n-1"},
        {"host": "alias_1", "folder": "/scratch/u/esap-wf", "config": "~/.ssh/other"},
        {"host": "h", "folder": "a/.b/c"},
    ],
)
def test_a_profile_that_can_be_used(right: dict[str, Any]) -> None:
    assert Address.of(Profile(name="x", settings=right)).host == right["host"]


def test_the_folder_of_connections_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Path("/tmp") / f"esw-{tmp_path.stat().st_ino}"
    runtime.mkdir(mode=0o700)
    try:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        assert turns.private_folder() == runtime / "esap-wf"
        assert (runtime / "esap-wf").stat().st_mode & 0o777 == 0o700
        (runtime / "esap-wf").chmod(0o755)
        with pytest.raises(NeedsPersonError, match="can't be used"):
            turns.private_folder()
        (runtime / "esap-wf").rmdir()
        (runtime / "esap-wf").symlink_to(tmp_path)
        with pytest.raises(NeedsPersonError, match="can't be used"):
            turns.private_folder()
        (runtime / "esap-wf").unlink()
    finally:
        runtime.rmdir()


def test_one_of_some_locks_is_held(tmp_path: Path) -> None:
    paths = [tmp_path / "1", tmp_path / "2"]
    with turns.held(paths, 0), turns.held(paths, 0), pytest.raises(TimeoutError), turns.held(paths, 0):
        pass
    with turns.held(paths, 0):
        pass


# --- packed environments


def test_an_environment_is_packed_without_what_is_of_this_machine(tmp_path: Path) -> None:
    made = tmp_path / "environment"
    (made / "lib/python3.11/__pycache__").mkdir(parents=True)
    (made / "lib/python3.11/__pycache__/x.pyc").write_text("x")
    (made / "lib/python3.11/a.py").write_text("a")
    (made / "lib/python3.11/b.py").hardlink_to(made / "lib/python3.11/a.py")
    (made / "lib64").symlink_to("lib")
    (made / ".ready").write_text("x")
    packed.pack(made, tmp_path / "one.tar.gz")
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        members = {m.name: m for m in tar}
    assert set(members) == {"lib", "lib64", "lib/python3.11", "lib/python3.11/a.py", "lib/python3.11/b.py"}
    assert members["lib/python3.11/b.py"].isreg() and members["lib64"].issym()
    digest = packed.short_digest(tmp_path / "one.tar.gz", tmp_path / "cache")
    assert packed.MENTION.findall(f"x {packed.ELSEWHERE}/{digest}/bin/y") == [digest]
    with pytest.raises(UsageError, match="can't be read"):
        packed.short_digest(tmp_path / "missing.tar.gz", tmp_path / "cache")
    with pytest.raises(EsapError, match="cannot write"):
        packed.pack(made, tmp_path / "no/such/folder.tar.gz")
