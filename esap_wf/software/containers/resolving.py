"""What really stands for an image here: a file, a folder, or a name that a runtime pulls."""

from __future__ import annotations

import hashlib
from pathlib import Path

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import digests, reading
from esap_wf.software.containers import archive, folder
from esap_wf.software.containers.image import ARCHIVE, FOLDER, NAME, ROOTFS, SIF, Image, parse
from esap_wf.software.containers.runtime import Source
from esap_wf.software.containers.runtimes import Settings


def resolve(image: Image, allowed: Settings, cache: Path) -> tuple[Source, str]:
    """
    What stands for an image here, and a remark on it.

    Raises
    ------
    UsageError
        A file that is named is missing, broken, or not the one whose digest is asked for.
    """
    asked = image
    image, remark = _mapped(image, allowed)
    if image.form == NAME:
        return _of_name(asked, image, cache), remark
    assert image.path is not None
    wanted = image.digest or asked.digest
    if image.form == FOLDER:
        return _of_folder(asked, folder.read_folder(image.path), cache), remark
    if not image.path.exists():
        raise UsageError(
            "a container image is missing", [Problem(image.text, f"{image.path} does not exist")]
        )
    if image.form == ROOTFS:
        return _of_root(asked, image, image.path), remark
    if image.form == SIF:
        digest = _digest_of_sif(image, image.path, cache)
        _same(image, wanted, [digest] if digest else [])
        key, pinned = (digest or "")[7:], wanted is not None
        return Source(asked.text, SIF, str(image.path), key, digest, pinned=pinned), remark
    source, doubt = _of_archive(asked, image, image.path, wanted)
    return source, remark + doubt


def _mapped(image: Image, allowed: Settings) -> tuple[Image, str]:
    """What the place has for an image of a name, and a remark on it; other images as they are."""
    if image.form != NAME:
        return image, ""
    keys = (
        image.text,
        f"docker://{image.text}",
        image.full_name,
        f"{image.name}:{image.tag or 'latest'}",
        image.name,
    )
    text = next((allowed.map[k] for k in keys if k in allowed.map), None)
    if text is None:
        return image, ""
    found = parse(text, allowed.base)
    if found.form == NAME and found.digest is None and image.digest:
        found = parse(f"{found.name}@{image.digest}")
    return found, f", mapped to {text}"


def _of_name(asked: Image, image: Image, cache: Path) -> Source:
    """One of ours, which is built here, or what a runtime finds under the name."""
    ours = next((f for f in folder.own() if f.image.full_name == image.full_name), None)
    if ours is not None:
        return _of_folder(asked, ours, cache)
    key = hashlib.sha256(image.full_name.encode()).hexdigest()
    pinned = image.digest is not None
    return Source(asked.text, NAME, image.full_name, key, image.digest, pinned=pinned)


def _of_folder(asked: Image, made: folder.Folder, cache: Path) -> Source:
    path = made.location(cache)
    digest = archive.read_archive(path).digest if path.is_file() else None
    return Source(asked.text, ARCHIVE, str(path), path.stem, digest)


def _of_root(asked: Image, image: Image, path: Path) -> Source:
    if not any((path / d).is_dir() for d in ("bin", "usr/bin")):
        raise UsageError(
            "a container image is not usable",
            [Problem(image.text, f"{path} is not a root file system: it has no bin")],
        )
    key = hashlib.sha256(str(path).encode()).hexdigest()
    return Source(asked.text, ROOTFS, str(path), key)


def _of_archive(asked: Image, image: Image, path: Path, wanted: str | None) -> tuple[Source, str]:
    """An archive, and a doubt about its digest if there is one."""
    contents = archive.read_archive(path)
    known = [contents.digest, *([contents.manifest_digest] if contents.manifest_digest else [])]
    doubt = ""
    # a Docker archive has lost the digest that a registry gave it: a pin of a mapped name can't be compared
    # with it
    if contents.kind == "oci" or image.digest:
        _same(image, wanted, known)
    elif wanted and wanted not in known:
        doubt = ", whose digest in a registry can't be known"
    key, environment = contents.digest[7:], contents.environment
    return Source(asked.text, ARCHIVE, str(path), key, contents.digest, environment=environment), doubt


def _digest_of_sif(image: Image, path: Path, cache: Path) -> str | None:
    try:
        with reading.opened(path) as f:
            head = f.read(64)
    except OSError as error:
        raise UsageError(
            "a container image is not usable", [Problem(image.text, error.strerror or str(error))]
        ) from None
    if b"SIF_MAGIC" not in head and path.suffix != ".simg":
        raise UsageError(
            "a container image is not usable", [Problem(image.text, f"{path} is not a SIF file")]
        )
    identity, strength = digests.of_input(path, cache)
    return identity if strength == "checksum" else None


def _same(image: Image, wanted: str | None, known: list[str]) -> None:
    if wanted and wanted not in known:
        found = known[-1] if known else "a file too large to be hashed for a plan"
        raise UsageError(
            "a container image is not the one that was asked for",
            [Problem(image.text, f"{wanted} was asked for, but {image.path} is {found}")],
        )
