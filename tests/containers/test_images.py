"""Texts that name images: what they mean, and what is refused before a runtime sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.errors import UsageError
from esap_wf.software.containers.image import mountable, parse

PIN = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "form", "path"),
    [
        ("docker-archive:/a/b.tar", "archive", "/a/b.tar"),
        ("oci-archive:b", "archive", "/base/b"),
        ("b.tar", "archive", "/base/b.tar"),
        ("./b.tar.gz", "archive", "/base/b.tar.gz"),
        ("/a/b.sif", "sif", "/a/b.sif"),
        ("images/b.SIF", "sif", "/base/images/b.SIF"),
        ("sif:/a/b", "sif", "/a/b"),
        ("rootfs:/a/b", "rootfs", "/a/b"),
        ("/a/b", "rootfs", "/a/b"),
        ("./b", "rootfs", "/base/b"),
        ("b/", "rootfs", "/base/b"),
        (f"/a/b.sif@{PIN}", "sif", "/a/b.sif"),
        (f"docker-archive:/a/b.tar@{PIN}", "archive", "/a/b.tar"),
    ],
)
def test_files_and_folders(text, form, path):
    image = parse(text, Path("/base"))
    assert (image.form, str(image.path)) == (form, path)
    assert image.digest == (PIN if "@" in text else None)


@pytest.mark.parametrize(
    ("text", "name", "full", "registry"),
    [
        ("busybox", "busybox", "busybox:latest", "docker.io"),
        ("busybox:1.36", "busybox", "busybox:1.36", "docker.io"),
        (
            "docker://quay.io/biocontainers/samtools:1.19--h50ea8bc_0",
            "quay.io/biocontainers/samtools",
            "quay.io/biocontainers/samtools:1.19--h50ea8bc_0",
            "quay.io",
        ),
        ("localhost:5000/a/b:1", "localhost:5000/a/b", "localhost:5000/a/b:1", "localhost:5000"),
        ("HOST/a:1", "HOST/a", "HOST/a:1", "HOST"),
        (f"a/b@{PIN}", "a/b", f"a/b@{PIN}", "docker.io"),
        (f"a/b:1@{PIN}", "a/b", f"a/b@{PIN}", "docker.io"),
    ],
)
def test_names(text, name, full, registry):
    image = parse(text)
    assert (image.form, image.name, image.full_name, image.registry) == ("name", name, full, registry)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-v",
        "--privileged",
        "a b",
        "a;b",
        "$(id)",
        "a/B",
        "a:",
        "a@sha256:12",
        "a\nb",
        "a\0",
        "library://a/b",
        "docker://",
        "docker://-x",
        "docker-archive:",
        "rootfs:-x",
        "/a,b.sif",
        "/a:b.tar",
        'x"y/',
        "a" * 2000,
        "../a'b.sif",
        "a::b",
        "a/../b",
        "ü",
    ],
)
def test_what_names_nothing_or_smuggles_something_is_refused(text):
    with pytest.raises(UsageError) as told:
        parse(text)
    assert all(str(p).isprintable() for p in told.value.problems)


@given(st.text(max_size=60))
def test_no_text_becomes_an_option_a_mount_or_a_line(text):
    try:
        image = parse(text, Path("/base"))
    except UsageError:
        return
    said = str(image.path) if image.path else image.full_name
    assert (
        not said.startswith("-")
        and said.isprintable()
        and " " not in (image.full_name if image.form == "name" else "")
    )
    assert not set(said.removeprefix("/")) & set(",\"'\\") and (image.form == "name" or ":" not in said)


@pytest.mark.parametrize("path", ["relative", "/a:b", "/a,b", "/a\nb", '/a"b', "/a\\b", "/a'b"])
def test_paths_that_mount_options_would_split_are_refused(path):
    with pytest.raises(UsageError, match="can't be mounted"):
        mountable(Path(path))


def test_a_path_with_blanks_and_letters_of_the_world_can_be_mounted():
    assert mountable(Path("/a b/ü$(x)")) == "/a b/ü$(x)"
