"""The units of a shard, and what is done for each: a command or a function, with results and a log."""

import hashlib
import json
import os
import re
import shutil

from shard_files import ShardError, identity

#: A unit's name becomes a part of file names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=+@-]{0,127}")
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_RESULT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)", re.S)
#: More units than that in one process are a mistake.
LARGEST = 1000000


class Part(object):
    """Which of all units a shard has: those from number `first` to `last`, counted from 1."""

    def __init__(self, first, last):
        self.first, self.last = first, last

    @classmethod
    def of(cls, text):
        """
        Read ``201-300``; None is all of them.

        Raises
        ------
        ShardError
            It is no such part, or too large.
        """
        if text is None:
            return cls(1, LARGEST)
        match = re.fullmatch(r"(\d{1,12})-(\d{1,12})", text)
        part = cls(int(match.group(1)), int(match.group(2))) if match else cls(1, 0)
        if not 1 <= part.first <= part.last:
            raise ShardError("--part is %s, and must be like 201-300, counted from 1" % ascii(text))
        if part.last - part.first >= LARGEST:
            raise ShardError("--part is %s: one shard has at most %d units" % (text, LARGEST))
        return part


class Unit(object):
    """One unit: its name, its number among all units, its values."""

    __slots__ = ("name", "number", "values")

    def __init__(self, name, number, values):
        self.name, self.number, self.values = name, number, values


def read_units(path, part, begin=1):
    """
    Read the units of a part from JSON lines, the first of which is that of number `begin`.

    Raises
    ------
    ShardError
        The file can't be read; a line is none, or has no plain name; a name is there twice.
    """
    units, names, number = [], set(), begin - 1
    try:
        with open(path, "rb") as stream:
            for at, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                number += 1
                if part.first <= number <= part.last:
                    units.append(_unit(path, at, number, line, names))
    except OSError as error:
        raise ShardError("%s: %s" % (path, os.strerror(error.errno or 0)))
    return _some(units, part, "%s has %d units" % (path, number - begin + 1))


def _unit(path, at, number, line, names):
    where = "%s:%d" % (path, at)
    try:
        values = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise ShardError("%s: no JSON object: %s" % (where, error))
    if not isinstance(values, dict):
        raise ShardError("%s: no JSON object, but %s" % (where, type(values).__name__))
    name = values.get("unit")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        what = "letters, digits and _.,=+@-, beginning with a letter or digit, at most 128 characters"
        raise ShardError("%s: `unit` is %s, and must be a plain name (%s)" % (where, ascii(name)[:200], what))
    if name in names:
        raise ShardError("%s: the unit %s is there twice" % (where, name))
    names.add(name)
    return Unit(name, number, values)


def numbered(text, digits, part):
    """
    Make units of numbers, as ``1-2000`` says.

    Raises
    ------
    ShardError
        It is none, or there are none in this part.
    """
    match = re.fullmatch(r"(\d{1,12})-(\d{1,12})", text)
    if not match or int(match.group(1)) > int(match.group(2)) or not 1 <= digits <= 20:
        raise ShardError("--numbers is %r, and must be like 1-2000; --digits is from 1 to 20" % text)
    first, last = int(match.group(1)), int(match.group(2))
    begin, end = first + part.first - 1, min(last, first + part.last - 1)
    units = [
        Unit("%0*d" % (digits, n), n - first + 1, {"unit": "%0*d" % (digits, n), "number": n})
        for n in range(begin, end + 1)
    ]
    return _some(units, part, "--numbers %s are %d units" % (text, last - first + 1))


def _some(units, part, there):
    if not units:
        raise ShardError("the shard of units %d to %d is empty: %s" % (part.first, part.last, there))
    return units


def add_values(units, texts):
    """
    Give all units further values, each as ``NAME=TEXT``.

    Raises
    ------
    ShardError
        One is no such text, or units have a value of that name.
    """
    for text in texts:
        match = _RESULT.fullmatch(text)
        if not match:
            raise ShardError("--value is %s, and must be NAME=TEXT" % ascii(text))
        for unit in units:
            if match.group(1) in unit.values:
                raise ShardError("--value %s: unit %s has such a value" % (match.group(1), unit.name))
            unit.values[match.group(1)] = match.group(2)


def existing(texts):
    """Return those of ``NAME=PATH`` that are there."""
    return [path for path in (text.partition("=")[2] for text in texts) if os.path.exists(path)]


