"""How the command line ends when a verb raises: the error as text or JSON, and the exit code. Light."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable

import click

from esap_wf.cli.output import NAMED, echo, show_error, silence
from esap_wf.errors import EsapError, ExitCode, Problem, RefusedError, UsageError
from esap_wf.formats.reading import NotAFileError

#: What only the system can be blamed for: too long, not permitted, full, gone. Anything else that gets here
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


def answer(error: BaseException, as_json: bool) -> int:
    """
    Show an error that is being handled.

    Parameters
    ----------
    error : BaseException
    as_json : bool

    Returns
    -------
    int
        Exit code.
    """
    for kinds, shown in _ANSWERS:
        if isinstance(error, kinds):
            return shown(error, as_json)
    return _bug(error, as_json)


def _expected(error: EsapError, as_json: bool) -> int:
    show_error(error, as_json)
    return error.exit_code


def _no_arguments(error: click.exceptions.NoArgsIsHelpError, as_json: bool) -> int:
    if as_json:
        what = "a command is missing"
        show_error(UsageError(what, [Problem("command line", what, "esap-wf --help")]), as_json)
    else:
        echo(error.ctx.get_help() if error.ctx else str(error), err=True)
    return ExitCode.USAGE


def _usage(error: click.ClickException, as_json: bool) -> int:
    hint = _help_of(error.ctx) if isinstance(error, click.UsageError) and error.ctx else ""
    param = error.param if isinstance(error, click.MissingParameter) else None
    if param and param.name in ("run", "runs", "other"):
        hint = (
            f"{param.name.upper()} is an id, its first characters, or a name: esap-wf list shows them; {hint}"
        )
    message = error.format_message()
    show_error(UsageError(message, [Problem("command line", message, hint)]), as_json)
    return ExitCode.USAGE


def _help_of(ctx: click.Context) -> str:
    """The help that has the flag in question: with a workflow, its own are among them."""
    from shlex import quote

    named = ctx.meta.get(NAMED)
    return f"{ctx.command_path} {quote(named)} --help" if named else f"{ctx.command_path} --help"


def _interrupted(error: BaseException, as_json: bool) -> int:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut off the answer
    show_error(_Interrupted("interrupted"), as_json)
    signal.signal(signal.SIGINT, before)
    return ExitCode.INTERRUPTED


def _reader_gone(error: BrokenPipeError, as_json: bool) -> int:
    """Of a pipe (`| head`): nothing to tell, and nobody to tell it to."""
    silence(sys.stdout)
    return ExitCode.DONE


def _not_a_file(error: NotAFileError, as_json: bool) -> int:
    show_error(UsageError(f"cannot read {error.filename}", [Problem(error.filename, str(error))]), as_json)
    return ExitCode.USAGE


def _system(error: OSError, as_json: bool) -> int:
    if error.errno not in _ENVIRONMENT:
        return _bug(error, as_json)
    where, what = str(error.filename or "standard output")[:300], os.strerror(error.errno)
    refused = "the system refuses to write the answer"
    if error.filename:
        refused = f"the system refuses access to {where}"
    show_error(RefusedError(refused, [Problem(where, what, "choose another place")]), as_json)
    try:
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)
    return ExitCode.REFUSED


def _bug(error: BaseException, as_json: bool) -> int:
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
    return ExitCode.INTERNAL


#: The first that fits counts.
_ANSWERS: list[tuple[type[BaseException] | tuple[type[BaseException], ...], Callable[..., int]]] = [
    (EsapError, _expected),
    (click.exceptions.NoArgsIsHelpError, _no_arguments),
    (click.ClickException, _usage),
    ((click.Abort, KeyboardInterrupt), _interrupted),
    (BrokenPipeError, _reader_gone),
    (NotAFileError, _not_a_file),
    (OSError, _system),
]
