"""Documents: what is read, what is refused, and where the problem stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.errors import NotFoundError, UsageError
from esap_wf.formats import documents

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4
        )
    ),
    max_leaves=20,
)


def refused(text: str, source: str = "p.yaml") -> str:
    with pytest.raises(UsageError) as caught:
        documents.parse(text, source)
    return str(caught.value)


@given(JSON)
def test_json_reads_back_as_it_was_written(data: Any) -> None:
    assert documents.parse(json.dumps(data), "p.json").data == data


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.integers(-99, 99) | st.booleans() | st.none(),
        max_size=5,
    )
)
def test_yaml_and_json_of_the_same_mapping_are_the_same(data: Any) -> None:
    text = "\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in data.items()) or "{}"
    assert documents.parse(text, "p.yaml").data == documents.parse(json.dumps(data), "p.json").data


@given(st.text())
def test_any_text_is_read_or_refused_as_usage_error(text: str) -> None:
    for source in ("p.yaml", "p.json"):
        try:
            documents.parse(text, source)
        except UsageError as error:
            assert error.problems
            assert source in error.problems[0].where


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("null", None),
        ("", None),
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("010", 10),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-11-21", "2026-11-21"),
        ("'1'", "1"),
        ("+5", 5),
        (".5", 0.5),
        ("20 deg", "20 deg"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = documents.parse(f"a: {text}", "p.yaml").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_problem_stands_at_file_line_and_column() -> None:
    document = documents.parse("a: 1\nb:\n  - x\n  - c: 2\n", "p.yaml")
    assert document.where(["b", 1, "c"]) == "p.yaml:4:5: b[1].c"
    assert document.where(["b", 9]) == "p.yaml:2:1: b[9]"
    assert document.where() == "p.yaml:1:1"
    assert documents.parse('{\n "a": {"b": 1}}', "p.json").where(["a", "b"]) == "p.json:2:8: a.b"


@pytest.mark.parametrize(
    ("text", "source"),
    [("a: 1\nb: 2\na: 3", "p.yaml"), ('{"a": 1, "a": 2}', "p.json"), ("x: {a: 1, 'a': 2}", "p.yaml")],
)
def test_a_key_that_stands_twice_is_refused(text: str, source: str) -> None:
    assert "'a'" in refused(text, source)
    assert "twice" in refused(text, source)


def test_a_duplicate_key_is_found_at_its_line() -> None:
    assert "p.yaml:3:1" in refused("a: 1\nb: 2\na: 3")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['id']",
        "!!python/name:os.system",
        "!foo bar",
        "!!binary aGk=",
        "!!set {x}",
    ],
)
def test_tags_are_never_executed(tag: str) -> None:
    assert "p.yaml" in refused(f"a: {tag}")


def test_aliases_are_read_but_not_a_bomb_of_them() -> None:
    assert documents.parse("a: &x [1]\nb: *x", "p.yaml").data == {"a": [1], "b": [1]}
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    assert "aliases" in refused(bomb)
    assert "too large" in refused("a: &a [*a]")


def test_merge_keys_are_read() -> None:
    assert documents.parse("a: &a {x: 1, y: 1}\nb: {<<: *a, y: 2}", "p.yaml").data["b"] == {"x": 1, "y": 2}


@pytest.mark.parametrize("text", ["a: .nan", "a: .inf", "a: -.inf", "a: 1e400", "a: [1, {b: .nan}]"])
def test_numbers_that_are_not_finite_are_refused(text: str) -> None:
    assert "not a finite number" in refused(text)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', '{"a": -Infinity}'])
def test_numbers_that_json_has_not_are_refused(text: str) -> None:
    assert "p.json:1:2: a" in refused(text, "p.json")


def test_integers_beyond_64_bits_are_refused() -> None:
    assert "64 bits" in refused(f"a: {2**63}")
    assert documents.parse(f"a: {2**63 - 1}", "p.yaml").data["a"] == 2**63 - 1
    assert "p.yaml" in refused("a: " + "9" * 5000)


def test_nul_and_half_surrogates_are_refused() -> None:
    assert "NUL" in refused('{"a": "x\\u0000"}', "p.json")
    assert "surrogate" in refused('{"a": "\\ud800"}', "p.json")
    assert "p.yaml" in refused("a: x\0y")
    assert documents.parse('{"a": "\\u0000"}', "p.json", schema=True).data == {"a": "\0"}


def test_all_strange_values_are_reported_at_once() -> None:
    message = refused("a: .nan\nb: .inf\n1: x")
    assert message.count("p.yaml:") == 3


def test_keys_that_are_no_text_are_refused() -> None:
    assert "is not text" in refused("1: x")
    assert "p.yaml:1" in refused("? [a, b]\n: x")


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\ta: 1", "a: 1\n---\nb: 2", "a: *nobody", "%YAML 9", "'"]
)
def test_broken_yaml_is_reported_with_its_line(text: str) -> None:
    assert "p.yaml:" in refused(text)


@pytest.mark.parametrize("text", ["", "{", '{"a": }', "[1,]", "nul", "{'a': 1}"])
def test_broken_json_is_reported_with_its_line(text: str) -> None:
    assert "p.json:1:" in refused(text, "p.json")


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    assert documents.load(tmp_path / "p.yaml").data == {"a": 1, "b": "x"}


def test_files_that_are_missing_binary_or_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        documents.load(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="folder"):
        documents.load(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"a: \xff")
    with pytest.raises(UsageError, match=r"not UTF-8: .* at byte 3"):
        documents.load(tmp_path / "b.yaml")
    with (tmp_path / "l.yaml").open("wb") as f:
        f.truncate(documents.MAX_BYTES + 1)
    with pytest.raises(UsageError, match="at most"):
        documents.load(tmp_path / "l.yaml")


def test_a_long_string_is_read() -> None:
    text = "x" * 10_000_000
    assert documents.parse(f'{{"a": "{text}"}}', "p.json").data["a"] == text
    assert documents.parse(f"a: {text}", "p.yaml").data["a"] == text
