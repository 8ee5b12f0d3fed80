"""Python environments as one file, for a place that has nothing of them: packed here, unpacked there once."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from esap_wf import files
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import digests
from esap_wf.software.environments import READY

#: Stands, in a command that is sent to a place, for the folder there in which packed environments lie, each
#: under the beginning of its archive's SHA-256.
ELSEWHERE = "@environments"
MENTION = re.compile(rf"{ELSEWHERE}/([0-9a-f]{{20}})(?=/)")
#: Made anew where they are wanted, or of this machine only.
_LEFT_OUT = frozenset({"__pycache__", READY})


def pack(environment: Path, archive: Path) -> None:
    """
    Pack an environment: the same one gives the same bytes.

    Parameters
    ----------
    environment : Path
    archive : Path
        Written whole or not at all.

    Raises
    ------
    RefusedError
        It can't be written.
    """
    half = archive.with_name(f".{archive.name}.{os.urandom(6).hex()}.tmp")
    try:
        try:
            with (
                half.open("wb") as file,
                gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                for path in _below(environment):
                    _add(tar, path, path.relative_to(environment).as_posix())
            half.rename(archive)
        finally:
            half.unlink(missing_ok=True)
    except OSError as error:
        raise files.explain(error, archive) from error


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name not in _LEFT_OUT:
            yield path
            if path.is_dir() and not path.is_symlink():
                yield from _below(path)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    info = tar.gettarinfo(path, name)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    if info.islnk():  # the same file under two names, as caches of installers make them
        info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
    if info.isreg():
        info.mode = 0o755 if info.mode & 0o111 else 0o644
        with path.open("rb") as file:
            tar.addfile(info, file)
    else:
        tar.addfile(info)


def short_digest(archive: Path, cache: Path) -> str:
    """
    Under which name an archive is unpacked elsewhere.

    Raises
    ------
    UsageError
        There is none.
    """
    try:
        identity, strength = digests.of_input(archive, cache)
        digest = identity.partition(":")[2] if strength == "checksum" else digests.of_file(archive)
    except OSError as error:
        raise UsageError(
            "a packed environment can't be read",
            [Problem(str(archive), error.strerror or str(error), "esap-wf engines pack makes one")],
        ) from None
    return digest[:20]