def as_text(value):
    """Write a value as an argument has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def filled(template, values):
    """
    Replace ``{NAME}`` in one argument; ``{{`` and ``}}`` stand for braces.

    Raises
    ------
    KeyError
        There is no such value.
    """

    def one(match):
        if match.group(1) is None:
            return match.group(0)[0]
        return as_text(values[match.group(1)])

    return _PLACEHOLDER.sub(one, template)


def is_fixed(template):
    """Whether an argument is the same for all units."""
    return not any(match.group(1) for match in _PLACEHOLDER.finditer(template))


def depends(paths, command, call):
    """
    Say what all units depend on: files that are named, and those that the command names, with their content.

    Raises
    ------
    ShardError
        One isn't there.
    """
    for path in paths:
        if not os.path.exists(path):
            raise ShardError("--depends %s: there is no such file" % path)
    named = [a for a in command if is_fixed(a) and os.path.exists(a)]
    called = scripts_beside(call.partition(":")[0]) if call else []
    try:
        return [identity(path) for path in [*paths, *named, *called]]
    except OSError as error:
        raise ShardError("%s: %s" % (error.filename, os.strerror(error.errno or 0)))


def scripts_beside(path):
    """A script, and those of its folder, which it may import."""
    folder = os.path.dirname(path) or "."
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".py")]


def _seen(value):
    """Size and time of a file, or of what a folder holds, that a unit's value names."""
    if not isinstance(value, str) or not value or "\0" in value or not os.path.exists(value):
        return None
    names = sorted(os.listdir(value)) if os.path.isdir(value) else [""]
    about = [os.stat(os.path.join(value, name) if name else value) for name in names]
    return [[names[i], a.st_size, a.st_mtime_ns] for i, a in enumerate(about)]


class Plan(object):
    """
    What is done for each unit.

    Parameters
    ----------
    command : list of str
        Arguments with placeholders; empty if a function is called.
    results : list of str
        ``[NAME=]PATH`` with placeholders, relative to `root`.
    log : str
        The same of its log; empty: none.
    root : str
    depends : list
        Whatever else decides what a unit makes.
    """

    def __init__(self, command, results, log, root, depends):
        self.command, self.root, self.depends = command, root, depends
        self.log_name = log
        self.result_names = {}
        for text in results:
            match = _RESULT.fullmatch(text)
            name, path = match.groups() if match else ("result", text)
            if name in self.result_names:
                raise ShardError("--result: there are two of the name %s; say NAME=PATH" % name)
            self.result_names[name] = path
        self._fixed = ["a file" if is_fixed(a) and os.path.exists(a) else a for a in command]

    def check(self, units):
        """
        Fill everything in once, so that nothing begins that can't be done.

        Raises
        ------
        ShardError
            A placeholder has no value; a path leads out; two units would write one file; no such program.
        """
        if self.command and shutil.which(self.command[0]) is None:
            raise ShardError("there is no program %s" % self.command[0])
        made = {}
        for unit in units:
            paths = list(self.results(unit).values())
            log = self.log(unit)
            for path in paths + ([log] if log else []):
                if path in made:
                    raise ShardError(
                        "%s would be written by the units %s and %s: its name must hold {unit}"
                        % (path, made[path], unit.name)
                    )
                made[path] = unit.name
            if len({os.path.basename(p) for p in paths}) < len(paths):
                raise ShardError("the results of unit %s have the same base name" % unit.name)
            self.arguments(unit, dict.fromkeys(self.result_names, "x"))

    def results(self, unit):
        """Return the paths of a unit's results by name, relative to the root."""
        return {name: self._path(template, unit, "--result") for name, template in self.result_names.items()}

    def log(self, unit):
        """Return the path of its log, relative to the root."""
        return self._path(self.log_name, unit, "--log") if self.log_name else ""

    def arguments(self, unit, results):
        """Return the command of a unit, whose results go to these paths."""
        values = dict(unit.values, **results)
        return [self._filled(a, unit, values, "the command") for a in self.command]

    def key(self, unit):
        """Return what a unit's results depend on, as one short text: equal keys are not done again."""
        values = dict(unit.values, **dict.fromkeys(self.result_names, "a result"))
        named = [_seen(unit.values[name]) for name in sorted(unit.values) if name not in ("unit", "number")]
        for template in self.command:
            argument = "" if is_fixed(template) else self._filled(template, unit, values, "the command")
            if argument and os.path.isfile(argument):
                about = os.stat(argument)
                named.append([about.st_size, about.st_mtime_ns])
        what = [self._fixed, unit.values, self.result_names, self.depends, named]
        text = json.dumps(what, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _filled(self, template, unit, values, where):
        try:
            text = filled(template, values)
        except KeyError as error:
            raise ShardError(
                "%s: there is no value %s for unit %s; there are: %s"
                % (where, error, unit.name, ", ".join(sorted(values)))
            )
        if "\0" in text:
            raise ShardError("%s: a value of unit %s holds a null character" % (where, unit.name))
        return text

    def _path(self, template, unit, option):
        path = self._filled(template, unit, unit.values, option)
        parts = path.split("/")
        if not path or path.startswith("/") or any(p in ("", ".", "..") for p in parts) or len(path) > 1000:
            raise ShardError(
                "%s of unit %s is %s, and must be a relative path without .."
                % (option, unit.name, ascii(path)[:200])
            )
        return path
