"""The unit for systemd that `attend --unit` prints."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from esap_wf.cli.attend import UNIT, unit_file
from esap_wf.config import Config

#: What systemd would take for something else: spaces, quotes, variables, specifiers, escapes.
STRANGE = 'a b/it\'s "50 %h" $HOME/back\\slash/é'


def read(text: str) -> dict[str, dict[str, list[str]]]:
    """Sections of a unit: key → values."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in filter(None, text.splitlines()):
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        else:
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found


def words(value: str, command: bool = False) -> list[str]:
    """As systemd splits a value."""
    plain = [word.replace("%%", "%") for word in shlex.split(value)]
    return [word.replace("$$", "$") for word in plain] if command else plain


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / STRANGE / "store", tmp_path / STRANGE / "cache", tmp_path / "config.toml")


def test_it_names_program_and_store_and_what_decides_where_things_are(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"/opt/{STRANGE}:/usr/bin")
    service = read(unit_file(config))["Service"]
    program, *arguments = words(service["ExecStart"][0], command=True)
    assert Path(program).is_absolute() and Path(program).name == "esap-wf" and os.access(program, os.X_OK)
    assert arguments == ["--store", str(config.store), "attend"]
    assert [word for value in service["Environment"] for word in words(value)] == [
        f"ESAP_WF_CONFIG={config.source}",
        f"ESAP_WF_CACHE={config.cache}",
        f"PATH=/opt/{STRANGE}:/usr/bin",
    ]


def test_supervisors_outlive_it_and_it_comes_back(config: Config) -> None:
    unit = read(unit_file(config))
    assert unit["Service"]["KillMode"] == ["process"], "they are its children"
    assert unit["Service"]["Restart"] == ["on-failure"]
    assert unit["Install"]["WantedBy"] == ["default.target"]
    configparser.ConfigParser(strict=False, interpolation=None).read_string(unit_file(config))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
@pytest.mark.parametrize("spoilt", [False, True])
def test_systemd_finds_nothing_wrong_with_it(config: Config, tmp_path: Path, spoilt: bool) -> None:
    file = tmp_path / UNIT
    text = unit_file(config)
    file.write_text(text.replace("KillMode", "KillMod") if spoilt else text)
    (tmp_path / "runtime").mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(file)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ("KillMod" in done.stderr) if spoilt else (done.returncode, done.stderr) == (0, ""), done
