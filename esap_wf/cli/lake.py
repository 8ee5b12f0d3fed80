"""The verb lake: what lies in a data lake, and what is put there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.cli.output import Answer, completes, table
from esap_wf.cli.setup import group
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats.quantities import human_bytes, human_count, human_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esap_wf.config import Config
    from esap_wf.datalakes import Did, Entry, Lake, Replica

lake = group("lake", "Find data in a data lake, look at it, and put some there.")
#: Names that are shown to people; the JSON has all.
SHOWN = 1000


@lake.command(
    "find",
    examples=["esap-wf lake find local:cta", "esap-wf lake find 'local:cta:*.fits' --where obs_id=110380"],
)
@click.argument("place", metavar="[LAKE:]SCOPE[:PATTERN]", shell_complete=completes("lake"))
@click.option(
    "--where", "metadata", metavar="KEY=VALUE", multiple=True, help="Only with this metadata; repeatable."
)
@click.option("--kind", type=click.Choice(["file", "dataset", "container"]), help="Only of this kind.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many.")
@click.pass_obj
def find(answer: Answer, place: str, metadata: tuple[str, ...], kind: str | None, limit: int | None) -> None:
    """
    List data in a scope by name. In a PATTERN, * stands for any letters. Without LAKE, the lake of this run
    store is meant: local.
    """
    from itertools import islice

    from esap_wf.datalakes import BATCH, Content, lake

    name, scope, pattern = _named(answer.config(), place)
    asked = lake(answer.config(), name)
    wanted = dict(_pair(text) for text in metadata)
    found = list(
        islice(
            asked.find(scope, pattern or "*", content=Content(kind) if kind else None, metadata=wanted), limit
        )
    )
    rows = []
    for begin in range(0, len(found), BATCH):
        entries = asked.describe(found[begin : begin + BATCH])
        rows += [_row(name, entries[did]) for did in found[begin : begin + BATCH] if did in entries]
    header = ["did", "kind", "size", "created"]
    cells = [
        [r["did"], r["kind"], human_bytes(r["bytes"]) if r["bytes"] is not None else "", r["created"]]
        for r in rows[:SHOWN]
    ]
    text = table(cells, header) if rows else f"nothing in {name}:{scope} fits {pattern or '*'}"
    if len(rows) > SHOWN:
        text += f"\n… and {human_count(len(rows) - SHOWN, 'more name')}: --json lists all"
    answer.give({"lake": name, "found": rows}, text)


@lake.command("show", examples=["esap-wf lake show cta:events.fits"])
@click.argument("did", metavar="[LAKE:]SCOPE:NAME", shell_complete=completes("lake"))
@click.pass_obj
def show(answer: Answer, did: str) -> None:
    """Show what is known of a file, a dataset or a container, where its copies are, and what is in it."""
    from esap_wf.datalakes import BATCH, Content, NoEntryError, lake

    name, one = _did(answer.config(), did)
    asked = lake(answer.config(), name)
    entry = asked.describe([one]).get(one)
    if entry is None:
        raise NoEntryError(name, one, f"esap-wf lake find {name}:{one.scope}")
    files = list(asked.files(one))
    copies: dict[Did, list[Replica]] = {}
    for begin in range(0, len(files), BATCH):
        copies |= asked.replicas([f.did for f in files[begin : begin + BATCH]])
    row = _row(name, entry)
    if entry.content is Content.FILE:
        row["replicas"] = [_replica(r) for r in copies.get(one, [])]
    else:
        row["files"] = [
            {**_row(name, f), "replicas": [_replica(r) for r in copies.get(f.did, [])]} for f in files
        ]
        row["bytes"] = sum(f.bytes or 0 for f in files)
    answer.give(row, _page(entry, files, copies))


@lake.command("put", examples=["esap-wf lake put events.fits cta:events-110380.fits --set obs_id=110380"])
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), shell_complete=completes("file"))
@click.argument("did", metavar="[LAKE:]SCOPE:NAME", shell_complete=completes("lake"))
@click.option(
    "--set", "metadata", metavar="KEY=VALUE", multiple=True, help="Metadata of the file; repeatable."
)
@click.option("--lifetime", metavar="TIME", help="How long it is to be kept, as in '7 d'; for ever without.")
@click.option("--rse", metavar="RSE", help="The storage element that is to have it.")
@click.option(
    "--dataset", metavar="NAME", help="A dataset of the same scope that is to hold it; made if need be."
)
@click.pass_obj
def put(
    answer: Answer,
    file: Path,
    did: str,
    metadata: tuple[str, ...],
    lifetime: str | None,
    rse: str | None,
    dataset: str | None,
) -> None:
    """Store a file. The same bytes under the same name are stored once; a name never gets other bytes."""
    from esap_wf.datalakes import Content, Did, lake
    from esap_wf.formats.quantities import to_seconds

    name, one = _did(answer.config(), did)
    try:
        seconds = to_seconds(lifetime) if lifetime else None
    except ValueError as error:
        raise UsageError("nothing was stored", [Problem("--lifetime", str(error))]) from None
    asked = lake(answer.config(), name)
    entry = asked.store(file, one, metadata=dict(_pair(t) for t in metadata), seconds=seconds, rse=rse)
    if dataset:
        asked.register(Did(one.scope, dataset), Content.DATASET, [one])
    row = _row(name, entry)
    answer.give(row, f"{row['uri']}  {human_bytes(entry.bytes or 0)}")


@lake.command("rm", examples=["esap-wf lake rm cta:events-110380.fits"])
@click.argument(
    "dids", metavar="[LAKE:]SCOPE:NAME…", nargs=-1, required=True, shell_complete=completes("lake")
)
@click.pass_obj
def rm(answer: Answer, dids: tuple[str, ...]) -> None:
    """Give up data of your own. Its names are never given out again."""
    from esap_wf.datalakes import lake

    config = answer.config()
    by_lake: dict[str, list[Did]] = {}
    for text in dids:
        name, did = _did(config, text)
        by_lake.setdefault(name, []).append(did)
    gone = [f"{name}:{did}" for name, some in by_lake.items() for did in lake(config, name).delete(some)]
    answer.give(
        {"deleted": gone}, "\n".join(f"deleted {did}" for did in gone) or "there was nothing to delete"
    )


@lake.command("allow", examples=["esap-wf lake allow local:cta.proposal-7 --reader alice --writer bob"])
@click.argument("scope", metavar="[LAKE:]SCOPE", shell_complete=completes("lake"))
@click.option("--reader", "readers", metavar="ACCOUNT", multiple=True, help="Who may read it; repeatable.")
@click.option(
    "--writer", "writers", metavar="ACCOUNT", multiple=True, help="Who may store in it; repeatable."
)
@click.option("--private", is_flag=True, help="Nobody but those that are named reads it.")
@click.pass_obj
def allow(
    answer: Answer, scope: str, readers: tuple[str, ...], writers: tuple[str, ...], private: bool
) -> None:
    """
    Say who may read and write a scope of a lake in a folder; it replaces what was said before. Without
    readers and --private everybody reads it. Other lakes have an administration of their own.
    """
    from esap_wf.datalakes import lake
    from esap_wf.datalakes.directory.lake import DirectoryLake

    name, found, pattern = _named(answer.config(), scope)
    if pattern:
        raise UsageError("nothing was changed", [Problem(scope, "a scope is meant, not data in it")])
    asked: Lake = lake(answer.config(), name)
    if not isinstance(asked, DirectoryLake):
        raise RefusedError(f"{name} decides itself who may do what", [Problem(name, "it is no folder")])
    asked.allow(found, readers if readers or private else None, writers)
    who = f"read by {', '.join(readers) or 'its owner alone'}" if readers or private else "read by everybody"
    text = f"{name}:{found} is {who}, written by {', '.join((asked.account, *writers))}"
    answer.give({"lake": name, "scope": found, "readers": list(readers), "writers": list(writers)}, text)


# --- what is written, and how it is shown


def _named(config: Config, text: str) -> tuple[str, str, str]:
    """Lake, scope, and the rest. A first word that is a lake's name is one if more follows."""
    from esap_wf.datalakes import OWN, names

    first, _, rest = text.partition(":")
    if rest and first in names(config):
        scope, _, pattern = rest.partition(":")
        return first, scope, pattern
    return OWN, first, rest


