"""
Run many units in one process: a shard, which to an engine is one ordinary job.

    python3 rules/shard --step unit --units units.jsonl --part 201-300 --journal work/shards \\
        --result 'outputs/{unit}.dat' --log 'logs/unit/{unit}.log' --manifest work/shards/unit/201-300.json \\
        -- bash unit.sh '{unit}' '{result}' '{seconds}'

Docs: docs/shards.md. Standard library only, Python 3.6 or later, nothing of esap-wf.
Exit code: 0 all units are done; 1 some failed; 2 it can't be done like this; 74 files can't be written;
75 another attempt has taken over; 143 it was asked to end.
"""

import argparse
import os
import signal
import sys

sys.dont_write_bytecode = True

from shard_call import load  # noqa: E402
from shard_files import ShardError  # noqa: E402
from shard_journal import Journal  # noqa: E402
from shard_manifest import give, write  # noqa: E402
from shard_runner import Runner  # noqa: E402
from shard_units import Part, Plan, add_values, depends, existing, numbered, read_units  # noqa: E402

#: Where the journals of all steps are, if no argument says it: for engines whose jobs can't be told.
JOURNAL = "SHARD_JOURNAL"


def parser():
    """Return the command line."""
    cli = argparse.ArgumentParser(
        prog="shard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = cli.add_argument_group("which units")
    which.add_argument("--step", required=True, help="what a unit is called in journals: [A-Za-z0-9_-]")
    which.add_argument(
        "--units", metavar="FILE", help="a JSON object a line, with the name `unit` and values"
    )
    which.add_argument("--begin", type=int, default=1, help="number of the first one in this file")
    which.add_argument(
        "--numbers", metavar="FIRST-LAST", help="instead: units that are numbers, named 00001 …"
    )
    which.add_argument("--digits", type=int, default=5, help="of such a name")
    which.add_argument(
        "--part", metavar="FIRST-LAST", help="those that this shard has, counted from 1; default: all"
    )
    where = cli.add_argument_group("where")
    where.add_argument(
        "--journal",
        metavar="FOLDER",
        default=os.environ.get(JOURNAL, ""),
        help="outlives this attempt; default: $%s, else a folder here, and a shard that is lost is repeated "
        "whole" % JOURNAL,
    )
    where.add_argument("--root", default=".", help="results and logs are relative to this folder")
    where.add_argument(
        "--result", action="append", default=[], metavar="[NAME=]PATH", help="{NAME} is a name to write to"
    )
    where.add_argument("--log", default="", metavar="PATH", help="of a unit; may hold {unit}")
    where.add_argument(
        "--manifest", required=True, metavar="FILE", help="written last, if all units are done"
    )
    where.add_argument(
        "--give", metavar="FOLDER", help="results are kept beside the journal, and linked here"
    )
    how = cli.add_argument_group("how")
    how.add_argument("--slots", type=int, default=1, help="units at a time")
    how.add_argument("--attempts", type=int, default=1, help="for a unit that fails")
    how.add_argument("--grace", type=float, default=10, help="seconds that units have when it is to end")
    how.add_argument(
        "--depends", action="append", default=[], metavar="PATH", help="done again if it changes"
    )
    how.add_argument(
        "--value", action="append", default=[], metavar="NAME=TEXT", help="a value that all units have"
    )
    how.add_argument(
        "--call", metavar="SCRIPT[:FUNCTION]", help="imported once; unit(values, results) a unit"
    )
    how.add_argument(
        "command", nargs="*", help="after --: the arguments of a unit; {NAME} is replaced in them"
    )
    return cli


def main(argv=None):
    """Run a shard to its end."""
    args = parser().parse_args(argv)
    try:
        return run(args)
    except ShardError as error:
        print("shard: error: %s" % error, file=sys.stderr)
        return error.exit_code


def run(args):
    """
    Run a shard.

    Raises
    ------
    ShardError
        It can't be done, or not to its end.
    """
    if bool(args.units) == bool(args.numbers):
        raise ShardError("say which units: either --units FILE or --numbers FIRST-LAST")
    if bool(args.call) == bool(args.command):
        raise ShardError("say what a unit does: either --call SCRIPT or, after --, a command")
    for name in ("slots", "attempts", "begin"):
        if getattr(args, name) < 1:
            raise ShardError("--%s is %d, and must be 1 or more" % (name, getattr(args, name)))
    part = Part.of(args.part)
    units = (
        numbered(args.numbers, args.digits, part)
        if args.numbers
        else read_units(args.units, part, args.begin)
    )
    add_values(units, args.value)
    outlives = bool(args.journal)
    folder = os.path.join(args.journal or "shard-journal", args.step)
    root = os.path.join(folder, "kept") if args.give else args.root
    function = load(args.call) if args.call else None
    named = args.depends + existing(args.value)
    plan = Plan(args.command, args.result, args.log, root, depends(named, args.command, args.call))
    plan.check(units)
    journal = Journal.begin(folder, args.step, units, root, outlives)
    runner = Runner(plan, units, journal, function, args.slots, args.attempts, args.grace)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, runner.ask_to_end)
    try:
        code = runner.run()
        if code == 0:
            if args.give:
                give(journal, units, root, args.give)
            write(args.manifest, journal, units)
    finally:
        journal.close()
    print(journal.summary(), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
