"""The keys of a profile of kind ``ssh``, and whom they lead to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from esap_wf.errors import Problem, UsageError
from esap_wf.models import Model
from esap_wf.models.place import Profile

_PART = r"\.?[A-Za-z0-9_@+][A-Za-z0-9_.@+-]*"


class Settings(Model, frozen=True, kw_only=True):
    """
    Keys of a profile of kind ``ssh``.

    Parameters
    ----------
    host : str
        A name, an address, or an alias of the user's ssh configuration.
    user, port : optional
        In place of those of the ssh configuration.
    config : str, optional
        An ssh configuration file of this machine, in place of the user's.
    folder : str
        There, where pieces work: absolute, or below the user's home there.
    """

    host: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,254}$",
            description="a host's name, address or alias, without the user",
        ),
    ]
    user: (
        Annotated[
            str,
            msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}$", description="the name of a user"),
        ]
        | None
    ) = None
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    config: (
        Annotated[str, msgspec.Meta(pattern=r"^(/|~/)[^\x00-\x1f]*$", description="an absolute path, or ~/…")]
        | None
    ) = None
    folder: Annotated[
        str,
        msgspec.Meta(
            pattern=rf"^/?{_PART}(/{_PART})*$",
            description="absolute or below the home there, of letters, digits and . _ @ + -",
        ),
    ] = ".cache/esap-wf/pieces"


def of(profile: Profile) -> Settings:
    """
    The keys of a profile.

    Raises
    ------
    UsageError
        They can't be used. All that is wrong was said when the profile was read.
    """
    try:
        settings = msgspec.convert(profile.settings, Settings)
        # `$` of a pattern lets a newline at the end pass
        if any(isinstance(v, str) and v.endswith("\n") for v in profile.settings.values()):
            raise ValueError("a newline at the end of a value")
    except ValueError as error:
        raise UsageError(
            "a backend profile is not valid", [Problem(f"backend {profile.name}", str(error))]
        ) from None
    return settings


@dataclass(frozen=True, slots=True)
class Address:
    """
    Whom a connection leads to; equal ones share it.

    Parameters
    ----------
    host : str
    user, port, config : optional
        As `Settings`.
    more : tuple of str
        Further options of ``ssh``, as the profile has them. They come after esap-wf's own, which count.
    """

    host: str
    user: str | None = None
    port: int | None = None
    config: str | None = None
    more: tuple[str, ...] = ()

    @classmethod
    def of(cls, profile: Profile) -> Address:
        """
        The one of a profile.

        Raises
        ------
        UsageError
            As `of`.
        """
        settings = of(profile)
        config = str(Path(settings.config).expanduser()) if settings.config else None
        return cls(settings.host, settings.user, settings.port, config, tuple(profile.options))

    @property
    def options(self) -> list[str]:
        """For ``ssh``, before the host."""
        return [
            *(["-F", self.config] if self.config else []),
            *(["-o", f"User={self.user}"] if self.user else []),
            *(["-o", f"Port={self.port}"] if self.port else []),
        ]

    @property
    def by_hand(self) -> str:
        """What a person types to come there."""
        words = [f"-F {self.config}"] if self.config else []
        words += [f"-p {self.port}"] if self.port else []
        return " ".join(["ssh", *words, f"{self.user}@{self.host}" if self.user else self.host])

    @property
    def digest(self) -> str:
        """A short name."""
        return hashlib.sha256(
            repr((self.host, self.user, self.port, self.config, self.more)).encode()
        ).hexdigest()[:16]
