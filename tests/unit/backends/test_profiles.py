"""Profiles of places: what is wrong with them is told with its line, all at once; a plug-in that fails hurts
no other place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf import backends, plugins
from esap_wf import config as configuration
from esap_wf.backends.places import places
from esap_wf.config import Config
from esap_wf.errors import EsapError, UnavailableError, UsageError
from esap_wf.models.place import Profile


def written(place: Any, text: str) -> Config:
    (place.root / "config.toml").write_text(text)
    return configuration.load()


def wrong(place: Any, text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        backends.profiles(written(place, text))
    return [str(p).replace(str(place.root), "") for p in caught.value.problems]


def test_keys_of_a_kind_stand_beside_the_others(place: Any, sheds: None) -> None:
    config = written(place, "[backends.x]\nkind = 'shed'\nhost = 'far.away'\ncores = 3\n")
    found = backends.profiles(config)["x"]
    assert (found.name, found.cores, found.settings) == ("x", 3, {"host": "far.away"})


def test_all_that_is_wrong_is_told_with_its_line(place: Any, sheds: None) -> None:
    text = """\
[backends.x]
kind = 'shed'
title = '''
[backends.x]
hots = 1
'''
hots = 'far'
coers = 3
port = 70000

[backends.y]
kind = 'local'
host = 'far'
memory = 'much'
[[backends.y.storage]]
name = 'tape'
acess = 'slow'
[[backends.y.storage]]
name = 'disk'
access = 'quick'
"""
    assert wrong(place, text) == [
        "/config.toml:7: backends.x.hots: unknown: hots (did you mean host?)",
        "/config.toml:8: backends.x.coers: unknown: coers (did you mean cores?)",
        "/config.toml:9: backends.x.port: 70000 is greater than the maximum of 65535",
        "/config.toml:13: backends.y.host: unknown: host",
        "/config.toml:17: backends.y.storage[0].acess: unknown: acess (did you mean access?)",
        '/config.toml:20: backends.y.storage[1].access: "quick" is not one of: fast, medium, slow',
        "/config.toml:14: backends.y.memory: 'much' is not an amount of memory (write \"2 GB\", "
        '"512 MiB" or bytes)',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("engines.snakemake = {}", "exactly one of path, environment and image"),
        ("engines.snakemak.path = '/x'", "did you mean snakemake?"),
        ("engines.snakemake.path = 'x'", "absolute, without spaces"),
        ("secrets = ['TZ']", "TZ is also in `environment`"),
        ("settings.host = 'x'", "unknown: settings"),
        ("cores = 0", "less than the minimum of 1"),
        ("caps.heads = 0", "less than the minimum of 1"),
        ("software.modules = ['x; rm -rf /']", "software.modules[0]"),
        ("wall = 'long'", "wall"),
        ("bundle = 'big'", "bundle"),
    ],
)
def test_values_that_can_not_be_meant_are_told(place: Any, text: str, said: str) -> None:
    (found,) = wrong(place, f"[backends.x]\n{text}\n")
    assert said in found and "config.toml:2" in found


def test_a_name_that_is_no_name_of_a_folder_is_refused(place: Any) -> None:
    assert "can't be called '../x'" in wrong(place, "[backends.'../x']\ncores = 1\n")[0]


def test_a_plug_in_that_raises_breaks_no_other_place(place: Any, sheds: None) -> None:
    config = written(place, "[backends.ruin]\nkind = 'collapsed'\n[backends.x]\nkind = 'shed'\n")
    there = places(backends.profiles(config), config.cache, "x")
    assert there.usable["local"].capacity(config.store).cores > 0
    assert there.usable["x"].capacity(config.store).cores == 4
    with pytest.raises(UnavailableError, match="the plug-in 'collapsed' failed: RuntimeError: no floor"):
        there.usable["ruin"].capacity(config.store)


def test_the_keys_of_a_kind_that_is_not_installed_are_kept(place: Any) -> None:
    config = written(place, "[backends.x]\nkind = 'lokal'\nvo = 'ctao'\n")
    found = backends.profiles(config)
    assert found["x"].settings == {"vo": "ctao"}
    there = places(found, config.cache, "x")
    assert there.broken == {"x": "no plug-in for backends of kind 'lokal' is installed (did you mean local?)"}


def test_a_user_with_this_machine_only_loads_no_plug_in(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: Any) -> None:
        raise AssertionError("plug-ins were loaded")

    monkeypatch.setattr(plugins, "load", loaded)
    assert list(backends.profiles(config)) == ["local"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from([*Profile.__struct_fields__, "host", "port", "hots"]) | st.text(max_size=8)


@given(
    table=st.dictionaries(_KEYS, _VALUES, max_size=5),
    kind=st.sampled_from(["local", "shed", "collapsed", "none", 5, None]),
)
def test_whatever_a_profile_holds_it_is_read_or_refused(
    table: dict[str, Any], kind: Any, config: Config, sheds: None
) -> None:
    within = Config(config.store, config.cache, config.source, backends={"x": {"kind": kind, **table}})
    try:
        found = backends.profiles(within)["x"]
    except EsapError as error:
        assert error.problems, "says what is wrong"
    else:
        assert found.name == "x"
        assert isinstance(found, Profile)


def test_a_folder_of_profiles_is_read_with_its_lines(tmp_path: Path, sheds: None) -> None:
    from esap_wf.backends import profile_files
    from esap_wf.formats import documents

    file = tmp_path / "backend.yaml"
    file.write_text("kind: shed\nhost: far\ncaps:\n  haeds: 3\n")
    with pytest.raises(UsageError) as caught:
        document = documents.load(file)
        profile_files._read("x", document, profile_files._kinds({"x": document}))
    assert str(caught.value.problems[0]) == f"{file}:4:3: caps.haeds: unknown: haeds (did you mean heads?)"
