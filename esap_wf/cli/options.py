"""Options of the verbs that take a request: validate, plan and run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from esap_wf.cli.output import completes

_OPTIONS: list[Callable[[Any], Any]] = [
    click.argument("workflow", required=False, shell_complete=completes("workflow")),
    click.option(
        "--params",
        metavar="FILE",
        shell_complete=completes("file"),
        help="A YAML or JSON file: parameters, or a whole request.",
    ),
    click.option(
        "--param",
        "param",
        metavar="NAME=VALUE",
        multiple=True,
        shell_complete=completes("parameter"),
        help="A parameter that has the same name as an option; may be given several times.",
    ),
    click.option(
        "--input",
        "input_",
        metavar="NAME=REF",
        multiple=True,
        shell_complete=completes("input_"),
        help="An input: a path, rucio://LAKE/scope/name, https://…, or run:RUN/OUTPUT. Each input also has a "
        "flag of its own.",
    ),
    click.option(
        "--basket",
        metavar="FILE|-",
        shell_complete=completes("file"),
        help="A shopping basket, from which inputs are taken; - reads it from standard input.",
    ),
    click.option("--lake", metavar="NAME", help="The lake of the basket's rucio items. [default: local]"),
    click.option(
        "--skip-bad-items",
        is_flag=True,
        help="Leave out items of the basket that are wrong or name no data.",
    ),
    click.option(
        "--backend", metavar="NAME", shell_complete=completes("backend"), help="The backend to run on."
    ),
    click.option(
        "--engine",
        metavar="NAME",
        shell_complete=completes("engine"),
        help="The engine, if the workflow has several.",
    ),
    click.option(
        "--size",
        metavar="SIZE",
        shell_complete=completes("size"),
        help="A size of the workflow, such as small or large.",
    ),
    click.option("--cores", type=click.IntRange(1), metavar="N", help="Number of cores; overrides the size."),
    click.option(
        "--nodes", type=click.IntRange(1), metavar="N", help="Number of nodes, for MPI, Dask or Spark."
    ),
    click.option("--gpus", type=click.IntRange(0), metavar="N", help="Number of GPUs; overrides the size."),
    click.option(
        "--slices",
        type=click.IntRange(1),
        metavar="N",
        help="Cut the work into N pieces, at a place that does not share the run store.",
    ),
    click.option(
        "--shard-size",
        type=click.IntRange(1, 1_000_000),
        metavar="N",
        help="N units share one job of the engine, where the workflow has shards.",
    ),
    click.option("--memory", metavar="BYTES", help='Memory, such as "4 GB"; overrides the size.'),
    click.option("--wall", metavar="TIME", help='Time limit, such as "2 h"; overrides the size.'),
    click.option(
        "--software",
        metavar="ROUTE",
        shell_complete=completes("software"),
        help="How the steps get their software: installed, python, container or mounted.",
    ),
    click.option("--name", metavar="NAME", help="A name for the run."),
    click.option(
        "--tag", metavar="TAG", multiple=True, help="A tag to find the run by; may be given several times."
    ),
    click.option(
        "--results",
        metavar="FOLDER",
        shell_complete=completes("folder"),
        help="A folder to copy the results to.",
    ),
]


def request_options(command: Any) -> Any:
    """Add the options of a request to a verb."""
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command
