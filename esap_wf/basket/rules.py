"""
Which item of a basket goes to which input of a workflow: by the rules of its manifest (`Input.basket`), or as
the user says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from esap_wf.errors import Problem, UsageError
from esap_wf.formats.schemas import closest
from esap_wf.models.basket import Basket, Item
from esap_wf.models.manifest import BasketRule, Input

#: How a user picks items by hand: ``basket:ARCHIVE[:SCOPE]:NAME``, with ``*`` in each.
PREFIX = "basket:"


class Mapped(NamedTuple):
    """An item, the input that it goes to, and by which rule."""

    input: str
    item: Item
    rule: str


@dataclass
class Assignment:
    """
    What goes where.

    Attributes
    ----------
    mapped : list of Mapped
        In the order of the basket.
    ambiguous : list
        Items that fit several inputs, with their names.
    left_over : list of Item
        Those that fit none.
    missing : list of str
        Inputs that are needed and get none.
    crowded : dict
        Inputs that take one file, and how many fit.
    unreachable : list of Mapped
        Those that would fit, but name no data.
    """

    mapped: list[Mapped] = field(default_factory=list)
    ambiguous: list[tuple[Item, list[str]]] = field(default_factory=list)
    left_over: list[Item] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    crowded: dict[str, int] = field(default_factory=dict)
    unreachable: list[Mapped] = field(default_factory=list)

    @property
    def is_clear(self) -> bool:
        """Whether a run could take it as it is."""
        return not (self.ambiguous or self.missing or self.crowded or self.unreachable)

    def references(self) -> dict[str, list[str]]:
        """Input → addresses, in the order of the basket."""
        found: dict[str, list[str]] = {}
        for one in self.mapped:
            found.setdefault(one.input, []).append(one.item.uri)
        return found


def assign(
    basket: Basket, inputs: Mapping[str, Input], picked: Mapping[str, Sequence[str]] | None = None
) -> Assignment:
    """
    Give each item of a basket to the input whose rules it meets.

    Parameters
    ----------
    basket : Basket
    inputs : mapping
        Of the workflow, by name.
    picked : mapping, optional
        Input → references that the user has given for it. Those that begin with `PREFIX` pick items, in place
        of the rules of that input; with others it needs none.

    Raises
    ------
    UsageError
        A rule or a reference can't be understood, or an input isn't there.
    """
    by_hand = {name: list(references) for name, references in (picked or {}).items()}
    if unknown := [name for name in by_hand if name not in inputs]:
        hints = [Problem(f"--input {n}", "there is no such input", closest(n, inputs)) for n in unknown]
        raise UsageError("the items of the basket can't be assigned", hints)
    tests = {name: _tests(name, spec, by_hand.get(name), basket.items) for name, spec in inputs.items()}
    found = Assignment()
    taken: dict[str, int] = {}
    for item in basket.items:
        fits = [(name, why) for name, some in tests.items() for why, meets in some if meets(item)]
        names = list(dict.fromkeys(name for name, _ in fits))
        if not names:
            found.left_over.append(item)
        elif len(names) > 1:
            found.ambiguous.append((item, names))
        else:
            one = Mapped(names[0], item, fits[0][1])
            taken[names[0]] = taken.get(names[0], 0) + 1
            (found.mapped if item.uri else found.unreachable).append(one)
    for name, spec in inputs.items():
        given = any(not text.startswith(PREFIX) for text in by_hand.get(name, ()))
        if not taken.get(name) and not given and spec.required and not spec.default:
            found.missing.append(name)
        if taken.get(name, 0) > 1 and not spec.many:
            found.crowded[name] = taken[name]
    return found


Test = tuple[str, Callable[[Item], bool]]


def _tests(name: str, spec: Input, picked: Sequence[str] | None, items: Sequence[Item]) -> list[Test]:
    """What an item has to meet to be for an input, each in words."""
    if picked is not None:
        return [_by_hand(name, text) for text in picked if text.startswith(PREFIX)]
    where = f"input {name}: basket"
    return [(_words(rule), _test(rule, items, f"{where}[{n}]")) for n, rule in enumerate(spec.basket)]


def _by_hand(name: str, text: str) -> Test:
    parts = text.removeprefix(PREFIX).split(":")
    if len(parts) not in (2, 3) or not all(parts):
        hint = "write basket:ARCHIVE:NAME or basket:ARCHIVE:SCOPE:NAME, as in basket:rucio:cta:*dl3*"
        raise UsageError(
            "the items of the basket can't be assigned",
            [Problem(f"--input {name}={text[:200]}", "it picks no items", hint)],
        )
    archive, *scope, named = map(_pattern, parts)

    def meets(item: Item) -> bool:
        in_scope = not scope or scope[0](item.scope)
        return archive(item.archive) and in_scope and named(item.name)

    return f"--input {text}", meets


def _pattern(text: str) -> Callable[[str], bool]:
    """Whether a text is as a pattern with ``*`` and ``?``; nothing else in it is special."""
    parts = re.split(r"([*?])", text)
    whole = re.compile("".join({"*": ".*", "?": "."}.get(p, re.escape(p)) for p in parts), re.DOTALL)
    return lambda value: whole.fullmatch(value) is not None


def _words(rule: BasketRule) -> str:
    """A rule as people read it."""
    said = [f"archive {' or '.join(rule.archive)}"] if rule.archive else []
    said += [f"{what} {text}" for what, text in (("scope", rule.scope), ("name", rule.name)) if text]
    said += [f"product {' or '.join(rule.product)}"] if rule.product else []
    said += [f"{key} = {value}" for key, value in rule.metadata.items()]
    said += [f"from {rule.begin}"] if rule.begin else []
    said += [f"until {rule.end}"] if rule.end else []
    if rule.region:
        said.append(f"within {rule.region.radius} of {rule.region.ra:g}, {rule.region.dec:g}")
    return ", ".join(said) or "anything"


def _test(rule: BasketRule, items: Sequence[Item], where: str) -> Callable[[Item], bool]:
    """
    Whether an item meets a rule.

    Raises
    ------
    UsageError
        It can't be understood.
    """
    archives, products = frozenset(rule.archive), frozenset(p.lower() for p in rule.product)
    scope, name = (_pattern(t) if t else None for t in (rule.scope, rule.name))
    begin, end = (_moment(t, where) if t else "" for t in (rule.begin, rule.end))
    inside = _inside(rule, items, where)

    def meets(item: Item) -> bool:
        if (archives and item.archive not in archives) or (products and item.product not in products):
            return False
        if (scope and not scope(item.scope)) or (name and not name(item.name)):
            return False
        if (begin or end) and not _observed(item, begin, end):
            return False
        if inside is not None and item.index not in inside:
            return False
        return all(_is_said(item.metadata.get(key), value) for key, value in rule.metadata.items())

    return meets


def _is_said(said: Any, wanted: Any) -> bool:
    """Archives write numbers as texts, too."""
    if isinstance(wanted, list):
        return any(_is_said(said, one) for one in wanted)
    return said is not None and (said == wanted or str(said) == str(wanted))


def _moment(text: str, where: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "write 2026-03-01 or 2026-03-01T12:00:00Z"
        raise UsageError(
            "a rule for items of a basket can't be understood", [Problem(where, f"{text!r} is no time", hint)]
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _observed(item: Item, begin: str, end: str) -> bool:
    """Within the time at least in part; of one time alone is known that it was then."""
    first, last = item.begin or item.end, item.end or item.begin
    return bool(first) and (not end or first <= end) and (not begin or last >= begin)


def _inside(rule: BasketRule, items: Sequence[Item], where: str) -> frozenset[int] | None:
    """Which items were observed in the region of a rule; None if it has none."""
    if rule.region is None:
        return None
    from astropy import units
    from astropy.coordinates import SkyCoord

    from esap_wf.formats.quantities import in_unit

    try:
        radius = in_unit(str(rule.region.radius), "deg")
    except ValueError as error:
        raise UsageError(
            "a rule for items of a basket can't be understood",
            [Problem(f"{where}.region.radius", str(error))],
        ) from None
    placed = [item for item in items if item.ra is not None and item.dec is not None]
    if not placed:
        return frozenset()
    at = SkyCoord([i.ra for i in placed], [i.dec for i in placed], unit="deg")
    centre = SkyCoord(rule.region.ra, rule.region.dec, unit="deg")
    near = at.separation(centre) <= radius * units.deg
    return frozenset(item.index for item, is_near in zip(placed, near, strict=True) if is_near)
