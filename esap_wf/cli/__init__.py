"""The command line. This module is light: a verb's own module is imported when the verb is called."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import warnings
from typing import Any

import click

from esap_wf import __version__
from esap_wf.cli.output import NAMED, Answer, completes, echo, open_missing, show_error, silence
from esap_wf.errors import EsapError, ExitCode, Problem, RefusedError, UsageError
from esap_wf.formats.reading import NotAFileError

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
    "doctor": ("doctor:doctor", "Show what is installed, what works, and what is missing."),
    "engines": ("setup:engines", "Show and install engines."),
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
    code: Any
    try:
        if wrong := [a for a in args if any("\ud800" <= c <= "\udfff" for c in a)]:
            raise UsageError(
                "the command line is not text",
                [Problem("command line", f"{a!r} is not UTF-8") for a in wrong],
            )
        code = cli.main(args=args, prog_name="esap-wf", standalone_mode=False)
        code = code if isinstance(code, int) else ExitCode.DONE
        sys.stdout.flush()
    except EsapError as error:
        show_error(error, as_json)
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        if as_json:
            show_error(
                UsageError(
                    "a command is missing",
                    [Problem("command line", "a command is missing", "esap-wf --help")],
                ),
                as_json,
            )
        else:
            echo(error.ctx.get_help() if error.ctx else str(error), err=True)
        code = ExitCode.USAGE
    except click.ClickException as error:
        hint = _help_of(error.ctx) if isinstance(error, click.UsageError) and error.ctx else ""
        if (
            isinstance(error, click.MissingParameter)
            and error.param
            and error.param.name in ("run", "runs", "other")
        ):
            hint = (
                f"{error.param.name.upper()} is an id, its first characters, or a name: esap-wf list "
                f"shows them; {hint}"
            )
        show_error(
            UsageError(error.format_message(), [Problem("command line", error.format_message(), hint)]),
            as_json,
        )
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut off the answer
        show_error(_Interrupted("interrupted"), as_json)
        signal.signal(signal.SIGINT, before)
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # the reader of a pipe has gone (`| head`): nothing to tell, and nobody to tell it to
        silence(sys.stdout)
        code = ExitCode.DONE
    except NotAFileError as error:
        show_error(
            UsageError(f"cannot read {error.filename}", [Problem(error.filename, str(error))]), as_json
        )
        code = ExitCode.USAGE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
            where, what = str(error.filename or "standard output")[:300], os.strerror(error.errno)
            refused = (
                f"the system refuses access to {where}"
                if error.filename
                else "the system refuses to write the answer"
            )
            show_error(RefusedError(refused, [Problem(where, what, "choose another place")]), as_json)
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.exit(int(ExitCode.REFUSED))
            silence(sys.stdout)
            sys.exit(int(ExitCode.REFUSED))
        import traceback

        with contextlib.suppress(OSError):
            traceback.print_exc()
        show_error(
            EsapError(
                f"internal: {type(error).__name__}: {error}",
                [Problem("esap-wf", "this is a bug", "please report the lines above")],
            ),
            as_json,
        )
        code = ExitCode.INTERNAL
    sys.exit(int(code))


def _help_of(ctx: click.Context) -> str:
    """The help that has the flag in question: with a workflow, its own are among them."""
    from shlex import quote

    named = ctx.meta.get(NAMED)
    return f"{ctx.command_path} {quote(named)} --help" if named else f"{ctx.command_path} --help"


#: What only the place can be blamed for: too long, not permitted, full, gone. Anything else that comes so far
#: is a bug.
_ENVIRONMENT = {
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ELOOP,
    errno.EIO,
    errno.ESTALE,
}


class _Interrupted(EsapError):
    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED
