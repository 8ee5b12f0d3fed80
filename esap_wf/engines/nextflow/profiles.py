"""
Profiles of a Nextflow pipeline that a user names: whether they are there, and where they would run tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from esap_wf.engines import Job
from esap_wf.engines.nextflow.demands import profiles_of
from esap_wf.engines.nextflow.settings import Setting, Settings
from esap_wf.engines.nextflow.statements import read_config
from esap_wf.errors import EsapError, Problem
from esap_wf.formats.schemas import closest

_EXECUTOR = re.compile(r"process\.(?:with(?:Name|Label):.+\.)?executor|executor\.name")
_NOT_FOLLOWED = "is not followed"


def conflicts(job: Job) -> list[Problem]:
    """What a run of this machine can't be with the profiles that are named."""
    assert job.source is not None
    named = [p for p in profiles_of(job.options) if p != "standard"]
    config = job.source.parent / "nextflow.config"
    if not named or not config.is_file() or any(o in ("-c", "-C", "-config") for o in job.options):
        return []
    unchosen, chosen = _read(config, ()), _read(config, tuple(named))
    if unchosen is None or chosen is None:
        return []
    problems = []
    if not any(_NOT_FOLLOWED in warning for warning in chosen.warnings):
        for name in named:
            if name not in chosen.there:
                hint = (
                    closest(name, chosen.there) or f"available: {', '.join(sorted(chosen.there)) or 'none'}"
                )
                problems.append(Problem(f"-profile {name}", f"{config} has no profile {name}", hint))
    before = {(s.name, s.origin) for s in unchosen.found}
    for setting in _elsewhere(chosen):
        if (setting.name, setting.origin) not in before:
            what = (
                f"with -profile {','.join(named)} tasks are run by {setting.value.data}, and this "
                "version starts runs on this machine only"
            )
            problems.append(
                Problem(
                    setting.origin,
                    what,
                    "leave the profile out, or name one that keeps to the local executor",
                )
            )
    return problems


def elsewhere(settings: Settings) -> Iterator[str]:
    """
    Warnings of executors that the pipeline's own configuration names whatever the profile: only the one of
    all processes is replaced.
    """
    for setting in _elsewhere(settings):
        replaced = setting.name == "process.executor"
        then = (
            "here its tasks are run on this machine"
            if replaced
            else "Nextflow hands these tasks over, if it can from here"
        )
        yield f"{setting.origin}: {setting.name} is {setting.value.data}: {then}"


def _elsewhere(settings: Settings) -> Iterator[Setting]:
    for setting in settings.found:
        if (
            _EXECUTOR.fullmatch(setting.name)
            and isinstance(setting.value.data, str)
            and setting.value.data not in ("local", "nope")
        ):
            yield setting


def _read(config: Path, profiles: tuple[str, ...]) -> Settings | None:
    settings = Settings(profiles=profiles or ("standard",))
    try:
        read_config(settings, config.absolute(), config.parent.absolute())
    except EsapError:
        return None
    return settings
