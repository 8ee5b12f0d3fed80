from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf import files
from esap_wf.errors import NotFoundError, RefusedError, UsageError
from esap_wf.models import Model
from esap_wf.models.run import Phase, Progress, State, Step, encode


class Paper(Model, frozen=True, kw_only=True, omit_defaults=False):
    schema_version: int = 3
    title: str


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_atomic(path, b"one")
    files.write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        files.write_atomic(tmp_path / "a", b"", mode=0o660)
        files.create_exclusive(tmp_path / "b", b"", mode=0o660)
        files.append_line(tmp_path / "c", b"x", mode=0o660)
        files.write_atomic(tmp_path / "d", b"")
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in "abcd"]
    assert modes == [0o660, 0o660, 0o660, 0o600]


def test_create_exclusive_has_one_winner(tmp_path: Path) -> None:
    assert files.create_exclusive(tmp_path / "a", b"first")
    assert not files.create_exclusive(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_create_exclusive_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert files.create_exclusive(tmp_path / "a", b"first")
    assert not files.create_exclusive(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_create_exclusive_believes_its_own_link_when_the_answer_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def twice(
        a: Path, b: Path
    ) -> None:  # what an NFS client does when the answer to its first request is lost
        link(a, b)
        link(a, b)

    monkeypatch.setattr(os, "link", twice)
    assert files.create_exclusive(tmp_path / "a", b"mine")


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
    ],
)
def test_errors_say_the_path_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, word: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RefusedError) as caught:
        files.write_atomic(tmp_path / "a", b"x")
    assert str(tmp_path / "a") in str(caught.value)
    assert word in str(caught.value)
    assert caught.value.problems[0].hint
    assert list(tmp_path.iterdir()) == []


def test_append_starts_a_new_line_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"whole\ntor")
    files.append_line(path, b"next")
    files.append_line(path, b"last\n")
    assert path.read_bytes() == b"whole\ntor\nnext\nlast\n"


def test_an_append_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    write, room = os.write, [10, 0]

    def nearly_full(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "full")
        return write(fd, bytes(data)[: room.pop(0)])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(files.NoSpaceError):
        files.append_line(path, b"x" * 100)
    assert path.read_bytes() == b"before\n"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_append_where_the_file_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    files.append_line(tmp_path / "a", b"one")
    files.append_line(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one\ntwo\n"


def test_append_with_a_lock_that_fails_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(RefusedError):
        files.append_line(tmp_path / "a", b"one")


def test_missing_broken_large(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(NotFoundError):
        files.read_json(path, Paper)
    path.write_bytes(b'{"title": ')
    with pytest.raises(UsageError, match=r"p\.json is broken"):
        files.read_json(path, Paper)
    path.write_bytes(b'{"title": 1, "colour": 1}')
    with pytest.raises(UsageError, match="title"):
        files.read_json(path, Paper)
    path.write_bytes(b'{"title": "' + b"x" * 200_000 + b'"}')
    assert len(files.read_json(path, Paper).title) == 200_000
    with pytest.raises(UsageError, match="too large"):
        files.read_json(path, Paper, limit=100_000)
    with pytest.raises(UsageError, match="too large"):
        files.read_json(path, Paper, limit=10)


def test_newer_version_is_refused_whatever_it_contains(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    for content in (b'{"schema_version": 4, "title": "x"}', b'{"schema_version": 4, "heading": "x"}'):
        path.write_bytes(content)
        with pytest.raises(
            UsageError, match=r"written by a newer esap-wf \(version 4, this one reads up to 3\)"
        ):
            files.read_json(path, Paper)


class Page(Model, frozen=True, kw_only=True):
    number: int


class Book(Model, frozen=True, kw_only=True, omit_defaults=False):
    schema_version: int = 1
    cover: Page
    back: Page | None = None
    pages: list[Page] = []
    named: dict[str, Page] = {}
    free: dict[str, object] = {}


def test_what_a_later_version_adds_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    page = b'{"number": 1, "colour": "red"}'
    path.write_bytes(
        b'{"schema_version": 1, "isbn": [1], "cover": %b, "back": %b, "pages": [%b], "named": {"a": %b}, "free": {"colour": 1}}'
        % (page, page, page, page)
    )
    one = Page(number=1)
    assert files.read_json(path, Book) == Book(
        cover=one, back=one, pages=[one], named={"a": one}, free={"colour": 1}
    )
    path.write_bytes(b'{"schema_version": 1, "isbn": [1], "cover": {"number": "one", "colour": "red"}}')
    with pytest.raises(UsageError, match="is broken"):
        files.read_json(path, Book)


def test_every_stored_document_may_say_more(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state = State(phase=Phase.EXECUTING, steps=[Step(name="a", total=1)], progress=Progress(units_total=3))
    plain = msgspec.json.decode(encode(state))
    for part in (plain, plain["steps"][0], plain["progress"]):
        part["invented"] = {"later": 1}
    path.write_bytes(msgspec.json.encode(plain))
    assert files.read_json(path, State) == state


def test_older_version_goes_through_every_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(files.migrations, ("Paper", 1), lambda d: {"heading": d["name"]})
    monkeypatch.setitem(files.migrations, ("Paper", 2), lambda d: {"title": d["heading"]})
    path = tmp_path / "p.json"
    path.write_bytes(b'{"schema_version": 1, "name": "old"}')
    assert files.read_json(path, Paper) == Paper(title="old")
    monkeypatch.delitem(files.migrations, ("Paper", 2))
    with pytest.raises(UsageError, match="no migration of Paper from version 2"):
        files.read_json(path, Paper)


@given(st.text(max_size=30))
def test_safe_name_never_leaves_its_folder(text: str) -> None:
    try:
        name = files.safe_name(text)
    except UsageError:
        return
    assert "/" not in name
    assert name not in ("", ".", "..")
    assert not name.startswith((".", "-"))
    assert name.isascii()


def test_inside(tmp_path: Path) -> None:
    assert files.inside(tmp_path, "a/b") == tmp_path.resolve() / "a" / "b"
    (tmp_path / "link").symlink_to("/etc")
    for bad in ("../x", "/etc/passwd", "link/passwd", "a/../../x"):
        with pytest.raises(UsageError):
            files.inside(tmp_path, bad)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    try:
        assert isinstance(files.read_json(path, Paper), msgspec.Struct)
    except UsageError:
        pass
