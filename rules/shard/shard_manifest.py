"""The manifest of a shard, its one declared output: which units it has, and what they made."""

import json
import os
import shutil

from shard_files import sync, unwritable

VERSION = 1


def write(path, journal, units):
    """
    Write the manifest, by a rename.

    Raises
    ------
    ShardError
        It can't be written; a later attempt has taken over.
    """
    found = []
    for unit in units:
        line = journal.done[unit.name]
        found.append(
            {
                "unit": unit.name,
                "exit_code": line["exit_code"],
                "attempt": line["attempt"],
                "executions": journal.starts[unit.name],
                "results": [{"path": p, "bytes": b, "sha256": s} for p, b, s in line["results"]],
            }
        )
    document = {
        "schema_version": VERSION,
        "first": journal.first,
        "last": journal.last,
        "attempt": journal.attempt,
        "units": found,
    }
    temporary = os.path.join(os.path.dirname(path), ".%s.%d.tmp" % (os.path.basename(path), os.getpid()))
    try:
        if os.path.dirname(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        journal.require()
        os.rename(temporary, path)
        sync(os.path.dirname(path) or ".")
    except OSError as error:
        raise unwritable(path, error)


def give(journal, units, root, folder):
    """
    Give the results, which are kept beside the journal, further names in a folder of the attempt.

    Raises
    ------
    ShardError
        They can't be written there.
    """
    for unit in units:
        for path, _, _ in journal.done[unit.name]["results"]:
            target = os.path.join(folder, path)
            try:
                os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
                if os.path.lexists(target):
                    os.unlink(target)
                try:
                    os.link(os.path.join(root, path), target)
                except OSError:  # another file system, or one without links
                    shutil.copyfile(os.path.join(root, path), target)
            except OSError as error:
                raise unwritable(target, error)
