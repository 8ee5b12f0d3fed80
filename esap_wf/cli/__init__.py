"""The command line. This module is light: a verb's own module is imported when the verb is called."""

from __future__ import annotations

import os
import sys
import warnings

import click

from esap_wf import __version__
from esap_wf.cli import failures
from esap_wf.cli.output import Answer, completes, open_missing
from esap_wf.errors import ExitCode, Problem, UsageError

#: Verb → module:command, and the line in ``esap-wf --help``.
VERBS: dict[str, tuple[str, str]] = {
    "workflows": ("workflows:workflows", "List the workflows."),
    "show": ("workflows:show", "Show a workflow: parameters, inputs, outputs, resources."),
    "validate": ("start:validate", "Check parameters and inputs without starting anything."),
    "plan": ("start:plan", "Show exactly what would run, what it would cost, and where it fits."),
    "run": ("start:run", "Run a workflow."),
    "list": ("inspect:list_", "List runs."),
    "status": ("inspect:status", "Show phase, progress and failures of a run."),
    "logs": ("logs:logs", "Show the logs of a run."),
    "results": ("inspect:results", "Show or copy the results of a run."),
    "diff": ("inspect:diff", "Show how two runs differ."),
    "cancel": ("control:cancel", "Stop runs."),
    "resume": ("control:resume", "Continue a run that failed, was stopped, or lost its supervisor."),
    "rerun": ("control:rerun", "Run again, if you like with other parameters."),
    "rm": ("control:rm", "Delete runs."),
    "attend": ("attend:attend", "Resume your runs whose supervisor is gone."),
    "backends": (
        "backends:backends",
        "Show what places can do, what is free, and why something doesn't fit.",
    ),
    "check": ("check:check", "Run the no-ops at a place in every engine, and show what works."),
    "basket": ("basket:basket", "Fetch an ESAP shopping basket; show what of it goes to which input."),
    "chain": ("chain:chain", "Run several workflows, each on results of others."),
    "cache": ("cache:cache", "Show what was fetched for runs, and make room."),
    "lake": ("lake:lake", "Find data in a data lake, look at it, and put some there."),
    "doctor": ("doctor:doctor", "Show what is installed, what works, and what is missing."),
    "engines": ("setup:engines", "Show, install and pack engines."),
    "software": ("software:software", "Make the software of workflows ready, and check it."),
    "index": ("setup:index", "Rebuild the index of the run store."),
    "store": ("setup:store", "Create a run store for a group; clean up."),
    "new": ("workflows:new", "Create a new workflow that passes its own test."),
    "init": ("init:init", "Write a manifest for a pipeline that has none."),
    "lint": ("workflows:lint", "Check a workflow and list what is wrong with it."),
    "completion": ("setup:completion", "Print the completion script for a shell."),
}


class Verbs(click.Group):
    """Verbs that are imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of a user's day."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb."""
        if name not in VERBS:
            return None
        import importlib

        module, attribute = VERBS[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"esap_wf.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown verb is told what was probably meant."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            import difflib

            close = difflib.get_close_matches(args[0], VERBS, n=1)
            raise UsageError(
                f"there is no command {args[0]!r}",
                [
                    Problem(
                        "esap-wf",
                        f"unknown command {args[0]!r}",
                        f"did you mean {close[0]}?" if close else "esap-wf --help",
                    )
                ],
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with their line, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"esap-wf {__version__}")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--store",
    metavar="DIR",
    shell_complete=completes("folder"),
    help="Run store (default: $ESAP_WF_STORE, or ~/.local/share/esap-wf).",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Answer with one JSON object; also accepted after the command."
)
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Say on stderr what is decided, and why; -vv: also what the decisions are made from.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
@click.pass_context
def cli(ctx: click.Context, store: str | None, as_json: bool, verbose: int) -> None:
    """
    Run known workflows on your data.

    \b
    Examples:
      esap-wf workflows
      esap-wf run hello
      esap-wf run irf --zenith "40 deg" --site South
      esap-wf status RUN
    """
    if verbose:
        import logging

        from esap_wf.formats import log_lines

        ctx.call_on_close(log_lines.to_stderr(logging.INFO if verbose == 1 else logging.DEBUG))
    ctx.obj = Answer(store=store, as_json=as_json)


def main(argv: list[str] | None = None) -> None:
    """Entry point: exit codes of docs/commands.md, errors as JSON where JSON was asked for."""
    open_missing()
    # what Python thinks of foreign code that is only looked at
    warnings.simplefilter("ignore", SyntaxWarning)
    args = sys.argv[1:] if argv is None else argv
    own = args[: args.index("--")] if "--" in args else args
    as_json = "--json" in own
    if "_ESAP_WF_COMPLETE" in os.environ:
        from esap_wf.cli import shells

        shells.respond(cli)
        return
    try:
        code = _called(args)
    except (Exception, KeyboardInterrupt) as error:
        code = failures.answer(error, as_json)
    sys.exit(int(code))


def _called(args: list[str]) -> int:
    """The exit code of the verb that is named."""
    if wrong := [a for a in args if any("\ud800" <= c <= "\udfff" for c in a)]:
        raise UsageError(
            "the command line is not text", [Problem("command line", f"{a!r} is not UTF-8") for a in wrong]
        )
    code = cli.main(args=args, prog_name="esap-wf", standalone_mode=False)
    sys.stdout.flush()
    return code if isinstance(code, int) else ExitCode.DONE
