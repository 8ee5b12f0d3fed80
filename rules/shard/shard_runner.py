"""Units at work: started as slots get free, waited for, and given out when they have ended well."""

import os
import select
import signal
import subprocess
import sys
import time

from shard_call import carry_out
from shard_files import ENDED, FAILED, remove_tree, sha256, sync, unwritable

#: Seconds in which a unit that was killed by a signal for all of a job's processes hears of that for itself.
SHARED_SIGNAL = 0.5
#: Seconds between two looks whether a later attempt has taken over.
LOOK = 5.0


class Working(object):
    """A unit at work."""

    def __init__(self, unit, attempt, folder, results, log):
        self.unit, self.attempt, self.folder, self.results, self.log = unit, attempt, folder, results, log
        self.began = time.time()
        self.code, self.usage = 0, None


class Runner(object):
    """
    Carries out the units of a shard.

    Parameters
    ----------
    plan : Plan
    units : list of Unit
    journal : Journal
    function : callable or None
        Called for each unit, in a process of its own; None: the plan's command is started.
    slots, attempts : int
    grace : float
        Seconds that units at work have when the shard is to end.
    """

    def __init__(self, plan, units, journal, function, slots, attempts, grace):
        self.plan, self.units, self.journal, self.function = plan, units, journal, function
        self.slots, self.attempts, self.grace = slots, attempts, grace
        self.ending = 0
        self.failed = []
        self._working = {}
        self._keys = {}
        self._tries = {}
        self._made = set()
        self._unstarted = []

    def ask_to_end(self, number, _frame):
        """Take a signal: no further units begin, and those at work have the grace."""
        self.ending = self.ending or number

    def run(self):
        """
        From the first unit to the last.

        Returns
        -------
        int
            0: all are done.

        Raises
        ------
        ShardError
            A later attempt has taken over; files can't be written. Nothing is at work any more.
        """
        wakeup = self._wakeup()
        waiting = []
        for unit in self.units:
            self._keys[unit.name] = self.plan.key(unit)
            if not self.journal.keep(unit, self._keys[unit.name], self.plan.root):
                waiting.append(unit)
        waiting.reverse()
        deadline = looked = None
        try:
            while waiting or self._working or self._unstarted:
                if self.ending and deadline is None:
                    deadline = time.monotonic() + self.grace
                while waiting and len(self._working) < self.slots and not self.ending:
                    self._start(waiting.pop())
                if not self._working and not self._unstarted:
                    break
                self._wait(wakeup, deadline)
                if deadline is not None and time.monotonic() >= deadline:
                    self._kill()
                if looked is None or time.monotonic() - looked > LOOK:
                    self.journal.require()
                    looked = time.monotonic()
                waiting += self._conclude(self._ended())
        finally:
            self._kill()
            self._ended(wait=True)
        return self._end(len(waiting))

    def _end(self, left):
        code = 0
        if self.ending:
            code = ENDED
        elif self.failed:
            code = FAILED
        counts = self.journal.counts
        counts["failed"] = len(self.failed)
        line = {"kind": "end", "t": _now(), "code": code, "left": left}
        self.journal.require()
        self.journal.append(
            [dict(line, **{name: counts[name] for name in ("done", "failed", "kept", "again")})]
        )
        if self.failed:
            names = ", ".join(self.failed[:20]) + (" …" if len(self.failed) > 20 else "")
            print(
                "shard: %d of %d units failed: %s" % (len(self.failed), len(self.units), names),
                file=sys.stderr,
            )
        if self.ending:
            print("shard: ended by %s" % signal.Signals(self.ending).name, file=sys.stderr)
        return code

    @staticmethod
    def _wakeup():
        """A pipe that any signal writes to: none is missed between a look and a wait."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writing)
        return reading

    def _wait(self, pipe, deadline):
        """Until a unit ends or a signal comes, and not for ever."""
        seconds = LOOK if deadline is None else max(0, deadline - time.monotonic())
        select.select([pipe], [], [], 0 if self._unstarted else seconds)
        try:
            while os.read(pipe, 4096):
                pass
        except BlockingIOError:
            pass

    # --- one unit

    def _start(self, unit):
        names = self.plan.results(unit)
        folder = os.path.join(self.journal.temporary, str(unit.number))
        try:
            os.mkdir(folder)
            log = self.plan.log(unit)
            for path in [os.path.join(self.plan.root, p) for p in [*names.values(), *([log] if log else [])]]:
                parent = os.path.dirname(path)
                if parent and parent not in self._made:
                    os.makedirs(parent, exist_ok=True)
                    self._made.add(parent)
            output = os.open(
                os.path.join(self.plan.root, log) if log else os.devnull,
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                0o666,
            )
        except OSError as error:
            self.journal.require()
            raise unwritable(error.filename, error)
        results = {
            name: os.path.abspath(os.path.join(folder, os.path.basename(p))) for name, p in names.items()
        }
        attempt = self._tries[unit.name] = self._tries.get(unit.name, 0) + 1
        working = Working(unit, attempt, folder, results, log)
        line = {"kind": "start", "t": round(working.began, 3), "unit": unit.name, "attempt": attempt}
        if attempt == 1 and unit.name in self.journal.lost:
            line["again"] = True
            self.journal.counts["again"] += 1
        self.journal.append([line], durable=False)
        try:
            pid = self._call(working, output) if self.function else self._exec(working, output)
        finally:
            os.close(output)
        if pid:
            self._working[pid] = working

    def _exec(self, working, output):
        arguments = self.plan.arguments(working.unit, working.results)
        try:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:  # too long, no memory for it, not executable
            os.write(output, ("shard: %s can't be started: %s\n" % (arguments[0], error)).encode())
            working.code = 127
            self._unstarted.append(working)
            return 0
        process.returncode = 0  # it is waited for here
        return process.pid

    def _call(self, working, output):
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = carry_out(self.function, working.unit.values, working.results)
        finally:
            os._exit(code)

    def _ended(self, wait=False):
        """Units whose process has ended."""
        found, self._unstarted = self._unstarted, []
        while self._working:
            try:
                pid, status, usage = os.wait4(-1, 0 if wait else os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            working = self._working.pop(pid, None)
            if working is None:  # something that the imported script has started
                continue
            working.code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            working.usage = usage
            found.append(working)
        return found

    def _kill(self):
        for pid in self._working:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    # --- what has ended

    def _conclude(self, ended):
        """Give out the results of units that have ended well, note all; return those to try once more."""
        if not ended:
            return []
        if not self.ending and any(
            w.code in (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP) for w in ended
        ):
            time.sleep(SHARED_SIGNAL)  # sent to all processes of the job: this one may not have it yet
        again, lines, folders = [], [], set()
        for working in ended:
            reason, detail, results = self._reason(working), "", []
            if not reason:
                try:
                    results = self._given_out(working, folders)
                except FileNotFoundError as error:
                    self.journal.require()
                    reason, detail = "MISSING_OUTPUT", "it made no %s" % os.path.basename(error.filename)
                except IsADirectoryError as error:
                    reason, detail = "MISSING_OUTPUT", "%s is a folder" % os.path.basename(error.filename)
            lines.append(self._line(working, reason, detail, results))
            self._clear(working)
            if lines[-1]["kind"] != "failed":
                continue
            if working.attempt < self.attempts:
                again.append(working.unit)
            else:
                self.failed.append(working.unit.name)
        for folder in folders:
            sync(folder)
        self.journal.require()
        self.journal.append(lines)
        return again

    def _reason(self, working):
        if working.code == 0:
            return ""
        if working.code < 0 and self.ending:
            return "STOPPED"
        return "EXIT_CODE" if working.code > 0 else "SIGNAL"

    def _given_out(self, working, folders):
        """Rename its results to their own names."""
        found = []
        for name, path in self.plan.results(working.unit).items():
            made, target = working.results[name], os.path.join(self.plan.root, path)
            size, digest = sha256(made)
            try:
                sync(made)
                os.rename(made, target)
            except FileNotFoundError:
                self.journal.require()
                raise
            except OSError as error:
                raise unwritable(target, error)
            folders.add(os.path.dirname(target) or ".")
            found.append([path, size, digest])
        return found

    def _line(self, working, reason, detail, results):
        line = {
            "kind": "done" if not reason else "stopped" if reason == "STOPPED" else "failed",
            "t": _now(),
            "unit": working.unit.name,
            "attempt": working.attempt,
            "exit_code": working.code if working.code >= 0 else None,
            "seconds": round(time.time() - working.began, 3),
            "log": working.log or None,
        }
        if working.usage is not None:
            line["cpu_seconds"] = round(working.usage.ru_utime + working.usage.ru_stime, 3)
            line["memory_bytes"] = working.usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        if not reason:
            return dict(line, key=self._keys[working.unit.name], results=results)
        if reason == "SIGNAL":
            detail = "killed by %s" % _signal(-working.code)
        said = detail or "exit code %s" % working.code
        if line["kind"] == "failed":
            log = ", see %s" % working.log if working.log else ""
            print("shard: unit %s failed: %s%s" % (working.unit.name, said, log), file=sys.stderr, flush=True)
        return dict(line, reason=reason, detail=detail or None)

    def _clear(self, working):
        for path in working.results.values():
            try:
                os.unlink(path)
            except OSError:
                pass
        try:
            os.rmdir(working.folder)
        except OSError:
            remove_tree(working.folder)


def _now():
    return round(time.time(), 3)


def _signal(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
