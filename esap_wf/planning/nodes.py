"""
Software of steps that work on the nodes of a place, while their engine is on this machine: what only the
nodes see is not looked for here. The profile says it, `esap-wf check` proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from esap_wf import backends
from esap_wf.models.place import Profile
from esap_wf.models.plan import SoftwareChoice
from esap_wf.software.containers.image import standing_for


def of(profile: Profile | None) -> Profile | None:
    """The profile, if its steps work on nodes."""
    return profile if profile is not None and profile.kind != backends.LOCAL else None


def below_mount(path: str, profile: Profile) -> bool:
    """Whether a path lies in a folder that the profile says its nodes have mounted."""
    whole = PurePosixPath(path)
    return (
        whole.is_absolute()
        and ".." not in whole.parts
        and any(whole.is_relative_to(mount) for mount in profile.software.mounts)
    )


def mounted(folder: str, profile: Profile, added: Sequence[str] = ()) -> tuple[SoftwareChoice | None, str]:
    """
    The route `mounted`, or why it can't be used.

    Parameters
    ----------
    folder : str
        As the workflow names it.
    profile : Profile
    added : sequence of str
        Further folders before the PATH.
    """
    if not below_mount(folder, profile):
        mounts = profile.software.mounts
        known = f"it names {', '.join(mounts)}" if mounts else "it names none"
        return None, (
            f"{folder} is below none of the software.mounts in the profile of {profile.name} ({known})"
        )
    root = PurePosixPath(folder)
    bins = [str(root / "bin"), str(root)]  # which of them there is, is not known here
    return SoftwareChoice(route="mounted", detail=f"{root} at {profile.name}", bin_dirs=[*bins, *added]), ""


def image(text: str, profile: Profile) -> str | None:
    """
    The SIF or the folder below a mount of the nodes that stands for an image there. None: it is to be found
    on this machine.
    """
    named = standing_for(text, profile.containers.map if profile.containers else {}) or text
    return named if below_mount(named.partition("@")[0], profile) else None


def claims(profile: Profile) -> list[str]:
    """What the profile says its nodes have: mounted folders, and images below them."""
    images = (profile.containers.map if profile.containers else {}).values()
    below = [i.partition("@")[0] for i in images if below_mount(i.partition("@")[0], profile)]
    return list(dict.fromkeys([*profile.software.mounts, *below]))
