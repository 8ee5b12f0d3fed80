"""Archives of images: read, unpacked, packed, converted; broken and hostile ones."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from containers.image_archives import image, layer, member

from esap_wf.errors import UnavailableError, UsageError
from esap_wf.software.containers import archive


def test_a_manifest_says_digest_environment_and_layers(tmp_path):
    contents = archive.read_archive(image(tmp_path / "i.tar", layer(("f", b"1"))))
    expected = "sha256:" + hashlib.sha256(b'{"config": {"Env": ["A=b"]}}').hexdigest()
    assert (contents.kind, contents.digest, contents.environment, contents.layers) == (
        "docker",
        expected,
        ("A=b",),
        ("0/layer.tar",),
    )


def test_upper_layers_replace_and_remove_what_lower_ones_have(tmp_path):
    folder, link = {"type": tarfile.DIRTYPE, "mode": 0o755}, {"type": tarfile.SYMTYPE, "linkname": "old"}
    lower = layer(
        ("d", folder),
        ("d/old", b"1"),
        ("d/gone", b"1"),
        ("d/link", link),
        ("e/a", b"1"),
        ("e/b", b"1"),
        ("f", b"1"),
    )
    upper = layer(
        ("d/.wh.gone", b""), ("d/link", b"a file now"), ("e/.wh..wh..opq", b""), ("e/c", b"2"), ("f", folder)
    )
    archive.unpack(image(tmp_path / "i.tar", lower, upper), tmp_path / "r")
    found = {p.relative_to(tmp_path / "r").as_posix() for p in (tmp_path / "r").rglob("*")}
    assert found == {"d", "d/old", "d/link", "e", "e/c", "f"}
    assert (tmp_path / "r/d/old").read_text() == "1"
    assert (tmp_path / "r/d/link").read_text() == "a file now"
    assert (tmp_path / "r/f").is_dir()


@pytest.mark.parametrize(
    "members",
    [
        [("../out", b"x")],
        [("a/../../kept", b"x")],
        [("..", {"type": tarfile.DIRTYPE, "mode": 0o700})],
        [("h", {"type": tarfile.LNKTYPE, "linkname": "../kept"}), ("h", b"x")],
    ],
)
def test_nothing_is_written_or_removed_outside(tmp_path, members):
    (tmp_path / "kept").write_text("kept")
    with pytest.raises(UsageError):
        archive.unpack(image(tmp_path / "i.tar", layer(*members)), tmp_path / "a" / "r")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "i.tar", "kept"]
    assert (tmp_path / "kept").read_text() == "kept"


def test_absolute_links_inside_an_image_are_kept(tmp_path):
    archive.unpack(
        image(tmp_path / "i.tar", layer(("sh", {"type": tarfile.SYMTYPE, "linkname": "/bin/busybox"}))),
        tmp_path / "r",
    )
    assert (tmp_path / "r/sh").readlink() == Path("/bin/busybox")


def test_absolute_names_belong_below_the_root(tmp_path):
    archive.unpack(image(tmp_path / "i.tar", layer(("/etc/passwd", b"theirs"))), tmp_path / "r")
    assert (tmp_path / "r/etc/passwd").read_text() == "theirs"


def test_devices_are_left_out(tmp_path):
    archive.unpack(
        image(tmp_path / "i.tar", layer(("null", {"type": tarfile.CHRTYPE}), ("f", b"1"))), tmp_path / "r"
    )
    assert [p.name for p in (tmp_path / "r").iterdir()] == ["f"]


def broken(tmp_path: Path) -> dict[str, Path]:
    whole = image(tmp_path / "whole.tar", layer(("f", b"x" * 20_000)))
    made = {n: tmp_path / f"{n}.tar" for n in ("empty", "text", "cut", "other", "several", "lost")}
    made["empty"].write_bytes(b"")
    made["text"].write_text("not a tar at all")
    made["cut"].write_bytes(whole.read_bytes()[:15_000])
    with tarfile.open(made["other"], "w") as tar:
        member(tar, "hello", b"x")
    image(made["several"], layer(("f", b"1")), count=2)
    with tarfile.open(made["lost"], "w") as tar:
        member(tar, "c.json", b"{}")
        member(tar, "manifest.json", json.dumps([{"Config": "c.json", "Layers": ["0/layer.tar"]}]).encode())
    return made


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "other", "several", "lost"])
def test_a_broken_archive_is_named_with_what_to_do(tmp_path, kind):
    path = broken(tmp_path)[kind]
    with pytest.raises(UsageError) as told:
        archive.read_archive(path)
    assert told.value.problems[0].where == str(path)
    assert told.value.problems[0].hint


def test_a_missing_archive_is_not_called_broken(tmp_path):
    with pytest.raises(UnavailableError, match="No such file"):
        archive.read_archive(tmp_path / "none.tar")


def test_equal_files_make_equal_archives(tmp_path):
    digests = []
    for name in ("a", "b"):
        root = tmp_path / name
        for folder in ("z", "b/c"):
            (root / folder).mkdir(parents=True)
        (root / "b" / "run").write_text("#!/bin/sh\n")
        (root / "b" / "run").chmod(0o700 if name == "a" else 0o755)
        (root / "z" / "f").write_text("f")
        os.utime(root / "z" / "f", (1, 1) if name == "a" else (2_000_000, 2_000_000))
        archive.pack(root, tmp_path / f"{name}.tar", "x:1", {"A": "b c"}, "amd64")
        digests.append(hashlib.sha256((tmp_path / f"{name}.tar").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    contents = archive.read_archive(tmp_path / "a.tar")
    assert contents.environment == ("A=b c",)
    archive.unpack(tmp_path / "a.tar", tmp_path / "again")
    assert (tmp_path / "again/b/run").stat().st_mode & 0o111
