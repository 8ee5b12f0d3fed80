"""``show RUN --lineage``: from what a run was made, and by which runs it is used. Light."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
from msgspec import UnsetType

from esap_wf.cli.output import Answer
from esap_wf.formats.printing import clipped, one_line
from esap_wf.formats.quantities import human_count
from esap_wf.runs import lineage
from esap_wf.runs.lineage import Maker, Node, Source, User
from esap_wf.runs.lookup import find_run, index_of
from esap_wf.runs.store import Store

#: Branches of one node that are shown before the rest is only counted; JSON has all.
SHOWN = 12
_GUIDES = ("├─ ", "└─ ", "│  ", "   ")
_PLAIN = ("  ",) * 4


class _Branch(NamedTuple):
    text: str
    below: Sequence[_Branch] = ()


def show(answer: Answer, text: str) -> None:
    """Answer with the lineage of the run that a text means."""
    config = answer.config()
    run = find_run(config, text, answer.say)
    with index_of(Store.open(config.store), config) as index:
        found = lineage.of(run, index)
    if answer.as_json:
        answer.give(msgspec.to_builtins(found), "")
        return
    sources = _sources(found.sources) or [_Branch("nothing: it has no inputs")]
    users = _users(found.used_by) or [_Branch("no run of this store")]
    # a tree's lines are for eyes; what goes to another program is indented only
    guides = _GUIDES if sys.stdout.isatty() and _writes(_GUIDES) else _PLAIN
    lines = [_named(found), "from", *_drawn(sources, guides), "used by", *_drawn(users, guides)]
    answer.give({}, "\n".join(lines))


def _writes(texts: Sequence[str]) -> bool:
    """Whether the terminal has the characters."""
    try:
        "".join(texts).encode(sys.stdout.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def _drawn(branches: Sequence[_Branch], guides: Sequence[str], head: str = "") -> Iterator[str]:
    for number, branch in enumerate(branches):
        last = number == len(branches) - 1
        yield f"{head}{guides[1 if last else 0]}{one_line(branch.text)}"
        yield from _drawn(branch.below, guides, head + guides[3 if last else 2])


def _few(branches: list[_Branch]) -> list[_Branch]:
    rest = len(branches) - SHOWN
    more = f"and {rest} more: --json shows all"
    return [*branches[:SHOWN], _Branch(more)] if rest > 0 else branches


def _sources(sources: list[Source] | UnsetType) -> list[_Branch]:
    """One branch for each input and run: of many files of one run the first stands for all."""
    if isinstance(sources, UnsetType):
        return []
    grouped: dict[tuple[str, str], list[Source]] = {}
    for number, source in enumerate(sources):
        key = str(number) if isinstance(source.run, UnsetType) else source.run.run
        grouped.setdefault((source.input, key), []).append(source)
    return _few([_source(of_one) for of_one in grouped.values()])


def _source(given: list[Source]) -> _Branch:
    first = given[0]
    rest = f"  and {human_count(len(given) - 1, 'more file')} of this run" if len(given) > 1 else ""
    checksum = f"  {_short(first.checksum)}" if first.checksum else ""
    made = next((s.run for s in given if isinstance(s.run, Maker) and not s.run.again), first.run)
    below = [] if isinstance(made, UnsetType) else [_Branch(_named(made), _sources(made.sources))]
    return _Branch(f"{first.input}  {first.uri}{checksum}{rest}", below)


def _short(checksum: str) -> str:
    kind, colon, value = checksum.rpartition(":")
    return f"{kind}{colon}{clipped(value, 13)}"


def _users(users: list[User] | UnsetType) -> list[_Branch]:
    """One branch for each run, whatever the number of inputs by which it uses the one above."""
    if isinstance(users, UnsetType):
        return []
    branches = []
    for _, entries in groupby(users, lambda user: user.run):
        of_one = list(entries)
        first = of_one[0]
        text = f"{_named(first)}  by {first.owner}, as {', '.join(u.input for u in of_one)}"
        branches.append(_Branch(text, _users(first.used_by)))
    return _few(branches)


def _named(node: Node) -> str:
    """``3f2a…  irf  COMPLETED``, and why nothing follows."""
    known = [node.run, *([node.workflow] if node.workflow else []), *([node.phase] if node.phase else [])]
    notes = [node.note] if isinstance(node, Maker) and node.note else []
    notes += ["once more"] if node.again else []
    notes += [f"goes on: esap-wf show {node.run} --lineage"] if node.more else []
    return "  ".join(known) + (f" ({'; '.join(notes)})" if notes else "")
