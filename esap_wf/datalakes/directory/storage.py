"""Files of a lake in a folder: ``files/RSE/SCOPE/<digest of the name>/<base name>``. No SQL here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from esap_wf import files
from esap_wf.formats import reading
from esap_wf.models.data import Did

_CHUNK = 4_000_000


@dataclass(frozen=True)
class Copied:
    """A file that was copied and is not yet known by its name."""

    path: Path
    bytes: int
    checksums: dict[str, str]


@dataclass(frozen=True)
class Storage:
    """
    The storage elements of one lake.

    Parameters
    ----------
    folder : Path
        Of the lake.
    """

    folder: Path

    def place(self, rse: str, did: Did) -> Path:
        """Where a storage element has a file: never the place of another one."""
        digest = hashlib.sha256(str(did).encode()).hexdigest()[:24]
        name = did.name.rpartition("/")[2]  # a name has no . or .. in it
        return Path(f"{self.folder}/files/{rse}/{did.scope}/{digest[:2]}/{digest}/{name}")

    def copy(self, source: Path, beat: Callable[[], None] = lambda: None) -> Copied:
        """
        A file's bytes in the lake's folder, with their checksums; `put` gives them their place.

        Raises
        ------
        OSError
        """
        incoming = self.folder / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        target = incoming / f"{os.getpid()}-{os.urandom(6).hex()}"
        sha, adler, size = hashlib.sha256(), 1, 0
        try:
            with reading.opened(source) as read, target.open("xb") as write:
                while chunk := read.read(_CHUNK):
                    write.write(chunk)
                    sha.update(chunk)
                    adler = zlib.adler32(chunk, adler)
                    size += len(chunk)
                    beat()
                write.flush()
                os.fsync(write.fileno())
            # nobody changes what has a checksum
            target.chmod(0o444)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return Copied(target, size, {"sha256": sha.hexdigest(), "adler32": f"{adler:08x}"})

    def put(self, copied: Copied, rse: str, did: Did) -> Path:
        """Give a copy its place; whoever does so holds the catalogue."""
        place = self.place(rse, did)
        place.parent.mkdir(parents=True, exist_ok=True)
        copied.path.replace(place)
        files.sync_folder(place.parent)
        return place

    def link(self, source: Path, rse: str, did: Did) -> Path:
        """Another copy of a file, which costs no space."""
        place = self.place(rse, did)
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(source, place)
        return place

    def remove(self, rse: str, did: Did) -> None:
        """Remove a copy, and the folders that were made for it alone."""
        place = self.place(rse, did)
        place.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()