def _did(config: Config, text: str) -> tuple[str, Did]:
    from esap_wf.models.data import Did, lake_and_did
    from esap_wf.models.request import LAKE

    try:
        if text.startswith(LAKE):
            return lake_and_did(text)
        lake, scope, name = _named(config, text)
        if not name:
            raise ValueError("a data identifier is SCOPE:NAME")
        if why := Did(scope, name).wrong():
            raise ValueError(why)
    except ValueError as error:
        raise UsageError("the command line is not valid", [Problem(text[:200], str(error))]) from None
    return lake, Did(scope, name)


def _pair(text: str) -> tuple[str, Any]:
    """``KEY=VALUE``; a value that is a number, true or false is meant as one."""
    import json

    key, is_set, value = text.partition("=")
    if not is_set or not key:
        raise UsageError("the command line is not valid", [Problem(text[:200], "write KEY=VALUE")])
    try:
        meant = json.loads(value)
    except ValueError:
        return key, value
    return key, meant if isinstance(meant, int | float | bool) else value


def _row(lake: str, entry: Entry) -> dict[str, Any]:
    return {
        "did": str(entry.did),
        "uri": entry.did.uri(lake),
        "kind": entry.content,
        "bytes": entry.bytes,
        "checksums": entry.checksums,
        "created": entry.created,
        "account": entry.account,
        "metadata": entry.metadata,
        "expires": entry.expires,
    }


def _page(entry: Entry, files: Sequence[Entry], copies: dict[Did, list[Replica]]) -> str:
    from esap_wf.datalakes import Content

    size = entry.bytes if entry.content is Content.FILE else sum(f.bytes or 0 for f in files)
    lines = [
        f"{entry.did}: {entry.content}, {human_bytes(size or 0)}",
        f"of {entry.account}, since {entry.created}" + (f", until {entry.expires}" if entry.expires else ""),
        *(f"{kind} {digits}" for kind, digits in entry.checksums.items()),
        *(f"{key} = {value}" for key, value in sorted(entry.metadata.items())),
    ]
    if entry.content is Content.FILE:
        lines += [f"copy at {_copy(r)}" for r in copies.get(entry.did, [])] or ["no copy is left"]
        return "\n".join(lines)
    cells = [
        [
            str(f.did),
            human_bytes(f.bytes or 0),
            ", ".join(_copy(r) for r in copies.get(f.did, [])) or "no copy is left",
        ]
        for f in files[:SHOWN]
    ]
    lines += ["", table(cells, ["file", "size", "copies"])] if files else ["nothing is in it"]
    return "\n".join(lines)


def _replica(copy: Replica) -> dict[str, Any]:
    """With what a model leaves out."""
    return {
        "rse": copy.rse,
        "url": copy.url,
        "tier": copy.tier,
        "ready": copy.ready,
        "recall_seconds": copy.seconds,
    }


def _copy(replica: Replica) -> str:
    if replica.ready:
        return replica.rse
    takes = f"recall takes about {human_seconds(replica.seconds)}" if replica.seconds else "not readable now"
    return f"{replica.rse} ({replica.tier}, {takes})"
