"""
The journal of a shard: what was begun, done and failed, one JSON object a line, in a file of each attempt.

A folder has the journals of one step: ``0000001-0000100.2.jsonl`` is that of the second attempt at units 1 to
100. Each attempt has a folder of its own beside it for results that are not finished; removing it fences the
attempt off, because what is not there any more can't be renamed.
"""

import json
import os
import re
import socket
import time

from shard_files import FENCED, UNWRITABLE, ShardError, remove_tree, sync, unwritable

_FILE = re.compile(r"(\d{7,})-(\d{7,})\.(\d{1,6})\.jsonl")
_FOLDER = re.compile(r"(\d{7,})-(\d{7,})\.(\d{1,6})\.tmp")
#: By which batch systems tell a job its id: Slurm, PBS, LSF, Flux, OAR, Cobalt; Grid Engine by its sign.
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "OAR_JOB_ID", "COBALT_JOBID")
_GRID, _GRID_SIGN = "JOB_ID", "SGE_TASK_ID"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:\[\]-]{0,127}")
_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")


class Fenced(ShardError):
    """A later attempt at this shard has taken over."""

    def __init__(self):
        super().__init__("another attempt at this shard has taken over, so this one ends", FENCED)


class Journal(object):
    """
    The journal of one attempt, and what earlier ones say.

    Attributes
    ----------
    folder, temporary : str
        Of the step's journals; of this attempt's unfinished results.
    attempt : int
    done : dict
        Unit → its line, of this attempt or of an earlier one.
    starts : dict
        Unit → how often it was begun, by all attempts.
    lost : set
        Units that an earlier attempt began, and nobody has seen the end.
    """

    def __init__(self, folder, first, last):
        self.folder, self.first, self.last = folder, first, last
        self.attempt, self.temporary, self.path = 0, "", ""
        self.done, self.starts, self.lost = {}, {}, set()
        self.counts = {"done": 0, "failed": 0, "kept": 0, "again": 0, "unreadable": 0}
        self._file, self._size = -1, 0

    @classmethod
    def begin(cls, folder, step, units, root, outlives):
        """
        Create the journal of a further attempt: earlier ones are fenced off, and read.

        Raises
        ------
        ShardError
            The folder can't be written to.
        """
        if not _STEP.fullmatch(step):
            raise ShardError("--step is %s, and must be of letters, digits, _ and -" % ascii(step))
        journal = cls(folder, units[0].number, units[-1].number)
        try:
            journal._create()
            journal._fence()
            journal._read()
        except OSError as error:
            raise unwritable(error.filename or folder, error)
        about = {
            "kind": "begin",
            "t": round(time.time(), 3),
            "step": step,
            "first": journal.first,
            "last": journal.last,
            "units": len(units),
            "attempt": journal.attempt,
            "host": socket.gethostname(),
            "job": batch_job(os.environ),
            "pid": os.getpid(),
            "root": os.path.abspath(root),
            "outlives": outlives,
        }
        journal.append([about])
        return journal

    def _create(self):
        os.makedirs(self.folder, exist_ok=True)
        stem = "%07d-%07d" % (self.first, self.last)
        self.attempt = 1 + max([n for n, name in self._others() if name.startswith(stem + ".")] or [0])
        while True:
            self.path = os.path.join(self.folder, "%s.%d.jsonl" % (stem, self.attempt))
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
                self._file = os.open(self.path, flags, 0o666)
                break
            except FileExistsError:
                self.attempt += 1
        self.temporary = self.path[: -len("jsonl")] + "tmp"
        os.mkdir(self.temporary)
        sync(self.folder)

    def _others(self):
        """Attempts at units of this shard, other than this one, as (number, file name)."""
        found = []
        for name in os.listdir(self.folder):
            match = _FILE.fullmatch(name)
            if match and self._overlaps(match) and os.path.join(self.folder, name) != self.path:
                found.append((int(match.group(3)), name))
        return sorted(found)

    def _overlaps(self, match):
        return int(match.group(1)) <= self.last and int(match.group(2)) >= self.first

    def _fence(self):
        """Remove what earlier attempts have not finished: they can't give it out any more."""
        for name in os.listdir(self.folder):
            match = _FOLDER.fullmatch(name)
            path = os.path.join(self.folder, name)
            if match and self._overlaps(match) and path != self.temporary:
                remove_tree(path)

    def _read(self):
        """Take from earlier journals what is done: by the word of the last attempt that began it."""
        journals = []
        for number, name in self._others():
            lines, broken = read_lines(os.path.join(self.folder, name))
            self.counts["unreadable"] += broken
            begun = lines[0].get("t", 0) if lines and lines[0].get("kind") == "begin" else 0
            journals.append((begun, number, lines))
        for _, _, lines in sorted(journals, key=lambda journal: journal[:2]):
            for line in lines:
                unit, kind = line.get("unit"), line.get("kind")
                if not isinstance(unit, str):
                    continue
                if kind == "start":
                    self.starts[unit] = self.starts.get(unit, 0) + 1
                    self.done.pop(unit, None)
                    self.lost.add(unit)
                elif kind in ("done", "failed", "stopped"):
                    self.lost.discard(unit)
                    if kind == "done":
                        self.done[unit] = line

    def keep(self, unit, key, root):
        """Whether a unit was done with the same values, and its results are still there."""
        line = self.done.get(unit.name)
        if line is None:
            return False
        try:
            same = line["key"] == key and all(
                os.path.getsize(os.path.join(root, path)) == size for path, size, _ in line["results"]
            )
        except (OSError, KeyError, TypeError, ValueError):
            same = False
        if same:
            self.counts["kept"] += 1
        else:
            del self.done[unit.name]
        return same

    def append(self, lines, durable=True):
        """
        Add lines, all or none.

        Raises
        ------
        ShardError
            They can't be written; what was written of them is taken back.
        """
        data = b"".join(json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n" for line in lines)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            if durable:
                os.fsync(self._file)
        except OSError as error:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                pass
            raise unwritable(self.path, error)
        self._size += len(data)
        for line in lines:
            if line["kind"] == "start":
                self.starts[line["unit"]] = self.starts.get(line["unit"], 0) + 1
            elif line["kind"] == "done":
                self.done[line["unit"]] = line
                self.counts["done"] += 1

    def require(self):
        """
        Confirm that no later attempt has taken over.

        Raises
        ------
        Fenced
            One has.
        """
        if not os.path.isdir(self.temporary):
            raise Fenced()

    def close(self):
        """Give up the folder of unfinished results."""
        try:
            remove_tree(self.temporary)
        except ShardError:
            pass
        os.close(self._file)

    def summary(self):
        """One line for people."""
        c = self.counts
        text = "shard of units %d to %d, attempt %d: %d done, %d done before, %d failed" % (
            self.first,
            self.last,
            self.attempt,
            c["done"],
            c["kept"],
            c["failed"],
        )
        if c["again"]:
            text += ", %d executed again" % c["again"]
        if c["unreadable"]:
            text += ", %d unreadable lines in earlier journals" % c["unreadable"]
        return text


def batch_job(environment):
    """Return the id of the batch job that this is in, as its system says it; None if there is none."""
    names = JOBS + ((_GRID,) if _GRID_SIGN in environment else ())
    found = [environment[name] for name in names if _ID.fullmatch(environment.get(name, ""))]
    return found[0] if found else None


def read_lines(path):
    """
    Read a journal: its objects, and how many lines are none. A last line without its end doesn't count.

    Raises
    ------
    ShardError
        It can't be read.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise ShardError(
            "the journal %s can't be read: %s" % (path, os.strerror(error.errno or 0)), UNWRITABLE
        )
    found, broken = [], 0
    for raw in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
        try:
            line = json.loads(raw.decode("utf-8"))
        except ValueError:
            line = None
        if isinstance(line, dict):
            found.append(line)
        else:
            broken += 1
    return found, broken
