"""A function of a script that is imported once: a unit costs a fork then, and no start of a program."""

import importlib.util
import os
import sys
import traceback

from shard_files import ShardError


def load(text):
    """
    Import a script and return its function: ``SCRIPT`` (then `unit`) or ``SCRIPT:FUNCTION``.

    Raises
    ------
    ShardError
        There is no such script or function, or the import fails.
    """
    path, _, name = text.partition(":")
    name = name or "unit"
    if not path.endswith(".py"):
        raise ShardError("--call %s: a script's name ends in .py" % path)
    if not os.path.isfile(path):
        raise ShardError("--call %s: there is no such script" % path)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("shard_script", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["shard_script"] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit):
        raise ShardError("--call %s can't be imported:\n%s" % (path, traceback.format_exc()))
    function = getattr(module, name, None)
    if not callable(function):
        raise ShardError("--call %s: it has no function %s(values, results)" % (path, name))
    return function


def carry_out(function, values, results):
    """Call it in a process of its own, and say with which code that ends: 0, or 1 with a traceback."""
    code = 1
    try:
        function(values, results)
        code = 0
    except SystemExit as error:
        if error.code is None:
            code = 0
        elif isinstance(error.code, int):
            code = error.code & 255
        else:
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        code = code or 1
    return code
