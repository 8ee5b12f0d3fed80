"""A host by SSH answers as every place must: a real sshd, another user, no folder in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from services.sshd import Host

from esap_wf.backends import Profile
from esap_wf.backends.ssh import surveying
from esap_wf.testing import LauncherSuite

pytestmark = pytest.mark.integration


class TestSsh(LauncherSuite):
    host: ClassVar[Host]

    @pytest.fixture(autouse=True)
    @classmethod
    def reached(cls, host: Host) -> Iterator[None]:
        cls.host = host
        yield
        assert host.left() == [], "nothing is left there"
        assert host.processes() == []

    @classmethod
    def profile(cls, root: Path) -> Profile:
        return cls.host.profile()

    @classmethod
    def kept(cls, root: Path) -> list[Path]:
        return [cls.host.home / cls.host.token, cls.host.sockets]


def test_a_host_says_every_command_that_steps_may_call(host: Host) -> None:
    said = surveying.survey(host.profile()).programs
    folders = {str(Path(path).parent) for path in said.values()}
    for name in ("bash", "python3", "sort", "uniq", "env"):
        assert Path(said[name]).name == name
    assert len(said) > 100 and all(folder.startswith("/") for folder in folders)
