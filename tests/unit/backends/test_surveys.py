"""What places say is kept for a while, and outlives an outage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from helpers.shed import Shed, survey

from esap_wf.backends import NeedsPersonError, OutageError, Profile, surveys
from esap_wf.config import Config
from esap_wf.errors import ExitCode, UnavailableError

PROFILE = Profile(name="x", kind="shed")


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def raising(error: Exception) -> Any:
    def answer() -> None:
        raise error

    return staticmethod(answer)


def said(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(Shed, "answer", answer)


def test_a_place_is_asked_once_in_a_while(
    config: Config, sheds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert surveys.known(PROFILE, config.cache) is None
    first = surveys.ask(Shed(), PROFILE, config.cache)
    assert surveys.ask(Shed(), PROFILE, config.cache) == first
    assert surveys.known(PROFILE, config.cache) == first.survey
    assert Shed.asked == ["x"]
    surveys.ask_now(Shed(), PROFILE, config.cache)
    assert Shed.asked == ["x", "x"]


@pytest.mark.parametrize("minutes", [16, -5, None])
def test_what_is_old_or_of_the_future_is_asked_again(
    config: Config, sheds: None, monkeypatch: pytest.MonkeyPatch, minutes: int | None
) -> None:
    time = "once" if minutes is None else ago(minutes=minutes)
    said(monkeypatch, staticmethod(lambda: survey(asked=time)))
    surveys.ask(Shed(), PROFILE, config.cache)
    surveys.ask(Shed(), PROFILE, config.cache)
    assert Shed.asked == ["x", "x"]


def test_what_was_said_under_another_profile_does_not_count(config: Config, sheds: None) -> None:
    surveys.ask(Shed(), PROFILE, config.cache)
    other = msgspec.structs.replace(PROFILE, settings={"host": "elsewhere"})
    assert surveys.known(other, config.cache) is None
    assert surveys.known(msgspec.structs.replace(PROFILE, title="x"), config.cache)


@pytest.mark.parametrize("error", [OutageError("no route"), NeedsPersonError("the key is not known")])
def test_an_outage_falls_back_to_what_was_said_before(
    config: Config, sheds: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    said(monkeypatch, raising(error))
    with pytest.raises(UnavailableError) as caught:
        surveys.ask(Shed(), PROFILE, config.cache)
    assert caught.value.exit_code == ExitCode.UNAVAILABLE
    assert str(error) in str(caught.value)
    said(monkeypatch, staticmethod(lambda: survey(asked=ago(hours=2))))
    old = surveys.ask(Shed(), PROFILE, config.cache)
    assert not old.warning
    said(monkeypatch, raising(error))
    again = surveys.ask(Shed(), PROFILE, config.cache)
    assert again.survey == old.survey
    assert str(error) in again.warning and "what it said 2 h ago counts" in again.warning


@pytest.mark.parametrize(
    "answer", [raising(RuntimeError("a bug")), staticmethod(lambda: None), staticmethod(lambda: 1 / 0)]
)
def test_a_plug_in_that_fails_is_no_traceback(
    config: Config, sheds: None, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    said(monkeypatch, answer)
    with pytest.raises(UnavailableError, match="the plug-in 'shed' failed"):
        surveys.ask(Shed(), PROFILE, config.cache)


@pytest.mark.parametrize("content", [b"", b"{", b'{"profile": 3}', b"\xff\xfe"])
def test_a_broken_file_is_as_good_as_none(config: Config, sheds: None, content: bytes) -> None:
    surveys.ask(Shed(), PROFILE, config.cache)
    (config.cache / "places" / "x" / "survey.json").write_bytes(content)
    assert surveys.known(PROFILE, config.cache) is None
    assert surveys.ask(Shed(), PROFILE, config.cache).survey.cores == 4


def test_a_cache_that_can_not_be_written_costs_a_question(config: Config, sheds: None) -> None:
    config.cache.parent.mkdir(parents=True, exist_ok=True)
    config.cache.write_text("no folder")
    assert surveys.ask(Shed(), PROFILE, config.cache).survey.cores == 4
    assert surveys.known(PROFILE, config.cache) is None
