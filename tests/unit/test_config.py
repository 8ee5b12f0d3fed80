"""Configuration and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esap_wf import config, errors
from esap_wf.errors import EsapError, ExitCode, Problem, UsageError


def test_an_option_wins_over_the_environment_and_that_over_the_file(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.root / "config.toml").write_text("store = 'kept'\ncache = '/c'\nworkflows = ['w', '~/x']\n")
    assert config.load("/given").store == Path("/given")
    assert config.load().store == place.store
    monkeypatch.delenv("ESAP_WF_STORE")
    monkeypatch.delenv("ESAP_WF_CACHE")
    loaded = config.load()
    assert loaded.store == place.root / "kept", "relative to the file"
    assert loaded.cache == Path("/c")
    assert loaded.workflows == (place.root / "w", place.root / "home" / "x")


def test_defaults_follow_xdg(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ESAP_WF_STORE",
        "ESAP_WF_CACHE",
        "ESAP_WF_CONFIG",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    home = place.root / "home"
    assert config.load().store == home / ".local/share/esap-wf"
    assert config.load().cache == home / ".cache/esap-wf"
    assert config.load().source == home / ".config/esap-wf/config.toml"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert config.load().store == Path("/data/esap-wf")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert config.load().store == home / ".local/share/esap-wf", (
        "a relative path is ignored, as the specification says"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stroe = 'x'", "stroe: unknown key"),
        ("store = 5", "store: must be a path"),
        ("workflows = 'x'", "must be a list of folders"),
        ("workflows = [5]", "must be a list of folders"),
        ("engines = 5", "[engines.NAME]"),
        ("[backends]\nx = 5", "[backends.NAME]"),
        ("a = = 1", "config.toml"),
        ("\xff", "config.toml"),
    ],
)
def test_a_broken_file_is_told_with_its_path(place: Any, text: str, said: str) -> None:
    (place.root / "config.toml").write_text(text, "latin-1")
    with pytest.raises(UsageError) as caught:
        config.load()
    assert said in str(caught.value)
    assert str(place.root / "config.toml") in str(caught.value)


def test_a_folder_in_place_of_the_file_is_told(place: Any) -> None:
    (place.root / "config.toml").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        config.load()


def test_workflows_of_configured_folders_are_found_and_broken_ones_listed(
    inside: Any, place: Any, toy: Any
) -> None:
    toy(at="more/mine")
    (place.root / "more/broken").mkdir()
    (place.root / "more/broken/workflow.yaml").write_text("a: [")
    (place.root / "config.toml").write_text("workflows = ['more']\n")
    rows = {r["name"]: r for r in inside("workflows", "--json").json["workflows"]}
    assert rows["mine"]["source"] == "configured"
    assert "broken/workflow.yaml" in rows["broken"]["error"]
    told = {key: rows["hello"][key] for key in ("name", "title", "engines", "source")}
    assert told == {
        "name": "hello",
        "title": "Hello",
        "engines": ["snakemake", "nextflow", "cwl", "toil"],
        "source": "built-in",
    }
    assert inside("show", "mine", "--json").json["name"] == "mine"


def test_errors_say_what_where_why_and_what_next() -> None:
    error = UsageError("it is wrong", [Problem("file:1:2", "why", "what next"), Problem("", "only this")])
    assert str(error) == "it is wrong\n  file:1:2: why (what next)\n  only this"
    assert error.as_dict() == {
        "code": "invalid",
        "message": "it is wrong",
        "problems": [
            {"where": "file:1:2", "what": "why", "hint": "what next"},
            {"where": "", "what": "only this", "hint": ""},
        ],
    }


def test_every_error_has_the_exit_code_of_the_contract() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, EsapError)]
    codes = {k.__name__: (k.code, int(k.exit_code)) for k in kinds}
    assert codes == {
        "EsapError": ("internal", 5),
        "UsageError": ("invalid", 2),
        "NotFoundError": ("not-found", 2),
        "RefusedError": ("refused", 3),
        "UnavailableError": ("unavailable", 4),
        "RunFailedError": ("run-failed", 1),
        "StoppedError": ("interrupted", 130),
    }
    assert int(ExitCode.INTERRUPTED) == 130
