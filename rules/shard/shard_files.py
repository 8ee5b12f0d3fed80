"""Files of a shard: errors in plain words, digests, and whole files or none."""

import errno
import hashlib
import os

#: Bytes up to which a file that a command names counts with its content; a larger one with size and time.
CONTENT = 64 * 1024 * 1024
FAILED, USAGE, UNWRITABLE, FENCED, ENDED = 1, 2, 74, 75, 143


class ShardError(Exception):
    """The shard can't go on: why, and with which exit code."""

    def __init__(self, message, exit_code=USAGE):
        super().__init__(message)
        self.exit_code = exit_code


def unwritable(path, error):
    """Return the error for a file that can't be written: what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "no space is left; free some and start it again: units that are done are not repeated"
    else:
        what = os.strerror(error.errno or 0)
    return ShardError("%s can't be written: %s" % (path, what), UNWRITABLE)


def sha256(path):
    """Return bytes and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        while True:
            block = stream.read(1 << 20)
            if not block:
                return size, digest.hexdigest()
            digest.update(block)
            size += len(block)


def identity(path):
    """Return what of a file or folder counts when it is asked whether a unit would be the same again."""
    if os.path.isdir(path):
        found = []
        for top, folders, names in os.walk(path, followlinks=True):
            folders[:] = sorted(f for f in folders if f != "__pycache__")
            for name in sorted(names):
                file = os.path.join(top, name)
                found.append([os.path.relpath(file, path), identity(file)])
        return found
    about = os.stat(path)
    if about.st_size > CONTENT:
        return [about.st_size, about.st_mtime_ns]
    return sha256(path)[1]


def sync(path):
    """Let a file or folder outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that can't
            raise
    finally:
        os.close(handle)


def remove_tree(folder):
    """Remove a folder, whoever else writes there: it is gone afterwards."""
    for _ in range(100):
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
            except FileNotFoundError:
                pass
        try:
            os.rmdir(folder)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise unwritable(folder, error)
    raise ShardError("%s can't be removed: somebody goes on writing there" % folder, UNWRITABLE)
