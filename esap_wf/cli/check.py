"""The verb check: whether a place does what it claims."""

from __future__ import annotations

import click

from esap_wf.cli.output import Answer, Verb, columns, completes, table
from esap_wf.cli.times import lasting
from esap_wf.errors import ExitCode


@click.command("check", cls=Verb, examples=["esap-wf check local", "esap-wf check local --wait 60"])
@click.argument("backend", shell_complete=completes("backend"))
@click.option(
    "--wait",
    type=click.FloatRange(1),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one run may take, with the time that it waits.",
)
@click.pass_obj
def check(answer: Answer, backend: str, wait: float) -> int:
    """
    Run the no-ops at a place in every engine, whole, in slices where it takes a run in pieces, and in a
    container, and show what works. What isn't there is said, and is a failure only if the place's profile
    names it.

    The runs are in a store of their own, which is removed afterwards; if one has failed it is kept, and told.
    """
    from esap_wf.checking import Check

    outcome = Check(answer.config(), backend, wait, answer.say).run()
    words = {True: "ok", False: "FAILED", None: "absent"}
    rows = [(r.engine, r.task, r.way, words[r.ok], lasting(r.wall_seconds), r.reason) for r in outcome.rows]
    text = table(rows, ("engine", "task", "way", "", "took", "why not"), columns())
    if outcome.store:
        text += f"\n\nthe runs are kept: esap-wf --store {outcome.store} list"
    data = {
        "backend": backend,
        "ok": outcome.ok,
        "checks": outcome.rows,
        "store": outcome.store and str(outcome.store),
    }
    answer.give(data, text)
    return ExitCode.DONE if outcome.ok else ExitCode.RUN_FAILED
