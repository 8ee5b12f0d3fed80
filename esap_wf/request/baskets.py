"""Items of a shopping basket as a request's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from esap_wf.basket import rules
from esap_wf.errors import Problem
from esap_wf.formats.quantities import human_count
from esap_wf.models.basket import Basket, Item
from esap_wf.models.manifest import Input
from esap_wf.models.request import BASKET, DataRef

#: Items that are told one by one.
SHOWN = 20


def into(
    basket: Basket,
    declared: Mapping[str, Input],
    given: Mapping[str, list[str]],
    partly: bool,
) -> tuple[dict[str, list[str]], list[Problem], list[str]]:
    """
    The references of a request, with those of a basket.

    Parameters
    ----------
    basket : Basket
    declared : mapping
        The workflow's inputs.
    given : mapping
        Input → references. Those that begin with ``basket:`` pick items, in place of the rules of that input;
        an input with others gets none by its rules.
    partly : bool
        Whether items that are refused, or name no data, may be left out.

    Returns
    -------
    inputs : dict of str to list of str
    problems : list of Problem
    warnings : list of str
    """
    found = rules.assign(basket, declared, {name: refs for name, refs in given.items() if name in declared})
    own = {n for n, refs in given.items() if refs and not any(r.startswith(BASKET) for r in refs)}
    bad = [Problem(f"basket, item {one.index}", one.what) for one in basket.refused]
    bad += [
        Problem(f"basket, item {one.item.index}: {one.item.title}", f"for {one.input}: {one.item.why}")
        for one in found.unreachable
        if one.input not in own
    ]
    problems = [] if partly else _few(bad, "leave them out with --skip-bad-items")
    problems += _few(
        [
            Problem(f"basket, item {item.index}: {item.title}", f"fits {' and '.join(names)}")
            for item, names in found.ambiguous
            if not own.issuperset(names)
        ],
        "pick it: --input NAME=basket:ARCHIVE:SCOPE:NAME",
    )
    problems += [
        Problem(
            f"input {name}",
            f"takes one file, and {human_count(count, 'item')} of the basket fit",
            f"pick one: --input {name}=basket:ARCHIVE:SCOPE:NAME",
        )
        for name, count in found.crowded.items()
        if name not in own
    ]
    problems += [_nothing(name, texts) for name, texts in given.items() if _picks_nothing(name, texts, found)]
    warnings = []
    if partly and bad:
        warnings.append(f"{human_count(len(bad), 'item')} of the basket left out: {bad[0]}")
    if left := found.left_over:
        named = ", ".join(item.title for item in left[:3])
        many = f"{human_count(len(left), 'item')} of the basket {'is' if len(left) == 1 else 'are'} not used"
        warnings.append(f"{many}: {named}{', …' if len(left) > 3 else ''}")
    inputs = {name: [r for r in refs if not r.startswith(BASKET)] for name, refs in given.items()}
    for name, refs in found.references().items():
        if name not in own:
            # who has collected something twice doesn't want it counted twice
            once = list(dict.fromkeys(refs))
            inputs[name] = [*inputs.get(name, []), *once]
            if more := len(refs) - len(once):
                many = human_count(more, "item")
                warnings.append(f"{many} of the basket left out of {name}: the same is there already")
    return {name: refs for name, refs in inputs.items() if refs}, problems, warnings


def _picks_nothing(name: str, texts: Iterable[str], found: rules.Assignment) -> bool:
    picks = any(text.startswith(BASKET) for text in texts)
    return picks and not any(one.input == name for one in (*found.mapped, *found.unreachable))


def _nothing(name: str, texts: Iterable[str]) -> Problem:
    picked = next(text for text in texts if text.startswith(BASKET))
    hint = "esap-wf basket map shows what there is"
    return Problem(f"--input {name}={picked}", "no item of the basket is called like that", hint)


def _few(problems: list[Problem], hint: str) -> list[Problem]:
    """The first of many, and how many more there are."""
    shown = [Problem(one.where, one.what, hint) for one in problems[:SHOWN]]
    more = len(problems) - SHOWN
    return [*shown, *([Problem("basket", f"and {human_count(more, 'more item')}", hint)] if more > 0 else [])]


def contradictions(basket: Basket, inputs: Mapping[str, Iterable[DataRef]]) -> list[Problem]:
    """
    Items of which the basket says something else than the catalogue does now: a name is never given out
    again, so that one of them is wrong.
    """
    items = {item.uri: item for item in basket.items if item.uri}
    return [
        Problem(f"basket, item {item.index}: {item.title}", what, "collect it again")
        for refs in inputs.values()
        for ref in refs
        if (item := items.get(ref.uri)) and (what := _differs(item, ref))
    ]


def _differs(item: Item, ref: DataRef) -> str:
    if item.bytes is not None and ref.bytes is not None and item.bytes != ref.bytes:
        return f"it has {item.bytes} bytes by the basket, and {ref.bytes} by the catalogue"
    for kind, value in item.checksums.items():
        known = ref.checksums.get(kind)
        if known and known.lower() != value.lower():
            return f"its {kind} is {value} by the basket, and {known} by the catalogue"
    return ""
