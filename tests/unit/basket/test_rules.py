"""Which item goes to which input, and what is told of those that go to none."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.basket import rules
from esap_wf.errors import UsageError
from esap_wf.models.basket import Basket, Item
from esap_wf.models.manifest import BasketRule, Input, Region


def item(index: int, name: str = "", **more: Any) -> Item:
    given = {"archive": "rucio", "scope": "cta", "name": name, "uri": f"rucio://local/cta/{name or index}"}
    return Item(index=index, **{**given, **more})


def inputs(**named: Any) -> dict[str, Input]:
    return {
        name: Input(title=name, **{"many": True, **(spec if isinstance(spec, dict) else {"basket": spec})})
        for name, spec in named.items()
    }


def assign(items: list[Item], given: dict[str, Input], **picked: list[str]) -> rules.Assignment:
    return rules.assign(Basket(items=items), given, picked)


DL3, IRF = [BasketRule(name="*dl3*")], [BasketRule(name="irf*", scope="cta")]


def test_each_item_goes_where_its_rule_says() -> None:
    found = assign(
        [item(1, "run1.dl3.fits"), item(2, "irf.fits"), item(3, "other")], inputs(dl3=DL3, irf=IRF)
    )
    assert [(m.input, m.item.index, m.rule) for m in found.mapped] == [
        ("dl3", 1, "name *dl3*"),
        ("irf", 2, "scope cta, name irf*"),
    ]
    assert [i.index for i in found.left_over] == [3]
    assert found.is_clear
    assert found.references() == {
        "dl3": ["rucio://local/cta/run1.dl3.fits"],
        "irf": ["rucio://local/cta/irf.fits"],
    }


def test_what_is_not_clear_is_told() -> None:
    spec = inputs(
        dl3=DL3,
        both=[BasketRule(name="both*")],
        also=[BasketRule(name="*h1")],
        one={"many": False, "basket": IRF},
    )
    items = [item(1, "both1"), item(2, "irf1"), item(3, "irf2"), item(4, "x.dl3", uri="", why="on request")]
    found = assign(items, {**spec, "none": Input(title="none"), "free": Input(title="free", required=False)})
    assert [(i.index, names) for i, names in found.ambiguous] == [(1, ["both", "also"])]
    assert found.crowded == {"one": 2}
    assert [(m.input, m.item.why) for m in found.unreachable] == [("dl3", "on request")]
    assert found.missing == ["both", "also", "none"]
    assert not found.is_clear


def test_the_user_picks_in_place_of_the_rules() -> None:
    items = [item(1, "run1.dl3.fits"), item(2, "run2.fits"), item(3, "run2.fits", archive="samp", scope="")]
    found = assign(items, inputs(dl3=DL3, irf=IRF), dl3=["basket:rucio:cta:run2*"], irf=["/data/irf.fits"])
    assert [(m.input, m.item.index) for m in found.mapped] == [("dl3", 2)]
    assert [i.index for i in found.left_over] == [1, 3]
    assert found.missing == [], "the other input was given as a file"
    without_scope = assign(items, inputs(dl3=DL3), dl3=["basket:*:run2*"])
    assert [m.item.index for m in without_scope.mapped] == [2, 3]


@pytest.mark.parametrize(
    ("picked", "said"),
    [
        ({"dl": ["basket:rucio:x"]}, "dl3"),
        ({"dl3": ["basket:"]}, "basket:ARCHIVE"),
        ({"dl3": ["basket:rucio"]}, "basket:ARCHIVE"),
        ({"dl3": ["basket:a:b:c:d"]}, "basket:ARCHIVE"),
    ],
)
def test_what_picks_nothing_says_how_to_pick(picked: dict[str, list[str]], said: str) -> None:
    with pytest.raises(UsageError) as error:
        assign([item(1)], inputs(dl3=DL3), **picked)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("rule", "meets"),
    [
        (BasketRule(), [1, 2, 3]),
        (BasketRule(archive=["samp", "astron_vo"]), [2, 3]),
        (BasketRule(product=["IMAGE"]), [2]),
        (BasketRule(metadata={"obs_id": 7}), [1, 3]),
        (BasketRule(metadata={"obs_id": ["6", "8"], "project": "P"}), [2]),
        (BasketRule(begin="2026-03-02"), [3]),
        (BasketRule(begin="2026-03-01T11:00:00Z", end="2026-03-01T14:00:00+01:00"), [2]),
        (BasketRule(end="2026-03-10"), [2, 3]),
        (BasketRule(region=Region(ra=359.5, dec=0, radius="1 deg")), [2]),
        (BasketRule(region=Region(ra=10, dec=20, radius="3600 arcsec")), [3]),
        (BasketRule(region=Region(ra=0.2, dec=0, radius="0.001 rad")), []),
    ],
)
def test_a_rule_means_all_that_it_says(rule: BasketRule, meets: list[int]) -> None:
    items = [
        item(1, metadata={"obs_id": "7"}),
        item(
            2,
            archive="samp",
            product="image",
            metadata={"obs_id": 8, "project": "P"},
            ra=0.3,
            dec=0.1,
            begin="2026-03-01T10:00:00Z",
            end="2026-03-01T12:00:00Z",
        ),
        item(3, archive="astron_vo", metadata={"obs_id": 7}, ra=10.0, dec=20.5, begin="2026-03-05T00:00:00Z"),
    ]
    found = assign(items, inputs(any=[rule]))
    assert [m.item.index for m in found.mapped] == meets


@pytest.mark.parametrize(
    "rule",
    [BasketRule(begin="soon"), BasketRule(region=Region(ra=0, dec=0, radius="2 kg"))],
)
def test_a_rule_that_cannot_be_understood_says_where(rule: BasketRule) -> None:
    with pytest.raises(UsageError, match=r"input any: basket\[0\]"):
        assign([item(1)], inputs(any=[rule]))


@given(st.text(alphabet="ab*?[].\\", max_size=8), st.text(alphabet="ab[].\\", max_size=8))
def test_only_star_and_question_mark_are_special(pattern: str, text: str) -> None:
    plain = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    assert rules._pattern(pattern)(text) == bool(re.fullmatch(plain, text, re.DOTALL))
