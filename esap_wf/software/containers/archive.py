"""Docker and OCI image archives: what is in one, unpacked into a root file system, packed from one.

Nothing here needs a runtime or a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import lzma
import os
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.formats import reading
from esap_wf.software.containers import overlay

_SMALL = 10_000_000
#: What reading a broken or hostile archive ends in.
_BROKEN = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Contents:
    """
    What an archive says of its image.

    Parameters
    ----------
    kind : str
        ``docker`` or ``oci``.
    digest : str
        Of the image's configuration, ``sha256:…``: what Docker and Podman call the image's id.
    manifest_digest : str, optional
        What a registry calls its digest; only OCI archives keep it.
    environment : tuple of str
        ``NAME=value``.
    layers : tuple of str
        Members of the archive, the lowest first.
    config : str
        Member that holds the configuration.
    """

    kind: str
    digest: str
    manifest_digest: str | None
    environment: tuple[str, ...]
    layers: tuple[str, ...]
    config: str


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with reading.opened(path) as file, tarfile.open(fileobj=file) as archive:
            yield archive
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # the place, not the content
            raise UnavailableError(
                "an image archive can't be used",
                [Problem(error.filename or str(path), os.strerror(error.errno))],
            ) from None
        why = f"{type(error).__name__}: {error}"
        hint = (
            "an archive is made by `docker save`, `podman save`, `buildah push … docker-archive:` or "
            "`esap-wf software build`"
        )
        raise UsageError(
            "an image archive can't be read",
            [Problem(str(path), f"is not a Docker or OCI archive ({why})", hint)],
        ) from None


def read_archive(path: Path) -> Contents:
    """
    Read an archive's manifest.

    Raises
    ------
    UsageError
        It is not a Docker or OCI archive of one image, or it is broken.
    """
    with _reading(path) as archive:
        members = {m.name.removeprefix("./"): m for m in archive}
        if "manifest.json" in members:
            images = _json(archive, members["manifest.json"])
            _one(path, images)
            config, layers, manifest = images[0]["Config"], images[0]["Layers"], None
            kind = "docker"
        else:
            index = _json(archive, members["index.json"])
            _one(path, index["manifests"])
            manifest = index["manifests"][0]["digest"]
            described = _json(archive, members[_blob(manifest)])
            config, layers = (
                _blob(described["config"]["digest"]),
                [_blob(layer["digest"]) for layer in described["layers"]],
            )
            kind = "oci"
        raw = _bytes(archive, members[config])
        environment = (json.loads(raw).get("config") or {}).get("Env") or []
        if not isinstance(environment, list) or not all(isinstance(line, str) for line in environment):
            raise ValueError("the variables of its configuration are not a list of strings")
        if lost := [layer for layer in layers if layer not in members]:
            raise ValueError(f"the layer {lost[0]} is missing")
        return Contents(
            kind,
            f"sha256:{hashlib.sha256(raw).hexdigest()}",
            manifest,
            tuple(environment),
            tuple(layers),
            config,
        )


def _one(path: Path, images: list[Any]) -> None:
    if len(images) != 1:
        raise UsageError(
            "an image archive is ambiguous",
            [Problem(str(path), f"holds {len(images)} images", "save one image per archive")],
        )


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    handle = archive.extractfile(member)
    if handle is None or member.size > _SMALL:
        raise ValueError(f"{member.name} is not a document")
    return handle.read()


def _json(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    return json.loads(_bytes(archive, member))


def unpack(path: Path, target: Path, beat: Callable[[], None] = lambda: None) -> None:
    """
    Unpack an archive's layers into a root file system.

    Devices are left out, and nothing is read or written outside `target`.

    Parameters
    ----------
    path, target : Path
    beat : callable
        Called for each file; may raise.
    """
    contents = read_archive(path)
    target.mkdir(parents=True, exist_ok=True)
    with _reading(path) as archive:
        members = {m.name.removeprefix("./"): m for m in archive}
        for layer in contents.layers:
            with tarfile.open(fileobj=archive.extractfile(members[layer])) as files:
                overlay.apply(files, target, beat)
        overlay.share(target, "tmp", "var/tmp")


def pack(rootfs: Path, target: Path, name: str, environment: dict[str, str], architecture: str) -> str:
    """
    Pack a root file system as a Docker archive of one layer: the same files make the same bytes, so the same
    digest.

    Returns
    -------
    str
        Digest of its configuration.
    """
    layer = target.with_suffix(".layer")
    try:
        with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as files:
            for path in sorted(rootfs.rglob("*")):
                if path.is_symlink() or path.is_file() or path.is_dir():
                    files.add(
                        path, path.relative_to(rootfs).as_posix(), recursive=False, filter=_reproducible
                    )
        with layer.open("rb") as f:
            diff = hashlib.file_digest(f, "sha256").hexdigest()
        config = {
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": [f"{k}={v}" for k, v in environment.items()], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
            "history": [{"created": "1970-01-01T00:00:00Z"}],
        }
        raw = json.dumps(config, sort_keys=True).encode()
        digest = hashlib.sha256(raw).hexdigest()
        manifest = json.dumps(
            [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": [f"{diff}.tar"]}]
        ).encode()
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
            for member, content in ((f"{digest}.json", raw), ("manifest.json", manifest)):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            archive.add(layer, f"{diff}.tar", filter=_reproducible)
    finally:
        layer.unlink(missing_ok=True)
    return f"sha256:{digest}"


def _reproducible(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    if info.isreg() and not info.mode & 0o111:
        info.mode = 0o644
    elif not info.mode & 0o1000:
        info.mode = 0o755
    return info


def as_docker(path: Path, target: Path) -> None:
    """Write an OCI archive as one that older Dockers load, too."""
    contents = read_archive(path)
    with _reading(path) as archive, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        members = {m.name.removeprefix("./"): m for m in archive}
        for name in dict.fromkeys((contents.config, *contents.layers)):
            member = members[name]
            info = tarfile.TarInfo(name)
            info.size = member.size
            new.addfile(info, archive.extractfile(member))
        manifest = json.dumps(
            [{"Config": contents.config, "RepoTags": None, "Layers": list(contents.layers)}]
        ).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(manifest)
        new.addfile(info, io.BytesIO(manifest))


def architecture() -> str:
    """This machine's, as images name it."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
