"""Baskets in every shape in which ESAP sends them, and what can't be one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esap_wf.basket import items, wire
from esap_wf.errors import UsageError
from esap_wf.models.basket import Basket, Item

RUCIO: dict[str, Any] = {
    "archive": "rucio",
    "record": {
        "scope": "CTA_SCOPE",
        "name": "gps_110380.fits",
        "bytes": 5466000,
        "adler32": "0CC737EB",
        "type": "FILE",
    },
}


def read(data: Any) -> Basket:
    return items.read(data if isinstance(data, str) else json.dumps(data), "basket.json", "lake")


def one(data: Any) -> Item:
    (item,) = read(data).items
    return item


def packed(item: Any, times: int = 1) -> Any:
    """As the gateway gives it back; each read, change and write nests it once more."""
    for _ in range(times):
        item = {"item_data": json.dumps(item), "user_profile": "gareth"}
    return item


PROFILE = {"user_name": "gareth", "shopping_cart": [packed(RUCIO), RUCIO]}


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (RUCIO, 1),
        ([RUCIO, RUCIO], 2),
        ([], 0),
        ({"shopping_cart": [RUCIO]}, 1),
        ({"shopping_cart": []}, 0),
        (PROFILE, 2),
        ({"description": "ESAP API Gateway", "count": 0, "pages": 1, "results": [PROFILE]}, 2),
        ({"count": 7, "results": [packed(RUCIO), {"item_data": RUCIO}]}, 2),
        (packed(RUCIO), 1),
        (packed(RUCIO, 3), 1),
    ],
)
def test_each_shape_is_understood(data: Any, count: int) -> None:
    basket = read(data)
    assert (len(basket.items), basket.refused) == (count, [])
    assert {item.uri for item in basket.items} <= {"rucio://lake/CTA_SCOPE/gps_110380.fits"}


def test_a_rucio_item_has_its_size_its_checksum_and_what_else_was_said() -> None:
    item = one({**RUCIO, "record": {**RUCIO["record"], "obs_id": 110380, "guid": None}})
    assert (item.bytes, item.checksums, item.product) == (5466000, {"adler32": "0cc737eb"}, "file")
    assert item.metadata == {"obs_id": 110380}


def test_rows_of_the_vo_have_address_product_position_and_time() -> None:
    row = {
        "access_url": "https://vo.example.org/a.fits",
        "dataproduct_type": "Image",
        "s_ra": 10.5,
        "s_dec": "-30",
    }
    item = one({"archive": "samp", "record": {**row, "t_min": 60000.5, "t_max": "60001", "obs_id": "x1"}})
    assert (item.uri, item.product, item.ra, item.dec) == (row["access_url"], "image", 10.5, -30.0)
    assert (item.begin, item.end) == ("2023-02-25T12:00:00Z", "2023-02-26T00:00:00Z")
    assert item.name == "x1"


def test_an_item_without_data_says_why_and_what_to_do() -> None:
    zooniverse = {
        "archive": "zooniverse",
        "catalog": "project",
        "project_id": 1104,
        "category": "classifications",
    }
    lofar = {"archive": "lofar", "record": {"sas_id": "727108", "project": "LC12_027"}}
    registry = {"archive": "vo_reg", "record": ["v1", "v2"]}
    for item in read([zooniverse, lofar, registry, {"archive": "panoptes", "x": 1}]).items:
        assert item.uri == ""
        assert item.why
    assert (
        one({"archive": "vo_reg", "record": ["image", "http://x.org/a.fits", "1.2"]}).uri
        == "http://x.org/a.fits"
    )


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"archive": "rucio", "record": {"scope": "cta"}}, "record.name"),
        ({"archive": "rucio", "record": {"scope": "cta", "name": "../x"}}, "no name of data"),
        ({"archive": "rucio", "record": {"scope": "cta", "name": "-rf"}}, "no name of data"),
        ({"archive": "rucio", "record": {"scope": "cta", "name": "a\nb"}}, "control"),
        ({"archive": "rucio", "record": {"scope": "cta", "name": "$(id)"}}, "no name of data"),
        ({"archive": "rucio", "record": {"scope": "c t a", "name": "x"}}, "no scope"),
        ({"archive": "rucio", "record": {"scope": "cta", "name": "x" * 400}}, "record.name"),
        ({"archive": "rucio", "record": {"scope": "cta", "name": "x", "bytes": -1}}, "record.bytes"),
        ({"archive": "rucio", "record": {"scope": "cta", "name": "x", "adler32": "zz"}}, "record.adler32"),
        ({"archive": "rucio"}, "record"),
        ({"archive": "astron_vo", "record": {"url": "file:///etc/passwd"}}, "address"),
        ({"archive": "astron_vo", "record": {"url": "https://x/a\u202eb"}}, "control"),
        ({"archive": "zooniverse", "project_id": "many"}, "project_id"),
        ({"archive": 7}, "archive"),
        ({"record": {}}, "archive"),
        ("no json", "no JSON"),
        ({"item_data": "{"}, "no JSON"),
        (packed(RUCIO, 20), "packed"),
        (7, "object"),
        (None, "object"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_and_the_rest_goes_on(item: Any, said: str) -> None:
    basket = read([RUCIO, item, RUCIO])
    assert [i.index for i in basket.items] == [1, 3]
    assert [r.index for r in basket.refused] == [2]
    assert said in basket.refused[0].what


@pytest.mark.parametrize("text", ["", "{", "7", '"text"', "{}", '{"results": 7}', "[" * 100_000])
def test_what_is_no_basket_says_so(text: str) -> None:
    with pytest.raises(UsageError, match="basket can't be read"):
        read(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["archive", "record", "item_data", "scope", "name", "url", "results", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(
        JSON | st.fixed_dictionaries({"archive": st.sampled_from(sorted(wire.ARCHIVES)), "record": JSON}),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_nothing_that_is_sent_breaks_it_or_gets_lost(data: list[Any]) -> None:
    basket = read(json.dumps(data))
    assert sorted([i.index for i in basket.items] + [r.index for r in basket.refused]) == [
        *range(1, len(data) + 1)
    ]
    for item in basket.items:
        assert bool(item.uri) != bool(item.why)
        assert item.uri.startswith(("rucio://lake/", "http://", "https://", "HTTP")) or not item.uri
        assert all(c.isprintable() for c in item.name + item.uri)
