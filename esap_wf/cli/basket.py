"""The verb basket: an ESAP shopping basket, and what of it would go to which input of a workflow."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.cli.output import Answer, completes, table
from esap_wf.cli.setup import group
from esap_wf.errors import ExitCode, Problem, UsageError
from esap_wf.formats.quantities import human_bytes, human_count

if TYPE_CHECKING:
    from esap_wf.basket.rules import Assignment, Mapped
    from esap_wf.config import Config
    from esap_wf.models.basket import Basket, Item

basket = group("basket", "The ESAP shopping basket: fetch it, and see what of it goes to which input.")
#: Rows that are shown to people; the JSON has all.
SHOWN = 200


@basket.command("map", examples=["esap-wf basket map fair --basket basket.json"])
@click.argument("workflow", shell_complete=completes("workflow"))
@click.option(
    "--basket",
    "file",
    metavar="FILE",
    required=True,
    shell_complete=completes("file"),
    help="The basket, in any shape in which ESAP gives one; - reads it from standard input.",
)
@click.option(
    "--input",
    "picked",
    metavar="NAME=basket:ARCHIVE:SCOPE:NAME",
    multiple=True,
    help="Pick the items for an input yourself, with * in each part; repeatable.",
)
@click.option(
    "--lake",
    metavar="NAME",
    default="local",
    help="The configured data lake of the rucio items. [default: local]",
)
@click.pass_obj
def map_(answer: Answer, workflow: str, file: str, picked: tuple[str, ...], lake: str) -> int:
    """
    Show which items of a basket go to which input, by which rule of the workflow, and what is ambiguous, left
    over, missing or refused. Nothing is fetched and nothing is started.
    """
    from esap_wf.basket import rules
    from esap_wf.catalogue import workflows

    config = answer.config()
    found = workflows.find(config, workflow)
    basket = read(config, file, lake)
    assigned = rules.assign(basket, found.manifest.inputs, _by_hand(picked))
    answer.give(_data(basket, assigned), _text(basket, assigned))
    return ExitCode.DONE if assigned.is_clear and not basket.refused else ExitCode.USAGE


@basket.command(
    "pull",
    examples=[
        "esap-wf basket pull --gateway https://esap.example.org/ --token-file ~/.esap-token -o basket.json",
        "esap-wf basket pull | esap-wf run fair --basket -",
    ],
)
@click.option(
    "--gateway",
    metavar="URL",
    help="The gateway's address, https://HOST/esap-api/. [default: $ESAP_WF_GATEWAY]",
)
@click.option(
    "--token-file",
    metavar="FILE",
    shell_complete=completes("file"),
    help="Holds the token that the gateway shows after log-in, and only you can read it."
    " [default: the token in $ESAP_WF_GATEWAY_TOKEN]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    shell_complete=completes("file"),
    help="Where the basket is written. [default: standard output]",
)
@click.pass_obj
def pull(answer: Answer, gateway: str | None, token_file: str | None, output: str | None) -> None:
    """
    Fetch your basket from an ESAP gateway, as basket map and run take it. Nothing is changed there.
    """
    from esap_wf import files
    from esap_wf.basket import gateway as gateways

    named = gateway or os.environ.get(gateways.GATEWAY, "")
    if not named:
        what, hint = "there is no gateway", f"--gateway https://HOST/esap-api/, or {gateways.GATEWAY}"
        raise UsageError("the command line is not valid", [Problem("--gateway", what, hint)])
    path = Path(output).absolute() if output and output != "-" else None
    if path is not None and path.exists() and not path.is_file():
        hint = "without -o the basket goes to standard output"
        raise UsageError("the basket can't be written", [Problem(str(path), "is no file", hint)])
    token = gateways.token(Path(token_file) if token_file else None)
    pulled = gateways.pull(gateways.address(named), token)
    count = human_count(len(pulled.items), "item")
    data = {"items": len(pulled.items), "pages": pulled.pages, "file": str(path) if path else None}
    if path is None:
        # with --json, too, standard output is a basket
        answer.give({**data, "shopping_cart": pulled.items}, pulled.text)
        answer.say(f"{count} in the basket")
    else:
        files.write_atomic(path, f"{pulled.text}\n".encode())
        answer.give(data, f"{path}: {count}")


def read(config: Config, file: str, lake: str) -> Basket:
    """
    A basket from a file, or from standard input if it is called ``-``.

    Raises
    ------
    UsageError
        It can't be read, or there is no such lake.
    """
    from esap_wf.basket import items
    from esap_wf.datalakes import profile
    from esap_wf.formats import reading

    profile(config, lake)
    text = sys.stdin.read() if file == "-" else reading.read_text(Path(file), limit=items.MOST)
    return items.read(text, "standard input" if file == "-" else file, lake)


def _by_hand(picked: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in picked:
        name, is_set, reference = text.partition("=")
        if not is_set:
            hint = "write NAME=basket:ARCHIVE:SCOPE:NAME"
            raise UsageError(
                "the command line is not valid", [Problem(f"--input {text[:200]}", "has no =", hint)]
            )
        found.setdefault(name, []).append(reference)
    return found


def _row(item: Item) -> dict[str, Any]:
    return {
        "index": item.index,
        "archive": item.archive,
        "uri": item.uri or None,
        "name": item.name or None,
        "product": item.product or None,
        "bytes": item.bytes,
        "checksums": item.checksums,
        "why": item.why or None,
    }


def _given(one: Mapped) -> dict[str, Any]:
    return {"input": one.input, "item": _row(one.item), "rule": one.rule}


def _data(read: Basket, assigned: Assignment) -> dict[str, Any]:
    return {
        "mapped": [_given(one) for one in assigned.mapped],
        "unreachable": [_given(one) for one in assigned.unreachable],
        "ambiguous": [{"item": _row(item), "inputs": names} for item, names in assigned.ambiguous],
        "left_over": [_row(item) for item in assigned.left_over],
        "missing": assigned.missing,
        "crowded": assigned.crowded,
        "refused": [{"index": one.index, "what": one.what} for one in read.refused],
    }


def _text(read: Basket, assigned: Assignment) -> str:
    parts = []
    if assigned.mapped:
        rows = [
            [
                one.input,
                one.item.title,
                human_bytes(one.item.bytes) if one.item.bytes is not None else "",
                one.rule,
            ]
            for one in assigned.mapped[:SHOWN]
        ]
        more = len(assigned.mapped) - SHOWN
        parts.append(table(rows, ["input", "item", "size", "by the rule"]))
        parts += [f"… and {human_count(more, 'more item')}: --json lists all"] if more > 0 else []
    lines = [
        f"no data: item {o.item.index}, {o.item.title}, for {o.input}: {o.item.why}"
        for o in assigned.unreachable
    ]
    lines += [
        f"ambiguous: item {i.index}, {i.title}, fits {' and '.join(n)}: pick it, --input {n[0]}=basket:…"
        for i, n in assigned.ambiguous
    ]
    lines += [f"missing: input {name} gets no item" for name in assigned.missing]
    lines += [
        f"too many: input {name} takes one file, and {human_count(count, 'item fits', 'items fit')}"
        for name, count in assigned.crowded.items()
    ]
    lines += [
        f"left over: item {i.index}, {i.title}{f': {i.why}' if i.why else ''}" for i in assigned.left_over
    ]
    lines += [f"refused: item {one.index}: {one.what}" for one in read.refused]
    rest = len(lines) - SHOWN
    parts += lines[:SHOWN] + ([f"… and {human_count(rest, 'more line')}: --json has all"] if rest > 0 else [])
    return "\n".join(parts) or "the basket is empty"
