"""The runtimes that there are, which of them a place allows, and what stands there for which image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.config import Config
from esap_wf.software.containers.apptainer import Apptainer
from esap_wf.software.containers.docker import Docker, Podman
from esap_wf.software.containers.runtime import Runtime
from esap_wf.software.containers.udocker import Udocker

#: In the order in which they are tried, unless the configuration says another: no daemon and no root first,
#: the weakest last.
RUNTIMES: dict[str, Runtime] = {r.name: r for r in (Apptainer(), Podman(), Docker(), Udocker())}


@dataclass(frozen=True)
class Settings:
    """
    What a place allows.

    Parameters
    ----------
    runtimes : tuple of str
        Allowed ones, the preferred first.
    map : dict
        Name of an image → archive, SIF, folder or mirror.
    programs : dict
        Runtime → its program, where PATH doesn't have it.
    base : Path
        Folder of relative paths in `map`.
    """

    runtimes: tuple[str, ...] = tuple(RUNTIMES)
    map: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    base: Path = field(default_factory=Path.cwd)


def settings(config: Config, runtimes: Sequence[str] = (), mapping: dict[str, str] | None = None) -> Settings:
    """
    Settings of the configuration, narrowed by those of a backend's profile.

    Parameters
    ----------
    config : Config
    runtimes : sequence of str
        Of the profile: none says nothing.
    mapping : dict, optional
        Of the profile: wins over the configuration's.
    """
    table = config.containers
    allowed = tuple(table.get("runtimes", RUNTIMES))
    if runtimes:
        allowed = tuple(r for r in runtimes if r in allowed)
    return Settings(
        allowed, {**table.get("map", {}), **(mapping or {})}, table.get("programs", {}), config.source.parent
    )
