"""The verb chain: several workflows, each on results of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.cli.output import Answer, completes, table
from esap_wf.cli.setup import group
from esap_wf.errors import ExitCode

if TYPE_CHECKING:
    from esap_wf.flow import Started
    from esap_wf.models.run import State

chain = group("chain", "Several workflows, each on results of others; every link is an ordinary run.")


@chain.command("plan", examples=["esap-wf chain plan examples/chain.yaml"])
@click.argument("file", shell_complete=completes("file"))
@click.pass_obj
def plan(answer: Answer, file: str) -> None:
    """Show what each link would do, and which are done. Nothing is started."""
    from esap_wf import chaining
    from esap_wf.cli.planned import cost_text, time_text

    read = chaining.read(Path(file))
    rows: list[dict[str, Any]] = []
    cells = []
    for name, workflow, made, run in chaining.plans(read, answer.config()):
        needs = sorted(set(chaining.needs(read, name)))
        rows.append(
            {
                "link": name,
                "workflow": workflow.manifest.name,
                "needs": needs,
                "run": run.id if run else None,
                "backend": made.backend if made else None,
                "estimate": made.estimate if made else None,
            }
        )
        what = (
            f"done: {run.id}"
            if run
            else "to be run"
            if made
            else f"planned when {' and '.join(needs)} is done"
        )
        cells.append([name, workflow.manifest.name, what, *_cost(made, time_text, cost_text, bool(run))])
    answer.give({"links": rows}, table(cells, ["link", "workflow", "", "how long", "how much"]))


def _cost(made: Any, long: Any, much: Any, is_done: bool) -> list[str]:
    return ["", ""] if made is None or is_done else [long(made).partition(" (")[0], much(made)]


@chain.command("run", examples=["esap-wf chain run examples/chain.yaml"])
@click.argument("file", shell_complete=completes("file"))
@click.option(
    "--if-exists",
    type=click.Choice(["reuse", "rerun"]),
    default="reuse",
    show_default=True,
    help="What to do with links that are done.",
)
@click.pass_obj
def run(answer: Answer, file: str, if_exists: str) -> int:
    """
    Run the links one after the other. What is done is not repeated: after a failure or an interruption, the
    same command goes on with the first link that is not finished.
    """
    from esap_wf import chaining
    from esap_wf.cli.start import followed
    from esap_wf.flow import IfExists

    code = ExitCode.DONE

    def follow(name: str, started: Started) -> State:
        nonlocal code
        verb = "goes on with" if started.resumed else "is" if started.attached else "begins:"
        answer.say(f"link {name} {verb} run {started.run.id} in {started.run.dir}")
        for note in started.notes:
            answer.say(note)
        state, code = followed(answer, started, False, not started.attached or started.resumed)
        return state

    rows = []
    for one in chaining.run(chaining.read(Path(file)), answer.config(), follow, IfExists(if_exists)):
        if one.reused:
            answer.say(f"link {one.name} is done: run {one.run.id}")
        rows.append(
            {
                "link": one.name,
                "run": one.run.id,
                "workflow": one.workflow,
                "phase": one.state.phase,
                "reused": one.reused,
            }
        )
    cells = [[r["link"], r["workflow"], r["run"], str(r["phase"])] for r in rows]
    answer.give({"links": rows, "exit_code": int(code)}, table(cells, ["link", "workflow", "run", ""]))
    return code
