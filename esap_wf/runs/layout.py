"""
Where everything of a store lies, and with which permissions: paths, folders, the space that each run keeps in
reserve.

What works on a store (claims, leases, snapshots, removal, runs) needs no more of it than this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from esap_wf import files
from esap_wf.errors import Problem, UsageError
from esap_wf.models import Model
from esap_wf.models.run import encode
from esap_wf.runs import processes
from esap_wf.runs.folders import delete_tree, names

#: Bytes with which a final state can be written on a full disk.
RESERVE = 64 * 1024
#: Of a run.
ID = re.compile(r"[0-9a-f]{16}")


class Staged(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``.staged.json`` of a staging folder: who works in it."""

    schema_version: int = 1
    holder: processes.Holder


class Layout:
    """
    The folders of a store.

    Attributes
    ----------
    root : Path
        Its folder, absolute.
    shared : bool
        Whether a group works in it.
    file_mode, dir_mode : int or None
        What new files and folders get, whatever the umask; None leaves files to the umask.
    """

    __slots__ = ("dir_mode", "file_mode", "root", "shared")

    def __init__(self, root: Path, shared: bool) -> None:
        self.root = root
        self.shared = shared
        self.file_mode: int | None = 0o660 if shared else None
        self.dir_mode = 0o2770 if shared else 0o700

    def make_folder(self, path: Path) -> Path:
        """Make a folder with the store's permissions if it is missing."""
        if path.is_dir():
            return path
        try:
            path.mkdir(exist_ok=True)
            if path.stat().st_uid == os.geteuid():
                path.chmod(self.dir_mode)
        except OSError as error:
            raise files.explain(error, path) from error
        return path

    def path_of(self, run_id: str) -> Path:
        """Where the directory of a run is."""
        if not ID.fullmatch(run_id):
            raise UsageError(
                f"{run_id!r} is not a run id",
                [Problem(repr(run_id), "a run id has 16 hex digits", "esap-wf list")],
            )
        return self.root / "runs" / run_id[:2] / run_id

    def tombstone_path(self, run_id: str) -> Path:
        """Where the tombstone of a run is, if it was removed."""
        return self.root / "tombstones" / run_id[:2] / f"{run_id}.json"

    def run_exists(self, run_id: str) -> bool:
        """Whether a run is there and not removed."""
        return (self.path_of(run_id) / "run.json").is_file() and not self.tombstone_path(run_id).exists()

    def ids(self, prefix: str = "") -> Iterator[str]:
        """Ids of all run directories."""
        shards = [prefix[:2]] if len(prefix) >= 2 else sorted(names(self.root / "runs"))
        for shard in shards:
            for name in names(self.root / "runs" / shard):
                if ID.fullmatch(name) and name.startswith(prefix):
                    yield name

    def staging(self, run_id: str) -> Path:
        """A new folder on the file system of the store, in which a run is put together."""
        self.path_of(run_id)
        folder = self.make_folder(self.root / "tmp" / f"{run_id}.{os.urandom(4).hex()}")
        try:
            files.write_atomic(
                folder / ".staged.json",
                encode(Staged(holder=processes.me())),
                mode=self.file_mode,
                sync=False,
            )
        except BaseException:
            delete_tree(folder)
            raise
        return folder

    def make_reserve(self, folder: Path) -> None:
        """
        Allocate the space with which a final state can be written on a full disk. Without space there is
        none: not an error.
        """
        path = folder / ".reserve"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.file_mode or 0o600)
        except OSError:
            return
        try:
            if self.file_mode is not None:
                os.fchmod(fd, self.file_mode)
            # written, not only allocated: copy-on-write and network file systems promise nothing else
            os.write(fd, b"\0" * RESERVE)
        except OSError:
            path.unlink(missing_ok=True)
        finally:
            os.close(fd)

    def claim_file(self, folder: Path, path: Path, data: bytes) -> bool:
        """
        `files.create_exclusive` inside a run's folder; on a full disk its reserve is given back and it is
        tried once more.
        """
        try:
            return files.create_exclusive(path, data, mode=self.file_mode)
        except files.NoSpaceError:
            if not self.free_reserve(folder):
                raise
            return files.create_exclusive(path, data, mode=self.file_mode)

    def free_reserve(self, folder: Path) -> bool:
        """Give the reserved space back; False if it is used up."""
        try:
            (folder / ".reserve").unlink()
        except OSError:
            return False
        return True
