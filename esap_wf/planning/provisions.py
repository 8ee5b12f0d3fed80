"""
By which route steps find their software at a place elsewhere: from its profile, and from what it has said.
Nothing of this machine is looked at, but for what is packed here to be sent there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from esap_wf.backends.places import Place
from esap_wf.engines import EngineBase
from esap_wf.engines.elsewhere import Packed
from esap_wf.models.manifest import Software
from esap_wf.models.plan import ContainerChoice, SoftwareChoice
from esap_wf.planning import nodes
from esap_wf.software import environments
from esap_wf.software.environments import canonical

#: The runtime that starts containers there: the others are told whose files they write by numbers of this
#: machine's users.
RUNTIME = "apptainer"


@dataclass(frozen=True)
class Provisions:
    """
    What a place elsewhere has for steps.

    Parameters
    ----------
    place : Place
    packed : Packed, optional
        The packed environment of the engine that runs there.
    inside : ContainerChoice, optional
        The image in which that engine works; then its steps do, too.
    """

    place: Place
    packed: Packed | None = None
    inside: ContainerChoice | None = None

    def uncontained(self, alternative: Software, folder: Path) -> tuple[SoftwareChoice | None, str]:
        """An alternative without a container, or why it can't be used there."""
        if self.inside:
            return _within(self.inside, alternative, self.place.name)
        if isinstance(alternative.installed, list):
            return self._commands(alternative.installed)
        if isinstance(alternative.installed, str):
            return self._pinned(folder / alternative.installed)
        if alternative.python:
            return self._python(folder / alternative.python)
        if alternative.mounted:
            return self._mounted(alternative.mounted)
        return None, "says nothing"

    def container(
        self, image: str, network: bool, engine: EngineBase | None
    ) -> tuple[ContainerChoice | None, str]:
        """What stands there for an image, or why nothing does."""
        from esap_wf.software.containers.image import standing_for

        if self.inside:
            return None, f"the engine is in an image at {self.place.name}, and starts no other from there"
        profile, survey = self.place.profile, self.place.survey
        allowed = profile.containers.runtimes if profile.containers else []
        if allowed and RUNTIME not in allowed:
            return None, f"the profile of {self.place.name} does not allow {RUNTIME}, which starts them there"
        if engine and RUNTIME not in engine.runtimes.split():
            return None, f"{engine.title} can't drive {RUNTIME}, which starts them at {self.place.name}"
        found = survey.runtimes.get(RUNTIME) if survey else None
        if found is None:
            return None, f"there is no {RUNTIME} at {self.place.name}"
        there = standing_for(image, profile.containers.map if profile.containers else {})
        if there is None:
            return None, (
                f"the profile of {self.place.name} doesn't say what stands for it there: containers.map "
                "names a SIF or a folder"
            )
        if not there.startswith("/"):
            return None, f"{there}, which stands for it at {self.place.name}, is no absolute path"
        return ContainerChoice(
            image=image,
            reference=there,
            form="sif" if there.endswith((".sif", ".simg")) else "rootfs",
            runtime=RUNTIME,
            program=found.path,
            network=network,
        ), ""

    @property
    def _bins(self) -> list[str]:
        return list(self.place.profile.software.path)

    def _commands(self, wanted: Sequence[str]) -> tuple[SoftwareChoice | None, str]:
        there = self.place.survey.programs if self.place.survey else {}
        packed = self.packed.programs if self.packed else frozenset()
        absent = [c for c in wanted if c not in there and c not in packed]
        modules = self.place.profile.software.modules
        if absent and modules:
            detail = f"{', '.join(absent)} by the modules {', '.join(modules)}, which are loaded at the start"
            return SoftwareChoice(route="installed", detail=detail, bin_dirs=self._bins), ""
        if absent:
            return None, f"{', '.join(absent)} is not on the PATH of {self.place.name}, as far as it says"
        if self.packed and any(c not in there for c in wanted):
            detail = f"{', '.join(wanted)} in {self.packed.archive.name}, sent to {self.place.name}"
            return SoftwareChoice(
                route="installed", detail=detail, bin_dirs=[f"{self.packed.folder}/bin", *self._bins]
            ), ""
        whatever = "whatever programs the steps call"
        detail = (
            f"{', '.join(wanted)} on the PATH of {self.place.name}"
            if wanted
            else f"from the PATH of {self.place.name}: {whatever}"
        )
        return SoftwareChoice(route="installed", detail=detail, bin_dirs=self._bins), ""

    def _pinned(self, requirements: Path) -> tuple[SoftwareChoice | None, str]:
        wanted = environments.pins(requirements)
        if not wanted:
            return None, f"{requirements.name} pins nothing"
        survey = self.place.survey
        there = {canonical(n): v for n, v in survey.python.items()} if survey else {}
        if self.packed and not _lacking(wanted, self.packed.packages):
            return self._of_packed("installed", requirements), ""
        lacking = _lacking(wanted, there)
        if lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            return None, f"python on the PATH of {self.place.name} lacks {', '.join(lacking[:3])}{more}"
        detail = f"python on the PATH of {self.place.name} has all versions pinned in {requirements.name}"
        return SoftwareChoice(route="installed", detail=detail, bin_dirs=self._bins), ""

    def _python(self, requirements: Path) -> tuple[SoftwareChoice | None, str]:
        wanted = environments.pins(requirements)
        if self.packed and wanted and not _lacking(wanted, self.packed.packages):
            return self._of_packed("python", requirements), ""
        return None, (
            f"environments are not built at {self.place.name}; put the packages on its PATH: software.path"
        )

    def _of_packed(self, route: str, requirements: Path) -> SoftwareChoice:
        assert self.packed is not None
        detail = f"{self.packed.archive.name}, sent there, has all versions pinned in {requirements.name}"
        return SoftwareChoice(route=route, detail=detail, bin_dirs=[f"{self.packed.folder}/bin", *self._bins])

    def _mounted(self, folder: str) -> tuple[SoftwareChoice | None, str]:
        return nodes.mounted(folder, self.place.profile, self._bins)


def _within(image: ContainerChoice, alternative: Software, place: str) -> tuple[SoftwareChoice | None, str]:
    """An alternative for steps that work in the image of their engine."""
    if isinstance(alternative.installed, list):
        what = ", ".join(alternative.installed) or "whatever programs the steps call"
        detail = (
            f"{what} in {image.image}, where the engine works at {place}; not looked for before the start"
        )
        return SoftwareChoice(route="installed", detail=detail), ""
    where = f"the engine works in {image.image} at {place}"
    if alternative.mounted:
        return None, f"{where}, from where {alternative.mounted} is not seen"
    if alternative.python:
        return None, f"{where}, and no environment is built there: put the packages into the image"
    return None, f"{where}, and which versions of packages that has is not known: name commands"


def _lacking(wanted: dict[str, str], there: dict[str, str]) -> list[str]:
    return [f"{n} {v} ({there.get(n, 'none')} is there)" for n, v in wanted.items() if there.get(n) != v]
