"""Values with units."""

from __future__ import annotations

import math

import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.formats import quantities

FINITE = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False).filter(
    lambda x: x == 0 or abs(x) > 1e-12
)
PAIRS = st.sampled_from(
    [
        ("deg", "rad"),
        ("deg", "arcmin"),
        ("TeV", "GeV"),
        ("TeV", "erg"),
        ("m", "km"),
        ("s", "min"),
        ("1 / (s sr)", "1 / (min sr)"),
    ]
)


@given(FINITE, PAIRS)
def test_a_value_comes_back_from_another_unit(value: float, pair: tuple[str, str]) -> None:
    here, there = pair
    elsewhere = quantities.in_unit(f"{value!r} {here}", there)
    assert math.isclose(
        quantities.in_unit(f"{elsewhere!r} {there}", here), value, rel_tol=1e-12, abs_tol=1e-300
    )
    assert math.isclose(
        elsewhere, (value * u.Unit(here)).to_value(u.Unit(there)), rel_tol=1e-12, abs_tol=1e-300
    )


@given(FINITE)
def test_a_value_in_its_own_unit_is_unchanged(value: float) -> None:
    assert quantities.in_unit(f"{value!r} deg", "deg") == quantities.in_unit(repr(value), "deg") == value


def test_twenty_degrees_are_twenty_however_they_are_written() -> None:
    for text in (
        "20",
        "20.0",
        "2e1",
        "20 deg",
        "20deg",
        " 20  deg ",
        "0.3490658503988659 rad",
        "1200 arcmin",
        "20 °",
    ):
        assert quantities.in_unit(text, "deg") == 20.0, text


@given(st.text(max_size=30))
def test_any_text_is_a_finite_number_or_refused(text: str) -> None:
    try:
        assert math.isfinite(quantities.in_unit(text, "deg"))
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    "text", ["", "deg", "nan", "inf", "-inf", "1e999", "1,5", "0x10", "1_000", "٣", "--5", "$(id)", "1;2"]
)
def test_what_is_no_number_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError):
        quantities.in_unit(text, "deg")


def test_a_unit_of_another_kind_is_refused_with_the_right_ones() -> None:
    with pytest.raises(ValueError, match=r"time.*angle.*deg, arcmin"):
        quantities.in_unit("5 s", "deg")
    with pytest.raises(ValueError, match=r"not a known unit.*deg"):
        quantities.in_unit("5 degrees!", "deg")
    with pytest.raises(ValueError, match="has none"):
        quantities.in_unit("5 m", None)


@pytest.mark.parametrize("unit", ["deg", "TeV", "1 / (s sr)", "m2", "byte", ""])
def test_units_of_astropy_exist(unit: str) -> None:
    assert quantities.unknown_unit(unit) == ""


@pytest.mark.parametrize("unit", ["degre", "furlongs per fortnight", 5, None, "m**("])
def test_units_that_do_not_exist_are_reported(unit: object) -> None:
    assert quantities.unknown_unit(unit)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("2 GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("512 MiB", 2**29),
        (1000, 1000),
        ("1000", 1000),
        ("1.5 kB", 1500),
        ("1 t", 10**12),
        (0, 0),
        ("3 bytes", 3),
    ],
)
def test_amounts_of_memory(text: str | int, n: int) -> None:
    assert quantities.to_bytes(text) == n


@pytest.mark.parametrize(
    ("text", "n"),
    [("15 min", 900), ("2 h", 7200), ("3 d", 259200), (60, 60), ("1.5 h", 5400), ("1 week", 604800)],
)
def test_lengths_of_time(text: str | int, n: int) -> None:
    assert quantities.to_seconds(text) == n


@pytest.mark.parametrize(
    "text", ["", "GB", "-1 GB", "2 GX", "1e30", "nan", float("nan"), float("inf"), -5, "2 h"]
)
def test_what_is_no_amount_of_memory_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="memory"):
        quantities.to_bytes(text)


@given(st.integers(0, 2**53))
def test_an_amount_read_again_is_the_same(n: int) -> None:
    assert quantities.to_bytes(quantities.to_bytes(n)) == n
    assert quantities.to_bytes(str(n)) == quantities.to_bytes(f"{n} B") == n


@given(st.floats(0, 1e18, allow_nan=False))
def test_amounts_and_times_are_shown_for_any_number(n: float) -> None:
    assert quantities.human_bytes(n)
    assert quantities.human_seconds(n)


def test_times_are_shown_as_people_say_them() -> None:
    assert [quantities.human_seconds(s) for s in (5, 42, 119, 3900, 200_000)] == [
        "5.0 s",
        "42 s",
        "2 min",
        "1 h 5 min",
        "2.3 d",
    ]
    assert [quantities.human_bytes(n) for n in (0, 999, 1500, 2e9)] == ["0 B", "999 B", "1.5 kB", "2 GB"]
