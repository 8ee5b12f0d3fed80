"""Layers of foreign images: whatever their members say, nothing outside of the unpacked folder is touched."""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from containers.image_archives import image, layer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from esap_wf.errors import EsapError, UsageError
from esap_wf.software.containers import archive

FOLDER = {"type": tarfile.DIRTYPE, "mode": 0o755}


def link(to: str) -> dict:
    return {"type": tarfile.SYMTYPE, "linkname": to}


def hard(to: str) -> dict:
    return {"type": tarfile.LNKTYPE, "linkname": to, "mode": 0o777}


def seen(root: Path) -> dict[str, tuple]:
    """All of a tree: content, modes, times, numbers of names."""
    found = {}
    for path in (root, *sorted(root.rglob("*"))):
        about = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path)] = (
            about.st_mode,
            about.st_uid,
            about.st_gid,
            about.st_mtime_ns,
            about.st_nlink,
            content,
        )
    return found


class Outside:
    """Files beside and above of the place where an image is unpacked."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0
        self.cache, self.beside = root / "cache", root / "cache" / "canary"
        (self.beside / "tmp").mkdir(parents=True)
        (self.beside / "f").write_text("kept")
        (self.beside / "f").chmod(0o640)
        self.before = seen(self.beside)

    def unpack(self, *layers: bytes) -> Path:
        self.count += 1
        target = self.cache / f"r{self.count}"
        archive.unpack(image(self.root / "i.tar", *layers), target)
        return target

    def untouched(self) -> bool:
        names = {p.name for p in self.cache.iterdir()} - {f"r{n}" for n in range(self.count + 1)}
        return (
            seen(self.beside) == self.before
            and names == {"canary"}
            and {p.name for p in self.root.iterdir()} == {"cache", "i.tar"}
        )


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path)


@pytest.mark.parametrize(
    "to", ["{0}/f", "../canary/f", "/../canary/f", "l/f", "d/../../canary/f", "", ".", "d"]
)
def test_a_hard_link_reaches_no_file_of_this_machine(outside, to):
    members = (
        ("l", link(str(outside.beside))),
        ("d", FOLDER),
        ("h", hard(to.format(outside.beside))),
        ("h", b"x"),
    )
    with pytest.raises(UsageError):
        outside.unpack(layer(*members))
    assert outside.untouched()


def test_a_hard_link_is_a_second_name_inside_of_the_image(outside):
    target = outside.unpack(
        layer(("d", FOLDER), ("d/f", b"1"), ("s", link("d")), ("h", hard("/s/f"))),
        layer(("again", hard("./d/f"))),
    )
    assert (target / "h").read_text() == "1"
    assert (target / "h").stat().st_ino == (target / "d/f").stat().st_ino == (target / "again").stat().st_ino


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh...", "d/.wh.."])
def test_a_whiteout_removes_neither_its_own_folder_nor_the_one_above(outside, name):
    with pytest.raises(UsageError, match="removes no file"):
        outside.unpack(layer(("d", FOLDER), ("d/f", b"1")), layer((name, b"")))
    assert outside.untouched()
    assert (outside.cache / "r1/d/f").exists()


def test_a_whiteout_is_about_the_layers_below(outside):
    upper = layer(
        ("d/new", b"2"),
        ("d/.wh..wh..opq", b""),
        ("d/deep/new", b"2"),
        ("f", b"2"),
        (".wh.f", b""),
        (".wh..wh.plnk", b""),
    )
    target = outside.unpack(layer(("d", FOLDER), ("d/old", b"1"), ("d/deep/old", b"1"), ("f", b"1")), upper)
    assert {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()} == {
        "d/new",
        "d/deep/new",
        "f",
    }


@pytest.mark.parametrize("to", ["{0}", "../canary", "../../../../../..{0}", "/../..{0}"])
def test_names_that_lead_through_links_stay_in_the_image(outside, to):
    lower = layer(("l", link(to.format(outside.beside))), ("var", link(str(outside.beside))))
    with contextlib.suppress(UsageError):
        outside.unpack(
            lower,
            layer(("l/f", b"x"), ("l/new", b"x"), ("l/.wh.f", b""), ("l/.wh..wh..opq", b""), ("l/d", FOLDER)),
        )
    assert outside.untouched()


def test_an_absolute_link_means_the_root_of_the_image(outside):
    target = outside.unpack(layer(("run", FOLDER), ("var/run", link("/run"))), layer(("var/run/lock", b"1")))
    assert (target / "run/lock").read_text() == "1"


def test_a_circle_of_links_is_an_error(outside):
    with pytest.raises(UsageError, match="circle"):
        outside.unpack(layer(("a", link("b")), ("b", link("a")), ("a/f", b"x")))


def test_modes_are_those_of_whoever_unpacks(outside):
    members = (
        ("s", {"mode": 0o6777, "size": 0}),
        ("n", {"mode": 0}),
        ("d", {"type": tarfile.DIRTYPE, "mode": 0o7027}),
    )
    target = outside.unpack(layer(*members))
    assert {p.name: oct(p.stat().st_mode & 0o7777) for p in target.iterdir()} == {
        "s": "0o755",
        "n": "0o600",
        "d": "0o705",
    }
    assert {p.stat().st_uid for p in target.iterdir()} == {os.geteuid()}


def test_a_pipe_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / "i.tar")
    with pytest.raises(UsageError, match="pipe"):
        archive.read_archive(tmp_path / "i.tar")


parts = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "..",
        ".",
        "",
        ".wh.a",
        ".wh.b",
        ".wh..",
        ".wh...",
        ".wh..wh..opq",
        ".wh..wh.plnk",
        "f",
        "canary",
        "tmp",
        "var",
        "a\0b",
        "x" * 300,
        "ü",
        "\udc80",
    ]
)
relative = st.lists(parts, min_size=1, max_size=4).map("/".join)
names = st.one_of(
    relative,
    relative.map("/{}".format),
    relative.map("../{}".format),
    st.just("OUT"),
    st.just("OUT/f"),
    st.text(max_size=8),
)
kinds = st.sampled_from(
    [
        tarfile.REGTYPE,
        tarfile.DIRTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ]
)
members = st.tuples(
    names,
    kinds,
    names,
    st.integers(0, 0o7777),
    st.sampled_from([0, -1, 1, 2**33, 2**62]),
    st.sampled_from([0, 1000, 2**31]),
)
stacks = st.lists(st.lists(members, max_size=6), min_size=1, max_size=3)


def written(outside: Outside, told: list[tuple]) -> bytes:
    made = []
    for name, kind, to, mode, when, owner in told:
        out = str(outside.beside)
        about = {
            "type": kind,
            "linkname": to.replace("OUT", out),
            "mode": mode,
            "mtime": when,
            "uid": owner,
            "gid": owner,
        }
        made.append((name.replace("OUT", out), about))
    return layer(*made)


def unpacked(stack: list[list[tuple]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        outside = Outside(Path(root))
        try:
            layers = [written(outside, told) for told in stack]
        except (ValueError, OSError, OverflowError, UnicodeError):
            return  # nobody can write such an archive
        with contextlib.suppress(EsapError):
            outside.unpack(*layers)
        assert outside.untouched()


@settings(max_examples=150)
@given(stacks)
@example([[("l", tarfile.SYMTYPE, "OUT", 0, 0, 0), ("l/f", tarfile.REGTYPE, "", 0, 0, 0)]])
@example([[("h", tarfile.LNKTYPE, "OUT/f", 0o777, 0, 0), ("h", tarfile.REGTYPE, "", 0o777, 0, 0)]])
@example([[(".wh...", tarfile.REGTYPE, "", 0, 0, 0)]])
@example([[("var", tarfile.SYMTYPE, "OUT", 0, 0, 0)]])
def test_no_stack_of_layers_touches_what_is_outside(stack):
    unpacked(stack)


@pytest.mark.soak
@settings(max_examples=10_000)
@given(stacks)
def test_no_stack_of_layers_of_thousands_touches_what_is_outside(stack):
    unpacked(stack)
