"""
Run the programs of several steps one after the other, in one process: most of a step's time is the import of its packages.

Steps are lists on standard input, of a module's name and its arguments. A form feed goes before what each prints, its name before its
error. With ``--attempts`` all are run, and what each ended with is printed as one JSON list: a message, or nothing.
"""

import importlib
import json
import sys


def attempt(name: str, arguments: list[str]) -> str:
    sys.argv = [name, *arguments]
    try:
        importlib.import_module(name).main()
    except SystemExit as error:
        return str(error.code or "")
    return ""


def main() -> None:
    steps = json.load(sys.stdin)
    if sys.argv[1:] == ["--attempts"]:
        print(json.dumps([attempt(name, arguments) for name, *arguments in steps]))
        return
    for name, *arguments in steps:
        print(end="\f")
        if error := attempt(name, arguments):
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
