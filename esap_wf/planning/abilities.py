"""What places can do, what of it is free, and why something doesn't fit: from profiles, and from what each
place said when it was asked last."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import msgspec

from esap_wf import backends, plugins
from esap_wf.backends import BackendBase, Profile, Survey, surveys
from esap_wf.backends.capacities import reasons_against
from esap_wf.config import Config
from esap_wf.engines import EngineBase, programs
from esap_wf.errors import Problem, UsageError
from esap_wf.formats.schemas import closest
from esap_wf.models.plan import Allocation, EngineChoice
from esap_wf.planning import queued
from esap_wf.planning.standings import (
    COPIED,
    HERE,
    NATIVE,
    SHARED,
    SLICES,
    THERE,
    WHOLE,
    Standing,
    Way,
    standing_of,
)
from esap_wf.software import containers

#: What any job asks for.
_LEAST = Allocation(cores=1, memory_bytes=1, disk_bytes=0, wall_seconds=60)


class Places:
    """
    The places that are known, and what can be said of them without asking.

    Parameters
    ----------
    config : Config

    Raises
    ------
    UsageError
        A profile is broken.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.profiles = backends.profiles(config)
        kinds, broken = plugins.load("esap_wf.backends", {p.kind for p in self.profiles.values()})
        self._kinds: dict[str, BackendBase] = kinds
        self._broken = {b.name: b.why for b in broken}

    def profile(self, name: str) -> Profile:
        """
        The profile of a name.

        Raises
        ------
        UsageError
            There is none.
        """
        if name not in self.profiles:
            hint = closest(name, self.profiles) or f"known: {', '.join(self.profiles)}"
            raise UsageError(
                f"there is no backend {name!r}", [Problem("NAME", f"unknown backend {name!r}", hint)]
            )
        return self.profiles[name]

    def standings(self, needs: Allocation | None = None) -> list[Standing]:
        """All of them, in the order of their names; this machine first."""
        found = [self.standing(name, needs) for name in self.profiles]
        return sorted(found, key=lambda s: (s.name != "local", s.name))

    def standing(self, name: str, needs: Allocation | None = None) -> Standing:
        """One of them, by what it said when it was asked last."""
        profile = self.profile(name)
        kind = self._kinds.get(profile.kind)
        if kind is None:
            why = self._broken.get(profile.kind) or (
                f"no plug-in for backends of kind {profile.kind!r} is installed"
            )
            return standing_of(profile, [], [why], None, None)
        survey = None if profile.kind == "local" else self.known(name)
        if survey is None and not kind.shares_store:
            why = f"has not been asked yet: esap-wf backends check {name}"
            return standing_of(profile, [], [why], None, None)
        try:
            capacity = kind.capacity(profile, self.config.store, survey)
            reasons = reasons_against(capacity, needs) if needs else []
            profiles = kind.ways(profile)
            for way in profiles:
                reasons += [r for r in kind.reasons(way, needs or _LEAST, survey) if r not in reasons]
            ways = [found for way in profiles for found in self._ways(kind, way, survey)]
        except Exception as error:  # a plug-in may raise anything
            return standing_of(profile, [], [surveys.failing(profile, error)], None, survey)
        if not ways:
            reasons.append("no engine was found there that esap-wf can use")
        return standing_of(profile, ways, reasons, capacity, survey)

    def _ways(self, kind: BackendBase, profile: Profile, survey: Survey | None) -> Iterator[Way]:
        """In which engines can work in one way of a place."""
        queue = kind.queue(profile, _LEAST, survey)
        if not kind.shares(profile):
            yield from self._there(profile, survey)
        elif queue is None:
            yield from self._here(profile)
        else:
            able = [name for name, engine in self._plugins.items() if queue.kind in engine.queues]
            for way in self._here(queued.contained(profile)):
                if way.engine in able:
                    yield msgspec.structs.replace(way, way=NATIVE)

    def ways(self, name: str) -> tuple[Profile, ...]:
        """The ways in which a place can be used, best first; none if its plug-in isn't there."""
        profile = self.profile(name)
        kind = self._kinds.get(profile.kind)
        return kind.ways(profile) if kind else ()

    def engine_profiles(self, name: str) -> dict[str, bytes]:
        """Files by which bare engines submit jobs to a place: path → content."""
        for profile in self.ways(name):
            survey = self.known(name)
            cores = survey.cores if survey else 1
            allocation = msgspec.structs.replace(_LEAST, cores=max(cores, 1))
            if (queue := self._kinds[profile.kind].queue(profile, allocation, survey)) is not None:
                able = [engine for engine in self._plugins.values() if queue.kind in engine.queues]
                return {path: text for engine in able for path, text in engine.profile(queue).items()}
        return {}

    def way_of(self, profile: Profile) -> str:
        """``here``, ``native`` or ``there``, of one of `ways`."""
        kind = self._kinds[profile.kind]
        if not kind.shares(profile):
            return THERE
        return HERE if kind.queue(profile, _LEAST, self.known(profile.name)) is None else NATIVE

    def sees_store(self, name: str) -> bool | None:
        """
        Whether the jobs of a place see the run store, where they would work in it; None: nobody knows, or
        they don't.
        """
        profile = next(iter(self.ways(name)), None)
        if profile is None:
            return None
        kind = self._kinds[profile.kind]
        if self.way_of(profile) != NATIVE:
            return None
        return kind.sees(profile, self.config.store, self.config.cache)

    def is_here(self, name: str) -> bool:
        """Whether a place sees the run store, so that engines are looked for on this machine."""
        profile = self.profile(name)
        kind = self._kinds.get(profile.kind)
        return kind is not None and kind.shares(profile)

    def known(self, name: str) -> Survey | None:
        """What a place said when it was asked last."""
        return surveys.known(self.profile(name), self.config.cache)

    def ask(self, name: str) -> Survey:
        """
        Ask a place now, and keep what it says.

        Raises
        ------
        OutageError, NeedsPersonError
        UsageError, UnavailableError
            There is no such place; its plug-in is not there.
        """
        profile = self.profile(name)
        kind: BackendBase = plugins.one("esap_wf.backends", profile.kind)
        return surveys.ask_now(kind, profile, self.config.cache)

    def _here(self, profile: Profile) -> Iterator[Way]:
        """Ways on this machine: engines and runtimes are looked for."""
        allowed = profile.containers.runtimes if profile.containers else ()
        for name, (engine, choice) in self._engines_here.items():
            runtimes = [r for r in self._runtimes_here if r in engine.runtimes.split()]
            yield Way(
                engine=name,
                version=choice.version,
                path=choice.path,
                pieces=[WHOLE],
                containers=[r for r in runtimes if not allowed or r in allowed],
                store=SHARED,
            )

    def _there(self, profile: Profile, survey: Survey | None) -> Iterator[Way]:
        """Ways at a place elsewhere: what it said, and what its profile brings there."""
        allowed = profile.containers.runtimes if profile.containers else ()
        runtimes = [r for r in (survey.runtimes if survey else ()) if not allowed or r in allowed]
        found = dict(survey.engines) if survey else {}
        for name, engine in self._plugins.items():
            brought = profile.engines.get(name)
            there = found.get(name)
            imaged = brought is not None and brought.image is not None
            if there is None and (brought is None or brought.path):
                continue
            yield Way(
                engine=name,
                version=there.version if there else brought.version if brought else "",
                path=there.path if there else brought.environment or brought.image or "" if brought else "",
                pieces=[WHOLE, SLICES],
                containers=[r for r in runtimes if r in engine.runtimes.split() and not imaged],
                store=COPIED,
                way=THERE,
            )

    @cached_property
    def _plugins(self) -> dict[str, EngineBase]:
        return plugins.load("esap_wf.engines")[0]

    @cached_property
    def _engines_here(self) -> dict[str, tuple[EngineBase, EngineChoice]]:
        found = {}
        for name, engine in self._plugins.items():
            try:
                choice = None if engine.lacks() else programs.first_suitable(engine, self.config, None).choice
            except UsageError:  # what is configured is not there: planning says so
                continue
            if choice:
                found[name] = engine, choice
        return found

    @cached_property
    def _runtimes_here(self) -> list[str]:
        there = containers.survey(containers.settings(self.config), self.config.cache)
        return [name for name, runtime in there.items() if not isinstance(runtime, str)]
