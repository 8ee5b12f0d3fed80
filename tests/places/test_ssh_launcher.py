"""A host by SSH answers as every place must: a real sshd, another user, no folder in common."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from services import sshd
from services.sshd import Host

from esap_wf.backends import Profile
from esap_wf.testing import LauncherSuite

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with sshd.running() as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def sockets(host: Host) -> Iterator[Path]:
    """Connections of these tests alone."""
    folder = Path(tempfile.mkdtemp(prefix="esw-", dir="/tmp"))
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    host.cut()
    patch.undo()
    shutil.rmtree(folder, ignore_errors=True)


class TestSsh(LauncherSuite):
    host: ClassVar[Host]
    sockets: ClassVar[Path]

    @pytest.fixture(autouse=True)
    @classmethod
    def reached(cls, host: Host, sockets: Path) -> Iterator[None]:
        cls.host, cls.sockets = host, sockets
        yield
        assert host.left() == [], "nothing is left there"
        assert host.processes() == []

    @classmethod
    def profile(cls, root: Path) -> Profile:
        return cls.host.profile()

    @classmethod
    def kept(cls, root: Path) -> list[Path]:
        return [cls.host.home, cls.sockets]
